/* Types beyond the golden files: the schema of each as pydantic 2.14 makes it and DSPy sorts it. */
#include "adapter/adapter.h"
#include "base/utf8.h"
#include "json/json.h"
#include "program/state_file.h"
#include "program/type.h"

#include <criterion/criterion.h>
#include <string.h>

Test(program, schemas)
{
    static const struct {
        const char *type, *schema;
    } rows[] = {
        {"None | str", "{\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"null\"}]}"},
        {"Union[int, None, list[str]]",
         "{\"anyOf\": [{\"type\": \"integer\"}, {\"type\": \"array\", \"items\": {\"type\": "
         "\"string\"}}, {\"type\": \"null\"}]}"},
        {"Union[dict, dict[str, Any]]", "{\"type\": \"object\", \"additionalProperties\": true}"},
        {"Optional[dict | dict[str, Any]]",
         "{\"anyOf\": [{\"type\": \"object\", \"additionalProperties\": true}, {\"type\": "
         "\"null\"}]}"},
        {"dict[Literal['a'], int]", "{\"type\": \"object\", \"additionalProperties\": {\"type\": "
                                    "\"integer\"}, \"propertyNames\": {\"const\": \"a\"}}"},
        {"dict[Literal['a', 'b'], Any]",
         "{\"type\": \"object\", \"additionalProperties\": true, \"propertyNames\": {\"enum\": "
         "[\"a\", \"b\"]}}"},
        {"dict[Literal[1, 'b'], int]",
         "{\"type\": \"object\", \"additionalProperties\": {\"type\": \"integer\"}}"},
        {"list[Literal[1, True, None, 'x']]",
         "{\"type\": \"array\", \"items\": {\"enum\": [1, true, null, \"x\"]}}"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_arena *a = dm_arena_new(0);
        dm_error err = {DM_OK, ""};
        dm_str rest = dm_str_of(rows[i].type);
        const dm_type *t = dm_type_parse(a, &rest, &err);
        dm_buf b;
        cr_assert_not_null(t, "%s: %s", rows[i].type, err.text);
        dm_buf_init(&b, DM_MAX_TEXT);
        dm_type_schema(&b, t);
        cr_expect_str_eq(b.data, rows[i].schema, "%s: %s", rows[i].type, b.data);
        dm_buf_free(&b);
        dm_arena_free(a);
    }
}

/* What is quoted of an answer is cut between characters: it goes to files and between ranks. */
Test(program, errors_cut_no_character)
{
    for (size_t shift = 0; shift < 2; shift++) {
        dm_arena *a = dm_arena_new(0);
        dm_error err = {DM_OK, ""};
        const dm_value *fields;
        dm_buf b;
        dm_buf_init(&b, DM_MAX_TEXT);
        dm_buf_text(&b, shift ? "x[[ ## a ## ]]\n" : "[[ ## a ## ]]\n");
        for (int i = 0; i < 1000; i++)
            dm_buf_text(&b, "\xC3\xA9");
        const dm_signature *s = dm_signature_parse(a, DM_STR("q -> a: int"), &err);
        cr_assert_not_null(s);
        cr_expect_eq(dm_adapter_parse(a, DM_CHAT, s, dm_buf_view(&b), &fields, &err), DM_E_PARSE);
        cr_expect_eq(dm_utf8_valid(dm_str_of(err.text)), strlen(err.text), "%s", err.text);
        dm_buf_free(&b);
        dm_arena_free(a);
    }
}

/* Where DSPy's error has a parsed_result, dspy.GEPA loses the whole run (src/optimizer/gepa.c). */
Test(program, an_error_says_whether_fields_were_read)
{
    static const struct {
        dm_adapter adapter;
        const char *answer;
        bool some;
    } cases[] = {{DM_JSON, "{\"why\": \"so\"}", true},
                 {DM_JSON, "{\"why\": \"so\", \"a\": \"abc\"}", true},
                 {DM_JSON, "{}", false},
                 {DM_JSON, "{\"other\": 1}", false},
                 {DM_JSON, "Let me see.", false},
                 {DM_CHAT, "[[ ## why ## ]]\nso", true},
                 {DM_CHAT, "Actual output fields parsed from the LM response: [why]", false}};
    dm_arena *a = dm_arena_new(0);
    dm_error err = {DM_OK, ""};
    const dm_value *fields;
    const dm_signature *s = dm_signature_parse(a, DM_STR("q -> why, a: int"), &err);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dm_str answer = dm_str_of(cases[i].answer);
        cr_expect_eq(dm_adapter_parse(a, cases[i].adapter, s, answer, &fields, &err), DM_E_PARSE);
        cr_expect_eq(dm_parse_found_some(dm_str_of(err.text)), cases[i].some, "%s", err.text);
    }
    dm_arena_free(a);
}

/* U+0000 is a character like others: in a value, in an item of a list, in an instruction. */
Test(program, prompts_hold_nul)
{
    dm_arena *a = dm_arena_new(0);
    dm_error err = {DM_OK, ""};
    dm_value *inputs = dm_value_dict(a), *list = dm_value_list(a);
    dm_prefix prefix;
    dm_str user, nul = {"x\0y", 3};
    const dm_signature *s = dm_signature_parse(a, DM_STR("context, q -> a"), &err);
    cr_assert_not_null(s);
    dm_value_append(a, list, dm_value_string(a, nul));
    dm_value_set(a, inputs, DM_STR("context"), list);
    dm_value_set(a, inputs, DM_STR("q"), dm_value_string(a, nul));
    cr_assert_eq(dm_adapter_prefix(a, DM_CHAT, s, nul, NULL, 0, &prefix, &err), DM_OK);
    cr_assert_eq(dm_adapter_user(a, DM_CHAT, s, inputs, &user, &err), DM_OK);
    cr_expect(memmem(user.p, user.n, "\xC2\xABx\0y\xC2\xBB", 7));
    cr_expect(memmem(user.p, user.n, "## q ## ]]\nx\0y\n", 15));
    dm_str system = prefix.messages[0].content;
    cr_expect(system.n > 3 && memcmp(system.p + system.n - 3, "x\0y", 3) == 0);
    dm_arena_free(a);
}

/* A program file with such an instruction is read back as it was written. */
Test(program, state_file_holds_nul)
{
    dm_arena *a = dm_arena_new(0);
    dm_error err = {DM_OK, ""};
    const dm_value *spec = dm_json_read(a, DM_STR("{\"predict\": \"q -> a\"}"), &err), *provenance;
    dm_at at = dm_at_root(spec, "job.json", DM_E_JOB);
    dm_program *p = dm_program_read(a, &at, &err);
    const dm_candidate *back = NULL;
    dm_buf b;
    cr_assert_not_null(p, "%s", err.text);
    dm_candidate *c = dm_candidate_new(a, p);
    c->parts[0].instructions = (dm_str){"x\0y", 3};
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_state_write(&b, a, dm_candidate_seal(c), NULL);
    cr_assert_eq(dm_state_read(a, dm_buf_view(&b), "p.json", p, &back, &provenance, &err), DM_OK,
                 "%s", err.text);
    cr_expect(dm_str_eq(back->parts[0].instructions, c->parts[0].instructions));
    cr_expect(dm_hash_eq(&back->hash, &c->hash));
    dm_buf_free(&b);
    dm_arena_free(a);
}

/* What host/README.md has of a Python program: p, with the predictors of that JSON. */
static const dm_program *python_program(dm_arena *a, const char *predictors, const char *more)
{
    dm_error err = {DM_OK, ""};
    const char *text = dm_arena_printf(
        a,
        "{\"python\": \"m:P\", \"identity\": \"x\", \"inputs\": [\"q\"], \"predictors\": [%s]%s}",
        predictors, more);
    const dm_value *v = dm_json_read(a, dm_str_of(text), &err);
    cr_assert_not_null(v, "%s", err.text);
    dm_at at = dm_at_root(v, "job.json", DM_E_JOB);
    const dm_program *p = dm_program_read(a, &at, &err);
    cr_assert_not_null(p, "%s", err.text);
    return p;
}

#define PREDICTOR(name)                                                                            \
    "{\"name\": \"" name "\", \"instructions\": \"do\", \"fields\": [{\"name\": \"q\", "           \
    "\"input\": true, \"prefix\": \"Q:\", \"desc\": \"\"}], \"state\": {\"demos\": [], "           \
    "\"signature\": {\"instructions\": \"do\", \"fields\": [{\"prefix\": \"Q:\", "                 \
    "\"description\": \"\"}]}, \"lm\": null}}"

/* Writes the program as it is but for the last predictor's instruction, reads it, and gives the
 * file's value. */
static const dm_value *written(dm_arena *a, const dm_program *p)
{
    dm_error err = {DM_OK, ""};
    const dm_candidate *back = NULL;
    dm_candidate *c = dm_candidate_new(a, p);
    dm_buf b;
    c->parts[p->n - 1].instructions = DM_STR("do it well");
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_state_write(&b, a, dm_candidate_seal(c), NULL);
    dm_str view = dm_buf_view(&b), text = dm_str_of(dm_arena_string(a, view.p, view.n));
    cr_assert_eq(dm_state_read(a, text, "p.json", p, &back, NULL, &err), DM_OK, "%s", err.text);
    cr_expect(dm_hash_eq(&back->hash, &c->hash));
    dm_buf_free(&b);
    const dm_value *file = dm_json_read(a, text, &err);
    cr_assert_not_null(file, "%s", err.text);
    return file;
}

/* DSPy loads no file that lacks what it saves beside the predictors, and its order is theirs. */
Test(program, state_file_has_other_parameters)
{
    dm_arena *a = dm_arena_new(0);
    const dm_program *p = python_program(
        a, PREDICTOR("a") ", " PREDICTOR("b.predict"),
        ", \"parameters\": [{\"name\": \"find\", \"after\": 1, \"state\": {\"k\": 3}}, "
        "{\"name\": \"last\", \"after\": 2, \"state\": {}}]");
    static const char *const keys[] = {"a", "find", "b.predict", "last", "metadata"};
    const dm_value *file = written(a, p);
    cr_assert_eq(file->n, 5);
    for (size_t i = 0; i < 5; i++)
        cr_expect(dm_str_is(file->members[i].key, keys[i]), "%zu", i);
    cr_expect_eq(dm_value_get(dm_value_get(file, "find"), "k")->number, 3);
    dm_arena_free(a);
}

/* A subclass of Predict is flat in its file, whatever it holds; that is kept where DSPy does not
 * look, and a file of DSPy's own leaves it as it is. */
Test(program, state_file_of_a_predictor_that_holds_others)
{
    dm_arena *a = dm_arena_new(0);
    dm_error err = {DM_OK, ""};
    const dm_program *p = python_program(a, PREDICTOR("self") ", " PREDICTOR("check.predict"), "");
    const dm_value *file = written(a, p);
    const dm_candidate *back = NULL;
    cr_expect_not_null(dm_value_get(file, "demos"));
    cr_expect_null(dm_value_get(file, "check.predict"));
    dm_str theirs = DM_STR("{\"demos\": [], \"signature\": {\"instructions\": \"new\", \"fields\": "
                           "[{\"prefix\": \"Q:\", \"description\": \"\"}]}, \"lm\": null}");
    cr_assert_eq(dm_state_read(a, theirs, "p.json", p, &back, NULL, &err), DM_OK, "%s", err.text);
    cr_expect(dm_str_is(back->parts[0].instructions, "new"));
    cr_expect(dm_str_is(back->parts[1].instructions, "do"));
    dm_arena_free(a);
}

/* What a host keeps of demonstrations beyond their JSON goes to other ranks, and into no hash. */
Test(program, candidates_are_packed_with_what_their_demos_were)
{
    dm_arena *a = dm_arena_new(0);
    dm_error err = {DM_OK, ""};
    const dm_program *p = python_program(a, PREDICTOR("a") ", " PREDICTOR("b"), "");
    const dm_value *demos[2] = {dm_json_read(a, DM_STR("{\"q\": 1}"), &err),
                                dm_json_read(a, DM_STR("{\"q\": [2, 3]}"), &err)};
    const dm_str live[2] = {{NULL, 0}, DM_STR("gAR")};
    dm_candidate *c = dm_candidate_new(a, p);
    dm_part_set_demos(&c->parts[0], demos, 2);
    dm_hash plain = dm_candidate_seal(c)->hash;
    cr_expect_null(dm_value_get(dm_candidate_pack(a, c), "live"));
    cr_expect_null(dm_value_get(dm_candidate_pack(a, c), "loaded"));
    c->parts[0].live = live;
    c->parts[1].loaded = true;
    cr_expect(dm_hash_eq(&dm_candidate_seal(c)->hash, &plain));
    cr_expect_null(dm_value_get(dm_candidate_write(a, c), "live"));
    dm_at at = dm_at_root(dm_candidate_pack(a, c), "state", DM_E_INTERNAL);
    const dm_candidate *back = dm_candidate_read(a, p, &at, &err);
    cr_assert_not_null(back, "%s", err.text);
    cr_expect(dm_hash_eq(&back->hash, &plain));
    cr_assert_not_null(back->parts[0].live);
    cr_expect(!back->parts[0].live[0].p && dm_str_is(back->parts[0].live[1], "gAR"));
    cr_expect(!back->parts[0].loaded && back->parts[1].loaded && !back->parts[1].live);
    dm_value *bad = dm_candidate_pack(a, c);
    dm_value_set(a, bad, DM_STR("live"), dm_json_read(a, DM_STR("[[null], null]"), &err));
    at = dm_at_root(bad, "state", DM_E_INTERNAL);
    cr_expect_null(dm_candidate_read(a, p, &at, &err));
    dm_arena_free(a);
}
