#include "lm/serves.h"
#include "base/secret.h"
#include "lm/provider.h"

#include <stdlib.h>

#define MAX_ROOT 4096

static size_t keep(char *p, size_t size, size_t n, void *user)
{
    dm_buf *b = user;
    (void)size;
    dm_buf_add(b, p, n);
    return b->full ? 0 : n;
}

static CURL *request_of(const dm_endpoint *e, double seconds, dm_buf *reply)
{
    CURL *easy = curl_easy_init();
    dm_buf url;
    dm_buf_init(reply, DM_MAX_LIST);
    dm_buf_init(&url, 65536);
    e->config->provider->models_url(&url, e->config, e->base);
    dm_easy_defaults(easy, e->config, e->proxy);
    curl_easy_setopt(easy, CURLOPT_URL, url.data);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, e->headers);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(1000 * seconds));
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, reply);
    dm_buf_free(&url);
    return easy;
}

bool dm_serves_ask(const dm_endpoint *e, double seconds, dm_buf *reply)
{
    CURL *easy = request_of(e, seconds, reply);
    long status = 0;
    CURLcode code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(easy);
    return code == CURLE_OK && status == 200;
}

static const dm_value *said_of(dm_arena *a, const dm_served *s)
{
    dm_value *said = dm_value_dict(a);
    if (s->root.n) {
        char *words = dm_outside(s->root, MAX_ROOT);
        dm_value_set(a, said, DM_STR("root"), dm_value_text(a, words));
        free(words);
    }
    if (s->max_model_len)
        dm_value_set(a, said, DM_STR("max_model_len"), dm_value_int(a, s->max_model_len));
    return said->n ? said : NULL;
}

const dm_value *dm_lm_serves(dm_arena *a, const dm_lm_config *c, double seconds)
{
    const dm_value *said = NULL;
    for (size_t i = 0; i < c->n_base && dm_serves_asks(c) && !said; i++) {
        dm_endpoint e = {.config = c};
        dm_buf reply = {0};
        if (dm_endpoint_init(&e, c, c->api_base[i], 0, 1, NULL) == DM_OK &&
            dm_serves_ask(&e, seconds, &reply)) {
            dm_served s = dm_serves_read(a, c, dm_buf_view(&reply));
            said = said_of(a, &s);
        }
        dm_endpoint_free(&e);
        dm_buf_free(&reply);
    }
    return said;
}
