/* Instructions that copy examples: runs of words that a text has in common with a row. */
#ifndef DM_OPTIMIZER_LEAK_H
#define DM_OPTIMIZER_LEAK_H

#include "optimizer/optimizer.h"

enum { DM_LEAK_WORDS = 8 }; /* in a row: from so many on it is a copy */

typedef struct dm_leak {
    size_t words;    /* of the longest run; 0: there is none */
    const char *set; /* "trainset", "valset", "testset" */
    size_t row;      /* of it, from 0 */
    const char *id;  /* the row's name */
    dm_str run;      /* as it stands in the row, which lives as long as the data */
} dm_leak;

/* For each of n texts the longest run that it shares with a text in any row of the data, upper and
 * lower case and all that is no letter or digit aside. What stands in the start program's
 * instructions too is no copy. Equally long: the first in the order of training, validation and
 * test set. */
void dm_leaks_find(const dm_compile_input *in, const dm_str *texts, size_t n, dm_leak *out);

#endif
