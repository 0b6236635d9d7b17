/* Proxies that the environment names, by the names and rules of curl; never for machines of one's
 * own. lm.proxy is the job's word, and counts for all its servers. */
#ifndef DM_LM_PROXY_H
#define DM_LM_PROXY_H

#include "lm/config.h"

typedef struct dm_proxy {
    const char *url;      /* ""; none. Borrowed from the config, or from the environment */
    const char *named_by; /* "lm.proxy", "https_proxy", ... */
} dm_proxy;

/* The proxy that requests to base go through. May ask for the host's addresses, where the
 * environment names a proxy: names that lead to private addresses are one's own machines. */
dm_proxy dm_proxy_of(const dm_lm_config *c, const char *base);
/* Whether base is one that a no_proxy list names: hosts and domains with commas or blanks between,
 * "*", networks in CIDR, any of them with a port. */
bool dm_proxy_spares(const char *list, const char *base);
/* A host that the job runs on: no proxy is asked for what is there. Kept as long as the process. */
void dm_proxy_know_node(const char *host);
/* The passwords in the environment's proxies are secrets from now on. */
void dm_proxy_know_secrets(void);

/* The variables of all this and of certificates, up to a NULL: each rank reads them. */
extern const char *const dm_proxy_variables[];

#endif
