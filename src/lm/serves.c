#include "lm/serves.h"
#include "base/secret.h"
#include "json/json.h"
#include "lm/inside.h"

#include <stdlib.h>

#define MAX_LIST ((size_t)4 << 20)
#define MAX_ROOT 4096

static size_t keep(char *p, size_t size, size_t n, void *user)
{
    dm_buf *b = user;
    (void)size;
    dm_buf_add(b, p, n);
    return b->full ? 0 : n;
}

static bool ask(const dm_endpoint *e, double seconds, dm_buf *reply)
{
    CURL *easy = curl_easy_init();
    dm_buf url;
    long status = 0;
    dm_buf_init(&url, 65536);
    dm_buf_printf(&url, "%s/models", e->base);
    dm_easy_defaults(easy, e->config);
    curl_easy_setopt(easy, CURLOPT_URL, url.data);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, e->headers);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(1000 * seconds));
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, reply);
    CURLcode code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(easy);
    dm_buf_free(&url);
    return code == CURLE_OK && status == 200;
}

static const dm_value *read_list(dm_arena *a, dm_str text, const char *name)
{
    static const char *const keys[] = {"root", "max_model_len"};
    const dm_value *v = dm_json_read(a, text, NULL);
    const dm_value *data = v && v->kind == DM_DICT ? dm_value_get(v, "data") : NULL;
    dm_value *said = dm_value_dict(a);
    for (size_t i = 0; data && data->kind == DM_LIST && i < data->n; i++) {
        const dm_value *item = data->items[i];
        const dm_value *id = item->kind == DM_DICT ? dm_value_get(item, "id") : NULL;
        if (!id || id->kind != DM_STRING || !dm_str_is(id->text, name))
            continue;
        for (size_t k = 0; k < 2; k++) {
            const dm_value *of = dm_value_get(item, keys[k]);
            if (of && of->kind == DM_STRING) {
                char *words = dm_outside(of->text, MAX_ROOT);
                of = dm_value_text(a, words);
                free(words);
            }
            if (of && (of->kind == DM_STRING || of->kind == DM_INT))
                dm_value_set(a, said, dm_str_of(keys[k]), of);
        }
    }
    return said->n ? said : NULL;
}

const dm_value *dm_lm_serves(dm_arena *a, const dm_lm_config *c, double seconds)
{
    const dm_value *said = NULL;
    for (size_t i = 0; i < c->n_base && !dm_lm_in_process(c) && !said; i++) {
        dm_endpoint e = {.config = c};
        dm_buf reply;
        dm_buf_init(&reply, MAX_LIST);
        if (dm_endpoint_init(&e, c, c->api_base[i], 0, 1, NULL) == DM_OK &&
            ask(&e, seconds, &reply))
            said = read_list(a, dm_buf_view(&reply), c->name);
        dm_endpoint_free(&e);
        dm_buf_free(&reply);
    }
    return said;
}
