/* A run in the text format of Prometheus (version 0.0.4), as the textfile collector of its
 * node_exporter reads files *.prom. */
#ifndef DM_CMD_METRICS_TEXT_H
#define DM_CMD_METRICS_TEXT_H

#include "pool/setup.h"

#include <time.h>

/* What is at path may be overwritten: nothing, or such a text of ours. */
dm_status dm_metrics_owned(const char *path, dm_error *err) DM_MUST_USE;
/* left: s, NAN where it is not known. */
void dm_metrics_text(dm_buf *b, const char *out, const dm_pool_stats *s, bool running, double left,
                     time_t last_progress);

#endif
