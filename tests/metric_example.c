/* A metric as a library, as README of src/metric has it: the same text, whatever its case. It knows
 * some tricks by its options, for the tests: {"misbehave": "WORD"}. */
#include <dspy_mpi/metric.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#ifndef VERSION
#define VERSION DSPY_MPI_METRIC_VERSION
#endif

typedef struct same {
    char field[64], misbehave[64];
} same;

static void keep(char to[64], const char *text)
{
    if (text)
        snprintf(to, 64, "%s", text);
}

static int open_same(void **self, const dspy_mpi_values *v, const dspy_mpi_value *options,
                     char *why, size_t size)
{
    same *s = calloc(1, sizeof *s);
    if (!s)
        return 1;
    snprintf(s->field, sizeof s->field, "answer");
    for (size_t i = 0; i < v->size(options); i++) {
        const char *text = v->text(v->item(options, i), NULL);
        if (strcmp(v->key(options, i), "field") == 0 && text) {
            keep(s->field, text);
        } else if (strcmp(v->key(options, i), "misbehave") == 0) {
            keep(s->misbehave, text);
        } else {
            snprintf(why, size, "it takes \"field\" alone, a text");
            free(s);
            return 1;
        }
    }
    *self = s;
    return 0;
}

static int score(void *self, const dspy_mpi_values *v, const dspy_mpi_question *q,
                 dspy_mpi_score *out)
{
    const same *s = self;
    const char *label = v->text(v->member(q->example, s->field), NULL),
               *given = v->text(v->member(q->prediction, s->field), NULL);
    if (strcmp(s->misbehave, "large") == 0)
        out->score = 7;
    else if (strcmp(s->misbehave, "nan") == 0)
        out->score = v->number(NULL);
    else if (strcmp(s->misbehave, "bytes") == 0)
        snprintf(out->text, sizeof out->text, "caf\xe9");
    else if (strcmp(s->misbehave, "trace") == 0)
        out->score = v->size(q->trace) == 1 && v->member(v->item(q->trace, 0), "outputs");
    if (*s->misbehave)
        return strcmp(s->misbehave, "silent") == 0;
    if (!label || !given) {
        snprintf(out->text, sizeof out->text, "label and answer have to be texts");
        return 1;
    }
    out->score = strcasecmp(label, given) == 0;
    if (out->score == 0)
        snprintf(out->text, sizeof out->text, "another word than the label");
    return 0;
}

const dspy_mpi_metric_table *dspy_mpi_metric(void)
{
    static const dspy_mpi_metric_table table = {VERSION,   sizeof table, "same",
                                                open_same, score,        free};
    return &table;
}
