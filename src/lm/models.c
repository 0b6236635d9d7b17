/* Asking a server what it serves, and reading what it says: for probes, which do it beside calls,
 * and for the journal, which waits for it. */
#include "json/json.h"
#include "lm/provider.h"

static size_t keep(char *p, size_t size, size_t n, void *user)
{
    dm_buf *b = user;
    (void)size;
    dm_buf_add(b, p, n);
    return b->full ? 0 : n;
}

bool dm_serves_asks(const dm_lm_config *c)
{
    return c->provider->models != NULL;
}

CURL *dm_serves_request(const dm_endpoint *e, double connect, double seconds, dm_buf *reply)
{
    CURL *easy = curl_easy_init();
    dm_buf url;
    dm_buf_init(reply, DM_MAX_LIST);
    dm_buf_init(&url, 65536);
    e->config->provider->models_url(&url, e->config, e->base);
    dm_easy_defaults(easy, e->config);
    curl_easy_setopt(easy, CURLOPT_URL, url.data);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, e->headers);
    if (connect > 0)
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(1000 * connect));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(1000 * seconds));
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, reply);
    dm_buf_free(&url);
    return easy;
}

dm_served dm_serves_read(dm_arena *a, const dm_lm_config *c, dm_str reply)
{
    dm_served s = {.first = {"", 0}, .root = {"", 0}};
    const dm_value *root = dm_json_read_bytes(a, reply, NULL);
    if (root)
        c->provider->models(&s, root, c->name);
    return s;
}
