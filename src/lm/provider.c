/* The list of providers, and what is asked of any of them from outside. */
#include "lm/provider.h"

#include <string.h>

#define ADDRESS(name) &dm_provider_##name,
const dm_provider *const dm_providers[] = {DM_PROVIDERS(ADDRESS)};
const size_t dm_n_providers = sizeof dm_providers / sizeof *dm_providers;

dm_str dm_lm_head(dm_arena *a, const dm_lm_config *c, const dm_prefix *prefix)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_REQUEST);
    c->provider->head(&b, prefix->messages, prefix->n);
    dm_str s = {dm_arena_string(a, b.data ? b.data : "", b.len), b.len};
    dm_buf_free(&b);
    return s;
}

static size_t add_all(const char *const *of, const char **names, size_t n, size_t room)
{
    for (; of && *of && n < room; of++)
        names[n++] = *of;
    return n;
}

size_t dm_lm_key_variables(dm_str model, const char **names, size_t room)
{
    const char *slash = model.n ? memchr(model.p, '/', model.n) : NULL;
    dm_str provider = {model.p, slash ? (size_t)(slash - model.p) : 0};
    for (size_t i = 0; i < dm_n_providers; i++)
        if (dm_str_is(provider, dm_providers[i]->name))
            return add_all(dm_providers[i]->key_envs, names, 0, room);
    return 0;
}

size_t dm_lm_address_variables(const char **names, size_t room)
{
    static const char *const more[] = {"AZURE_API_VERSION", NULL};
    size_t n = 0;
    for (size_t i = 0; i < dm_n_providers; i++)
        n = add_all(dm_providers[i]->base_envs, names, n, room);
    return add_all(more, names, n, room);
}
