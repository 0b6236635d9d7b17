/* dspy.majority, dspy.Ensemble and its state files, as the real DSPy has them (ensemble.json).
 * Where DSPy raises an error, the test says what is done here instead. */
#include "base/random.h"
#include "ensemble/file.h"
#include "golden.h"

#include <string.h>

enum { MOST = 64 };

static const dm_value *section(dm_arena *a, const char *name)
{
    const dm_value *v = dm_value_get(golden(a, "ensemble.json"), name);
    cr_assert_not_null(v, "%s", name);
    return v;
}

static dm_str text_of(const dm_value *entry, const char *key)
{
    const dm_value *v = dm_value_get(entry, key);
    return v && v->kind == DM_STRING ? v->text : (dm_str){NULL, 0};
}

/* The vote asked at once, and in two waves, which has to say the same. */
static size_t voted(const dm_value *const *values, size_t n, dm_reduce r)
{
    int class[MOST], first[MOST];
    bool as_text = dm_reduce_as_text(r, false);
    dm_vote_classes(values, n, as_text, class);
    size_t winner = dm_vote(r, class, NULL, n), wave = dm_vote_first_wave(NULL, n);
    dm_vote_classes(values, wave, as_text, first);
    if (!dm_vote_is_open(r, first, NULL, wave, n))
        cr_expect_eq(dm_vote(r, first, NULL, wave), winner);
    return winner;
}

/* ---- votes ---- */

/* The field that is voted on: the one given, the signature's last output, the first one's last. */
static dm_str field_of(dm_arena *a, const dm_value *c)
{
    dm_error err;
    dm_str field = text_of(c, "field"), signature = text_of(c, "signature");
    const dm_value *all = dm_value_get(c, "completions");
    if (field.p)
        return field;
    if (signature.p) {
        const dm_signature *s = dm_signature_parse(a, signature, &err);
        cr_assert_not_null(s, "%s", err.text);
        return s->fields[s->n_inputs + s->n_outputs - 1].name;
    }
    return all->n ? all->items[0]->members[all->items[0]->n - 1].key : DM_STR("answer");
}

/* Where DSPy raises: values that are no text, or are not hashable, are told apart by equality; who
 * lacks the field does not vote. */
static const struct {
    const char *name, *error;
    size_t winner;
} ours[] = {{"None value", "TypeError", 1},
            {"int", "TypeError", 0},
            {"bool", "TypeError", 0},
            {"list", "TypeError", 0},
            {"list, not normalised: not hashable", "TypeError", 0},
            {"dict, not normalised: not hashable", "TypeError", 0},
            {"missing in one member", "KeyError", 0},
            {"unknown field asked for", "KeyError", DM_NOBODY},
            {"empty list", "IndexError", DM_NOBODY}};
enum { OURS = sizeof ours / sizeof *ours };

static size_t expected(const dm_value *c)
{
    dm_str name = text_of(c, "name"), error = text_of(c, "error");
    int64_t winner = -1;
    for (size_t i = 0; i < OURS && error.p; i++)
        if (dm_str_is(name, ours[i].name)) {
            cr_expect(dm_str_is(error, ours[i].error), "%s: %s", name.p, error.p);
            return ours[i].winner;
        }
    cr_assert(!error.p && dm_value_to_int(dm_value_get(c, "winner"), &winner), "%s", name.p);
    return (size_t)winner;
}

Test(golden_ensemble, votes)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *all = section(a, "majority");
    size_t errors = 0;
    cr_assert_eq(all->n, 61);
    for (size_t i = 0; i < all->n; i++) {
        const dm_value *c = all->items[i], *rows = dm_value_get(c, "completions"), *values[MOST];
        bool plain = dm_str_is(text_of(c, "normalize"), "none");
        dm_str field = field_of(a, c);
        for (size_t k = 0; k < rows->n; k++)
            values[k] = dm_value_get_str(rows->items[k], field);
        size_t want = expected(c),
               got = voted(values, rows->n, plain ? DM_REDUCE_EXACT : DM_REDUCE_MAJORITY);
        errors += text_of(c, "error").p != NULL;
        cr_expect_eq(got, want, "%s: member %zu, not %zu", text_of(c, "name").p, got, want);
        if (got < rows->n && dm_value_get(c, "prediction"))
            cr_expect(dm_value_equal(rows->items[got], dm_value_get(c, "prediction")));
    }
    cr_expect_eq(errors, OURS);
    dm_arena_free(a);
}

/* ---- whole ensembles ---- */

typedef struct asking {
    const dm_value *tables; /* [n] of members: input -> output fields, null: fails */
    size_t size;            /* 0: all */
    bool list;              /* no reduce: DSPy gives the list of predictions */
    dm_pyrandom stream;
} asking;

static void check_row(asking *e, const char *name, const dm_value *row)
{
    const dm_value *called = dm_value_get(row, "called"), *want = dm_value_get(row, "output");
    const dm_value *rows[MOST], *values[MOST];
    dm_str error = text_of(row, "error");
    size_t n = e->size ? e->size : e->tables->n, order[MOST];
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    if (e->size)
        dm_pyrandom_sample(&e->stream, e->tables->n, n, order);
    for (size_t i = 0; i < n; i++) {
        int64_t times = 0;
        rows[i] = dm_value_get_str(e->tables->items[order[i]], text_of(row, "input"));
        values[i] = dm_value_get(rows[i], "answer");
        cr_expect(dm_value_to_int(called->items[order[i]], &times) && (times == 1 || error.p),
                  "%s: member %zu is not asked", name, order[i]);
        if (e->list)
            cr_expect(dm_value_equal(rows[i], want->items[i]), "%s", name);
    }
    size_t winner = voted(values, n, DM_REDUCE_MAJORITY);
    if (dm_str_is(error, "ValueError")) /* a member raised: here it has no vote */
        cr_expect(dm_str_is(values[winner]->text, "a b"), "%s", name);
    else if (error.p)
        cr_expect(dm_str_is(error, "IndexError") && winner == DM_NOBODY, "%s: %s", name, error.p);
    else if (!e->list)
        cr_expect(dm_value_equal(rows[winner], want), "%s: %s", name, text_of(row, "input").p);
}

Test(golden_ensemble, calls)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *all = section(a, "ensembles");
    size_t n_rows = 0;
    cr_assert_eq(all->n, 11);
    for (size_t i = 0; i < all->n; i++) {
        const dm_value *c = all->items[i], *rows = dm_value_get(c, "rows");
        int64_t size = 0, seed = 0;
        asking e = {.tables = dm_value_get(c, "members"), .list = !text_of(c, "reduce").p};
        const char *name = text_of(c, "name").p;
        (void)dm_value_to_int(dm_value_get(c, "size"), &size);
        (void)dm_value_to_int(dm_value_get(c, "python_seed"), &seed);
        n_rows += rows->n;
        e.size = (size_t)size;
        if (e.size > e.tables->n) { /* refused when the file is read: see the unit tests */
            cr_expect(dm_str_is(text_of(rows->items[0], "error"), "ValueError"), "%s", name);
            continue;
        }
        dm_pyrandom_seed(&e.stream, seed);
        for (size_t k = 0; k < rows->n; k++)
            check_row(&e, name, rows->items[k]);
    }
    cr_expect_eq(n_rows, 59);
    dm_arena_free(a);
}

Test(golden_ensemble, draws)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *all = section(a, "sample");
    size_t checked = 0;
    for (size_t i = 0; i < all->n; i++) {
        const dm_value *c = all->items[i], *draws = dm_value_get(c, "draws");
        int64_t seed = 0, n = 0, k = 0;
        dm_pyrandom r;
        cr_assert(dm_value_to_int(dm_value_get(c, "seed"), &seed) &&
                  dm_value_to_int(dm_value_get(c, "n"), &n) &&
                  dm_value_to_int(dm_value_get(c, "k"), &k));
        dm_pyrandom_seed(&r, seed);
        for (size_t d = 0; d < draws->n; d++, checked++) {
            size_t got[MOST];
            dm_pyrandom_sample(&r, (size_t)n, (size_t)k, got);
            cr_assert_eq(draws->items[d]->n, (size_t)k);
            for (size_t q = 0; q < (size_t)k; q++)
                cr_expect_eq((double)got[q], draws->items[d]->items[q]->number,
                             "seed %d, %d of %d, draw %zu", (int)seed, (int)k, (int)n, d);
        }
    }
    cr_expect_eq(checked, 176);
    dm_arena_free(a);
}

/* ---- state files ---- */

static const dm_program *program_of(dm_arena *a, const char *text)
{
    dm_error err = {DM_OK, ""};
    const dm_value *v = dm_json_read(a, dm_str_of(text), &err);
    dm_at at = dm_at_root(v, "program", DM_E_JOB);
    const dm_program *p = dm_program_read(a, &at, &err);
    cr_assert_not_null(p, "%s", err.text);
    return p;
}

/* What was read, written again: the same states behind the same keys. */
static void check_again(dm_arena *a, const char *name, const dm_ensemble *e, const dm_value *file)
{
    dm_error err = {DM_OK, ""};
    dm_buf b;
    dm_ensemble again;
    dm_buf_init(&b, DM_MAX_FILE);
    dm_ensemble_write(&b, a, e, NULL);
    const dm_value *v = dm_json_read(a, dm_buf_view(&b), &err);
    cr_assert_not_null(v, "%s", err.text);
    cr_expect_eq(v->n, file->n, "%s: %zu keys, not %zu", name, v->n, file->n);
    for (size_t i = 0; i + 1 < file->n; i++) {
        cr_expect(dm_str_eq(v->members[i].key, file->members[i].key), "%s", name);
        cr_expect_str_eq(golden_text(a, v->members[i].value),
                         golden_text(a, file->members[i].value), "%s", name);
    }
    cr_expect_eq(dm_ensemble_read(a, dm_buf_view(&b), "again.json", NULL, &again, NULL, &err),
                 DM_OK, "%s: %s", name, err.text);
    cr_expect_eq(again.all, e->all, "%s", name);
    dm_buf_free(&b);
}

static void check_instructions(const char *name, const dm_ensemble *e, const dm_value *want)
{
    for (size_t i = 0; want && i < want->n; i++)
        for (size_t k = 0; k < want->items[i]->n; k++)
            cr_expect(dm_str_eq(e->members[e->list[i]]->parts[k].instructions,
                                want->items[i]->items[k]->text),
                      "%s: member %zu", name, i);
}

static void check_file(dm_arena *a, const char *name, const dm_value *c, const dm_program *program)
{
    static const struct {
        const char *name, *says;
    } refused[] = {{"ChainOfThought with _compiled (what BootstrapFewShot returns): vanishes",
                    "no member"},
                   {"the same member twice: written once", "programs[1] is missing"}};
    const dm_value *file = dm_value_get(c, "file");
    dm_str text = dm_str_of(golden_text(a, file));
    dm_error err = {DM_OK, ""};
    dm_ensemble e;
    const char *says = NULL;
    for (size_t i = 0; i < 2; i++)
        if (strcmp(name, refused[i].name) == 0)
            says = refused[i].says;
    dm_status st = dm_ensemble_read(a, text, "dspy.json", program, &e, NULL, &err);
    if (says) {
        cr_expect(st == DM_E_DATA && strstr(err.text, says), "%s: %s", name, err.text);
        return;
    }
    cr_assert_eq(st, DM_OK, "%s: %s", name, err.text);
    cr_expect(dm_ensemble_is(file, program) && dm_str_is(e.field, "answer") &&
                  e.reduce == DM_REDUCE_MAJORITY,
              "%s", name);
    check_instructions(name, &e, dm_value_get(c, "loaded_instructions"));
    check_again(a, name, &e, file);
    st = dm_ensemble_read(a, text, "dspy.json", NULL, &e, NULL, &err);
    cr_expect(st == DM_E_DATA && strstr(err.text, "--job"), "%s: %s", name, err.text);
}

Test(golden_ensemble, state_files)
{
    dm_arena *a = dm_arena_new(0);
    const dm_program *one = program_of(a, "{\"predict\": \"question -> answer\"}"),
                     *steps = program_of(
                         a, "{\"steps\": [{\"name\": \"query\", \"chain_of_thought\": \"question "
                            "-> query\"}, {\"name\": \"answer\", \"predict\": \"question, query "
                            "-> answer\"}]}");
    const dm_value *all = section(a, "state_files");
    size_t without = 0;
    cr_assert_eq(all->n, 11);
    for (size_t i = 0; i < all->n; i++) {
        const char *name = text_of(all->items[i], "name").p;
        if (dm_value_get(all->items[i], "file"))
            check_file(a, name, all->items[i], strstr(name, "two-step") ? steps : one);
        else
            without++; /* what DSPy does where no file of ours is concerned */
    }
    cr_expect_eq(without, 2);
    dm_arena_free(a);
}
