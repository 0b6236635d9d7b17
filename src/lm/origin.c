/* Where an address leads: a key follows scheme, host and port, not what an address begins with.
 * They are read by curl, which is what will go there. */
#include "base/secret.h"
#include "lm/inside.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

typedef struct origin {
    char *scheme, *host, *port;
} origin;

static bool read_origin(origin *o, const char *url)
{
    CURLU *u = curl_url();
    *o = (origin){NULL, NULL, NULL};
    bool ok = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_SCHEME, &o->scheme, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_HOST, &o->host, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_PORT, &o->port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    curl_url_cleanup(u);
    return ok;
}

static void free_origin(origin *o)
{
    curl_free(o->scheme);
    curl_free(o->host);
    curl_free(o->port);
}

bool dm_same_origin(const char *a, const char *b)
{
    origin x, y;
    bool ok = read_origin(&x, a);
    ok &= read_origin(&y, b);
    bool same = ok && strcasecmp(x.scheme, y.scheme) == 0 && strcasecmp(x.host, y.host) == 0 &&
                strcmp(x.port, y.port) == 0;
    free_origin(&x);
    free_origin(&y);
    return same;
}

bool dm_in_domain(const char *base, const char *domain)
{
    origin o;
    bool in = read_origin(&o, base) && strcasecmp(o.scheme, "https") == 0;
    size_t n = in ? strlen(o.host) : 0, k = strlen(domain);
    in = in && n > k && strcasecmp(o.host + n - k, domain) == 0;
    free_origin(&o);
    return in;
}

static bool has_part(CURLU *u, CURLUPart part)
{
    char *text = NULL;
    bool has = curl_url_get(u, part, &text, 0) == CURLUE_OK;
    curl_free(text);
    return has;
}

const char *dm_bad_base(const char *base)
{
    CURLU *u = curl_url();
    const char *why = NULL;
    if (*base && strchr("\"'`", *base))
        why = "it is in quotes: give the address alone";
    else if (strncasecmp(base, "http://", 7) != 0 && strncasecmp(base, "https://", 8) != 0)
        why = "it has to begin with http:// or https://";
    else if (strchr(base, '@')) /* a key must not follow a look-alike of its host */
        why = "a user in the address is not allowed; a key goes into api_key_env or api_key_file";
    else if (curl_url_set(u, CURLUPART_URL, base, 0) != CURLUE_OK)
        why = "that is not an address";
    else if (has_part(u, CURLUPART_QUERY) || has_part(u, CURLUPART_FRAGMENT))
        why = "it has to end before ? and #; what comes after ? goes into query, and more for the "
              "request into extra_body";
    curl_url_cleanup(u);
    return why;
}

/* ---- one's own machines ---- */

/* Loopback, private, link-local and shared networks (RFC 1122, 1918, 3927, 6598). */
static bool own_v4(const unsigned char *b)
{
    return b[0] == 0 || b[0] == 10 || b[0] == 127 || (b[0] == 172 && (b[1] & 0xF0) == 16) ||
           (b[0] == 192 && b[1] == 168) || (b[0] == 169 && b[1] == 254) ||
           (b[0] == 100 && (b[1] & 0xC0) == 64);
}

/* Likewise (RFC 4291, 4193). */
static bool own_v6(const struct in6_addr *a)
{
    const unsigned char *b = a->s6_addr;
    return IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_UNSPECIFIED(a) || IN6_IS_ADDR_LINKLOCAL(a) ||
           (b[0] & 0xFE) == 0xFC || (IN6_IS_ADDR_V4MAPPED(a) && own_v4(b + 12));
}

static bool ends_with(const char *text, size_t n, const char *end)
{
    size_t k = strlen(end);
    return n > k && strncasecmp(text + n - k, end, k) == 0;
}

/* A name without a dot, or under one that the public name servers do not have (RFC 6761, 6762,
 * 8375, and ICANN's "internal"). Any other may be anybody's. */
static bool own_name(const char *name, size_t n)
{
    static const char *const domains[] = {".localhost", ".local", ".internal", ".home.arpa",
                                          ".lan"};
    if (!memchr(name, '.', n))
        return n > 0;
    for (size_t i = 0; i < sizeof domains / sizeof *domains; i++)
        if (ends_with(name, n, domains[i]))
            return true;
    return false;
}

bool dm_is_own_machine(const char *base)
{
    origin o;
    struct in_addr v4;
    struct in6_addr v6;
    bool own = false;
    if (read_origin(&o, base)) {
        char *host = o.host;
        size_t n = strlen(host);
        if (*host == '[') { /* an address of version 6, as curl gives it */
            host[strcspn(host, "]%")] = 0;
            own = inet_pton(AF_INET6, host + 1, &v6) == 1 && own_v6(&v6);
        } else if (inet_pton(AF_INET, host, &v4) == 1) {
            own = own_v4((const unsigned char *)&v4);
        } else {
            while (n && host[n - 1] == '.')
                n--;
            own = own_name(host, n);
        }
    }
    free_origin(&o);
    return own;
}

/* By bytes, and not by curl: what is shown here may be no address at all. */
const char *dm_shown_url(dm_arena *a, const char *url)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    const char *user = strrchr(url, '@');
    const char *rest = user && user >= host ? user : host;
    size_t n = strcspn(rest, "?#");
    return dm_arena_printf(a, "%.*s%s%.*s%s", (int)(host - url), url, rest == user ? "***" : "",
                           (int)n, rest, rest[n] ? "?***" : "");
}

static void add_part(CURLU *u, CURLUPart part, unsigned flags)
{
    char *text = NULL;
    if (curl_url_get(u, part, &text, flags) == CURLUE_OK)
        dm_secret_add(dm_str_of(text));
    curl_free(text);
}

void dm_url_secrets(const char *url)
{
    CURLU *u = curl_url();
    if (curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME) ==
        CURLUE_OK) {
        CURLUPart part = has_part(u, CURLUPART_PASSWORD) ? CURLUPART_PASSWORD : CURLUPART_USER;
        add_part(u, part, 0);
        add_part(u, part, CURLU_URLDECODE);
    }
    curl_url_cleanup(u);
}
