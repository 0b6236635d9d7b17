/* Keys of a job that are numbers of its own, and those of its budget, read into a dm_job. What is
 * read of other rooms is in their tables: lm/config.h, metric/metric.h, optimizer/optimizer.h.
 */
#ifndef DM_CMD_JOB_TABLE_H
#define DM_CMD_JOB_TABLE_H

#include "json/param.h"

extern const dm_param dm_job_table[], dm_budget_table[];

#endif
