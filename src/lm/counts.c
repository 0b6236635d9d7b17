/* Whether the token counts of a reply can be true. A server that tells nonsense is one that tells
 * nothing: what the request cost is not known then (dm_usage.untold), and a cap counts its bytes
 * and max_tokens. */
#include "lm/provider.h"

#include <math.h>

#define MOST_TOKENS (1 << 24) /* of one prompt or answer: beyond the context of any model */
#define AROUND      4096      /* tokens of a prompt that a template or a proxy may add */
#define MORE        256       /* tokens beyond a limit that is not kept exactly */

int64_t dm_reply_tokens(const dm_value *usage, const char *key)
{
    const dm_value *v = dm_value_get(usage, key);
    if (!v || v->kind == DM_NULL)
        return 0;
    bool whole = (v->kind == DM_INT || v->kind == DM_FLOAT) && v->number >= 0 &&
                 v->number <= MOST_TOKENS && v->number == floor(v->number);
    return whole ? (int64_t)v->number : DM_NO_COUNT;
}

/* Tokens that the answer may have, beside its reasoning: by its limit, or by what came. */
static int64_t most_of_answer(const dm_reply *r)
{
    const dm_lm_config *c = r->config;
    const dm_value *extra = c ? c->extra_body : NULL;
    bool limited = c && c->has_max_tokens && !dm_value_get(extra, "max_tokens") &&
                   !dm_value_get(extra, "max_completion_tokens");
    int64_t by_bytes = (int64_t)r->n, by_limit = limited ? 2 * c->max_tokens : MOST_TOKENS;
    return (by_bytes > by_limit ? by_bytes : by_limit) + MORE;
}

/* NULL: they can be true. */
static const char *doubt(const dm_reply *r)
{
    /* some servers count it beside the answer's, and not with them */
    int64_t reasoning = r->reasoning > 0 && r->reasoning <= r->completion ? r->reasoning : 0;
    if (r->prompt < 0 || r->completion < 0)
        return "a token count that is not a whole number from 0 to 16777216";
    if (r->prompt + r->completion == 0)
        return NULL; /* it tells none */
    if (r->prompt == 0)
        return "no tokens for a prompt";
    if (r->completion == 0 && r->n > 0)
        return "no tokens for an answer";
    if (r->sent > 0 && r->prompt > (int64_t)r->sent + AROUND)
        return "more tokens for a prompt than it has bytes";
    if (r->completion - reasoning > most_of_answer(r))
        return "more tokens for an answer than max_tokens lets it have";
    return NULL;
}

void dm_reply_check_counts(dm_reply *r)
{
    r->doubt = doubt(r);
    if (r->doubt) {
        r->prompt = r->completion = r->reasoning = r->cached = r->written = 0;
        return;
    }
    if (r->cached < 0 || r->written < 0 || r->cached + r->written > r->prompt) {
        r->cached = r->written = 0; /* the full price */
        r->doubt = "cached tokens that the prompt does not have";
    }
}
