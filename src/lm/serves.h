/* What a model's server says it serves: for the journal, which records when that changes. */
#ifndef DM_LM_SERVES_H
#define DM_LM_SERVES_H

#include "lm/config.h"

/* GET base/models of the first of the model's servers that answers, within seconds each. A dict of
 * what it says of the model: "root" (vLLM's path of the weights) and "max_model_len"; NULL: none
 * answered, none says anything of it, or it is the stand-in. Blocks. */
const dm_value *dm_lm_serves(dm_arena *a, const dm_lm_config *c, double seconds);

#endif
