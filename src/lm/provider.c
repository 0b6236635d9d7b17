/* The list of providers, and what is asked of any of them from outside. */
#include "lm/provider.h"

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
