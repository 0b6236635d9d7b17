/* OUT/report.html. */
#ifndef DM_CMD_REPORT_H
#define DM_CMD_REPORT_H

#include "cmd/job.h"

/* Of a compile that has ended; what cannot be written is said, and no failure. */
void dm_report_put(const dm_job *job);

#endif
