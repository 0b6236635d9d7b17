/* python/NAME: a model that DSPy itself asks, in the process of a Python program (host/way.h): of a
 * provider that this engine does not speak, by LiteLLM, as python/bedrock/...; or of a class of the
 * program's own, by its name. Bodies and replies are OpenAI's, and go through the host's pipe. */
#include "lm/openai.h"

#include <string.h>

/* DSPy has made its request for this very model. */
static dm_response_format format(const dm_lm_config *c, dm_response_format wanted)
{
    (void)c;
    return wanted;
}

/* By the name under which DSPy knows it. */
static bool price(const dm_lm_config *c, dm_price *out)
{
    const char *slash = strchr(c->model, '/');
    dm_lm_config theirs = *c;
    theirs.model = slash ? slash + 1 : c->model;
    return dm_price_listed(&theirs, out);
}

const dm_provider dm_provider_python = {.name = "python",
                                        .base = DM_BY_HOST_BASE,
                                        .key_header = DM_BY_HOST_KEY,
                                        .price = price,
                                        .format = format,
                                        .url = dm_openai_url,
                                        .head = dm_openai_head,
                                        .sampling = dm_openai_sampling,
                                        .body = dm_openai_body,
                                        .json = dm_openai_json,
                                        .read = dm_openai_read,
                                        .complain = dm_openai_complain};

bool dm_lm_by_host(const dm_lm_config *c)
{
    return c->provider == &dm_provider_python;
}
