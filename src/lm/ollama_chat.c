/* Ollama, by its OpenAI's chat completions, on machines of one's own. DSPy's table does
 * not know what they support, so nothing is asked for in JSON mode (contract 3.5). */
#include "lm/openai.h"

const dm_provider dm_provider_ollama_chat = {.name = "ollama_chat",
                                             .base = "http://127.0.0.1:11434/v1",
                                             .base_of = dm_base_of_ollama,
                                             DM_OPENAI_KEY,
                                             .price = dm_free_on_own,
                                             DM_OPENAI_WIRE};
