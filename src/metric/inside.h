/* Inside of the metric room. */
#ifndef DM_METRIC_INSIDE_H
#define DM_METRIC_INSIDE_H

#include "metric/metric.h"

typedef struct dm_metric_command dm_metric_command;

typedef enum dm_builtin {
    DM_ANSWER_EXACT_MATCH,   /* field `answer`, a string or a list of them; frac */
    DM_EXACT_MATCH,          /* field */
    DM_F1,                   /* field */
    DM_HOTPOT_F1,            /* field, default answer */
    DM_ANSWER_PASSAGE_MATCH, /* label answer, output context */
    DM_CONTAINS,             /* field: the output holds the label */
    DM_REGEX,                /* field, pattern or the label as the pattern */
    DM_NUMERIC,              /* field, tolerance */
    DM_JSON_FIELDS,          /* field */
    DM_ANY_OF                /* field: the output equals one of a list */
} dm_builtin;

struct dm_metric {
    const dm_value *spec;
    const char *name;
    dm_builtin kind;
    dm_str field; /* of label and prediction */
    double frac, tolerance;
    void *pattern;              /* pcre2_code of a pattern that is given */
    dm_metric_command *command; /* NULL: built in */
    dm_arena *scratch;          /* of one score */
};

/* One score; DM_E_DATA with a sentence when label or prediction is not what the metric takes. */
dm_status dm_builtin_score(dm_metric *m, const dm_value *example, const dm_value *prediction,
                           double *score, dm_error *err) DM_MUST_USE;
void *dm_builtin_compile(dm_str pattern, dm_error *err);
void dm_builtin_free_pattern(void *pattern);

/* guard.c: argv[0] under which this program guards a metric's child, and the descriptor that it
 * reads to know that the rank lives. */
extern const char dm_guard_name[];
#define DM_GUARD_LIFE 3

/* command.c */
dm_metric_command *dm_command_new(dm_arena *a, const dm_at *at, dm_error *err) DM_MUST_USE;
void dm_command_free(dm_metric_command *c);
void dm_command_submit(dm_metric_command *c, const dm_value *example, const dm_value *prediction,
                       const dm_step *trace, size_t n_steps, const dm_program *program,
                       dm_metric_done *done, void *user);
size_t dm_command_fds(dm_metric_command *c, dm_wait_fd *fds, size_t max);
double dm_command_due(const dm_metric_command *c);
void dm_command_poll(dm_metric_command *c);
/* Whether the line, which a child wrote, is an answer; then *s is what it says (its text is a's).
 */
bool dm_command_answer(dm_arena *a, dm_str line, dm_metric_score *s) DM_MUST_USE;

#endif
