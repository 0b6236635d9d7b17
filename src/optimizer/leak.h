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
    dm_str run;      /* as written in the row; it lives as long as the data */
} dm_leak;

/* For each of n texts the longest run that it shares with a text in any row of the data. Case,
 * and everything that is not a letter or a digit, is ignored. What is also in the start
 * program's instructions is not a copy. Of equally long runs the first counts, in the order of
 * training, validation and test set. */
void dm_leaks_find(const dm_compile_input *in, const dm_str *texts, size_t n, dm_leak *out);

#endif
