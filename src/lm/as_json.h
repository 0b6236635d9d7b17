/* Requests that a program makes itself, passed on unchanged: what they are answered with. */
#ifndef DM_LM_AS_JSON_H
#define DM_LM_AS_JSON_H

#include "lm/provider.h"

/* A good reply's content becomes the reply: {"choices", "model", "usage"}. */
void dm_json_answer(dm_reply *r);
/* Ends a call of a model that answers in this process. */
void dm_json_answer_here(dm_call *c);

#endif
