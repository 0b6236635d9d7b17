/* The planted rules of the mock server: tests that lean on them need them to be what they say. */
#include "../mock_lm/rules.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const char chat_end[] =
    "Respond with the corresponding output fields, starting with the field `[[ ## answer ## ]]`%s, "
    "and then ending with the marker for `[[ ## completed ## ]]`.";

/* A request: system message, demos "question=answer" (NULL ends them), the last user message. */
static void ask(const mock_rule *rule, const char *system, const char *const *demos,
                const char *user, const char *more, char *out, size_t room)
{
    dm_buf b;
    mock_request r;
    mock_reply reply = {.finish = "stop"};
    dm_buf_init(&b, 1 << 20);
    dm_buf_init(&reply.content, 1 << 20);
    dm_buf_printf(&b, "{\"model\":\"any\",%s\"messages\":[{\"role\":\"system\",\"content\":\"%s\"}",
                  more, system);
    for (; demos && *demos; demos++) {
        int n = (int)strcspn(*demos, "=");
        dm_buf_printf(&b,
                      ",{\"role\":\"user\",\"content\":\"[[ ## question ## ]]\\n%.*s\"},"
                      "{\"role\":\"assistant\",\"content\":\"[[ ## answer ## ]]\\n%s\\n\\n[[ ## "
                      "completed ## ]]\\n\"}",
                      n, *demos, *demos + n + 1);
    }
    dm_buf_printf(&b, ",{\"role\":\"user\",\"content\":\"%s\"}]}", user);
    cr_assert(mock_request_read(&r, dm_buf_view(&b)), "%s", b.data);
    cr_assert_eq(mock_answer(rule, &r, &reply), 200);
    snprintf(out, room, "%s", reply.content.data);
    mock_request_free(&r);
    dm_buf_free(&b);
    dm_buf_free(&reply.content);
}

static const char *chat(const mock_rule *rule, const char *system, const char *const *demos,
                        const char *question, const char *type)
{
    static char out[4096];
    char user[1024], end[400];
    snprintf(end, sizeof end, chat_end, type);
    snprintf(user, sizeof user, "[[ ## question ## ]]\\n%s\\n\\n%s", question, end);
    ask(rule, system, demos, user, "", out, sizeof out);
    return out;
}

#define CHAT(value) "[[ ## answer ## ]]\n" value "\n\n[[ ## completed ## ]]"

Test(mock_rules, echo_answers_each_type)
{
    static const struct {
        const char *type, *wanted;
    } rows[] = {
        {"", CHAT("answer")},
        {" (must be formatted as a valid Python int)", CHAT("1")},
        {" (must be formatted as a valid Python bool)", CHAT("True")},
        {" (must be formatted as a valid Python list[str])", CHAT("[]")},
        {" (must be formatted as a valid Python Literal['no)', 'yes'])", CHAT("no)")},
        {" (must be formatted as a valid Python Literal[3, 4])", CHAT("3")},
        {" (must be formatted as a valid Python Union[int, NoneType])", CHAT("None")},
    };
    mock_rule rule;
    mock_rule_init(&rule);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_str_eq(chat(&rule, "s", NULL, "q", rows[i].type), rows[i].wanted);
}

Test(mock_rules, echo_answers_in_json)
{
    char out[500];
    mock_rule rule;
    mock_rule_init(&rule);
    ask(&rule, "s", NULL,
        "the words starting with the field `[[ ## x ## ]]` of a question\\n\\nRespond with a JSON "
        "object in the following order of fields: `reasoning`, then `n` (must be formatted as a "
        "valid Python int), then `b` (must be formatted as a valid Python bool), then `l` (must be "
        "formatted as a valid Python Literal['it', 'us']).",
        "", out, sizeof out);
    cr_expect_str_eq(out, "{\"reasoning\": \"reasoning\", \"n\": 1, \"b\": true, \"l\": \"it\"}");
}

Test(mock_rules, golden)
{
    const char *six[] = {"q1=yes", "q2=yes", "q3=yes", "q4=yes", "q5=yes", "q6=yes", NULL};
    const struct {
        const char *question, *const *demos, *wanted;
    } rows[] = {{"q7", NULL, CHAT("yes")}, {"q9", NULL, CHAT("no")},     {"q12", NULL, CHAT("no")},
                {"q12", six, CHAT("yes")}, {"q12", six + 1, CHAT("no")}, {"q9", six, CHAT("no")}};
    mock_rule rule;
    char name[] = "golden";
    mock_rule_init(&rule);
    cr_assert(mock_rule_parse(&rule, name));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_str_eq(chat(&rule, "s", rows[i].demos, rows[i].question, ""), rows[i].wanted,
                         "row %zu", i);
}

Test(mock_rules, no_chat_request)
{
    static const char *const bodies[] = {
        "", "x", "{}", "{\"messages\":[]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]} x"};
    mock_request r;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        cr_expect_not(mock_request_read(&r, dm_str_of(bodies[i])), "%s", bodies[i]);
        mock_request_free(&r);
    }
}

/* ---- the planted world ---- */

enum { ITEMS = 400 };

static int right_answers(const mock_rule *rule, const char *system, const char *const *demos)
{
    int right = 0;
    for (long i = 0; i < ITEMS; i++) {
        char question[64], wanted[100];
        snprintf(question, sizeof question, "item %ld: what is its label?", i);
        snprintf(wanted, sizeof wanted, CHAT("%s"), mock_planted_label(rule->seed, i));
        right += strcmp(chat(rule, system, demos, question, ""), wanted) == 0;
    }
    return right;
}

/* How many items the formula of rules.h says are answered rightly. */
static int by_formula(const mock_rule *rule, const char *instruction, const long *items,
                      const bool *good, size_t n)
{
    int right = 0, skill = mock_planted_skill(rule->seed, instruction, items, good, n);
    for (long i = 0; i < ITEMS; i++)
        right += mock_planted_noise(rule->seed, i) < skill + rule->base - 250;
    return right;
}

Test(mock_rules, planted_world_follows_its_formula)
{
    char a[64], b[64], c[64], name[] = "planted:seed=5";
    long items[] = {900, 901, 902};
    bool all[] = {true, true, true}, one_wrong[] = {true, false, true};
    mock_rule rule;
    mock_rule_init(&rule);
    cr_assert(mock_rule_parse(&rule, name));
    snprintf(a, sizeof a, "item 900: what?=%s", mock_planted_label(5, 900));
    snprintf(b, sizeof b, "item 901: what?=%s", mock_planted_label(5, 901));
    snprintf(c, sizeof c, "item 902: what?=%s", mock_planted_label(5, 902));
    const char *demos[] = {a, b, c, NULL}, *wrong[] = {a, "item 901: what?=black", c, NULL};
    const char *plain = "your objective is: do it.",
               *marked = "your objective is: do it carefully.";
    const char *elsewhere = "carefully, your objective is: do it.";
    const int start = right_answers(&rule, plain, NULL);
    cr_expect_eq(start, by_formula(&rule, "", NULL, NULL, 0));
    cr_expect_eq(right_answers(&rule, elsewhere, NULL), start, "only the instruction counts");
    cr_expect_eq(right_answers(&rule, marked, NULL), by_formula(&rule, "carefully", NULL, NULL, 0));
    cr_expect_eq(right_answers(&rule, plain, demos), by_formula(&rule, "", items, all, 3));
    cr_expect_eq(right_answers(&rule, plain, wrong), by_formula(&rule, "", items, one_wrong, 3));
    cr_expect_gt(right_answers(&rule, marked, NULL), start);
    cr_expect_lt(right_answers(&rule, plain, wrong), right_answers(&rule, plain, demos));
}

Test(mock_rules, planted_parameters)
{
    char high[] = "planted:seed=5,base=900", mixed[] = "planted:seed=5,mix=1000";
    char nothing[] = "planted:bse=3", unknown[] = "plantd";
    const char *a = "your objective is: do it.", *b = "your objective is: do that.";
    mock_rule rule;
    mock_rule_init(&rule);
    cr_assert(mock_rule_parse(&rule, high));
    cr_expect_eq(right_answers(&rule, a, NULL), by_formula(&rule, "", NULL, NULL, 0));
    mock_rule_init(&rule);
    cr_assert(mock_rule_parse(&rule, mixed));
    /* the same skill, another draw: about a quarter right of 400, not the same quarter */
    int x = right_answers(&rule, a, NULL), y = right_answers(&rule, b, NULL);
    cr_expect(x > 60 && x < 140 && y > 60 && y < 140 && x != y, "%d %d", x, y);
    cr_expect_not(mock_rule_parse(&rule, nothing));
    cr_expect_not(mock_rule_parse(&rule, unknown));
}

Test(mock_rules, planted_proposals_differ)
{
    static const char *const words[] = {"carefully", "exactly", "quickly"};
    int with[3] = {0};
    char name[] = "planted", user[500], out[500];
    mock_rule rule;
    mock_rule_init(&rule);
    cr_assert(mock_rule_parse(&rule, name));
    for (int i = 0; i < 200; i++) {
        snprintf(
            user, sizeof user,
            "tip %d\\n\\nRespond with the corresponding output fields, starting with the field "
            "`[[ ## proposed_instruction ## ]]`, and then ending with the marker for `[[ ## "
            "completed ## ]]`.",
            i);
        ask(&rule, "s", NULL, user, "\"temperature\":1.0,", out, sizeof out);
        for (int w = 0; w < 3; w++)
            with[w] += strstr(out, words[w]) != NULL;
    }
    for (int w = 0; w < 3; w++)
        cr_expect(with[w] > 60 && with[w] < 140, "%s in %d of 200", words[w], with[w]);
}
