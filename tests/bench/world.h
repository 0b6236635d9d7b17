/* Synthetic search problems whose true means are known: a candidate picks an instruction and a demo
 * set for each predictor; a cell is its score on one example. An instance is a pure function of
 * (family, sizes, seed); every random number comes from a stream named by (seed, purpose, index).
 */
#ifndef DM_BENCH_WORLD_H
#define DM_BENCH_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WORLD_P = 4, WORLD_S = 2 * WORLD_P, WORLD_L = 18, WORLD_TYPES = 4, WORLD_GRID = 401 };

typedef struct family {
    const char *name;
    double spread, spread_sd;  /* of candidates, logits: spread * exp(spread_sd g) */
    double inter, cross, idio; /* pair in a predictor; slots of different predictors; the rest */
    double type_dev;           /* a level helps some types of example more than others */
    double tau, kappa;         /* noise that candidates with a level share; noise of one cell */
    double bad;                /* share of bad levels */
    double swing_low, swing_high, swing_sd; /* examples that can go either way */
    int judges;                             /* 0: 0/1; k: mean of k; -1: a float */
    double breaks,
        unlocks;    /* share of levels that fail at random; that solve the hard ones of a type */
    bool structure; /* levels have effects of their own */
} family;

extern const family
    FAMILY[]; /* the first FAMILIES are the main table; then none, xinter, float; name NULL ends */
enum { FAMILIES = 8 };
const family *family_named(const char *name); /* NULL: unknown */

typedef struct world {
    const family *g;
    size_t P, S, N, L[WORLD_S]; /* slot 2p: instruction of predictor p, 2p + 1: its demo set */
    uint64_t seed;
    double s; /* the instance's spread */
    double effect[WORLD_S][WORLD_L], dev[WORLD_S][WORLD_L][WORLD_TYPES];
    double pair[WORLD_P][WORLD_L][WORLD_L], share[WORLD_TYPES];
    double broken[WORLD_S][WORLD_L];                /* chance that the level fails an example */
    int unlock[WORLD_S][WORLD_L];                   /* the type it solves, or -1 */
    float *cross;                                   /* [slot][slot][level][level] */
    double *difficulty;                             /* [N] */
    unsigned char *type, *hard;                     /* [N] */
    float *noise;                                   /* [slot][level][N] */
    double curve[WORLD_GRID], unlocked[WORLD_GRID]; /* mean score at ability -8 + .04 k */
    double best, written; /* true means: of the best candidate found, of the program as written */
    double missing;       /* share of cells that never answer */
} world;

typedef struct stream {
    uint64_t state;
} stream;

stream stream_of(uint64_t seed, uint64_t purpose, uint64_t index);
double draw(stream *r); /* (0, 1) */
double normal(stream *r);
size_t below(stream *r, size_t n);
uint64_t mix(uint64_t z);

void world_make(world *w, const family *g, size_t P, size_t instructions, size_t sets, size_t N,
                uint64_t seed);
void world_free(world *w);
void world_ability(const world *w, const uint16_t *x, double theta[WORLD_TYPES]);
double world_cell(const world *w, const uint16_t *x, const double theta[WORLD_TYPES],
                  size_t i);                          /* NAN: missing */
double world_mean(const world *w, const uint16_t *x); /* the true mean */
void world_random(const world *w, stream *r, uint16_t *x);

#endif
