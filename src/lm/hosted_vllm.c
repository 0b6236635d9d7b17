/* vLLM, SGLang, llama.cpp and others that speak OpenAI's chat completions, on machines of one's
 * own. DSPy's table does not know what they support, so nothing is asked for in JSON mode
 * (contract 3.5). */
#include "lm/openai.h"

static const char *const bases[] = {"HOSTED_VLLM_API_BASE", NULL};
static const char *const keys[] = {"HOSTED_VLLM_API_KEY", NULL};

const dm_provider dm_provider_hosted_vllm = {.name = "hosted_vllm",
                                             .base = "http://127.0.0.1:8000/v1",
                                             .base_of = dm_base_at_root,
                                             .base_envs = bases,
                                             .key_envs = keys,
                                             DM_BEARER,
                                             .cached_from = 1024,
                                             .price = dm_free_on_own,
                                             DM_OPENAI_WIRE};
