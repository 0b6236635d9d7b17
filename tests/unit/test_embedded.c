/* The stand-in: what it answers to messages that the adapters render. */
#include "json/json.h"
#include "lm/lm.h"

#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

static const dm_value *json(dm_arena *a, const char *text)
{
    dm_error err = {DM_OK, ""};
    const dm_value *v = dm_json_read(a, dm_str_of(text), &err);
    cr_assert_not_null(v, "%s: %s", text, err.text);
    return v;
}

/* spec: a signature as in a job file. The answer's text, and its fields as the adapter reads them.
 */
static const dm_value *ask(dm_arena *a, dm_adapter kind, const char *spec, const char *demos,
                           const char *inputs, int64_t rollout, dm_str *text)
{
    dm_error err = {DM_OK, ""};
    dm_at at = dm_at_root(json(a, spec), "job.json", DM_E_JOB);
    const dm_signature *s = dm_signature_read(a, &at, &err);
    cr_assert_not_null(s, "%s", err.text);
    const dm_value *list = json(a, demos), *fields = NULL;
    dm_prefix prefix;
    dm_str user;
    cr_assert_eq(dm_adapter_prefix(a, kind, s, s->instructions, list->items, list->n, &prefix,
                                   &err),
                 DM_OK);
    cr_assert_eq(dm_adapter_user(a, kind, s, json(a, inputs), &user, &err), DM_OK);
    dm_message *all = dm_arena_alloc_n(a, prefix.n + 1, sizeof *all);
    memcpy(all, prefix.messages, prefix.n * sizeof *all);
    all[prefix.n] = (dm_message){DM_USER, user};
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_embedded_answer(&b, all, prefix.n + 1, rollout);
    *text = (dm_str){dm_arena_string(a, b.data, b.len), b.len};
    dm_buf_free(&b);
    dm_status st = dm_adapter_parse(a, kind, s, *text, &fields, &err);
    cr_assert_eq(st, DM_OK, "%s: %s\n%s", spec, err.text, text->p);
    return fields;
}

#define LABELS "\"m -> t: Literal['refund', 'lost parcel', 'login']\""
#define DEMOS                                                                                      \
    "[{\"m\":\"my money is not back\",\"t\":\"refund\"},{\"m\":\"the driver never "                \
    "came\",\"t\":\"lost parcel\"},{\"m\":\"the secret word is refused\",\"t\":\"login\"}]"

static const struct row {
    const char *spec, *demos, *inputs, *field, *answer; /* answer: repr */
} table[] = {
    /* labels: by name, by the instruction, by the field's description, by demonstrations */
    {LABELS, "[]", "{\"m\":\"I want a refund\"}", "t", "'refund'"},
    {LABELS, "[]", "{\"m\":\"where is my parcel\"}", "t", "'lost parcel'"},
    {"{\"signature\":" LABELS ",\"instructions\":\"Sort.\\nlogin: password, account; refund: "
     "money.\"}",
     "[]", "{\"m\":\"my password\"}", "t", "'login'"},
    {"{\"signature\":" LABELS ",\"fields\":{\"t\":{\"desc\":\"refund: money; login: password\"}}}",
     "[]", "{\"m\":\"my password\"}", "t", "'login'"},
    {LABELS, DEMOS, "{\"m\":\"no driver came\"}", "t", "'lost parcel'"},
    {LABELS, DEMOS, "{\"m\":\"it refused my secret\"}", "t", "'login'"},
    /* a demonstration's value that is no label is not given */
    {LABELS, "[{\"m\":\"blue moon\",\"t\":\"moon\"}]", "{\"m\":\"blue moon refund\"}", "t",
     "'refund'"},
    /* ties go to the earlier one */
    {"\"m -> t\"", "[{\"m\":\"alpha x1\",\"t\":\"A\"},{\"m\":\"alpha x2\",\"t\":\"B\"}]",
     "{\"m\":\"alpha\"}", "t", "'A'"},
    /* a demonstration without the field is none for it */
    {"\"m -> r, t\"",
     "[{\"m\":\"alpha beta\",\"t\":\"A\"},{\"m\":\"alpha\",\"r\":\"so\",\"t\":\"B\"}]",
     "{\"m\":\"alpha beta\"}", "r", "'so'"},
    {"{\"signature\":\"m -> t\",\"instructions\":\"Say one of: red, green, blue.\"}", "[]",
     "{\"m\":\"a green leaf\"}", "t", "'green'"},
    /* types */
    {"\"m -> t: int\"", "[{\"m\":\"alpha\",\"t\":7}]", "{\"m\":\"alpha\"}", "t", "7"},
    {"\"m -> t: bool\"", "[{\"m\":\"alpha\",\"t\":false}]", "{\"m\":\"alpha\"}", "t", "False"},
    {"\"m -> t: list[str]\"", "[{\"m\":\"alpha\",\"t\":[\"x\",\"y\"]}]", "{\"m\":\"alpha\"}", "t",
     "['x', 'y']"},
    {"\"m -> t: list[str]\"", "[]", "{\"m\":\"alpha\"}", "t", "[]"},
    {"\"m -> t: dict[str, int]\"", "[]", "{\"m\":\"alpha\"}", "t", "{}"},
    {"\"m -> t: Optional[int]\"", "[]", "{\"m\":\"alpha\"}", "t", "None"},
    /* arithmetic */
    {"\"q -> a: int\"", "[]", "{\"q\":\"What is 3 + 4?\"}", "a", "7"},
    {"\"q -> a: int\"", "[]", "{\"q\":\"2 + 3 * 4\"}", "a", "14"},
    {"\"q -> a: int\"", "[]", "{\"q\":\"((-1 + 2 * 9) - (3 * -4)) =\"}", "a", "29"},
    {"\"q -> a: int\"", "[]", "{\"q\":\"12 times 3 minus 6\"}", "a", "30"},
    {"\"q -> a: int\"", "[]", "{\"q\":\"-(2 - 5) * 1,000\"}", "a", "3000"},
    {"\"q -> a: int\"", "[]", "{\"q\":\"7 / 2\"}", "a", "0"},
    {"\"q -> a: int\"", "[]", "{\"q\":\"on 2020-01-05 nothing\"}", "a", "0"},
    {"\"q -> a: int\"", "[]", "{\"q\":\"9 * 999999999999999999999\"}", "a", "0"},
    {"\"q -> a\"", "[]", "{\"q\":\"Tom has 3 apples and buys 4 more. How many has he?\"}", "a",
     "'7'"},
    {"\"q -> a: int\"", "[]", "{\"q\":\"He had 10, ate 4. How many are left?\"}", "a", "6"},
    {"\"q -> a: int\"", "[]", "{\"q\":\"5 bags with 6 nuts each. How many nuts?\"}", "a", "30"},
    {"\"q -> a\"", "[]", "{\"q\":\"the capital of France is Paris\"}", "a", "'France is Paris'"},
};

Test(embedded, answers_in_both_formats)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (int kind = DM_CHAT; kind <= DM_JSON; kind++) {
            const struct row *r = &table[i];
            dm_arena *a = dm_arena_new(0);
            dm_str text;
            dm_buf b;
            dm_buf_init(&b, DM_MAX_TEXT);
            const dm_value *fields =
                ask(a, (dm_adapter)kind, r->spec, r->demos, r->inputs, -1, &text);
            dm_py_repr(&b, dm_value_get(fields, r->field));
            cr_expect_str_eq(b.data, r->answer, "row %zu, %s: %s", i, kind ? "json" : "chat",
                             text.p);
            dm_buf_free(&b);
            dm_arena_free(a);
        }
}

Test(embedded, writes_as_a_model_would)
{
    dm_arena *a = dm_arena_new(0);
    dm_str text;
    ask(a, DM_CHAT, "\"q -> reasoning, a: int\"", "[]", "{\"q\":\"1 + 1\"}", -1, &text);
    cr_expect_str_eq(text.p, "[[ ## reasoning ## ]]\nThere is no example to go by.\n\n"
                             "[[ ## a ## ]]\n2\n\n[[ ## completed ## ]]");
    ask(a, DM_JSON, "\"q -> reasoning, a: int\"", "[]", "{\"q\":\"1 + 1\"}", -1, &text);
    cr_expect_str_eq(text.p, "{\"reasoning\": \"There is no example to go by.\", \"a\": 2}");
    dm_arena_free(a);
}

/* An instruction names each label of the demonstrations shown with words that stand with it alone;
 * it varies with the rollout; and it helps who follows it. */
Test(embedded, proposes_instructions)
{
    dm_arena *a = dm_arena_new(0);
    const char *spec = "\"task_demos, tip -> proposed_instruction\"";
    const char *inputs =
        "{\"task_demos\":\"Message: the money of my return is missing\\nTopic: refund\\n\\n"
        "Message: the password of my profile is missing\\nTopic: login\\n\\n\",\"tip\":\"be "
        "brief\"}";
    dm_str text, first = {"", 0};
    size_t differ = 0;
    for (int64_t rollout = 0; rollout < 8; rollout++) {
        const dm_value *f = ask(a, DM_CHAT, spec, "[]", inputs, rollout, &text);
        dm_str got = dm_value_get(f, "proposed_instruction")->text;
        const char *refund = strstr(got.p, "refund: "), *login = strstr(got.p, "login: ");
        cr_assert(refund && login, "%s", got.p);
        const char *money = strstr(got.p, "money"), *password = strstr(got.p, "password");
        cr_expect(money && password && money < login && password > login, "%s", got.p);
        cr_expect_null(strstr(got.p, "missing"), "stands with both: %s", got.p);
        differ += rollout > 0 && !dm_str_eq(got, first);
        first = rollout == 0 ? got : first;
    }
    cr_expect(differ >= 4, "%zu of 7 differ", differ);

    dm_value *follow = dm_value_dict(a);
    dm_value_set(a, follow, DM_STR("signature"),
                 dm_value_text(a, "m -> t: Literal['login', 'refund']"));
    dm_value_set(a, follow, DM_STR("instructions"), dm_value_string(a, first));
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_json_write(&b, follow, DM_JSON_COMPACT);
    const dm_value *f = ask(a, DM_CHAT, b.data, "[]", "{\"m\":\"the money\"}", -1, &text);
    cr_expect_str_eq(dm_value_get(f, "t")->text.p, "refund");
    dm_buf_free(&b);
    f = ask(a, DM_CHAT, "\"dataset -> summary\"", "[]", "{\"dataset\":\"trains and stations\"}", 1,
            &text);
    cr_expect(strstr(dm_value_get(f, "summary")->text.p, "trains") ||
              strstr(dm_value_get(f, "summary")->text.p, "stations"));
    dm_arena_free(a);
}

/* Whatever it is sent, it answers, twice the same. */
Test(embedded, odd_conversations)
{
    static const char *const odd[] = {
        "",
        "[[ ## ",
        "[[ ## a ## ]]",
        "Respond with a JSON object in the following order of fields: ",
        "Respond with the corresponding output fields, starting with the field `[[ ## ",
        ("Respond with a JSON object in the following order of fields: `a` (must be formatted as a "
         "valid Python "),
        "((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1",
        "\xff\xfe",
        "- - -",
        "1 +"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
            dm_message m[] = {{DM_SYSTEM, dm_str_of(odd[i])},
                              {DM_USER, dm_str_of(odd[k])},
                              {DM_ASSISTANT, dm_str_of(odd[i])},
                              {DM_USER, dm_str_of(odd[k])}};
            dm_buf x, y;
            dm_buf_init(&x, DM_MAX_TEXT);
            dm_buf_init(&y, DM_MAX_TEXT);
            for (size_t n = 0; n <= 4; n++) {
                dm_buf_reset(&x);
                dm_buf_reset(&y);
                dm_embedded_answer(&x, m, n, 3);
                dm_embedded_answer(&y, m, n, 3);
                cr_expect(x.len > 0 && dm_str_eq(dm_buf_view(&x), dm_buf_view(&y)));
            }
            dm_buf_free(&x);
            dm_buf_free(&y);
        }
}

static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Under 200 us of CPU with 16 demonstrations; five times that here, for sanitizers. */
Test(embedded, is_quick)
{
    dm_arena *a = dm_arena_new(0);
    dm_value *demos = dm_value_list(a);
    for (int i = 0; i < 16; i++) {
        dm_value *d = dm_value_dict(a);
        dm_value_set(a, d, DM_STR("m"),
                     dm_value_text(a, dm_arena_printf(a,
                                                      "Hello, I bought article %d last week and "
                                                      "the %d of it does not look as on your "
                                                      "page, what can I do now?",
                                                      i, 7 * i)));
        dm_value_set(a, d, DM_STR("t"), dm_value_text(a, i % 2 ? "login" : "refund"));
        dm_value_append(a, demos, d);
    }
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    enum { N = 50 };
    double best = 1;
    dm_error err = {DM_OK, ""};
    dm_at at = dm_at_root(json(a, LABELS), "job.json", DM_E_JOB);
    const dm_signature *s = dm_signature_read(a, &at, &err);
    dm_prefix prefix;
    dm_str user;
    cr_assert_eq(dm_adapter_prefix(a, DM_CHAT, s, s->instructions, demos->items, demos->n, &prefix,
                                   &err),
                 DM_OK);
    cr_assert_eq(dm_adapter_user(a, DM_CHAT, s, json(a, "{\"m\":\"Hello, article 5?\"}"), &user,
                                 &err),
                 DM_OK);
    dm_message *all = dm_arena_alloc_n(a, prefix.n + 1, sizeof *all);
    memcpy(all, prefix.messages, prefix.n * sizeof *all);
    all[prefix.n] = (dm_message){DM_USER, user};
    for (int i = 0; i < N; i++) {
        double from = cpu();
        dm_buf_reset(&b);
        dm_embedded_answer(&b, all, prefix.n + 1, -1);
        double took = cpu() - from;
        best = took < best ? took : best;
    }
    cr_log_info("%.0f us a call", 1e6 * best);
    cr_expect(best < 1000e-6, "%.0f us a call", 1e6 * best);
    dm_buf_free(&b);
    dm_arena_free(a);
}
