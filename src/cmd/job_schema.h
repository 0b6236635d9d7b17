/* The JSON Schema of a job file, made from the tables: jobs/job.schema.json. */
#ifndef DM_CMD_JOB_SCHEMA_H
#define DM_CMD_JOB_SCHEMA_H

#include "base/buf.h"

/* It grows when a job file of before is read otherwise, or not at all. */
#define DM_JOB_VERSION 1

void dm_put_job_schema(dm_buf *b);

#endif
