/* The JSON Schema of a job file, made from the tables: jobs/job.schema.json. */
#ifndef DM_CMD_JOB_SCHEMA_H
#define DM_CMD_JOB_SCHEMA_H

#include "base/buf.h"

void dm_put_job_schema(dm_buf *b);

#endif
