#include "adapter/adapter.h"
#include "golden.h"
#include "program/state_file.h"

#include <string.h>

static dm_adapter adapter_of(const dm_value *entry)
{
    dm_at root = dm_at_root(entry, "golden", DM_E_JOB), at = dm_at_key(&root, "adapter");
    dm_adapter out = DM_N_ADAPTERS;
    dm_error err = {DM_OK, ""};
    cr_assert(dm_adapter_read(&at, &out, &err) == DM_OK && out != DM_N_ADAPTERS, "%s", err.text);
    return out;
}

/* The program of a prompts.json entry, made by way of the job file's own syntax. */
static dm_program *program_of(dm_arena *a, const dm_value *entry)
{
    dm_error err = {DM_OK, ""};
    dm_value *sig = dm_value_dict(a), *fields = dm_value_dict(a), *program = dm_value_dict(a);
    const dm_value *descs = dm_value_get(entry, "descs"),
                   *limits = dm_value_get(entry, "constraints");
    dm_value_set(a, sig, DM_STR("signature"), dm_value_get(entry, "signature"));
    if (dm_value_get(entry, "instructions")->kind == DM_STRING)
        dm_value_set(a, sig, DM_STR("instructions"), dm_value_get(entry, "instructions"));
    for (size_t i = 0; descs->kind == DM_DICT && i < descs->n; i++) {
        dm_value *f = dm_value_dict(a);
        dm_value_set(a, f, DM_STR("desc"), descs->members[i].value);
        dm_value_set(a, fields, descs->members[i].key, f);
    }
    dm_value_set(a, sig, DM_STR("fields"), fields);
    const dm_value *cot = dm_value_get(entry, "cot");
    dm_value_set(a, program, dm_str_of(dm_value_truthy(cot) ? "chain_of_thought" : "predict"), sig);
    dm_at at = dm_at_root(program, "entry", DM_E_JOB);
    dm_program *p = dm_program_read(a, &at, &err);
    cr_assert_not_null(p, "%s: %s", dm_value_get(entry, "name")->text.p, err.text);
    const dm_signature *s = p->predictors[0].signature;
    for (size_t i = 0; limits->kind == DM_DICT && i < s->n_inputs + s->n_outputs; i++)
        if (dm_value_get_str(limits, s->fields[i].name)) /* the file has them as text already */
            s->fields[i].constraints = dm_value_get_str(limits, s->fields[i].name)->text;
    return p;
}

static void expect_message(const char *name, const dm_value *want, const dm_message *got)
{
    cr_expect_str_eq(dm_message_role_name(got->role), dm_value_get(want, "role")->text.p, "%s",
                     name);
    cr_expect(dm_str_eq(got->content, dm_value_get(want, "content")->text),
              "%s:\n<<%.*s>>\nnot\n<<%s>>", name, DM_STR_ARG(got->content),
              dm_value_get(want, "content")->text.p);
}

static void check_state(dm_arena *a, const char *name, const dm_program *p, const dm_value *want)
{
    dm_buf b;
    dm_error err = {DM_OK, ""};
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_state_write(&b, a, dm_candidate_seal(dm_candidate_new(a, p)), NULL);
    const dm_value *state = dm_json_read(a, dm_buf_view(&b), &err);
    cr_assert_not_null(state, "%s", err.text);
    if (p->predictors[0].path.n)
        state = dm_value_get(state, p->predictors[0].path.p);
    cr_expect(dm_value_equal(dm_value_get(state, "signature"), want), "%s: %s, not %s", name,
              golden_text(a, dm_value_get(state, "signature")), golden_text(a, want));
    dm_buf_free(&b);
}

static void check_messages(dm_arena *a, const dm_value *e, const dm_signature *s, const char *name)
{
    const dm_value *demos = dm_value_get(e, "demos"), *want = dm_value_get(e, "messages");
    dm_error err = {DM_OK, ""};
    dm_prefix prefix;
    dm_message user = {DM_USER, {NULL, 0}};
    cr_assert_eq(dm_adapter_prefix(a, adapter_of(e), s, s->instructions, demos->items, demos->n,
                                   &prefix, &err),
                 DM_OK, "%s: %s", name, err.text);
    cr_assert_eq(dm_adapter_user(a, adapter_of(e), s, dm_value_get(e, "inputs"), &user.content,
                                 &err),
                 DM_OK, "%s: %s", name, err.text);
    cr_assert_eq(prefix.n + 1, want->n, "%s: %zu messages, not %zu", name, prefix.n + 1, want->n);
    for (size_t k = 0; k < want->n; k++)
        expect_message(name, want->items[k], k < prefix.n ? &prefix.messages[k] : &user);
}

Test(golden_adapter, prompts)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *all = golden(a, "prompts.json");
    for (size_t i = 0; i < all->n; i++) {
        const dm_value *e = all->items[i];
        const char *name = dm_value_get(e, "name")->text.p;
        dm_program *p = program_of(a, e);
        const dm_signature *s = p->predictors[0].signature;
        check_messages(a, e, s, name);
        cr_expect(dm_str_eq(s->instructions, dm_value_get(e, "effective_instructions")->text), "%s",
                  name);
        check_state(a, name, p, dm_value_get(e, "state"));
    }
    dm_arena_free(a);
}

/* DSPy lets an indented header leak its own tail into the value; ours strips first (contract 3.1).
 */
static const char *fixed(dm_str completion)
{
    if (dm_str_is(completion, "  [[ ## a ## ]]\nhi"))
        return "hi";
    return dm_str_is(completion, " [[ ## a ## ]] x") ? "x" : NULL;
}

static void check_parse(dm_arena *a, const dm_value *e, dm_adapter kind)
{
    const dm_value *ok = dm_value_get(e, "ok"), *fields = NULL;
    dm_str completion = dm_value_get(e, "completion")->text;
    const char *sig = dm_value_get(e, "signature")->text.p;
    dm_error err = {DM_OK, ""};
    dm_signature *s = dm_signature_parse(a, dm_str_of(sig), &err);
    cr_assert_not_null(s, "%s: %s", sig, err.text);
    dm_status st = dm_adapter_parse(a, kind, s, completion, &fields, &err);
    if (ok) {
        cr_expect(st == DM_OK && strcmp(golden_text(a, fields), golden_text(a, ok)) == 0,
                  "%s: %s: %s, not %s", sig, completion.p,
                  st == DM_OK ? golden_text(a, fields) : err.text, golden_text(a, ok));
    } else {
        const char *class = st == DM_E_PARSE ? "AdapterParseError" : "another";
        cr_expect_str_eq(class, dm_value_get(e, "error")->text.p, "%s: %s: %s, not an error", sig,
                         completion.p, st == DM_OK ? golden_text(a, fields) : err.text);
    }
}

Test(golden_adapter, parse)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *all = golden(a, "parse.json");
    for (size_t i = 0; i < all->n; i++) {
        const dm_value *e = all->items[i], *fields = NULL;
        dm_str completion = dm_value_get(e, "completion")->text;
        const char *ours = fixed(completion);
        dm_error err = {DM_OK, ""};
        if (!ours) {
            check_parse(a, e, adapter_of(e));
            continue;
        }
        dm_signature *s = dm_signature_parse(a, dm_value_get(e, "signature")->text, &err);
        cr_assert_not_null(s, "%s", err.text);
        cr_expect(dm_adapter_parse(a, adapter_of(e), s, completion, &fields, &err) == DM_OK &&
                  dm_str_is(dm_value_get(fields, "a")->text, ours));
    }
    dm_arena_free(a);
}

/* ---- the XML adapter: adapters.json and xml.json ---- */

static size_t check_xml_messages(dm_arena *a, const dm_value *all)
{
    size_t n = 0;
    for (size_t i = 0; i < all->n; i++) {
        const dm_value *e = all->items[i], *instructions = dm_value_get(e, "instructions");
        const char *name = dm_value_get(e, "signature")->text.p;
        dm_error err = {DM_OK, ""};
        if (!dm_str_is(dm_value_get(e, "adapter")->text, "xml"))
            continue;
        dm_signature *s = dm_signature_parse(a, dm_str_of(name), &err);
        cr_assert_not_null(s, "%s: %s", name, err.text);
        if (instructions->kind == DM_STRING)
            s->instructions = instructions->text;
        check_messages(a, e, s, name);
        n++;
    }
    return n;
}

Test(golden_adapter, xml_prompts)
{
    dm_arena *a = dm_arena_new(0);
    cr_expect_eq(check_xml_messages(a, dm_value_get(golden(a, "adapters.json"), "adapters")), 3);
    cr_expect_eq(check_xml_messages(a, dm_value_get(golden(a, "xml.json"), "messages")), 4);
    dm_arena_free(a);
}

Test(golden_adapter, xml_parse)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *lists[] = {dm_value_get(golden(a, "adapters.json"), "xml_parse"),
                               dm_value_get(golden(a, "xml.json"), "parse")};
    for (int i = 0; i < 2; i++)
        for (size_t k = 0; k < lists[i]->n; k++)
            check_parse(a, lists[i]->items[k], DM_XML);
    cr_expect(lists[0]->n == 12 && lists[1]->n > 120);
    dm_arena_free(a);
}
