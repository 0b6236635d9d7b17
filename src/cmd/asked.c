#include "cmd/asked.h"

/* Models that have no names (`roles`) are not to be found in a job: asked with its own, the
 * ensemble would be another. */
static dm_status check_models(const dm_job *job, dm_error *err)
{
    const dm_value *lms = job->ensemble->more ? dm_value_get(job->ensemble->more, "lms") : NULL;
    for (size_t i = 0; !job->ensemble->lm && lms && lms->kind == DM_LIST && i < lms->n; i++)
        if (lms->items[i]->kind != DM_NULL)
            return dm_fail(err, DM_E_DATA,
                           "%s: its members have models of their own, but no names for them "
                           "(metadata.dspy_mpi.ensemble.roles)",
                           job->file);
    return DM_OK;
}

dm_status dm_asking_read(const dm_command_line *line, const dm_job *job, dm_asking *how,
                         dm_error *err)
{
    const dm_value *waves = dm_value_get(line->flags, "waves");
    bool once = waves && dm_str_is(waves->text, "1");
    if (waves && !once && !dm_str_is(waves->text, "2"))
        return dm_fail(err, DM_E_USAGE, "--waves is 1 or 2, not \"%s\"", waves->text.p);
    if (waves && !job->ensemble)
        return dm_fail(err, DM_E_USAGE, "--waves is for an ensemble, and this is one program");
    how->at_once = once;
    how->inputs = job->setup.inputs;
    how->n_inputs = job->setup.n_inputs;
    how->seed = job->seed;
    return job->ensemble ? check_models(job, err) : DM_OK;
}

dm_status dm_ask(dm_session *s, const dm_asking *how, const dm_dataset *set,
                 const dm_result **results, dm_asked *asked, dm_error *err)
{
    if (s->job->ensemble) {
        dm_status st = dm_ensemble_ask(s->pool, s->job->ensemble, how, set, asked, err);
        *results = asked->results;
        return st;
    }
    dm_work w = dm_work_of(s->job->student);
    w.scored = how->scored;
    return dm_pool_wait(s->pool, dm_pool_evaluate(s->pool, &w, set), results, err);
}
