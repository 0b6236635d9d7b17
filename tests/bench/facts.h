/* Planted worlds in which a failure tells what the instruction lacks:
 *
 *   facts    twelve kinds of rows; each wants a fact of its own in the instruction, which a failure
 *            of its kind reveals to the reflection half of the time
 *   formats  four kinds; without its format a row is nearly always wrong, and a failure tells it
 *   nothing  no instruction is better than another
 *   tokens   the world of tests/golden/data/gepa.json (its _rule)
 *
 * Half of the rows are right or wrong by a draw of their own, whatever the wording; for the others
 * it is drawn anew for each prompt. A reflection loses each fact that it has with probability .06.
 *
 * Rows are numbers: of the training set from 0 on, of the validation set from FACTS_VAL on. */
#ifndef DM_BENCH_FACTS_H
#define DM_BENCH_FACTS_H

#include "base/buf.h"
#include "base/mem.h"

#include <stdint.h>

enum { FACTS_VAL = 1000, FACTS_WORLDS = 4, FACTS_MOST = 32 };

typedef struct facts_world {
    const char *name;
    size_t kinds;
    double without, with; /* right without the kind's fact, and with it */
    double revealed;
    bool tokens;
} facts_world;
extern const facts_world facts_worlds[FACTS_WORLDS];

typedef struct facts_known { /* what a prompt knows, in the order in which it came */
    long k[FACTS_MOST], sum;
    size_t n;
} facts_known;

/* An instruction is "v123 k3 k7": a wording, and what it knows. */
facts_known facts_read(dm_str text);
void facts_learn(facts_known *t, long k);

size_t facts_kind(const facts_world *w, uint64_t seed, uint64_t row);
/* prompt: a hash of all that is in it but the row. */
bool facts_right(const facts_world *w, uint64_t seed, uint64_t prompt, const facts_known *t,
                 uint64_t row);
double facts_mean(const facts_world *w, const facts_known *t); /* the true one, 0 to 1 */

/* The instruction that a reflection makes of `text` by n rows of the training set. draw: of it. */
dm_str facts_reflect(dm_arena *a, const facts_world *w, uint64_t seed, uint64_t draw, dm_str text,
                     const uint64_t *rows, const bool *failed, size_t n);

/* v[n]: their mean, and half of its 95 % interval. */
double facts_mean_of(const double *v, size_t n);
double facts_half_of(const double *v, size_t n);

#endif
