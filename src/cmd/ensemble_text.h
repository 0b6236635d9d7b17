/* What came of an ensemble's compilation, in words and for the files. */
#ifndef DM_CMD_ENSEMBLE_TEXT_H
#define DM_CMD_ENSEMBLE_TEXT_H

#include "optimizer/ensemble.h"

/* Members, forecast, best single beside committee with intervals and calls a use, and the choice.
 */
void dm_ensemble_text(dm_buf *b, const dm_ensemble_output *o);
/* For the last line: what dm_ensemble_text says. */
dm_value *dm_ensemble_json(dm_arena *a, const dm_ensemble_output *o);
/* For metadata.dspy_mpi.ensemble: how it was chosen, and from what; models: [DM_ROLES] of the job.
 */
dm_value *dm_ensemble_more(dm_arena *a, const dm_ensemble_output *o,
                           const dm_ensemble_params *params, const dm_lm_config *const *models);

#endif
