/* Inside of the room: what looks at the data share. */
#ifndef DM_ADVICE_INSIDE_H
#define DM_ADVICE_INSIDE_H

#include "advice/data.h"

/* What is known of a row, as bits. */
#define DM_ROW_REPEATS      1u   /* an earlier one of its set */
#define DM_ROW_IN_TRAIN     2u   /* it is in the training set too */
#define DM_ROW_IN_VALID     4u   /* in the validation set too, said of test rows */
#define DM_ROW_CONTRADICTED 8u   /* another row of its set has the same inputs and another label */
#define DM_ROW_CONTRADICTS  16u  /* it is the first such behind another label */
#define DM_ROW_SIMILAR      32u  /* nearly an earlier one of its set */
#define DM_ROW_NEAR_TRAIN   64u  /* nearly one of the training set */
#define DM_ROW_NEAR_VALID   128u /* nearly one of the validation set, said of test rows */
#define DM_ROW_DISAGREES                                                                           \
    256u /* another row of its set is the same but for case, blanks and                            \
            punctuation, and has another label */

typedef struct dm_looking {
    dm_arena *arena;
    const dm_data *data;
    uint16_t *rows[DM_SETS]; /* [n of the set] */
    dm_findings *out;
} dm_looking;

#define DM_MOST_FINDINGS 40 /* more are left out */
/* A finding in words, which live in the arena; those with fix go before the others, each kind in
 * the order of coming. */
void dm_find(dm_looking *l, const char *code, bool fix, const char *text);
#define DM_TEXT(l, ...) dm_arena_printf((l)->arena, __VA_ARGS__)
const char *dm_set_name(int set); /* "training", "validation", "test" */

/* The text of a row's columns, one behind the other, each as Python's str() has it. */
void dm_data_text(dm_buf *b, const dm_value *row, const dm_str *columns, size_t n);
/* The same without case, doubled blanks and the punctuation of sentences, accents in one form
 * (NFD): two words by blanks. In scripts without blanks between words each letter is a word. Points
 * and commas within numbers stay. */
dm_str dm_loose_text(dm_arena *a, dm_str text);
bool dm_is_latin(dm_str text);      /* at least half of what is no blank is ASCII */
size_t dm_count_words(dm_str text); /* two letters are one in scripts without blanks */

void dm_look_at_similar(dm_looking *l); /* nearly the same */
void dm_look_at_labels(dm_looking *l);  /* classes, shares, prose */

#endif
