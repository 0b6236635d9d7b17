/* What an OUT remembers: its journal, opened and replayed. */
#ifndef DM_CMD_HISTORY_H
#define DM_CMD_HISTORY_H

#include "cmd/job.h"

/* In OUT: the journal of the job that was there before, by --reuse. */
#define DM_EARLIER_JOURNAL "journal.earlier"

/* --fsync of the flags. */
dm_status dm_history_fsync(const dm_command_line *line, dm_fsync *out, dm_error *err) DM_MUST_USE;
/* What a journal's header has beside the job's identity. */
const dm_value *dm_history_more(dm_arena *a, const dm_job *job);
/* Opens OUT/journal for the job, and fills job->setup.journal, .replay and .earlier. Refused with
 * DM_E_OUTPUT: another run writes there, it is another job's (the key that differs is named), it is
 * damaged, or a server now serves something else than before (--accept-model-change allows that).
 */
dm_status dm_history_open(dm_arena *a, dm_job *job, const dm_command_line *line, dm_fsync sync,
                          dm_error *err) DM_MUST_USE;

#endif
