#include "cmd/ensemble_text.h"
#include "report/score.h"

#include <math.h>

/* Calls of one use on the set, in the mean; NAN: not known. */
static double calls_of_committee(const dm_ensemble_split *s)
{
    return s->committee.results ? s->committee.calls / (double)s->set->n : NAN;
}

static void put_score(dm_buf *b, const dm_result *r, const dm_result *start, size_t n, double calls)
{
    dm_score s = dm_score_against(r, start, n);
    if (isnan(s.score))
        dm_buf_text(b, "not known");
    else
        dm_buf_printf(b, "%5.1f %% (%.1f to %.1f)", 100 * s.score, 100 * s.low, 100 * s.high);
    dm_buf_printf(b, ", %.2f calls a use\n", calls);
}

static void put_split(dm_buf *b, const dm_ensemble_output *o, const dm_ensemble_split *s)
{
    double c = dm_program_calls(o->pool[o->single].candidate->program);
    dm_buf_printf(b, "%s, best single program: ", s->name);
    put_score(b, s->single, s->start, s->set->n, c);
    if (!s->committee.results)
        return;
    dm_buf_printf(b, "%s, %s: ", s->name,
                  o->ensemble->reduce == DM_REDUCE_BEST_PER_INPUT ? "one member for each input"
                                                                  : "committee");
    put_score(b, s->committee.results, s->start, s->set->n, calls_of_committee(s));
    dm_difference d = dm_paired(s->single, s->committee.results, s->set->n);
    dm_buf_printf(b, "%s, gain: %+.1f points (%+.1f to %+.1f), %s\n", s->name, 100 * d.mean,
                  100 * d.low, 100 * d.high, dm_verdict_text(&d));
    dm_asked_text(b, o->ensemble, &s->committee, s->set->n);
}

static void put_forecast(dm_buf *b, const dm_forecast *f)
{
    if (f->candidates < 2 || isnan(f->correlation))
        return;
    dm_buf_printf(b, "the %zu best programs are right on the same examples (correlation %.2f)",
                  f->candidates, f->correlation);
    if (!isnan(f->same_wrong))
        dm_buf_printf(b, ", and of what two of them get wrong %.0f %% is the same answer",
                      100 * f->same_wrong);
    dm_buf_text(b, dm_forecast_is_poor(f) ? ": a committee has little to add\n" : "\n");
}

void dm_ensemble_text(dm_buf *b, const dm_ensemble_output *o)
{
    if (!o->n_pool) {
        dm_buf_printf(b, "no committee: %s\n", o->why);
        return;
    }
    dm_buf_printf(b, "%zu member%s, %zu candidates; the %zu best on %zu validation examples", o->n,
                  o->n == 1 ? "" : "s", o->of, o->n_pool, o->rows);
    if (o->usable < o->rows)
        dm_buf_printf(b, ", of which %zu are in their demonstrations or have no score",
                      o->rows - o->usable);
    dm_buf_char(b, '\n');
    put_forecast(b, &o->forecast);
    for (size_t i = 0; i < o->n_splits; i++)
        put_split(b, o, &o->splits[i]);
    dm_buf_printf(b, "program.json is the %s%s: %s\n",
                  o->chosen && o->ensemble->reduce == DM_REDUCE_BEST_PER_INPUT ? "router " : "",
                  dm_ensemble_chosen(o), o->why);
}

static dm_value *number(dm_arena *a, double v)
{
    return dm_value_finite(a, round(1e6 * v) / 1e6);
}

static const char *const verdicts[] = {[DM_GUARD_GAINS] = "gains",
                                       [DM_GUARD_NOISE] = "noise",
                                       [DM_GUARD_FEW_ROWS] = "few rows",
                                       [DM_GUARD_ONE] = "one alone"};

static dm_value *guard_json(dm_arena *a, const dm_guard *g)
{
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("verdict"), dm_value_text(a, verdicts[g->verdict]));
    dm_value_set(a, d, DM_STR("gain"), number(a, g->gain));
    dm_value_set(a, d, DM_STR("se"), number(a, g->se));
    dm_value_set(a, d, DM_STR("n"), dm_value_int(a, (int64_t)g->n));
    return d;
}

static dm_value *forecast_json(dm_arena *a, const dm_forecast *f)
{
    dm_value *d = dm_value_dict(a);
    dm_value_set(a, d, DM_STR("correlation"), number(a, f->correlation));
    dm_value_set(a, d, DM_STR("same_wrong"), number(a, f->same_wrong));
    return d;
}

static dm_value *gain_json(dm_arena *a, const dm_ensemble_split *s)
{
    dm_value *d = dm_value_dict(a);
    dm_difference gain = dm_paired(s->single, s->committee.results, s->set->n);
    dm_value_set(a, d, DM_STR("mean"), number(a, gain.mean));
    dm_value_set(a, d, DM_STR("low"), number(a, gain.low));
    dm_value_set(a, d, DM_STR("high"), number(a, gain.high));
    return d;
}

static dm_value *split_json(dm_arena *a, const dm_ensemble_split *s)
{
    dm_value *d = dm_value_dict(a);
    size_t n = s->set->n;
    dm_score single = dm_score_against(s->single, s->start, n);
    dm_value_set(a, d, DM_STR("single"), dm_score_json(a, &single));
    if (s->committee.results) {
        dm_score committee = dm_score_against(s->committee.results, s->start, n);
        dm_value_set(a, d, DM_STR("committee"), dm_score_json(a, &committee));
        dm_value_set(a, d, DM_STR("gain"), gain_json(a, s));
        dm_value_set(a, d, DM_STR("calls_a_use"), number(a, calls_of_committee(s)));
    }
    return d;
}

dm_value *dm_ensemble_json(dm_arena *a, const dm_ensemble_output *o)
{
    dm_value *d = dm_value_dict(a), *calls = dm_value_list(a);
    for (size_t i = 0; i < o->n; i++)
        dm_value_append(a, calls, dm_value_int(a, (int64_t)o->members[i].charged.calls));
    dm_value_set(a, d, DM_STR("members"), dm_value_int(a, (int64_t)o->n));
    dm_value_set(a, d, DM_STR("calls"), calls); /* each as alone: what is shared in each of them */
    dm_value_set(a, d, DM_STR("candidates"), dm_value_int(a, (int64_t)o->of));
    dm_value_set(a, d, DM_STR("usable"), dm_value_int(a, (int64_t)o->usable));
    if (o->n_pool && o->pool[0].row) {
        dm_value_set(a, d, DM_STR("forecast"), forecast_json(a, &o->forecast));
        dm_value_set(a, d, DM_STR("guard"), guard_json(a, &o->guard));
    }
    for (size_t i = 0; i < o->n_splits; i++)
        dm_value_set(a, d, dm_str_of(o->splits[i].name), split_json(a, &o->splits[i]));
    return d;
}

static const char *origin(const dm_ensemble_output *o, size_t member)
{
    const dm_ensemble *e = o->ensemble;
    dm_str lm = e->lm ? e->lm[member] : (dm_str){NULL, 0};
    size_t j = 0;
    while (!(dm_hash_eq(&o->pool[j].candidate->hash, &e->members[member]->hash) &&
             dm_str_eq(o->pool[j].lm, lm)))
        j++;
    return o->pool[j].from;
}

/* For DSPy, which loads programs without their models: name and sampling, for each program that has
 * one of its own. */
static dm_value *lms_json(dm_arena *a, const dm_ensemble *e, const dm_lm_config *const *models)
{
    dm_value *list = dm_value_list(a);
    for (size_t i = 0; i < e->all; i++) {
        dm_role role = e->role[e->list[i]];
        dm_value *d = dm_value_dict(a);
        const dm_lm_config *c = models[role];
        dm_value_set(a, d, DM_STR("model"), dm_value_text(a, c->model));
        for (size_t k = 0; c->sampling && k < c->sampling->n; k++)
            dm_value_set(a, d, c->sampling->members[k].key, c->sampling->members[k].value);
        dm_value_append(a, list, role == DM_TASK ? dm_value_null(a) : d);
    }
    return list;
}

dm_value *dm_ensemble_more(dm_arena *a, const dm_ensemble_output *o,
                           const dm_ensemble_params *params, const dm_lm_config *const *models)
{
    dm_value *d = dm_value_dict(a), *members = dm_value_list(a);
    for (size_t i = 0; i < o->ensemble->n; i++)
        dm_value_append(a, members, dm_value_text(a, origin(o, i)));
    dm_value_set(a, d, DM_STR("members"), members);
    if (o->ensemble->lm)
        dm_value_set(a, d, DM_STR("lms"), lms_json(a, o->ensemble, models));
    dm_value_set(a, d, DM_STR("select"),
                 dm_value_text(a, params->select == DM_SELECT_TOP ? "top_k" : "brier"));
    dm_value_set(a, d, DM_STR("guard"), guard_json(a, &o->guard));
    dm_value_set(a, d, DM_STR("forecast"), forecast_json(a, &o->forecast));
    return d;
}
