/* Inside of the metric room: metrics of parts, and judges. */
#ifndef DM_METRIC_JUDGE_INSIDE_H
#define DM_METRIC_JUDGE_INSIDE_H

#include "metric/inside.h"
#include "metric/judge.h"

#define DM_JUDGE_CALLS 2 /* of one judge, at most */

typedef struct dm_judge_part dm_judge_part;

/* A kind of judge. To add one: its class, a row of DM_JUDGES where it has a name, and what about.c
 * says of it. */
typedef struct dm_judge_class {
    const char *name;
    const dm_param *keys;             /* that it takes, beside name */
    const char *asks[DM_JUDGE_CALLS]; /* [n_calls] programs, as a job says them; NULL: its own */
    const char *by_ideas[DM_JUDGE_CALLS]; /* the same, with `decompositional`; NULL: it has none */
    size_t n_calls;
    bool context;     /* it is shown passages too */
    double threshold; /* where none is given; 0: there is none */
    /* 0 to 1 from its judgements, [n_calls] dicts. DM_E_DATA: one of them is none. */
    dm_status (*score)(const dm_judge_part *p, const dm_value *const *judgements, double *out,
                       dm_error *err);
} dm_judge_class;

#define DM_JUDGES(ROW)                                                                             \
    ROW(semantic_f1)                                                                               \
    ROW(complete_and_grounded)
#define DM_JUDGE_DECLARE(name) extern const dm_judge_class dm_judge_##name;
DM_JUDGES(DM_JUDGE_DECLARE)
DM_JUDGE_DECLARE(own)
extern const dm_param dm_judge_own_keys[], dm_semantic_f1_keys[], dm_grounded_keys[]; /* about.c */
const dm_judge_class *dm_judge_named(dm_str name); /* NULL: there is none */
const char *dm_judge_name(size_t i);               /* NULL: i is past the last */

typedef struct dm_judge_input {
    dm_str name, from;
    bool of_prediction; /* else of the example */
} dm_judge_input;

typedef struct dm_judge_call {
    const dm_candidate *candidate;
    dm_judge_input *inputs; /* [n] */
    size_t n;
} dm_judge_call;

struct dm_judge_part {
    const char *name;
    double weight;
    dm_at at;                    /* the metric */
    const dm_judge_class *class; /* NULL: it asks no model */
    size_t first;                /* of its calls */
    dm_str score, feedback;      /* of a custom signature */
    double low, high;
};

struct dm_judging {
    dm_judge_part *parts; /* [n] */
    size_t n;
    dm_judge_call *calls; /* [n_calls] */
    size_t n_calls;
    double threshold; /* NAN: none */
    bool is_sum;
};

/* What a judge is read with. */
typedef struct dm_judge_world {
    dm_arena *a;
    const dm_program *program;
    const dm_dataset *const *sets;
    size_t n_sets;
} dm_judge_world;

/* judge_read.c: what the inputs of call k of the part are taken from. */
dm_status dm_judge_read_own(const dm_judge_world *w, const dm_at *at, dm_judge_part *p,
                            dm_judge_call *call, dm_error *err) DM_MUST_USE;
dm_status dm_judge_read_named(const dm_judge_world *w, const dm_at *at, dm_judge_part *p,
                              dm_judge_call *calls, double *threshold, dm_error *err) DM_MUST_USE;

/* judge.c: a metric whose other parts are scored by the worker. metrics: [j->n], filled in later;
 * NULL where a part is judged. */
dm_metric *dm_judging_metric(dm_arena *a, const dm_at *at, const dm_judging *j,
                             dm_metric **metrics);

/* metric.c: all keys of the object are those of built-in metrics or among keys, a table or NULL. */
dm_status dm_metric_known(dm_arena *a, const dm_at *at, const dm_param *keys,
                          dm_error *err) DM_MUST_USE;
/* One without parts. part: it is one itself, which no host of a program in Python scores. */
dm_metric *dm_metric_single(dm_arena *a, const dm_at *at, const dm_program *program, bool part,
                            const dm_dataset *const *sets, size_t n_sets,
                            dm_error *err) DM_MUST_USE;

/* The only column that is a label and an output at once; an output of the program. */
dm_status dm_metric_only_label(const dm_at *at, const dm_program *p, const dm_dataset *const *sets,
                               size_t n_sets, dm_str *field, dm_error *err);
const dm_field *dm_metric_output(const dm_program *p, dm_str name);

#endif
