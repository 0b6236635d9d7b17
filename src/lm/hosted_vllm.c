/* vLLM, SGLang, llama.cpp and others that speak OpenAI's chat completions, on machines of one's
 * own. DSPy's table does not know what they support, so nothing is asked for in JSON mode
 * (contract 3.5). */
#include "lm/openai.h"

const dm_provider dm_provider_hosted_vllm = {.name = "hosted_vllm",
                                             .base = "http://127.0.0.1:8000/v1",
                                             .base_of = dm_base_at_root,
                                             DM_OPENAI_KEY,
                                             .cached_from = 1024,
                                             .price = dm_free_on_own,
                                             DM_OPENAI_WIRE};
