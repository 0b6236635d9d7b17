/* A run, of whichever kind. */
#include "runner/inside.h"

#include <math.h>

dm_run *dm_run_new(dm_runner *r, dm_prepared *p, const dm_value *row, const dm_hash *fingerprint,
                   dm_run_answered *answered, dm_run_done *done, void *user)
{
    dm_arena *a = dm_arena_new(2048);
    dm_run *run = dm_arena_alloc(a, sizeof *run);
    const dm_program *program = p->spec.work.candidate->program;
    run->kind = program->python ? &dm_run_python : &dm_run_steps;
    run->arena = a;
    run->runner = r;
    run->prepared = p;
    run->row = row;
    run->fingerprint = *fingerprint;
    run->answered = answered;
    run->done = done;
    run->user = user;
    run->mode = p->spec.adapter;
    run->fields = row;
    run->result.score = NAN;
    run->steps = dm_arena_alloc_n(a, program->n, sizeof *run->steps);
    return run;
}

void dm_run_limit(dm_run *run, int64_t requests)
{
    run->most = requests;
}

void dm_run_formats(dm_run *run, unsigned refused, bool asks)
{
    run->refused = refused;
    run->asks_format = asks;
}

void dm_run_ask_only(dm_run *run)
{
    run->asks_only = true;
}

void dm_run_go(dm_run *run)
{
    run->kind->go(run);
}

dm_run_place dm_run_place_of(const dm_run *run)
{
    bool keyed = run->result.n_keys > 0;
    return (dm_run_place){.work = &run->prepared->spec.work,
                          .row = run->row,
                          .adapter = run->mode,
                          .predictor = run->predictor,
                          .call = run->call,
                          .key = keyed ? run->keys[run->result.n_keys - 1] : (dm_hash){{0}},
                          .first = run->requests == 0,
                          .asks_only = run->asks_only,
                          .user = run->user};
}

void dm_run_cancel(dm_run *run)
{
    if (run->lm_id)
        dm_lm_cancel(run->runner->lm, run->lm_id);
    if (run->scoring)
        run->cancelled = true; /* the metric still reads the run's memory; scored() frees it */
    else
        dm_run_free(run);
}
