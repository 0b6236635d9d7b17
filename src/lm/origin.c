/* Where an address leads: a key follows scheme, host and port, not what an address begins with.
 * They are read by curl, which is what will go there. */
#include "base/secret.h"
#include "lm/inside.h"

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
    if (strncasecmp(base, "http://", 7) != 0 && strncasecmp(base, "https://", 8) != 0)
        why = "it has to begin with http:// or https://";
    else if (strchr(base, '@')) /* a key must not follow a look-alike of its host */
        why = "a user in the address is not taken; a key goes into api_key_env or api_key_file";
    else if (curl_url_set(u, CURLUPART_URL, base, 0) != CURLUE_OK)
        why = "that is no address";
    else if (has_part(u, CURLUPART_QUERY) || has_part(u, CURLUPART_FRAGMENT))
        why = "it has to end before ? and #; more for the request goes into extra_body";
    curl_url_cleanup(u);
    return why;
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
