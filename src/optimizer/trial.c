/* Nothing is paid for in vain (src/README.md §5): the start program's first examples go out
 * before everything else, and if all of them fail the run ends.
 *
 * Which are tried, and what follows, depends only on the order of the data and on the answers.
 * One answer is enough to go on, so a job that works hardly waits. What the trial pays would
 * have been paid for the start program's score in any case. */
#include "optimizer/inside.h"

#define FIRST 20 /* examples that are tried */

static bool has_demos(const dm_candidate *c)
{
    for (size_t i = 0; c && i < c->program->n; i++)
        if (c->parts[i].n_demos > 0)
            return true;
    return false;
}

/* *failed: the results of the first examples where all of them failed, else NULL. */
static dm_status try_first(dm_pool *p, const dm_candidate *c, const dm_dataset *set, size_t n,
                           dm_future **tried, const dm_result **failed, dm_error *err)
{
    const dm_example **examples = dm_arena_alloc_n(dm_pool_arena(p), n, sizeof *examples);
    dm_work w = dm_work_of(c);
    bool one;
    for (size_t i = 0; i < n; i++)
        examples[i] = &set->examples[i];
    dm_pool_phase(p, "start", n);
    *tried = dm_pool_submit(p, &w, examples, n);
    *failed = NULL;
    dm_status st = dm_pool_wait_for_one(p, *tried, &one, err);
    return st == DM_OK && !one ? dm_pool_wait(p, *tried, failed, err) : st;
}

static dm_status end(dm_pool *p, const char *who, const dm_result *r, size_t n, dm_error *err)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_status st = dm_tell_faults(&b, dm_pool_model(p, DM_TASK), r, n);
    dm_fail(err, st, "no answer of %s to the first %zu examples can be used, so the run ends: %s",
            who, n, b.data ? b.data : "");
    dm_buf_free(&b);
    return st;
}

static size_t n_unread(const dm_result *r, size_t n)
{
    size_t unread = 0;
    for (size_t i = 0; i < n; i++)
        unread += dm_is_unread(&r[i]);
    return unread;
}

dm_status dm_try_program(dm_pool *p, const dm_candidate *c, const dm_dataset *set, dm_error *err)
{
    dm_future *tried;
    const dm_result *failed;
    size_t n = set->n < FIRST ? set->n : FIRST;
    dm_status st = n > 0 ? try_first(p, c, set, n, &tried, &failed, err) : DM_OK;
    if (st != DM_OK || n == 0 || !failed || n_unread(failed, n) > 0)
        return st < 0 ? st : DM_OK; /* a stop is seen by whoever waits for the rest */
    return end(p, "the program", failed, n, err);
}

/* The data that the start program is scored on, in its order. */
static const dm_dataset *scored_on(dm_arena *a, const dm_compile_input *in)
{
    const dm_optimizer *o = in->params->class;
    const dm_dataset *set = o->validates ? o->validates(a, in) : in->valset;
    return set && set->n ? set : in->testset;
}

dm_status dm_try_start(dm_pool *p, const dm_compile_input *in, dm_future **tried, dm_error *err)
{
    dm_arena *a = dm_pool_arena(p);
    const dm_dataset *set = scored_on(a, in);
    const dm_result *failed, *again;
    size_t n = set ? set->n : 0;
    int64_t errors = 0;
    *tried = NULL;
    n = n < FIRST ? n : FIRST;
    if (n == 0)
        return DM_OK;
    dm_status st = try_first(p, in->student, set, n, tried, &failed, err);
    if (st != DM_OK || !failed)
        return st < 0 ? st : DM_OK; /* a stop is the optimizer's to see */
    st = dm_count_errors(p, in->params, failed, n, &errors, err);
    if (st != DM_OK)
        return st;
    if (n_unread(failed, n) == 0 || has_demos(in->student))
        return end(p, "the start program", failed, n, err);
    const dm_candidate *shown =
        in->params->class->labeled ? in->params->class->labeled(a, in) : NULL;
    if (!has_demos(shown)) /* none can be had without a call */
        return DM_OK;
    st = try_first(p, shown, set, n, tried, &again, err);
    if (st != DM_OK || !again)
        return st < 0 ? st : DM_OK;
    return end(p, "the start program, with demonstrations or without,", failed, n, err);
}
