/* A metric of one's own as a shared library: {"metric": {"library": "./m.so", "options": {...}}}.
 *
 *     cc -shared -fPIC -I/usr/local/include tests/metric_example.c -o m.so
 *
 * The library exports one function, dspy_mpi_metric(), which gives the table below. It is loaded
 * once in every rank that scores, and needs nothing of dspy-mpi to be linked: what it reads values
 * with is given to it. A score costs a function call, where a command costs two messages between
 * processes. The price is that a library that crashes takes its rank with it; while a metric is
 * being written, a command is the better place for it.
 *
 * The score has to follow from the arguments alone: results are kept, and the same program has to
 * come out at any number of ranks. A library whose file changes is another metric.
 *
 *     static int score(void *self, const dspy_mpi_values *v, const dspy_mpi_question *q,
 *                      dspy_mpi_score *out)
 *     {
 *         size_t n = 0, m = 0;
 *         const char *label = v->text(v->member(q->example, "answer"), &n);
 *         const char *given = v->text(v->member(q->prediction, "answer"), &m);
 *         out->score = label && given && n == m && memcmp(label, given, n) == 0;
 *         return 0;
 *     }
 *     const dspy_mpi_metric_table *dspy_mpi_metric(void)
 *     {
 *         static const dspy_mpi_metric_table table = {DSPY_MPI_METRIC_VERSION, sizeof table,
 * "same", NULL, score, NULL}; return &table;
 *     }
 */
#ifndef DSPY_MPI_METRIC_H
#define DSPY_MPI_METRIC_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of this header. A library that was built for another one is refused by name. */
#define DSPY_MPI_METRIC_VERSION 1

/* A value: what JSON has. Borrowed, until the call that it was given to returns. */
typedef struct dspy_mpi_value dspy_mpi_value;

typedef enum dspy_mpi_kind {
    DSPY_MPI_NULL,
    DSPY_MPI_BOOL,
    DSPY_MPI_INT,
    DSPY_MPI_FLOAT,
    DSPY_MPI_STRING,
    DSPY_MPI_LIST,
    DSPY_MPI_DICT
} dspy_mpi_kind;

/* How values are read. All take NULL for a value that is not there, and give NULL, 0 or NAN where
 * a value is of another kind. Later versions add functions at the end. */
typedef struct dspy_mpi_values {
    dspy_mpi_kind (*kind)(const dspy_mpi_value *v); /* NULL: DSPY_MPI_NULL */
    /* A member of a dict by its name; NULL: it has none. */
    const dspy_mpi_value *(*member)(const dspy_mpi_value *dict, const char *name);
    size_t (*size)(const dspy_mpi_value *v); /* items of a list, members of a dict */
    /* Item i of a list, member i of a dict in its order, from 0; NULL: i is past the last. */
    const dspy_mpi_value *(*item)(const dspy_mpi_value *v, size_t i);
    const char *(*key)(const dspy_mpi_value *dict, size_t i); /* name of member i, with its NUL */
    /* UTF-8 with a NUL behind it, *n bytes (n may be NULL): a string, or the digits of an int. */
    const char *(*text)(const dspy_mpi_value *v, size_t *n);
    /* An int, a float, 0 and 1 for a bool; NAN for all else. */
    double (*number)(const dspy_mpi_value *v);
} dspy_mpi_values;

typedef struct dspy_mpi_question {
    const dspy_mpi_value *example;    /* dict: the row of the data */
    const dspy_mpi_value *prediction; /* dict: the outputs of the program */
    /* While demonstrations are bootstrapped: a list of {"predictor": "path", "inputs": {...},
     * "outputs": {...}}, a call each. NULL: DSPy's trace=None. */
    const dspy_mpi_value *trace;
} dspy_mpi_question;

#define DSPY_MPI_TEXT 4096
typedef struct dspy_mpi_score {
    double score;             /* 0 to 1; it comes as 0 */
    char text[DSPY_MPI_TEXT]; /* UTF-8, with its NUL; it comes as "". Beside a score what GEPA is
                               * told of the answer, without one why there is none */
} dspy_mpi_score;

typedef struct dspy_mpi_metric_table {
    unsigned version; /* DSPY_MPI_METRIC_VERSION */
    size_t size;      /* sizeof(dspy_mpi_metric_table) */
    const char *name; /* of the metric, for messages */
    /* *self is handed to the other two. options: the job's "options", NULL without any. 0, or
     * anything else with a sentence in why[size], and the job ends with exit 78. NULL: nothing is
     * to be opened, and self is NULL. */
    int (*open)(void **self, const dspy_mpi_values *v, const dspy_mpi_value *options, char *why,
                size_t size);
    /* 0: out->score holds. Anything else: this example failed. Never called by two threads at once.
     */
    int (*score)(void *self, const dspy_mpi_values *v, const dspy_mpi_question *q,
                 dspy_mpi_score *out);
    void (*close)(void *self); /* NULL: nothing is to be closed */
} dspy_mpi_metric_table;

/* The one symbol of a metric library. What it gives lives as long as the library is loaded. */
const dspy_mpi_metric_table *dspy_mpi_metric(void);

#ifdef __cplusplus
}
#endif

#endif
