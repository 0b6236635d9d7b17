#include "pool/question.h"
#include "adapter/media.h"

dm_model_question dm_model_question_new(dm_pool *p, const char *instructions)
{
    dm_arena *a = dm_pool_arena(p);
    dm_model_question q = {p, instructions, {0}, dm_value_dict(a), dm_value_dict(a)};
    dm_buf_init(&q.signature, 4096);
    return q;
}

static void describe(dm_model_question *q, const char *name, const char *desc)
{
    dm_arena *a = dm_pool_arena(q->pool);
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("desc"), dm_value_text(a, desc));
    dm_value_set(a, q->fields, dm_str_of(name), d);
}

void dm_model_question_show_value(dm_model_question *q, const char *name, const char *type,
                                  const char *desc, const dm_value *value)
{
    describe(q, name, desc);
    dm_buf_printf(&q->signature, "%s%s", q->row->n ? ", " : "", name);
    if (type)
        dm_buf_printf(&q->signature, ": %s", type);
    dm_arena *a = dm_pool_arena(q->pool);
    dm_value_set(a, q->row, dm_str_of(name), dm_without_media(a, value));
}

void dm_model_question_show(dm_model_question *q, const char *name, const char *desc, dm_str text)
{
    if (text.p && text.n)
        dm_model_question_show_value(q, name, NULL, desc,
                                     dm_value_string(dm_pool_arena(q->pool), text));
}

dm_future *dm_model_question_ask(dm_model_question *q, const char *name, const char *desc,
                                 dm_work w)
{
    return dm_model_question_ask_for(q, name, NULL, desc, w);
}

dm_future *dm_model_question_ask_for(dm_model_question *q, const char *name, const char *type,
                                     const char *desc, dm_work w)
{
    dm_arena *a = dm_pool_arena(q->pool);
    dm_value *step = dm_value_dict(a), *program = dm_value_dict(a), *rows = dm_value_list(a);
    dm_error err = {DM_OK, ""};
    describe(q, name, desc);
    dm_buf_printf(&q->signature, " -> %s", name);
    if (type)
        dm_buf_printf(&q->signature, ": %s", type);
    dm_value_set(a, step, DM_STR("signature"), dm_value_string(a, dm_buf_view(&q->signature)));
    dm_value_set(a, step, DM_STR("instructions"), dm_value_text(a, q->instructions));
    dm_value_set(a, step, DM_STR("fields"), q->fields);
    dm_value_set(a, program, DM_STR("predict"), step);
    dm_buf_free(&q->signature);
    dm_value_append(a, rows, q->row);
    dm_at at = dm_at_root(program, "question", DM_E_INTERNAL);
    const dm_program *p = dm_program_read(a, &at, &err);
    if (!p)
        return NULL; /* cannot be: the signatures are ours */
    w.candidate = dm_candidate_seal(dm_candidate_new(a, p));
    const dm_example *e = &dm_dataset_of(a, "question", rows)->examples[0];
    return dm_pool_submit(q->pool, &w, &e, 1);
}
