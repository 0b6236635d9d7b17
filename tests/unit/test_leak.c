/* Instructions that copy rows of the data. */
#include "optimizer/leak.h"
#include "world.h"

#include <criterion/criterion.h>

static dm_dataset *rows_of(dm_arena *a, const char *json)
{
    return dm_dataset_of(a, "rows", dm_json_read(a, dm_str_of(json), NULL));
}

Test(leak, the_longest_run_that_a_text_has_in_common_with_a_row)
{
    world w = world_new(ONE_PREDICTOR);
    dm_candidate *start = dm_candidate_new(w.arena, w.program);
    start->parts[0].instructions =
        DM_STR("Always look at the label on the box before you say what is in it.");
    const dm_dataset
        *train =
            rows_of(w.arena, "[{\"question\": \"one two three four five six seven eight nine\", "
                             "\"answer\": \"a\"}, {\"question\": \"Who was the first woman "
                             "to fly alone across the Atlantic Ocean, and when?\", "
                             "\"answer\": [\"x\", {\"deep\": \"a b c d e f g h i j\"}]}]"),
        *val = rows_of(w.arena, "[{\"question\": \"Always look at the label on the box before you "
                                "say what is in it, or two three four five six seven eight nine "
                                "ten\"}]"),
        *test =
            rows_of(w.arena, "[{\"question\": \"z y x w v u t s r q\"}, {\"question\": \"ärger mit "
                             "«dem über-grossen étude один дом», हिन्दी "
                             "मैं हिन्दी में हिन्दी "
                             "में हिन्दी में\"}]");
    const dm_compile_input in = {.student = dm_candidate_seal(start),
                                 .trainset = train,
                                 .valset = val,
                                 .testset = test};
    static const struct {
        const char *text, *set, *run;
        size_t words, row;
    } rows[] = {
        {"Say who was the first woman to fly alone ACROSS the atlantic -- ocean; and more",
         "trainset", "Who was the first woman to fly alone across the Atlantic Ocean, and", 13, 1},
        {"one two three four five six seven", NULL, NULL, 0, 0}, /* seven are none */
        {"one two three four five six seven 8", NULL, NULL, 0, 0},
        {"one two three four five six seven eight", "trainset",
         "one two three four five six seven eight", 8, 0},
        {"two three four five six seven eight nine ten", "valset",
         "two three four five six seven eight nine ten", 9, 0},
        {"think: c d e f g h i j", "trainset", "c d e f g h i j", 8, 1}, /* in a list, in a dict */
        {"Z.Y.X.W.V.U.T.S.R.Q", "testset", "z y x w v u t s r q", 10, 0},
        /* other marks, blanks and letters than those of ASCII */
        {"“z—y…x\u00a0w’v”: u\u3000t，s。 r", "testset", "z y x w v u t s r", 9, 0},
        {"ÄRGER MIT DEM ÜBER-GROSSEN ÉTUDE ОДИН ДОМ", "testset",
         "ärger mit «dem über-grossen étude один дом", 8, 1},
        /* seven words, with their signs */
        {"मैं हिन्दी में हिन्दी "
         "में हिन्दी में",
         NULL, NULL, 0, 0},
        {"always look at the label on the box before you say what is in it", NULL, NULL, 0, 0},
        {"", NULL, NULL, 0, 0},
    };
    enum { N = sizeof rows / sizeof *rows };
    dm_str texts[N];
    dm_leak together[N];
    for (size_t i = 0; i < N; i++)
        texts[i] = dm_str_of(rows[i].text);
    dm_leaks_find(&in, texts, N, together);
    for (size_t i = 0; i < N; i++) {
        dm_leak l;
        dm_leaks_find(&in, &texts[i], 1, &l);
        cr_expect_eq(l.words, rows[i].words, "%s: %zu words", rows[i].text, l.words);
        cr_expect_eq(together[i].words, l.words, "%s", rows[i].text);
        if (!rows[i].words)
            continue;
        cr_expect_str_eq(l.set, rows[i].set, "%s", rows[i].text);
        cr_expect_eq(l.row, rows[i].row, "%s", rows[i].text);
        cr_expect(dm_str_is(l.run, rows[i].run), "%s: %.*s", rows[i].text, DM_STR_ARG(l.run));
    }
    dm_arena_free(w.arena);
}
