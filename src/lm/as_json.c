#include "lm/as_json.h"
#include "json/json.h"
#include "lm/openai.h"

#include <stdlib.h>

bool dm_lm_takes_json(const dm_lm_config *c)
{
    return c->provider->json || c->provider->answer;
}

void dm_json_answer(dm_reply *r)
{
    static const char *const kept[] = {"choices", "model", "usage"};
    dm_arena *a = dm_arena_new(0);
    const dm_value *root = dm_json_read_bytes(a, dm_reply_plain(a, r->body), NULL);
    dm_value *d = dm_value_dict(a);
    dm_buf b;
    dm_buf_init(&b, 2 * DM_MAX_ANSWER);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        const dm_value *v = dm_value_get(root, kept[i]);
        dm_value_set(a, d, dm_str_of(kept[i]), v ? v : dm_value_null(a));
    }
    dm_json_write(&b, d, DM_JSON_COMPACT);
    free(r->content);
    r->content = dm_buf_take(&b, &r->n);
    dm_arena_free(a);
}

/* ---- a model of this process ---- */

static dm_message *messages_of(dm_arena *a, const dm_value *list, size_t *bytes)
{
    dm_message *m = dm_arena_alloc_n(a, list->n, sizeof *m);
    for (size_t i = 0; i < list->n; i++) {
        dm_buf b;
        dm_buf_init(&b, DM_MAX_TEXT);
        dm_openai_content(&b, dm_value_get(list->items[i], "content"));
        m[i] = (dm_message){DM_USER, {dm_arena_string(a, b.data ? b.data : "", b.len), b.len}};
        (void)dm_message_role_read(list->items[i], &m[i].role);
        *bytes += b.len;
        dm_buf_free(&b);
    }
    return m;
}

void dm_json_answer_here(dm_call *c)
{
    const dm_value *list = c->request.json.messages;
    dm_arena *a = dm_arena_new(0);
    dm_buf text, *reply = &c->attempt.reply;
    size_t bytes = 0;
    int64_t n = 1;
    (void)dm_value_to_int(dm_value_get(c->request.json.settings, "n"), &n);
    dm_message *m = messages_of(a, list, &bytes);
    dm_buf_init(&text, DM_MAX_ANSWER);
    c->model->config->provider->answer(&text, m, list->n, c->request.rollout);
    dm_buf_reset(reply);
    dm_buf_text(reply, "{\"choices\":[");
    for (int64_t i = 0; i < n && i < 64; i++) {
        dm_buf_printf(reply,
                      "%s{\"index\":%lld,\"finish_reason\":\"stop\",\"message\":{\"role\":"
                      "\"assistant\",\"tool_calls\":null,\"content\":",
                      i ? "," : "", (long long)i);
        dm_json_write_string(reply, dm_buf_view(&text));
        dm_buf_text(reply, "}}");
    }
    dm_buf_printf(reply,
                  "],\"model\":\"stand-in\",\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":"
                  "%zu,\"total_tokens\":%zu}}",
                  bytes / 4, text.len / 4, bytes / 4 + text.len / 4);
    c->usage.requests++;
    c->usage.answers++;
    c->usage.prompt += (int64_t)(bytes / 4);
    c->usage.completion += (int64_t)(text.len / 4);
    dm_buf_free(&text);
    dm_arena_free(a);
    dm_call_finish(c, &(dm_lm_answer){.content = dm_buf_view(reply)});
}
