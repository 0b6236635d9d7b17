/* OpenAI's models on Azure, as DSPy's azure/NAME: the name is the deployment's, and stands in the
 * path. Addresses that end in /openai/v1, or name a deployment themselves, are taken as they are.
 */
#include "lm/openai.h"

#include <stdlib.h>
#include <string.h>

static void url(dm_buf *b, const dm_lm_config *c, const char *base)
{
    bool whole = strstr(base, "/openai/deployments/") || strstr(base, "/openai/v1");
    dm_buf_text(b, base);
    if (!whole)
        dm_buf_printf(b, "/openai/deployments/%s", c->name);
    dm_buf_text(b, "/chat/completions");
    dm_openai_query(b, c);
}

/* Without one there is no such path. DSPy leaves it to a variable. */
static void complete(dm_arena *a, dm_lm_config *c)
{
    (void)a;
    const char *said = getenv("AZURE_API_VERSION");
    bool newer = strstr(c->api_base[0], "/openai/v1") != NULL;
    if (!c->api_version && !newer)
        c->api_version = said && *said ? said : "2024-10-21";
}

/* A deployment may have any name: as LiteLLM, which DSPy asks, one that tells of no model that
 * takes a schema gets the plain JSON mode. */
static dm_response_format format(const dm_lm_config *c, dm_response_format wanted)
{
    dm_response_format f = dm_openai_format(c, wanted);
    return wanted != DM_FORMAT_NONE && f == DM_FORMAT_NONE ? DM_FORMAT_JSON_OBJECT : f;
}

static const char *const bases[] = {"AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT", NULL};
static const char *const keys[] = {"AZURE_API_KEY", "AZURE_OPENAI_API_KEY", NULL};

const dm_provider dm_provider_azure = {.name = "azure",
                                       .base_envs = bases,
                                       .base_of = dm_base_of_azure,
                                       .wants_base =
                                           "azure needs api_base (or AZURE_API_BASE), such as "
                                           "https://RESOURCE.openai.azure.com",
                                       .key_envs = keys,
                                       .key_domains = dm_azure_domains,
                                       .key_header = "api-key: ",
                                       .cached_from = 1024,
                                       .price = dm_price_listed,
                                       .complete = complete,
                                       .url = url,
                                       .format = format,
                                       .head = dm_openai_head,
                                       .sampling = dm_openai_sampling,
                                       .body = dm_openai_body,
                                       .json = dm_openai_json,
                                       .read = dm_openai_read,
                                       .complain = dm_openai_complain};
