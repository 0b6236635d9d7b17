/* Metrics: prediction against example, 0 to 1. Built-in ones answer at once, commands later;
 * callers see one interface.
 *
 *     name                  option     score
 *     answer_exact_match    frac       equal to the label, or to one of its list, as DSPy
 *                                      normalises; with a frac below 1: F1 of at least frac
 *     exact_match                      the same value of the output's type, or str() of both is
 *                                      equal, trimmed and in lower case
 *     f1                               shared words, normalised; the best of a list of labels
 *     hotpot_f1                        the same, but yes, no, noanswer have to be equal
 *     rouge_l                          F of the longest common subsequence of tokens, as in the
 *                                      package rouge-score, not stemmed; the best of a list
 *     answer_passage_match             a passage of the output `context` holds a label
 *     contains                         the output holds the label, trimmed and in lower case
 *     regex                 pattern    the output matches the pattern, else the label as one
 *     numeric               tolerance  the last numbers differ by at most tolerance (1e-9)
 *     json_fields                      share of the fields of the JSON label that agree
 *     any_of                           the output equals one of the label's list
 *
 * All take `field`, the name of label and output; default: `answer` for the three of DSPy's with
 * "answer" or "hotpot" in their names, else the only label. {"command": [...], "processes": 1,
 * "timeout": 60} (s an example; 30 more until a child has read its first) is a program of one's own
 * (talk.c). A Python function, "module:function" or {"python": "module:function"}, is such a
 * command beside a program of steps: the script metric-host, which is installed with us.
 * {"library":
 * "./m.so", "options": ...} is a shared library (include/dspy_mpi/metric.h). "source" is put in by
 * src/cmd. All of them may say why beside the score ("feedback"). Sums, and metrics that ask a
 * model: judge.h. */
#ifndef DM_METRIC_METRIC_H
#define DM_METRIC_METRIC_H

#include "data/dataset.h"
#include "lm/lm.h"

typedef struct dm_step {              /* one predictor call of a run (DSPy's trace entry) */
    size_t predictor;                 /* index in dm_program.predictors */
    const dm_value *inputs, *outputs; /* dicts; outputs NULL: its answer could not be read */
    dm_str unread;                    /* that answer, as it came; .p NULL: it could be */
    dm_str live; /* a Python program's: see dm_candidate_part.live; .p NULL: its JSON is all */
} dm_step;

typedef struct dm_metric dm_metric;

/* at: a name or {"name", ...} or {"command": [...], ...} (src/README.md §1). labels: the columns
 * that are no inputs; a metric that needs a field and is given none takes the only label. Checks
 * every row of the data sets given: a missing field is DM_E_JOB or DM_E_DATA, naming field, file
 * and row.
 */
dm_metric *dm_metric_new(dm_arena *a, const dm_at *at, const dm_program *program,
                         const dm_dataset *const *sets, size_t n_sets, dm_error *err) DM_MUST_USE;
void dm_metric_free(dm_metric *m); /* ends children */
const char *dm_metric_name(const dm_metric *m);
bool dm_metric_compares(const dm_metric *m); /* an output with a label, and nothing else */
/* "module:function" of a metric that is a Python function, a text: that of
 * {"python": ...}, or the name itself where it has a colon. NULL: it is none. */
const dm_value *dm_metric_python(const dm_value *spec);
/* Hash of the files that a command's words name (scripts, and modules of scripts/metric-host), or
 * that a Python function is in, or of the library: it belongs to the metric's identity. false:
 * there are none. */
bool dm_metric_source(dm_arena *a, const char *job_file, const dm_value *spec, dm_hash *out);

typedef struct dm_metric_score {
    bool ok;
    double score;     /* 0 to 1; booleans 0 or 1 */
    const char *text; /* why not ok */
    /* What it says beside the score, for those who reflect on it; NULL: nothing. */
    const char *feedback;
    dm_str parts; /* JSON text of a list, of a metric of parts (judge.h); .p NULL */
    bool ended;   /* not ok since the command ended, or could not be started */
} dm_metric_score;

typedef void dm_metric_done(void *user, const dm_metric_score *s);

/* What a metric does. Those that a job can name have tables of their own (metric.c); whoever makes
 * a worker can bring another one. self: as given to dm_metric_of. */
typedef struct dm_metric_ops {
    void (*submit)(void *self, const dm_value *example, const dm_value *prediction,
                   const dm_step *trace, size_t n_steps, const dm_program *program,
                   dm_metric_done *done, void *user);
    size_t (*fds)(void *self, dm_wait_fd *fds, size_t max); /* NULL: none to wait for */
    double (*due)(const void *self);                        /* NULL: never */
    void (*poll)(void *self);                               /* NULL: submit is all */
    const char *(*trouble)(const void *self);               /* NULL: never any */
    void (*free)(void *self);                               /* NULL: nothing */
} dm_metric_ops;
dm_metric *dm_metric_of(dm_arena *a, const char *name, const dm_metric_ops *ops, void *self);

/* done may be called before this returns (built-in ones), else from dm_metric_poll. trace NULL: not
 * bootstrapping (Python's None). All that is passed stays alive until done is called. */
void dm_metric_submit(dm_metric *m, const dm_value *example, const dm_value *prediction,
                      const dm_step *trace, size_t n_steps, const dm_program *program,
                      dm_metric_done *done, void *user);
/* File descriptors to wait for (appended to fds, at most max), and what to do when they may be
 * ready. */
size_t dm_metric_fds(dm_metric *m, dm_wait_fd *fds, size_t max);
double dm_metric_due(const dm_metric *m); /* dm_now() time of the next time-out; INFINITY: none */
void dm_metric_poll(dm_metric *m);
/* Why nothing is to be hoped for: its program was silent too often, which a job does not survive
 * (DM_E_DATA). NULL: nothing of that kind is known. */
const char *dm_metric_trouble(const dm_metric *m);

/* A label as the value that an answer like it would be, by the adapter's rules (contract 3.3): 1
 * for a float is 1.0, "yes" for a bool True, '["a"]' for a list[str] a list, 1 for a Literal['1',
 * '2'] its '1', an empty text None where the type allows it. For str it is the label, whatever that
 * is. NULL: no answer can be like that. Built-in metrics compare with labels so made. */
const dm_value *dm_metric_label(dm_arena *a, const dm_type *t, const dm_value *label);

/* DSPy's text normalisation and scores, for tests and other metrics (contract 7.1, 7.2). */
dm_str dm_normalize_text(dm_arena *a, dm_str s);
double dm_f1(dm_arena *a, dm_str prediction, dm_str gold);
double dm_hotpot_f1(dm_arena *a, dm_str prediction, dm_str gold);
bool dm_passage_match(dm_arena *a, const dm_str *passages, size_t n, const dm_str *answers,
                      size_t n_answers);

/* The metrics by number, built-in ones and then `command`; false: there are no more. Of what all
 * built-in ones read: dm_metric_common. */
typedef struct dm_metric_about {
    const char *name, *help;
    const dm_param *options; /* NULL: none of its own */
} dm_metric_about;
bool dm_metric_about_of(size_t i, dm_metric_about *out);
extern const dm_param dm_metric_common[];

#endif
