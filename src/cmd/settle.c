/* Before a job's identity is formed: which sampling keys its models do not take (lm.drop_params).
 */
#include "cmd/job_models.h"
#include "json/json.h"
#include "lm/live.h"

static const char *name_of(dm_arena *a, const dm_job *job, int role, const dm_value *key)
{
    return dm_arena_printf(a, "%s: %.*s", dm_job_role_name(job, role), DM_STR_ARG(key->text));
}

dm_status dm_job_settle(dm_arena *a, dm_job *job, dm_error *err)
{
    const dm_value *before[DM_ROLES];
    job->dropped = dm_value_list(a);
    for (int i = 0; i < DM_ROLES; i++)
        before[i] = job->setup.lm[i];
    for (int i = 0; i < DM_ROLES; i++) {
        const dm_lm_config *c = job->setup.model[i];
        dm_value *dropped = dm_value_list(a);
        int first = 0;
        while (before[first] != before[i])
            first++;
        if (first < i) { /* roles of one model go on sharing it */
            job->setup.lm[i] = job->setup.lm[first];
            job->setup.model[i] = job->setup.model[first];
            continue;
        }
        if (!c || !c->drop_params)
            continue;
        dm_status st =
            dm_lm_settle(a, job->setup.job_file, before[i], &job->setup.lm[i], dropped, err);
        if (st != DM_OK)
            return st;
        dm_at at = dm_at_root(job->setup.lm[i], job->setup.job_file, DM_E_JOB);
        job->setup.model[i] = dm_lm_config_read(a, &at, err);
        for (size_t k = 0; k < dropped->n; k++)
            dm_value_append(a, job->dropped,
                            dm_value_text(a, name_of(a, job, i, dropped->items[k])));
    }
    return DM_OK;
}
