/* Inside of the metric room. */
#ifndef DM_METRIC_INSIDE_H
#define DM_METRIC_INSIDE_H

#include "metric/metric.h"

/* A built-in metric. To add one: a function with its class, and a row of DM_METRICS. Nobody else
 * knows its name. */
typedef struct dm_metric_class {
    const char *name;
    const char *field;       /* label that is compared when none is given; NULL: the only one */
    const char *output;      /* what it is compared with; NULL: the output of the same name */
    const char *help;        /* a sentence: what is a good answer */
    const dm_param *options; /* keys beside name and field, which m->own has; NULL: none */
    size_t size;             /* of what m->own points to, in bytes; 0: nothing */
    bool as_given; /* the label is no value of the output's type: a pattern, an answer to look for;
                      else score is given it as dm_metric_typed makes it */
    /* Once the options are read into m->own (at is the metric's object); NULL: no more to do. */
    dm_status (*read)(dm_arena *a, const dm_at *at, dm_metric *m, dm_error *err);
    /* Whether it suits the output, known to exist; NULL: it suits any. */
    dm_status (*suits)(const dm_at *at, const dm_metric *m, const dm_field *output, dm_error *err);
    /* 0 to 1 for what is given against the label. a lives as long as this call. DM_E_DATA with a
     * sentence: one of them is not what the metric takes. */
    dm_status (*score)(const dm_metric *m, dm_arena *a, const dm_value *label,
                       const dm_value *given, double *score, dm_error *err);
    void (*close)(dm_metric *m); /* what read holds outside of its arena; NULL: nothing */
} dm_metric_class;

/* In the order in which users see the names. */
#define DM_METRICS(ROW)                                                                            \
    ROW(answer_exact_match)                                                                        \
    ROW(exact_match)                                                                               \
    ROW(f1)                                                                                        \
    ROW(hotpot_f1)                                                                                 \
    ROW(rouge_l)                                                                                   \
    ROW(answer_passage_match)                                                                      \
    ROW(contains)                                                                                  \
    ROW(regex)                                                                                     \
    ROW(numeric)                                                                                   \
    ROW(json_fields)                                                                               \
    ROW(any_of)

#define DM_METRIC_DECLARE(name) extern const dm_metric_class dm_metric_##name;
DM_METRICS(DM_METRIC_DECLARE)

struct dm_metric {
    const dm_metric_ops *ops;
    void *self; /* of ops */
    const dm_value *spec;
    const char *name;
    const dm_metric_class *class; /* of a built-in one, else NULL */
    dm_str field, output;         /* names of label and output */
    const dm_type *type;          /* of the output */
    void *own;                    /* [class->size bytes] */
    dm_arena *scratch;            /* of one score */
};

/* A value as text, as Python's str(); and the texts of a label, which is one or a list of them. */
dm_str dm_metric_text(dm_arena *a, const dm_value *v);
size_t dm_metric_texts(dm_arena *a, const dm_value *v, dm_str **out);
/* The best score of what is given against any of the label's texts. */
double dm_metric_best(dm_arena *a, const dm_value *label, const dm_value *given,
                      double (*score)(dm_arena *a, dm_str given, dm_str label));

void dm_metric_mend(char *text, size_t n); /* "?" for each byte that is no UTF-8 */

/* label.c: the label as dm_metric_label gives it; where it does not fit, of a list each item that
 * does, else the label itself. t NULL: the label itself. */
const dm_value *dm_metric_typed(dm_arena *a, const dm_type *t, const dm_value *label);
/* Python's ==, the members of sets in any order. t: the type of both, NULL: none is known. */
bool dm_metric_same(const dm_type *t, const dm_value *x, const dm_value *y);
dm_str dm_metric_plain(dm_arena *a, const dm_value *v); /* str(), trimmed, in lower case */
/* The same value, or the same plain text, or a number and a text that reads as it. */
bool dm_metric_alike(dm_arena *a, const dm_type *t, const dm_value *x, const dm_value *y);

/* command.c */
struct dm_metric_command *dm_command_new(dm_arena *a, const dm_at *at, dm_error *err) DM_MUST_USE;
extern const dm_param dm_command_table[], dm_python_table[];
extern const dm_metric_ops dm_command_ops; /* self: what dm_command_new gave */
/* DSPy's trace as a list of {"predictor", "inputs", "outputs"}; trace NULL: null. */
const dm_value *dm_metric_trace(dm_arena *a, const dm_step *trace, size_t n,
                                const dm_program *program);
#define DM_METRIC_SOURCE_KEY                                                                       \
    {                                                                                              \
        .name = "source", .kind = DM_PARAM_ANY, .value = "TEXT",                                   \
        .help = "hash of its files, which dspy-mpi puts there", .absent = "taken of the files"     \
    }

/* library.c */
struct dm_metric_library *dm_library_new(dm_arena *a, const dm_at *at, dm_error *err) DM_MUST_USE;
const char *dm_library_name(const struct dm_metric_library *l); /* which it gives itself */
extern const dm_metric_ops dm_library_ops;                      /* self: what dm_library_new gave */
extern const dm_param dm_library_table[];
/* Where a library is that a job file names: beside it, unless it says the whole path. */
char *dm_library_path(dm_arena *a, const char *job_file, dm_str name);

/* about.c: the same as dm_metric_about_of, of those that are no class. */
bool dm_metric_other_about(size_t i, dm_metric_about *out);

#endif
