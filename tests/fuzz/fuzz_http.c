/* What an HTTP answer means. The first three bytes are curl's code and the status, the rest is the
 * body. */
#include "base/utf8.h"
#include "fuzz.h"
#include "lm/provider.h"

#include <stdlib.h>
#include <string.h>

int fuzz_http(const uint8_t *data, size_t size)
{
    static const long statuses[] = {200, 200, 200, 200, 204, 301, 400, 401, 403, 404,
                                    408, 422, 425, 429, 500, 502, 503, 529, 0,   999};
    if (size < 2)
        return 0;
    char *body = malloc(size - 1); /* of its own size: what is read beyond it is seen */
    memcpy(body, data + 2, size - 2);
    dm_reply r = {.code = data[0] < 128 ? CURLE_OK : (CURLcode)(data[0] - 128),
                  .status = statuses[data[1] % (sizeof statuses / sizeof *statuses)],
                  .body = {body, size - 2}};
    dm_verdict v = dm_judge_reply(&dm_provider_openai, &r);
    if (v == DM_GOOD) {
        if (!r.content || (r.n == 0) != (r.content[0] == 0))
            abort();
        if (dm_utf8_valid((dm_str){r.content, r.n}) != r.n)
            abort();
    } else if (!r.text[0]) {
        abort();
    }
    if (dm_utf8_valid(dm_str_of(r.text)) != strlen(r.text) || r.prompt < 0 || r.completion < 0 ||
        r.cached < 0)
        abort();
    free(r.content);
    free(body);
    return 0;
}
