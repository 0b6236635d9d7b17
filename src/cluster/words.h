/* What comes from mpirun's stderr, line by line: its own noise is kept back, the ranks' words are
 * shown. On a terminal rank 0 has a line that it replaces; no other line is written behind it. */
#ifndef DM_CLUSTER_WORDS_H
#define DM_CLUSTER_WORDS_H

#include "base/buf.h"

typedef struct dm_words {
    dm_buf line;   /* what has come of the next one */
    dm_buf kept;   /* mpirun's own words, for the case that nothing else tells */
    bool in_block; /* between two lines of dashes: mpirun speaks */
    bool terminal; /* stderr is one: rank 0 may replace its line */
    bool live;     /* such a line is there */
} dm_words;

void dm_words_init(dm_words *w);
void dm_words_free(dm_words *w);
void dm_words_pass(dm_words *w, const char *bytes, size_t n);
void dm_words_say(dm_words *w, dm_str line); /* the launcher's own, with its line end */
void dm_words_clear(dm_words *w);            /* before anything else goes to the terminal */
void dm_words_end(dm_words *w);              /* nothing more comes: what is left is shown */
size_t dm_words_columns(void);               /* of the terminal; 80 where it does not tell */

#endif
