/* Google's Gemini by its endpoint for OpenAI's chat completions, as DSPy's gemini/NAME. */
#include "lm/openai.h"

#include <string.h>

/* The list has "models/" before each name. */
static void models(dm_served *s, const dm_value *root, const char *name)
{
    char full[256];
    snprintf(full, sizeof full, "models/%s", name);
    dm_openai_models(s, root, full);
    if (!s->lists)
        dm_openai_models(s, root, name);
}

/* What it reasons is counted in the sum alone, and billed as an answer. */
static dm_verdict read_reply(const dm_provider *p, dm_reply *r, const dm_value *root)
{
    dm_verdict v = dm_openai_read(p, r, root);
    int64_t all = dm_reply_tokens(dm_value_get(root, "usage"), "total_tokens");
    if (r->prompt > 0 && r->completion >= 0 && all > r->prompt + r->completion) {
        r->reasoning = all - r->prompt - r->completion;
        r->completion += r->reasoning;
    }
    return v;
}

static dm_response_format format(const dm_lm_config *c, dm_response_format wanted)
{
    return strncmp(c->name, "gemini-", 7) == 0 ? wanted : DM_FORMAT_NONE;
}

static const char *const bases[] = {"GEMINI_API_BASE", NULL};
static const char *const keys[] = {"GEMINI_API_KEY", "GOOGLE_API_KEY", NULL};

const dm_provider dm_provider_gemini = {.name = "gemini",
                                        .base = DM_GEMINI_HOST "/v1beta/openai",
                                        .base_of = dm_base_of_gemini,
                                        .base_envs = bases,
                                        .key_envs = keys,
                                        .key_host = DM_GEMINI_HOST,
                                        .key_header = "Authorization: Bearer ",
                                        .cached_from = 2048,
                                        .price = dm_price_listed,
                                        .format = format,
                                        .url = dm_openai_url,
                                        .head = dm_openai_head,
                                        .sampling = dm_openai_sampling,
                                        .body = dm_openai_body,
                                        .read = read_reply,
                                        .complain = dm_openai_complain,
                                        .models_url = dm_openai_models_url,
                                        .models = models};
