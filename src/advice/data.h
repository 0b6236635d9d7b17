/* What is wrong with the data of a job, found without a call. */
#ifndef DM_ADVICE_DATA_H
#define DM_ADVICE_DATA_H

#include "data/dataset.h"

enum { DM_TRAIN, DM_VALIDATION, DM_TEST, DM_SETS };

/* When the metric takes two labels for one. */
typedef enum dm_label_as {
    DM_LABEL_AS_TEXT, /* but for case, blanks and punctuation; objects in any order of their keys */
    DM_LABEL_AS_NUMBER, /* by their last numbers */
    DM_LABEL_AS_SET     /* lists, in any order */
} dm_label_as;

typedef struct dm_data {
    /* Those that are not there are NULL; a validation set that is the training set is left out. */
    const dm_dataset *sets[DM_SETS];
    const dm_str *inputs; /* [n_inputs] columns that the program is shown */
    size_t n_inputs;
    const dm_str
        *labels; /* [n_labels] columns that it is to put out; none: nothing is said of them */
    size_t n_labels;
    size_t n_scored; /* the first of them, which are what the metric looks at; 0: all */
    dm_label_as compared;
    bool closed;  /* the first label's type allows certain values only */
    bool exact;   /* the metric gives 1 or 0, for equality with the label */
    bool full;    /* it gives all that it can for the label itself: an answer that is always the
                     same then scores the share of its label at least */
    bool similar; /* texts that are nearly the same are looked for too, which takes longer */
    size_t misfits[DM_SETS], misfit[DM_SETS]; /* labels that are not of the output's type: how many,
                                                 and the first one's row */
} dm_data;

typedef struct dm_finding {
    const char *code; /* "leak_validation": a word for scripts */
    bool fix;         /* before anything is compiled; else it is worth knowing */
    const char *text; /* a sentence without its full stop */
} dm_finding;

typedef struct dm_class {
    const char *name;
    size_t count[DM_SETS];
} dm_class;

typedef struct dm_findings {
    struct dm_set_facts {
        size_t n, distinct; /* examples, and those that do not repeat an earlier one */
        const size_t *rows; /* [distinct] which, in the set's order */
        size_t similar;     /* of the distinct ones, those that are nearly an earlier one */
    } sets[DM_SETS];
    const dm_class *classes; /* [n_classes] values of the first label, the commonest first; 0 where
                                it is no class */
    size_t n_classes;
    double words;     /* median number of words in the first label */
    bool free_text;   /* labels that no answer will repeat word for word */
    bool latin;       /* most labels are written in ASCII, half of it at least */
    dm_finding *list; /* [n] what has to be fixed first comes first */
    size_t n;
} dm_findings;

#define DM_LEAK_SHARE     .05 /* of a set: from here on it has to be mended */
#define DM_DISAGREE_SHARE .2  /* the same, of rows that are alike but for case */
#define DM_CONSTANT_SHARE .9  /* a program that always answers the same is above the threshold */
#define DM_FREE_WORDS     10  /* labels of so many words, in the median, are prose */

/* What it gives lives in a.
 *   - An example repeats another one when its inputs are equal, or equal but for case, blanks and
 *     punctuation with the same label; it contradicts it when the inputs are equal but for blanks
 *     and the labels, as the metric compares them, are not. It is in another set, too, when its
 *     inputs are equal but for blanks, or when it repeats a row there. A label of four words or
 *     more may have another wording.
 *   - Nearly the same are texts of which the sets of three words in a row overlap by .8 of their
 *     union, and that hold the same numbers (Broder 1997, "On the resemblance and containment of
 *     documents"; .8 as in Lee et al. 2022, arXiv 2107.06499). In scripts without blanks between
 *     words each letter is a word. They are found exactly, by comparing only texts that share one
 *     of their rarest sets (Bayardo, Ma and Srikant 2007, "Scaling up all pairs similarity
 *     search").
 *   - A label is a class when its values are few and come again: at most 200, each five times in
 *     the mean, and no numbers unless there are at most ten.
 *   - Shares of labels differ between sets when Pearson's chi-square is beyond 1 in 1,000 (by
 *     Wilson and Hilferty 1931, PNAS 17:684) and a fifth of the rows would have to change. */
dm_findings dm_data_look(dm_arena *a, const dm_data *d);

#endif
