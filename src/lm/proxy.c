#include "lm/proxy.h"
#include "base/mem.h"
#include "lm/inside.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define MOST_HOST 256 /* bytes of a name, RFC 1035 has 253 */

typedef struct place {    /* where an address leads */
    char host[MOST_HOST]; /* without brackets and a dot at its end */
    char port[8];
    bool tls;
} place;

static bool read_place(place *p, const char *base)
{
    char *scheme = NULL, *host = NULL, *port = NULL;
    CURLU *u = curl_url();
    bool ok = u && curl_url_set(u, CURLUPART_URL, base, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
              strlen(host) < MOST_HOST;
    if (ok) {
        bool v6 = *host == '[';
        snprintf(p->host, sizeof p->host, "%.*s", (int)strcspn(host + v6, v6 ? "]%" : ""),
                 host + v6);
        snprintf(p->port, sizeof p->port, "%s", port);
        size_t n = strlen(p->host);
        while (n && p->host[n - 1] == '.')
            p->host[--n] = 0;
        p->tls = strcasecmp(scheme, "https") == 0;
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return ok;
}

/* ---- no_proxy ---- */

/* 10.0.0.0/8, fd00::/8; a network without a length is one address. */
static bool in_network(const char *host, const char *network)
{
    char text[MOST_HOST];
    unsigned char a[16], b[16];
    const char *slash = strchr(network, '/');
    size_t n = slash ? (size_t)(slash - network) : strlen(network);
    snprintf(text, sizeof text, "%.*s", (int)n, network);
    int family = strchr(text, ':') ? AF_INET6 : AF_INET;
    unsigned long most = family == AF_INET6 ? 128 : 32, bits = most;
    if (inet_pton(family, text, a) != 1 || inet_pton(family, host, b) != 1)
        return false;
    if (slash) {
        char *end;
        bits = strtoul(slash + 1, &end, 10);
        if (*end || !slash[1] || bits > most)
            return false;
    }
    unsigned last = bits % 8 ? (0xFF00u >> bits % 8) & 0xFF : 0;
    return memcmp(a, b, bits / 8) == 0 && (!last || ((a[bits / 8] ^ b[bits / 8]) & last) == 0);
}

/* Takes the port off "host:port", "[::1]:port" and the brackets off; false: it is another port. */
static bool cut_port(char *word, const char *port)
{
    char *colon = strrchr(word, ':'), *bracket = strrchr(word, ']');
    bool v6 = *word == '[' && bracket;
    bool has_port = colon && (v6 ? colon == bracket + 1 : strchr(word, ':') == colon);
    if (has_port) {
        if (strcmp(colon + 1, port) != 0)
            return false;
        *colon = 0;
    }
    if (v6) {
        *bracket = 0;
        memmove(word, word + 1, strlen(word));
    }
    return true;
}

static bool is_named(const place *p, char *word)
{
    if (strcmp(word, "*") == 0)
        return true;
    if (!cut_port(word, p->port))
        return false;
    size_t n = strlen(word), k = strlen(p->host);
    while (n && word[n - 1] == '.')
        word[--n] = 0;
    if (strncmp(word, "*.", 2) == 0)
        word++, n--;
    if (*word == '.')
        word++, n--;
    if (n == 0)
        return false;
    bool end = k >= n && strcasecmp(p->host + k - n, word) == 0;
    return (end && (k == n || p->host[k - n - 1] == '.')) || in_network(p->host, word);
}

static bool spares(const char *list, const place *p)
{
    char word[MOST_HOST];
    for (list += strspn(list, ", \t"); *list; list += strspn(list, ", \t")) {
        size_t n = strcspn(list, ", \t");
        snprintf(word, sizeof word, "%.*s", (int)n, list);
        if (n < sizeof word && is_named(p, word))
            return true;
        list += n;
    }
    return false;
}

bool dm_proxy_spares(const char *list, const char *base)
{
    place p;
    return read_place(&p, base) && spares(list, &p);
}

/* ---- one's own machines ---- */

static char **nodes; /* [n_nodes] */
static size_t n_nodes, cap_nodes;

void dm_proxy_know_node(const char *host)
{
    for (size_t i = 0; i < n_nodes; i++)
        if (strcasecmp(nodes[i], host) == 0)
            return;
    nodes = dm_room(nodes, n_nodes, &cap_nodes, sizeof *nodes);
    nodes[n_nodes++] = dm_copy_bytes(host, strlen(host));
}

static bool same_address(const struct sockaddr *a, const struct sockaddr *b)
{
    if (!a || !b || a->sa_family != b->sa_family)
        return false;
    if (a->sa_family == AF_INET)
        return memcmp(&((const struct sockaddr_in *)(const void *)a)->sin_addr,
                      &((const struct sockaddr_in *)(const void *)b)->sin_addr, 4) == 0;
    return a->sa_family == AF_INET6 &&
           memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
                  &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr, 16) == 0;
}

static struct addrinfo *addresses_of(const char *host)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    return getaddrinfo(host, NULL, &hints, &list) == 0 ? list : NULL;
}

static bool share_address(const struct addrinfo *a, const struct addrinfo *b)
{
    for (; a; a = a->ai_next)
        for (const struct addrinfo *x = b; x; x = x->ai_next)
            if (same_address(a->ai_addr, x->ai_addr))
                return true;
    return false;
}

/* Whether all the addresses are private ones. */
static bool all_private(const struct addrinfo *a)
{
    bool any = a != NULL;
    char text[INET6_ADDRSTRLEN + 16], base[sizeof text + 16];
    for (; a; a = a->ai_next) {
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) != 0)
            return false;
        text[strcspn(text, "%")] = 0;
        snprintf(base, sizeof base, strchr(text, ':') ? "http://[%s]" : "http://%s", text);
        any &= dm_is_own_machine(base);
    }
    return any;
}

static bool is_this_host(const struct addrinfo *a)
{
    struct ifaddrs *list = NULL;
    bool found = false;
    if (getifaddrs(&list) != 0)
        return false;
    for (; a && !found; a = a->ai_next)
        for (const struct ifaddrs *i = list; i && !found; i = i->ifa_next)
            found = same_address(a->ai_addr, i->ifa_addr);
    freeifaddrs(list);
    return found;
}

static size_t label(const char *name)
{
    return strcspn(name, ".");
}

/* A node is named by its whole name, or by the first part of it where both lead to one address. */
static bool is_node(const char *host, const struct addrinfo *a)
{
    bool found = false;
    for (size_t i = 0; i < n_nodes && !found; i++) {
        const char *node = nodes[i];
        found = strcasecmp(host, node) == 0;
        if (found || label(host) != label(node) || strncasecmp(host, node, label(node)) != 0)
            continue;
        struct addrinfo *b = addresses_of(node);
        found = share_address(a, b);
        if (b)
            freeaddrinfo(b);
    }
    return found;
}

/* By its address alone, or else by where its name leads. The last one is remembered: several
 * handles ask for one server. */
static bool is_own(const place *p, const char *base)
{
    static char last[MOST_HOST];
    static bool own;
    static size_t nodes_then;
    char here[MOST_HOST] = "";
    if (dm_is_own_machine(base))
        return true;
    if (*last && strcmp(last, p->host) == 0 && nodes_then == n_nodes)
        return own;
    struct addrinfo *a = addresses_of(p->host);
    gethostname(here, sizeof here - 1);
    own =
        strcasecmp(here, p->host) == 0 || all_private(a) || is_this_host(a) || is_node(p->host, a);
    if (a)
        freeaddrinfo(a);
    snprintf(last, sizeof last, "%s", p->host);
    nodes_then = n_nodes;
    return own;
}

/* ---- the environment ---- */

static const char *value_of(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

/* HTTP_PROXY is not read: it is what a client's header "Proxy:" becomes in a CGI program. */
static const char *const variables[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY"};
#define N_VARIABLES (sizeof variables / sizeof *variables)

const char *const dm_proxy_variables[] = {
    "http_proxy", "https_proxy",    "HTTPS_PROXY",   "all_proxy",    "ALL_PROXY", "no_proxy",
    "NO_PROXY",   "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", NULL};

static dm_proxy named(bool tls)
{
    for (size_t i = tls ? 1 : 0; i < N_VARIABLES; i++) {
        if (!tls && (i == 1 || i == 2))
            continue;
        const char *v = value_of(variables[i]);
        if (v)
            return (dm_proxy){v, variables[i]};
    }
    return (dm_proxy){"", ""};
}

dm_proxy dm_proxy_of(const dm_lm_config *c, const char *base)
{
    const dm_proxy none = {"", ""};
    place p;
    if (c->proxy)
        return (dm_proxy){c->proxy, "lm.proxy"};
    if (!read_place(&p, base))
        return none;
    dm_proxy proxy = named(p.tls);
    const char *spared = value_of("no_proxy");
    spared = spared ? spared : value_of("NO_PROXY");
    if (!*proxy.url || (spared && spares(spared, &p)) || is_own(&p, base))
        return none;
    return proxy;
}

void dm_proxy_know_secrets(void)
{
    for (size_t i = 0; i < N_VARIABLES; i++)
        if (value_of(variables[i]))
            dm_url_secrets(value_of(variables[i]));
}
