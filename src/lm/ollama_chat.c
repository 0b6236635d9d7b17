/* Ollama, by its OpenAI's chat completions, on machines of one's own. DSPy's table does
 * not know what they support, so nothing is asked for in JSON mode (contract 3.5). */
#include "lm/openai.h"

static const char *const bases[] = {"OLLAMA_API_BASE", "OLLAMA_HOST", NULL};
static const char *const keys[] = {"OLLAMA_API_KEY", NULL};

const dm_provider dm_provider_ollama_chat = {.name = "ollama_chat",
                                             .base = "http://127.0.0.1:11434/v1",
                                             .base_of = dm_base_of_ollama,
                                             .base_envs = bases,
                                             .key_envs = keys,
                                             .key_host = "https://ollama.com",
                                             DM_BEARER,
                                             .price = dm_free_on_own,
                                             DM_OPENAI_WIRE};
