/* One request to a server: its body, and its way to the transport. */
#include "json/json.h"
#include "lm/inside.h"

#include <math.h>
#include <stdlib.h>

char *dm_sampling_text(const dm_lm_config *c, double temperature)
{
    dm_buf b;
    bool put = isnan(temperature);
    dm_buf_init(&b, DM_MAX_TEXT);
    for (size_t i = 0; i < c->sampling->n; i++) {
        const dm_member *m = &c->sampling->members[i];
        dm_buf_char(&b, ',');
        dm_json_write_string(&b, m->key);
        dm_buf_char(&b, ':');
        if (dm_str_is(m->key, "temperature") && !isnan(temperature)) {
            dm_py_float(&b, temperature);
            put = true;
        } else {
            dm_json_write(&b, m->value, DM_JSON_COMPACT);
        }
    }
    if (!put) {
        dm_buf_text(&b, ",\"temperature\":");
        dm_py_float(&b, temperature);
    }
    return dm_buf_take(&b, NULL);
}

static void write_body(dm_call *c)
{
    const dm_lm_request *r = &c->request;
    dm_buf *b = &c->body;
    dm_response_format format = dm_supported_format(c->model->config, r->format);
    dm_buf_text(b, "{\"model\":");
    dm_json_write_string(b, dm_str_of(c->model->config->name));
    dm_buf_text(b, ",\"messages\":[");
    dm_buf_str(b, r->prefix->json);
    dm_buf_text(b, r->prefix->json.n ? ",{\"role\":\"user\",\"content\":"
                                     : "{\"role\":\"user\",\"content\":");
    dm_json_write_string(b, r->user);
    dm_buf_text(b, "}]");
    if (isnan(r->temperature)) {
        dm_buf_text(b, c->model->sampling);
    } else {
        char *own = dm_sampling_text(c->model->config, r->temperature);
        dm_buf_text(b, own);
        free(own);
    }
    if (format == DM_FORMAT_JSON_OBJECT)
        dm_buf_text(b, ",\"response_format\":{\"type\":\"json_object\"}");
    else if (format == DM_FORMAT_SCHEMA)
        dm_buf_printf(b,
                      ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":"
                      "\"DSPyProgramOutputs\",\"schema\":%.*s,\"strict\":true}}",
                      DM_STR_ARG(r->schema));
    const dm_value *extra = c->model->config->extra_body;
    for (size_t i = 0; extra && i < extra->n; i++) {
        dm_buf_char(b, ',');
        dm_json_write_string(b, extra->members[i].key);
        dm_buf_char(b, ':');
        dm_json_write(b, extra->members[i].value, DM_JSON_COMPACT);
    }
    dm_buf_char(b, '}');
}

static double estimate_tokens(const dm_call *c)
{
    const dm_lm_config *f = c->model->config;
    return (double)c->body.len / 4 + (f->has_max_tokens ? (double)f->max_tokens : 256);
}

/* Two requests an attempt at most: the transport may have to take another connection. */
static bool may_send(const dm_attempt *a)
{
    int64_t most = a->request->most_sends;
    return a->sends < 2 && (most == 0 || a->before + a->sends < most);
}

void dm_call_send(dm_call *c, dm_endpoint *e)
{
    dm_lm *lm = c->lm;
    if (c->body.len == 0)
        write_body(c);
    if (c->body.full) {
        dm_call_fail(c, DM_FAULT_OVERFLOW, "the prompt is larger than 64 MiB", 0);
        return;
    }
    dm_attempt *a = &c->attempt;
    a->config = e->config;
    a->url = e->url;
    a->headers = e->headers;
    a->body = &c->body;
    a->request = &c->request;
    a->user = c->user;
    a->before = c->usage.requests;
    a->may_send = may_send;
    c->endpoint = e;
    c->sent_at = dm_lm_now(lm);
    c->estimate = estimate_tokens(c);
    dm_endpoint_charge(e, c->estimate);
    e->in_flight++;
    dm_call_add(&lm->active, c);
    lm->transport->ops->send(lm->transport, a);
}
