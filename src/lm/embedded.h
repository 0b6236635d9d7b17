/* Inside of the stand-in: what its files share. See embedded.c for what it does. */
#ifndef DM_LM_EMBEDDED_H
#define DM_LM_EMBEDDED_H

#include "json/json.h"
#include "lm/lm.h"

typedef struct dm_words { /* distinct stems, sorted */
    uint64_t *stems;
    size_t n;
} dm_words;

typedef struct dm_seen_demo {
    dm_words in;
    const dm_value *out; /* dict of texts by field */
    uint64_t sim;        /* to the question, thousandths */
} dm_seen_demo;

typedef struct dm_conversation {
    dm_arena *arena;
    dm_str system, notes, instruction; /* notes: the list of output fields */
    dm_str question;                   /* the inputs alone */
    dm_words instruction_words, question_words;
    dm_seen_demo *demos; /* [n] */
    size_t n;
    dm_value *asked; /* dict: field -> type's name ("str" if none) */
    bool json;
} dm_conversation;

/* embedded_words.c */
bool dm_next_word(dm_str *rest, dm_str *word);
uint64_t dm_stem(dm_str word);
bool dm_is_function_word(
    dm_str word); /* "the", "of": they say nothing about what a text is about */
dm_words dm_words_of(dm_arena *a, dm_str text, bool pairs); /* pairs: of neighbours too */
bool dm_words_have(const dm_words *w, uint64_t stem);
void dm_measure(dm_conversation *c); /* sim of each demonstration */

/* Text behind the first mark (.p NULL: there is none), and text up to it (all, without one). */
dm_str dm_text_after(dm_str text, const char *mark);
dm_str dm_text_up_to(dm_str text, const char *mark);

/* embedded_labels.c: the labels that a field may take, each with what speaks for it */
typedef struct dm_label {
    dm_str text;
    uint64_t clues; /* points, see embedded_labels.c */
    uint64_t votes;
} dm_label;
/* From the field's note (strict: nothing else is allowed), else from "one of:" in the instruction.
 */
size_t dm_labels_of(const dm_conversation *c, dm_str field, dm_label **out, bool *strict);

/* embedded_write.c: without a label and without a demonstration */
bool dm_arithmetic(dm_str text, int64_t *result);
dm_value *dm_proposal(const dm_conversation *c, dm_str field, int64_t rollout);

#endif
