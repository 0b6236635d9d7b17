#include "optimizer/judge_ask.h"
#include "json/json.h"

#include <math.h>

static dm_future *ask_call(dm_pool *p, const dm_judging *j, size_t call, const dm_judge_case *of,
                           int64_t rollout, dm_error *err)
{
    dm_arena *a = dm_pool_arena(p);
    const dm_value *row = dm_judging_row(a, j, call, of->example, of->outputs, err);
    dm_value *rows = dm_value_list(a);
    if (!row)
        return NULL;
    dm_value_append(a, rows, row);
    const dm_example *e = &dm_dataset_of(a, "judge", rows)->examples[0];
    const dm_lm_config *model = dm_pool_model(p, DM_JUDGE);
    dm_work w = {.candidate = dm_judging_candidate(j, call),
                 .role = DM_JUDGE,
                 .rollout = rollout,
                 .temperature = model && model->has_temperature ? NAN : 0};
    return dm_pool_submit(p, &w, &e, 1);
}

/* The score of a case, once all of its calls are there. */
static void judge(dm_arena *a, const dm_judging *j, const dm_judge_case *of,
                  const dm_result *const *said, dm_judge_opinion *out)
{
    size_t calls = dm_judging_calls(j);
    const dm_value **judgements = dm_arena_alloc_n(a, calls, sizeof *judgements);
    dm_judged judged;
    dm_error err = {DM_OK, ""};
    for (size_t k = 0; k < calls; k++) {
        judgements[k] = said[k]->outputs.p ? dm_json_read(a, said[k]->outputs, NULL) : NULL;
        if (said[k]->fault != DM_FAULT_NONE || !judgements[k]) {
            out->why = said[k]->error ? said[k]->error : dm_fault_name(said[k]->fault);
            return;
        }
    }
    out->has = dm_judging_score(a, j, of->parts, judgements, false, &judged, &err) == DM_OK;
    out->score = out->has ? judged.score : NAN;
    out->feedback = out->has ? judged.feedback : NULL;
    out->why = out->has ? NULL : dm_arena_printf(a, "%s", err.text);
}

dm_status dm_judge_ask(dm_pool *p, const dm_judging *j, const dm_judge_case *cases, size_t n,
                       int64_t rollout, dm_judge_opinion *out, dm_error *err)
{
    dm_arena *a = dm_pool_arena(p);
    size_t calls = dm_judging_calls(j);
    dm_future **futures = dm_arena_alloc_n(a, n * calls, sizeof(dm_future *));
    const dm_result **said = dm_arena_alloc_n(a, n * calls, sizeof *said);
    for (size_t i = 0; i < n; i++) {
        dm_error own = {DM_OK, ""};
        out[i] = (dm_judge_opinion){.score = NAN};
        for (size_t k = 0; k < calls && !out[i].why; k++) {
            futures[i * calls + k] = ask_call(p, j, k, &cases[i], rollout, &own);
            if (!futures[i * calls + k])
                out[i].why = dm_arena_printf(a, "%s", own.text);
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < calls && futures[i * calls + k]; k++) {
            dm_status st = dm_pool_wait(p, futures[i * calls + k], &said[i * calls + k], err);
            if (st != DM_OK)
                return st;
        }
        if (!out[i].why)
            judge(a, j, &cases[i], &said[i * calls], &out[i]);
    }
    return DM_OK;
}

void dm_judge_noise_add(dm_judge_noise *to, double first, double second)
{
    double apart = second - first;
    /* the difference of two has twice the variance of one */
    double sum = 2 * to->sd * to->sd * (double)to->n + apart * apart;
    to->n++;
    to->changed += fabs(apart) > 1e-9;
    to->sd = sqrt(sum / (2 * (double)to->n));
}

/* Up to DM_JUDGED_TWICE rows with a judged answer, spread over all of them. */
static size_t choose(const dm_result *r, size_t n, size_t rows[DM_JUDGED_TWICE])
{
    size_t judged = 0, seen = 0, n_rows = 0;
    for (size_t i = 0; i < n; i++)
        judged += r[i].present && r[i].outputs.p && r[i].parts.p;
    for (size_t i = 0; i < n && n_rows < DM_JUDGED_TWICE; i++) {
        if (!r[i].present || !r[i].outputs.p || !r[i].parts.p)
            continue;
        if (judged <= DM_JUDGED_TWICE || seen * DM_JUDGED_TWICE / judged == n_rows)
            rows[n_rows++] = i;
        seen++;
    }
    return n_rows;
}

dm_status dm_judge_again(dm_pool *p, const dm_judging *j, const dm_dataset *set, const dm_result *r,
                         dm_judge_noise *noise, dm_error *err)
{
    dm_arena *a = dm_pool_arena(p);
    size_t rows[DM_JUDGED_TWICE], n = choose(r, set->n, rows), n_cases = 0;
    dm_judge_case *cases = dm_arena_alloc_n(a, n, sizeof *cases);
    dm_judge_opinion *out = dm_arena_alloc_n(a, n, sizeof *out);
    *noise = (dm_judge_noise){0};
    for (size_t i = 0; i < n; i++) {
        const dm_value *outputs = dm_json_read(a, r[rows[i]].outputs, NULL);
        if (!outputs)
            continue;
        rows[n_cases] = rows[i];
        cases[n_cases++] = (dm_judge_case){set->examples[rows[i]].row, outputs, r[rows[i]].parts};
    }
    dm_pool_phase(p, "judge again", n_cases);
    dm_status st = dm_judge_ask(p, j, cases, n_cases, 1, out, err);
    for (size_t i = 0; i < n_cases && st == DM_OK; i++)
        if (out[i].has)
            dm_judge_noise_add(noise, r[rows[i]].score, out[i].score);
    return st == DM_STOP_BUDGET ? DM_OK : st;
}
