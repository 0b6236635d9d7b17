#include "ensemble/results.h"
#include "json/json.h"

#include <math.h>

bool dm_got_nothing(const dm_result *r)
{
    return r->fault == DM_FAULT_TRANSPORT || r->fault == DM_FAULT_ENDPOINT;
}

/* What a program says; NULL: it failed, so it has no vote. A metric's failure is not its own. */
const dm_value *dm_answer_of(dm_arena *a, const dm_result *r, dm_str field)
{
    if (!r->outputs.p || (r->fault != DM_FAULT_NONE && r->fault != DM_FAULT_METRIC))
        return NULL;
    return dm_value_get_str(dm_json_read(a, r->outputs, NULL), field);
}

dm_str dm_last_output(dm_arena *a, const dm_result *results, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const dm_value *v = results[i].outputs.p ? dm_json_read(a, results[i].outputs, NULL) : NULL;
        if (v && v->kind == DM_DICT && v->n)
            return v->members[v->n - 1].key;
    }
    return (dm_str){NULL, 0};
}

dm_ballots dm_ballots_of(dm_arena *a, const dm_result *const *results, size_t m, size_t n,
                         dm_str field, bool as_text, const bool *in_demos)
{
    int *class = dm_arena_alloc_n(a, m * n, sizeof *class),
        *column = dm_arena_alloc_n(a, m, sizeof *column);
    double *score = dm_arena_alloc_n(a, m * n, sizeof *score);
    bool *present = dm_arena_alloc_n(a, m * n, sizeof *present),
         *usable = dm_arena_alloc_n(a, n, sizeof *usable);
    const dm_value **values = dm_arena_alloc_n(a, m, sizeof *values);
    dm_arena *scratch = dm_arena_new(0);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < m; j++) {
            const dm_result *r = &results[j][i];
            values[j] = dm_answer_of(scratch, r, field);
            score[j * n + i] = r->score;
            present[j * n + i] = r->present;
        }
        dm_vote_classes(values, m, as_text, column);
        for (size_t j = 0; j < m; j++)
            class[j * n + i] = column[j];
        dm_arena_reset(scratch);
    }
    dm_arena_free(scratch);
    dm_ballots_usable(present, in_demos, m, n, usable);
    return (dm_ballots){.m = m, .n = n, .class = class, .score = score, .usable = usable};
}

/* Why there is no prediction: who counts says it before who does not. */
static const dm_result *failure(const dm_result *const *results, size_t n, bool absent)
{
    for (size_t k = 0; k < n; k++)
        if (absent ? dm_got_nothing(results[k]) : results[k]->present)
            return results[k];
    return results[0];
}

dm_verdict dm_ensemble_verdict(const dm_ensemble *e, const dm_result *const *results,
                               const uint32_t *votes, size_t asked, size_t n, bool strict)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *values[DM_COMMITTEE_MOST];
    int class[DM_COMMITTEE_MOST];
    dm_verdict v = {.voter = DM_NOBODY};
    for (size_t k = 0; k < asked; k++) {
        values[k] = dm_answer_of(a, results[k], e->field);
        v.absent |= strict && dm_got_nothing(results[k]);
    }
    dm_vote_classes(values, asked, dm_reduce_as_text(e->reduce, e->exact_field), class);
    dm_arena_free(a);
    if (!v.absent) {
        v.voter = dm_vote(e->reduce, class, votes, asked);
        v.open = dm_vote_is_open(e->reduce, class, votes, asked, n);
    }
    if (v.voter == DM_NOBODY)
        v.result = *failure(results, asked, v.absent);
    else if (v.voter == DM_ABSTAINS)
        v.result = (dm_result){.score = NAN};
    else
        v.result = *results[v.voter];
    return v;
}
