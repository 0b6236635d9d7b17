/* Inside the search: candidates and their cells, units in flight, and what a method implements. */
#ifndef DM_SEARCH_CORE_H
#define DM_SEARCH_CORE_H

#include "search/options.h"

#include "base/mem.h"
#include "base/random.h"
#include "base/table.h"

#define DM_NONE SIZE_MAX

/* A stream of its own for every purpose and decision, so that no draw shifts another. */
typedef struct dm_stream {
    uint64_t seed, stream, counter;
} dm_stream;

enum { DM_STREAM_ORDER = 1, DM_STREAM_START, DM_STREAM_DECIDE, DM_STREAM_SAMPLE, DM_STREAM_RACE };

dm_stream dm_stream_of(uint64_t seed, int purpose, uint64_t index);
double dm_stream_uniform(dm_stream *r); /* in (0, 1) */
double dm_stream_normal(dm_stream *r);
size_t dm_stream_below(dm_stream *r, size_t n);
void dm_stream_shuffle(dm_stream *r, size_t *items, size_t n);

typedef struct dm_arm {
    uint16_t *x;                 /* [n_slots] */
    uint64_t *taken;             /* bits [n_examples]: handed out, or barred */
    uint64_t *scored;            /* bits [n_examples]: has a score */
    size_t barred, issued, told; /* examples; handed out; answered or known absent */
    uint32_t *example;           /* [known] in the order in which they were committed */
    double *score;               /* [known] */
    size_t known, cap;
} dm_arm;

typedef struct dm_unit {
    dm_search_unit u;
    size_t *examples; /* [u.n] */
    double *scores;   /* [u.n] NAN: absent */
    bool told;
} dm_unit;

typedef struct dm_method {
    void *(*make)(dm_search *s);
    void (*free)(void *state);
    /* Chooses the next unit: sets kind, trial, candidate, and examples by dm_search_take or
     * _repeat. DM_SEARCH_TELL: what is in flight decides; DM_SEARCH_DONE: sets s->end. */
    dm_search_answer (*decide)(dm_search *s, dm_unit *u);
    void (*commit)(dm_search *s,
                   const dm_unit *u); /* after its cells were entered; NULL: nothing */
    size_t (*best)(const dm_search *s);
    void (*estimate)(const dm_search *s, dm_search_estimate *e); /* NULL: raw */
    bool model; /* takes known cells, early levels */
} dm_method;

extern const dm_method dm_method_factor, dm_method_mipro, dm_method_full, dm_method_halving;

struct dm_search {
    dm_search_options o;   /* pointers are our own */
    size_t *offset;        /* [n_slots + 1] of a slot's levels in a flat list of all */
    bool *dropped, *early; /* [offset[n_slots]] */
    bool has_early;
    uint64_t **leak; /* [offset[n_slots]] bits [n_examples] or NULL */
    dm_arm *arms;
    size_t n_arms, cap_arms;
    dm_index index;                    /* of arms by their choices */
    dm_unit **ring;                    /* [ring_size] units in flight, by id */
    size_t ring_size, next, committed; /* ids */
    size_t issued;                     /* cells handed out */
    size_t known_told;                 /* cells committed, absent ones too */
    bool waits;                        /* the method does, for all that is in flight */
    dm_search_end end;
    size_t last_best, best_since; /* stopping: the best and known_told when it became that */
    const dm_method *method;
    void *state;
};

static inline bool dm_bit(const uint64_t *bits, size_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}
static inline void dm_set_bit(uint64_t *bits, size_t i)
{
    bits[i / 64] |= (uint64_t)1 << (i % 64);
}

size_t dm_search_arm(dm_search *s,
                     const uint16_t *x); /* the candidate's number, a new one if need be */
/* A new one that no choice of levels leads to again. */
size_t dm_search_arm_apart(dm_search *s, const uint16_t *x);
/* Examples of the row that can still be handed out. */
static inline size_t dm_search_left(const dm_search *s, size_t arm)
{
    return s->o.n_examples - s->arms[arm].barred - s->arms[arm].issued;
}
/* Hands out one cell (marks it), or for mipro the same one again. */
void dm_search_take(dm_search *s, dm_unit *u, size_t example);
void dm_search_repeat(dm_search *s, dm_unit *u, size_t example);
/* A vector with one uniform level a slot among those that are not dropped. */
void dm_search_random(const dm_search *s, dm_stream *r, uint16_t *x);
double dm_search_space(const dm_search *s); /* number of candidates */
double dm_search_raw(const dm_arm *a);      /* mean of the known cells, NAN without any */

#endif
