/* A custom metric as a shared library: {"metric": {"library": "./m.so", "options": {...}}}.
 *
 *     cc -shared -fPIC -I/usr/local/include tests/metric_example.c -o m.so
 *
 * The library exports one function, dspy_mpi_metric(), which returns the table below. It is loaded
 * once in every rank that scores, and does not link against dspy-mpi: the functions that read
 * values are passed to it. A score costs a function call, where a command costs two messages
 * between processes. The price is that a library that crashes takes its rank with it. While you
 * write a metric, a command is safer.
 *
 * The score must depend on the arguments alone: results are kept, and the program must be the same
 * at any number of ranks. If the library's file changes, it is another metric.
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
 *         static const dspy_mpi_metric_table table = {
 *             DSPY_MPI_METRIC_VERSION, sizeof table, "same", NULL, score, NULL};
 *         return &table;
 *     }
 */
#ifndef DSPY_MPI_METRIC_H
#define DSPY_MPI_METRIC_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header. A library that was built for another one is refused, and named. */
#define DSPY_MPI_METRIC_VERSION 1

/* A JSON value. Borrowed until the call that it was passed to returns. */
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

/* Functions that read values. All accept NULL for a missing value, and return NULL, 0 or NAN for
 * a value of another kind. Later versions add functions at the end. */
typedef struct dspy_mpi_values {
    dspy_mpi_kind (*kind)(const dspy_mpi_value *v); /* NULL: DSPY_MPI_NULL */
    /* A member of a dict by name; NULL: there is none. */
    const dspy_mpi_value *(*member)(const dspy_mpi_value *dict, const char *name);
    size_t (*size)(const dspy_mpi_value *v); /* items of a list, members of a dict */
    /* Item i of a list, member i of a dict in its order, from 0; NULL: i is past the last. */
    const dspy_mpi_value *(*item)(const dspy_mpi_value *v, size_t i);
    const char *(*key)(const dspy_mpi_value *dict, size_t i); /* name of member i, NUL-terminated */
    /* NUL-terminated UTF-8, *n bytes (n may be NULL): a string, or the digits of an int. */
    const char *(*text)(const dspy_mpi_value *v, size_t *n);
    /* An int, a float, 0 and 1 for a bool; NAN for anything else. */
    double (*number)(const dspy_mpi_value *v);
} dspy_mpi_values;

typedef struct dspy_mpi_question {
    const dspy_mpi_value *example;    /* dict: the row of the data */
    const dspy_mpi_value *prediction; /* dict: the outputs of the program */
    /* While demonstrations are bootstrapped: a list of {"predictor": "path", "inputs": {...},
     * "outputs": {...}}, one per call. NULL: DSPy's trace=None. */
    const dspy_mpi_value *trace;
} dspy_mpi_question;

#define DSPY_MPI_TEXT 4096
typedef struct dspy_mpi_score {
    double score;             /* 0 to 1; initially 0 */
    char text[DSPY_MPI_TEXT]; /* NUL-terminated UTF-8; initially "". With a score: feedback on the
                               * answer for GEPA. Without one: why there is none */
} dspy_mpi_score;

typedef struct dspy_mpi_metric_table {
    unsigned version; /* DSPY_MPI_METRIC_VERSION */
    size_t size;      /* sizeof(dspy_mpi_metric_table) */
    const char *name; /* of the metric, for messages */
    /* *self is passed to the other two. options: the job's "options", NULL without any. Returns 0,
     * or anything else with a sentence in why[size]; then the job ends with exit 78. NULL: there is
     * nothing to open, and self is NULL. */
    int (*open)(void **self, const dspy_mpi_values *v, const dspy_mpi_value *options, char *why,
                size_t size);
    /* 0: out->score is valid. Anything else: this example failed. Never called by two threads at
     * once. */
    int (*score)(void *self, const dspy_mpi_values *v, const dspy_mpi_question *q,
                 dspy_mpi_score *out);
    void (*close)(void *self); /* NULL: there is nothing to close */
} dspy_mpi_metric_table;

/* The one symbol of a metric library. What it returns lives as long as the library is loaded. */
const dspy_mpi_metric_table *dspy_mpi_metric(void);

#ifdef __cplusplus
}
#endif

#endif
