#include "cmd/job_models.h"
#include "cmd/paths.h"
#include "base/log.h"
#include "metric/judge.h"

#include <math.h>
#include <string.h>

/* DSPy's name for concurrency, put into a model that does not say it. */
static dm_status add_threads(dm_arena *a, const dm_at *threads, dm_at *model, dm_error *err)
{
    if (!threads->v || threads->v->kind == DM_NULL || !model->v)
        return DM_OK;
    const dm_value *old = dm_value_get(model->v, "concurrency");
    if (old && !dm_value_equal(old, threads->v))
        return dm_at_fail(threads, err, "%s.concurrency is the same setting with another value",
                          model->path);
    dm_value *d = dm_value_dict(a);
    if (model->v->kind == DM_DICT)
        d = dm_value_copy(a, model->v);
    else
        dm_value_set(a, d, DM_STR("model"), model->v);
    dm_value_set(a, d, DM_STR("concurrency"), threads->v);
    model->v = d;
    return DM_OK;
}

/* Of a committee's answers. */
static bool a_judge_picks(const dm_job *job)
{
    const dm_value *rule = dm_value_get(dm_value_get(job->json, "optimizer"), "reduce");
    if (job->ensemble)
        return job->ensemble->reduce == DM_REDUCE_BEST_OF;
    return job->optimizer && rule && rule->kind == DM_STRING &&
           dm_str_is(rule->text, dm_reduce_name(DM_REDUCE_BEST_OF));
}

bool dm_job_asks_role(const dm_job *job, int role)
{
    if (role >= DM_OWN) /* that one asks them was seen when they were named */
        return (size_t)(role - DM_OWN) < job->own.n;
    if (role == DM_JUDGE && job->json)
        return dm_metric_asks(dm_value_get(job->json, "metric")) > 0 || a_judge_picks(job);
    return role == DM_TASK || !job->optimizer || (dm_roles_of(job->optimizer) >> role & 1);
}

static dm_status read_role(dm_arena *a, const dm_at *at, int role, dm_job *job, dm_error *err)
{
    static const char *const files[] = {"ca_file", "cert_file", "key_file", "api_key_file",
                                        "prices"};
    int first = 0;
    while (first < role && job->setup.lm[first] != at->v)
        first++;
    if (first == role)
        dm_paths_of(a, at, files, sizeof files / sizeof *files);
    const dm_lm_config *c = first < role ? job->setup.model[first] : dm_lm_config_read(a, at, err);
    if (!c)
        return err->status;
    if (dm_lm_by_host(c) && !job->python)
        return dm_at_fail(at, err,
                          "%s is a model that DSPy asks, for a program in Python: give a program "
                          "such as {\"python\": \"mymod:Program\"}",
                          c->model);
    if (role == DM_TASK) {
        job->model = c->model;
        job->concurrency = c->concurrency;
    }
    job->stand_in |= dm_job_asks_role(job, role) && dm_lm_in_process(c);
    job->setup.lm[role] = at->v;
    job->setup.model[role] = c;
    return DM_OK;
}

static const char *const roles[] = {"task", "teacher", "prompt", "judge"};

/* Whether the program file has members or is a program that asks it. */
static bool file_asks(const dm_job *job, dm_str name)
{
    bool asks = job->lm.p && dm_str_eq(job->lm, name);
    for (size_t k = 0; job->ensemble && job->ensemble->lm && k < job->ensemble->n; k++)
        asks |= job->ensemble->lm[k].p && dm_str_eq(job->ensemble->lm[k], name);
    return asks;
}

/* Models of other names than the roles': somebody asks them, or they are refused. Of the job behind
 * a program file (run, show) they may be another program's. */
static dm_status read_own_names(const dm_at *lms, bool behind_a_file, dm_job *job, dm_error *err)
{
    const dm_optimizer *o = job->optimizer ? job->optimizer->class : NULL;
    for (int i = 0; i < DM_OWN; i++)
        job->own.given[i] = lms->v && dm_value_get(lms->v, roles[i]);
    if (!lms->v || lms->v->kind != DM_DICT)
        return dm_get_known(lms, roles, DM_OWN, err);
    for (size_t i = 0; i < lms->v->n; i++) {
        dm_str name = lms->v->members[i].key;
        dm_at at = dm_at_key(lms, name.p);
        size_t r = 0;
        while (r < DM_OWN && !dm_str_is(name, roles[r]))
            r++;
        if (r < DM_OWN)
            continue;
        bool asked = file_asks(job, name) || behind_a_file || job->python;
        if (!asked && !(o && o->asks))
            return dm_get_known(lms, roles, DM_OWN, err);
        if (!asked && !o->asks(job->optimizer, name))
            return dm_at_fail(&at, err, "no member asks this model (`lm`): leave it out");
        if (job->own.n == DM_OWN_ROLES)
            return dm_at_fail(&at, err, "more than %d models beside those of the roles",
                              DM_OWN_ROLES);
        job->own.name[job->own.n++] = name.p;
    }
    return DM_OK;
}

/* Each member's model; the job has to have it. */
static dm_status find_models(dm_arena *a, const dm_at *root, dm_job *job, dm_error *err)
{
    dm_str missing;
    dm_ensemble *e = (dm_ensemble *)(uintptr_t)job->ensemble;
    if (!e || dm_ensemble_find_models(a, e, &job->own, &missing))
        return DM_OK;
    return dm_at_fail(root, err, "the ensemble has members that ask lms.%.*s: give that model",
                      DM_STR_ARG(missing));
}

static dm_at at_of_role(const dm_at *lms, int role, const dm_job *job)
{
    if (role < DM_OWN)
        return dm_at_key(lms, roles[role]);
    size_t i = (size_t)(role - DM_OWN);
    return i < job->own.n ? dm_at_key(lms, job->own.name[i]) : (dm_at){.v = NULL};
}

dm_status dm_job_read_models(dm_arena *a, const dm_at *root, dm_job_wants wants, dm_job *job,
                             dm_error *err)
{
    dm_at lm = dm_at_key(root, "lm"), lms = dm_at_key(root, "lms"),
          optimizer = dm_at_key(root, "optimizer");
    dm_at threads = dm_at_key(&optimizer, "num_threads"), task = dm_at_key(&lms, "task");
    dm_status st = read_own_names(&lms, !wants.data, job, err);
    if (wants.optimizer)
        job->lm = (dm_str){NULL, 0}; /* the start of a compilation, whose model is the job's */
    if (st == DM_OK && job->lm.p && dm_at_key(&lms, job->lm.p).v)
        task = dm_at_key(&lms, job->lm.p);
    if (st == DM_OK)
        st = add_threads(a, &threads, task.v ? &task : &lm, err);
    if (st == DM_OK && !task.v && !lm.v)
        st = dm_at_fail(root, err, "lm: a model is missing, such as \"openai/gpt-5-mini\"");
    for (int i = 0; i < DM_ROLES && st == DM_OK; i++) {
        dm_at role = at_of_role(&lms, i, job);
        if (role.v && i == DM_JUDGE && job->optimizer && !dm_job_asks_role(job, i))
            return dm_at_fail(&role, err, "the metric asks no judge: leave it out");
        if (role.v && i != DM_JUDGE && !dm_job_asks_role(job, i))
            return dm_at_fail(&role, err, "%s asks no model of this role: leave it out",
                              job->optimizer->class->name);
        if (i == DM_TASK || !role.v)
            role = task.v && (i == DM_TASK || !lm.v) ? task : lm;
        st = read_role(a, &role, i, job, err);
    }
    if (st == DM_OK)
        st = find_models(a, root, job, err);
    return st;
}

/* ---- for a cap ---- */

static dm_lm_config dearest(const dm_lm_config *x, const dm_lm_config *y)
{
    dm_lm_config c = *x;
    c.price.prompt = fmax(x->price.prompt, y->price.prompt);
    c.price.cached = fmax(x->price.cached, y->price.cached);
    c.price.cache_write = fmax(x->price.cache_write, y->price.cache_write);
    c.price.completion = fmax(x->price.completion, y->price.completion);
    c.price.flex = fmax(x->price.flex, y->price.flex);
    c.max_tokens = x->max_tokens > y->max_tokens ? x->max_tokens : y->max_tokens;
    return c;
}

void dm_job_reckon_dearest(dm_arena *a, dm_job *job)
{
    const dm_lm_config *seen[DM_OWN], *made[DM_OWN];
    bool cost = !isinf(job->cap.cost);
    size_t n = 0;
    if (job->own.n == 0 || (!cost && isinf(job->cap.tokens)))
        return;
    for (int i = 0; i < DM_OWN; i++) {
        const dm_lm_config *old = job->setup.model[i];
        size_t k = 0;
        while (k < n && seen[k] != old)
            k++;
        if (k == n && old) { /* roles that share a model go on to share it */
            dm_lm_config *c = dm_arena_alloc(a, sizeof *c);
            *c = *old;
            for (size_t j = 0; j < job->own.n; j++)
                *c = dearest(c, job->setup.model[DM_OWN + j]);
            seen[n] = old;
            made[n++] = c;
        }
        job->setup.model[i] = old ? made[k] : NULL;
    }
    const dm_price *p = &job->setup.model[DM_TASK]->price;
    if (cost)
        dm_log(DM_WARN,
               "each call of the program is reckoned at the price of the dearest of its models: %g "
               "and %g a "
               "million tokens of prompt and answer",
               p->prompt, p->completion);
}

const char *dm_job_role_name(const dm_job *job, int role)
{
    return role < DM_OWN ? dm_role_name((dm_role)role) : job->own.name[role - DM_OWN];
}

int dm_job_roles(const dm_job *job)
{
    return DM_OWN + (int)job->own.n;
}
