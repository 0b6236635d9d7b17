/* Which requests are equal, so that one answer does for all of them (src/README.md §4). */
#include "json/json.h"
#include "lm/provider.h"

#include <math.h>
#include <string.h>

#define ANSWERS_ASKED_FOR 1 /* n: no model may be given another one */

dm_hash dm_lm_scope(const dm_lm_config *c)
{
    dm_arena *a = dm_arena_new(0);
    dm_value *d = dm_lm_identity(a, c), *sampling = dm_value_dict(a);
    for (size_t i = 0; i < c->sampling->n; i++)
        if (!dm_str_is(c->sampling->members[i].key, "temperature"))
            dm_value_set(a, sampling, c->sampling->members[i].key, c->sampling->members[i].value);
    dm_value_set(a, d, DM_STR("sampling"), sampling);
    dm_hash h = dm_json_hash(d);
    dm_arena_free(a);
    return h;
}

/* Two hashes are a block, which need not be done again. */
dm_sha256 dm_lm_key_begin(const dm_hash *scope, dm_str head)
{
    dm_sha256 s;
    dm_hash h = dm_hash_of(head.p, head.n);
    dm_sha256_init(&s);
    dm_sha256_add(&s, scope->b, sizeof scope->b);
    dm_sha256_add(&s, h.b, sizeof h.b);
    return s;
}

dm_hash dm_lm_key(const dm_lm_config *c, const dm_sha256 *begun, const dm_lm_request *r)
{
    const dm_provider *p = c->provider;
    struct {
        double temperature; /* -1: none is sent */
        int64_t rollout, n;
        uint64_t format, schema, user; /* the texts' lengths */
    } rest;
    memset(&rest, 0, sizeof rest);
    rest.temperature = !isnan(r->temperature) ? r->temperature
                       : c->has_temperature   ? c->temperature
                                              : -1;
    rest.rollout = r->rollout;
    rest.n = ANSWERS_ASKED_FOR;
    dm_response_format format = p->format ? p->format(c, r->format) : DM_FORMAT_NONE;
    dm_str schema = format == DM_FORMAT_SCHEMA ? r->schema : (dm_str){"", 0};
    rest.format = (uint64_t)format;
    rest.schema = schema.n;
    rest.user = r->user.n;
    dm_sha256 s = *begun;
    dm_sha256_add(&s, &rest, sizeof rest);
    dm_sha256_add(&s, schema.p, schema.n);
    dm_sha256_add(&s, r->user.p ? r->user.p : "", r->user.n);
    const dm_value *json[] = {r->json.messages, r->json.settings};
    for (int i = 0; i < 2 && r->json.messages; i++) {
        dm_hash h = {{0}};
        if (json[i])
            h = dm_json_hash(json[i]);
        dm_sha256_add(&s, h.b, sizeof h.b);
    }
    return dm_sha256_end(&s);
}

dm_hash dm_lm_key_at_servers(const dm_lm_config *c, const dm_hash *key)
{
    dm_sha256 s;
    dm_arena *a = dm_arena_new(1024);
    const char **sorted = dm_arena_alloc_n(a, c->n_base, sizeof *sorted);
    for (size_t i = 0; i < c->n_base; i++) {
        size_t k = i;
        for (; k > 0 && strcmp(sorted[k - 1], c->api_base[i]) > 0; k--)
            sorted[k] = sorted[k - 1];
        sorted[k] = c->api_base[i];
    }
    dm_sha256_init(&s);
    dm_sha256_add(&s, key->b, sizeof key->b);
    for (size_t i = 0; i < c->n_base && !c->cache_tag; i++)
        dm_sha256_add(&s, sorted[i], strlen(sorted[i]) + 1);
    dm_arena_free(a);
    return dm_sha256_end(&s);
}
