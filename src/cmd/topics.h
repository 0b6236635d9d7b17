/* What `dspy-mpi help TOPIC` says; the manual page has the same. */
#ifndef DM_CMD_TOPICS_H
#define DM_CMD_TOPICS_H

#include "cmd/help_page.h"

typedef struct dm_topic {
    const char *name, *about;
    void (*put)(dm_help_page *p);
} dm_topic;

extern const dm_topic dm_topics[]; /* up to one without a name */

#endif
