/* A question to a model that is no run of the program: a program of one step and a row, made field
 * by field. */
#ifndef DM_POOL_QUESTION_H
#define DM_POOL_QUESTION_H

#include "pool/pool.h"

typedef struct dm_model_question {
    dm_pool *pool;
    const char *instructions; /* for the model */
    dm_buf signature;         /* owned until it is asked */
    dm_value *row, *fields;
} dm_model_question;

dm_model_question dm_model_question_new(dm_pool *p, const char *instructions);
/* An input. Nothing is shown of an empty text. */
void dm_model_question_show(dm_model_question *q, const char *name, const char *desc, dm_str text);
/* An input of a type, in Python's words ("list[dict]"). */
void dm_model_question_show_value(dm_model_question *q, const char *name, const char *type,
                                  const char *desc, const dm_value *value);
/* Asks the model of w's role for one output; w->candidate is set here. q is used up. NULL: it
 * cannot be asked, which is our own fault. */
dm_future *dm_model_question_ask(dm_model_question *q, const char *name, const char *desc,
                                 dm_work w);
/* The same for an output of a type, in Python's words. */
dm_future *dm_model_question_ask_for(dm_model_question *q, const char *name, const char *type,
                                     const char *desc, dm_work w);

#endif
