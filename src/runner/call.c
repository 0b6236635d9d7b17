/* One request of a run after another: is its answer known, is it the run's to ask for, what came of
 * it; and the end of the run. What is asked and what an answer means is its kind's affair. */
#include "runner/inside.h"

#include <math.h>

void dm_run_free(dm_run *run)
{
    if (run->kind->end)
        run->kind->end(run);
    dm_arena_free(run->arena);
}

void dm_run_finish(dm_run *run)
{
    if (run->kind->end)
        run->kind->end(run);
    run->done(run->user, &run->result);
    dm_arena_free(run->arena);
}

void dm_run_fail(dm_run *run, dm_fault fault, const char *text)
{
    run->result.fault = fault;
    run->result.score = NAN;
    run->result.error = dm_arena_printf(run->arena, "%s", text ? text : "");
    dm_run_finish(run);
}

static void scored(void *user, const dm_metric_score *s)
{
    dm_run *run = user;
    run->scoring = false;
    if (run->cancelled) {
        dm_run_free(run);
    } else if (s->ok) {
        run->result.score = s->score;
        if (s->parts.p)
            run->result.parts =
                (dm_str){dm_arena_string(run->arena, s->parts.p, s->parts.n), s->parts.n};
        if (s->feedback && dm_run_has_steps(run))
            run->result.feedback = dm_arena_printf(run->arena, "%s", s->feedback);
        dm_run_finish(run);
    } else {
        dm_run_fail(run, DM_FAULT_METRIC, s->text);
    }
}

void dm_run_score(dm_run *run, const dm_value *outputs, const dm_step *trace, size_t n_steps)
{
    run->scoring = true;
    dm_metric_submit(run->runner->metric, run->row, outputs, trace, n_steps,
                     run->prepared->spec.work.candidate->program, scored, run);
}

const dm_hash *dm_run_scope(const dm_run *run, dm_role role)
{
    return run->runner->known.scope[role];
}

/* The question about formats has none: it is this run's, and of what it comes to nothing is told.
 */
static bool has_key(const dm_run *run)
{
    return !run->asks_only && !run->held && dm_run_scope(run, run->request.role) != NULL;
}

bool dm_run_has_requests_left(const dm_run *run)
{
    return run->most == 0 || run->requests < run->most;
}

/* What its newest request came to is told at once, unless the run ends with it. A 403 or 404 to the
 * first of all may be the server's word to all requests: it does not stand, and is not told. */
static void tell(dm_run *run, const dm_lm_answer *answer)
{
    bool good = answer->fault == DM_FAULT_NONE, refusal = dm_is_refusal(answer->fault);
    bool bears = refusal && run->kind->bears(run, answer->fault);
    bool open = answer->fault == DM_FAULT_DENIED && !run->unparsed && bears;
    if (!has_key(run))
        dm_usage_add(&run->result.usage, &answer->usage);
    else if (!good && !bears)
        run->result.call = answer->usage;
    else if (run->answered)
        run->answered(run->user, &run->keys[run->result.n_keys - 1],
                      &(dm_answer){.fault = answer->fault,
                                   .final = !open,
                                   .content = good ? answer->content : dm_str_of(answer->text),
                                   .truncated = answer->truncated,
                                   .usage = answer->usage});
}

static dm_str keep(dm_run *run, dm_str text)
{
    return (dm_str){dm_arena_string(run->arena, text.p ? text.p : "", text.n), text.n};
}

/* What an answer cost is told once: with it, or, where there is none, with the result. */
static void called(void *user, const dm_lm_answer *answer)
{
    dm_run *run = user;
    run->lm_id = 0;
    run->requests += answer->usage.requests;
    run->made = true;
    tell(run, answer);
    if (answer->fault != DM_FAULT_NONE)
        run->kind->no_answer(run, answer->fault, answer->text);
    else if (run->asks_only)
        dm_run_finish(run);
    else
        run->kind->answer(run, keep(run, answer->content), answer->truncated, &answer->usage);
}

static void call(dm_run *run)
{
    run->request.most_sends = run->most ? run->most - run->requests : 0;
    run->request.odd_before = run->odd_before;
    if (run->most && run->request.most_sends <= 0) {
        dm_run_fail(run, DM_FAULT_TRANSPORT,
                    "the requests that were set aside for the example are used");
        return;
    }
    run->lm_id = dm_lm_submit(run->runner->lm, &run->request, called, run);
}

bool dm_run_finds(const dm_run *run, uint32_t number)
{
    return run->finding && run->call == number;
}

void dm_run_found(dm_run *run, uint32_t number, const dm_answer *answer, int64_t odd_before)
{
    if (!dm_run_finds(run, number))
        return;
    run->finding = false;
    run->odd_before = odd_before;
    run->made = false;
    if (!answer)
        call(run);
    else if (answer->fault == DM_FAULT_NONE)
        run->kind->answer(run, keep(run, answer->content), answer->truncated, &answer->usage);
    else
        run->kind->no_answer(run, answer->fault, keep(run, answer->content).p);
}

/* Where a model's answers are not to be shared, not even two of one run are the same request. */
static void add_key(dm_run *run, const dm_sha256 *begun)
{
    const dm_lm_config *c = dm_lm_config_of(run->runner->lm, run->request.role);
    size_t n = run->result.n_keys++;
    run->keys = dm_arena_room(run->arena, run->keys, n, &run->cap_keys, sizeof *run->keys);
    run->result.keys = run->keys;
    run->keys[n] = dm_lm_key(c, begun, &run->request);
    if (c->cache)
        return;
    dm_sha256 s;
    dm_sha256_init(&s);
    dm_sha256_add(&s, run->keys[n].b, sizeof run->keys[n].b);
    dm_sha256_add(&s, &run->call, sizeof run->call);
    run->keys[n] = dm_sha256_end(&s);
}

void dm_run_ask(dm_run *run, const dm_sha256 *begun)
{
    if (!has_key(run)) {
        call(run);
        return;
    }
    add_key(run, begun);
    run->finding = true;
    run->runner->known.find(run->user, run->call, &run->keys[run->result.n_keys - 1]);
}
