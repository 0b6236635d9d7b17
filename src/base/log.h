/* One log for what people should see while a program runs. It goes to a sink that src/cmd sets
 * (stderr on rank 0, a message to rank 0 elsewhere; nothing by default). Never give it a secret:
 * what may hold one passes dm_secret_add first, and every line is searched for those that are
 * known.
 */
#ifndef DM_BASE_LOG_H
#define DM_BASE_LOG_H

#include "base/status.h"

typedef enum dm_level { DM_DEBUG, DM_INFO, DM_WARN, DM_ERROR } dm_level;

typedef void dm_log_sink(void *user, dm_level level, const char *line); /* shown, without an end */

void dm_log_set(dm_log_sink *sink, void *user, dm_level least);
void dm_log(dm_level level, const char *fmt, ...) DM_PRINTF(2, 3);

#endif
