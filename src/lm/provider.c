/* The list of providers. */
#include "lm/provider.h"

#define ADDRESS(name) &dm_provider_##name,
const dm_provider *const dm_providers[] = {DM_PROVIDERS(ADDRESS)};
const size_t dm_n_providers = sizeof dm_providers / sizeof *dm_providers;
