/* The interface of pool.h over cells, scheduler and strands. */
#include "pool/inside.h"
#include "base/clock.h"
#include "base/log.h"
#include "json/json.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STOP_FILE_SECONDS 0.5

dm_work dm_work_of(const dm_candidate *c)
{
    return (dm_work){
        .candidate = c, .role = DM_TASK, .scored = true, .rollout = -1, .temperature = NAN};
}

/* ---- making and ending ---- */

static dm_status read_models(dm_pool *p, dm_error *err)
{
    for (int i = 0; i < DM_ROLES; i++) {
        const dm_value *lm = p->setup->lm[i];
        p->model_of[i] = dm_setup_model_of(p->setup, i);
        if (!lm || p->model_of[i] != i)
            continue;
        dm_at at = dm_at_root(lm, p->setup->job_file, DM_E_JOB);
        dm_lm_config *c = dm_lm_config_read(p->arena, &at, err);
        if (!c)
            return err->status;
        dm_price_default(c);
        p->models[i].config = c;
        p->models[i].identity = dm_lm_identity(p->arena, c);
        p->models[i].answered_at = -1;
    }
    return DM_OK;
}

static void send_setup(dm_pool *p)
{
    dm_buf text;
    dm_buf_init(&text, DM_MAX_MESSAGE);
    if (!p->link->one_process)
        dm_setup_write(&text, p->setup);
    for (int w = 0; w < p->link->n_workers; w++) {
        dm_buf msg;
        dm_writer out;
        dm_message_begin(&msg, &out, DM_MSG_SETUP, 2);
        dm_write_int(&out, w);
        dm_write_str(&out, dm_buf_view(&text));
        if (msg.full || text.full) {
            dm_pool_fail(p, DM_E_LIMIT, "the data sets are over %zu bytes", DM_MAX_MESSAGE);
            dm_buf_free(&msg);
            break;
        }
        p->link->ops->send(p->link, w, &msg);
    }
    dm_buf_free(&text);
}

dm_pool *dm_pool_new(dm_link *link, const dm_setup *setup, dm_error *err)
{
    dm_pool *p = dm_alloc(sizeof *p);
    dm_error local = {DM_OK, ""};
    p->link = link;
    p->setup = setup;
    p->arena = dm_arena_new(0);
    p->peers = dm_arena_alloc_n(p->arena, (size_t)link->n_workers, sizeof *p->peers);
    for (int w = 0; w < link->n_workers; w++) {
        dm_buf_init(&p->peers[w].states, DM_MAX_MESSAGE);
        dm_buf_init(&p->peers[w].tasks, DM_MAX_MESSAGE);
        dm_buf_init(&p->peers[w].found, DM_MAX_MESSAGE);
    }
    dm_tables_init(p);
    p->rows = dm_setup_rows(setup);
    for (size_t i = 0; i < p->rows.n; i++) {
        uint32_t known;
        if (!dm_table_get(p, &p->row_table, &dm_row(&p->rows, i)->fingerprint, &known))
            dm_table_put(p, &p->row_table, (uint32_t)i);
    }
    dm_strands_init(p);
    if (read_models(p, &local) != DM_OK) {
        if (err)
            *err = local;
        dm_pool_free(p);
        return NULL;
    }
    dm_budget_begin(p);
    send_setup(p);
    return p;
}

static void say_bye(dm_pool *p)
{
    for (int w = 0; w < p->link->n_workers; w++) {
        dm_buf msg;
        dm_writer out;
        if (p->peers[w].lost)
            continue;
        dm_message_begin(&msg, &out, DM_MSG_BYE, 0);
        p->link->ops->send(p->link, w, &msg);
    }
}

void dm_pool_free(dm_pool *p)
{
    if (!p)
        return;
    if (!p->failed)
        p->failed = dm_fail(&p->error, DM_E_INTERNAL, "the pool is closed");
    dm_strands_end(p);
    dm_budget_end(p);
    say_bye(p);
    for (int w = 0; w < p->link->n_workers; w++) {
        dm_buf_free(&p->peers[w].states);
        dm_buf_free(&p->peers[w].tasks);
        dm_buf_free(&p->peers[w].found);
    }
    p->link->ops->close(p->link);
    for (int m = 0; m < DM_ROLES; m++) {
        free(p->models[m].first.items);
        free(p->models[m].queue.items);
        free(p->models[m].delayed.items);
    }
    dm_known_free(p);
    free(p->cells);
    free(p->states);
    free(p->row_table.slots);
    free(p->cell_table.slots);
    free(p->state_table.slots);
    dm_arena_free(p->arena);
    free(p);
}

/* ---- one turn of the loop ---- */

static void tick(dm_pool *p)
{
    double now = p->link->ops->now(p->link);
    if (!p->tick || now - p->last_tick < p->tick_every)
        return;
    p->last_tick = now;
    dm_pool_stats s = dm_pool_stats_of(p);
    p->tick(p->tick_user, &s);
}

/* Before any strand sees what came. */
static void flush_journal(dm_pool *p)
{
    dm_error err = {DM_OK, ""};
    if (p->setup->journal &&
        dm_journal_flush(p->setup->journal, p->link->ops->now(p->link), &err) != DM_OK)
        dm_pool_fail(p, err.status, "%s", err.text);
}

/* dspy-mpi stop OUT leaves a file there. */
static void look_for_stop_file(dm_pool *p)
{
    char path[PATH_MAX];
    double now = p->link->ops->now(p->link);
    if (p->stop || !p->setup->journal || !p->setup->out ||
        now - p->looked_for_file < STOP_FILE_SECONDS)
        return;
    p->looked_for_file = now;
    snprintf(path, sizeof path, "%s/stop", p->setup->out);
    if (access(path, F_OK) == 0)
        p->stop = DM_STOP_FILE;
}

void dm_pool_pump(dm_pool *p, double timeout)
{
    int worker;
    dm_str bytes;
    if (!p->stop && p->link->ops->now(p->link) >= p->setup->deadline)
        p->stop = DM_STOP_DEADLINE;
    look_for_stop_file(p);
    if (!p->stop && p->setup->time_cap > 0 && p->link->ops->now(p->link) >= p->setup->time_cap)
        p->stop = DM_STOP_BUDGET;
    dm_release_delayed(p);
    if (dm_budget_release(p))
        timeout = 0;
    dm_schedule(p);
    p->link->ops->wait(p->link, fmin(timeout, dm_pool_next_due(p)));
    while (p->link->ops->receive(p->link, &worker, &bytes))
        dm_pool_receive(p, worker, bytes);
    while ((worker = p->link->ops->lost(p->link)) >= 0)
        dm_pool_lost(p, worker);
    dm_known_send(p);
    dm_check_outage(p);
    flush_journal(p);
    tick(p);
}

/* ---- futures ---- */

dm_future *dm_pool_submit(dm_pool *p, const dm_work *w, const dm_example *const *examples, size_t n)
{
    dm_future *f = dm_arena_alloc(p->arena, sizeof *f);
    f->n = n;
    f->cells = dm_arena_alloc_n(p->arena, n, sizeof *f->cells);
    f->state = dm_pool_state(p, w);
    for (size_t i = 0; i < n; i++) {
        size_t known = p->n_cells;
        uint32_t number = f->cells[i] = dm_pool_cell(p, f->state, examples[i]);
        dm_cell *c = p->cells[number];
        if (dm_pool_capped(p)) {
            dm_budget_want(p, number, f);
            continue;
        }
        if (c->phase == DM_CELL_DONE) {
            f->n_done++;
            p->phase_done += number < known; /* one that is replayed was counted as it was made */
            continue;
        }
        dm_waiter *waiter = dm_arena_alloc(p->arena, sizeof *waiter);
        *waiter = (dm_waiter){c->waiters, f};
        c->waiters = waiter;
        if (c->phase == DM_CELL_IDLE)
            dm_cell_requeue(p, number, 0);
    }
    return f;
}

dm_future *dm_pool_evaluate(dm_pool *p, const dm_work *w, const dm_dataset *set)
{
    const dm_example **all = dm_alloc_n(set->n, sizeof *all);
    for (size_t i = 0; i < set->n; i++)
        all[i] = &set->examples[i];
    dm_future *f = dm_pool_submit(p, w, all, set->n);
    free(all);
    return f;
}

static void make_results(dm_pool *p, dm_future *f)
{
    if (f->results)
        return;
    dm_usage usage;
    f->results = dm_arena_alloc_n(p->arena, f->n, sizeof *f->results);
    for (size_t i = 0; i < f->n; i++)
        f->results[i] = dm_cell_result(p, p->cells[f->cells[i]], p->arena, &usage);
}

dm_status dm_pool_wait(dm_pool *p, dm_future *f, const dm_result **results, dm_error *err)
{
    while (f->n_done < f->n && !p->failed && !p->stop && !dm_budget_cut(f->account)) {
        if (p->running)
            dm_strand_yield(p, f, NULL);
        else if (!dm_strands_run(p))
            dm_pool_pump(p, INFINITY);
    }
    if (f->n_done == f->n) {
        make_results(p, f);
        *results = f->results;
        return DM_OK;
    }
    *results = NULL;
    if (p->failed) {
        if (err)
            *err = p->error;
        return p->failed;
    }
    return p->stop ? (dm_status)p->stop : DM_STOP_BUDGET;
}

void dm_pool_cancel(dm_pool *p, dm_future *f)
{
    /* Under a cap it runs to its end: whether it was still in time would decide what is left. */
    f->cancelled = !dm_pool_capped(p);
}

static bool drained(const dm_pool *p)
{
    for (int w = 0; w < p->link->n_workers; w++)
        if (p->peers[w].ready && !p->peers[w].lost && !p->peers[w].drained)
            return false;
    return true;
}

void dm_pool_drain(dm_pool *p, double seconds)
{
    double until = p->link->ops->now(p->link) + seconds;
    for (int w = 0; w < p->link->n_workers; w++) {
        dm_buf msg;
        dm_writer out;
        if (!p->peers[w].ready || p->peers[w].lost)
            continue;
        dm_message_begin(&msg, &out, DM_MSG_DRAIN, 0);
        p->link->ops->send(p->link, w, &msg);
    }
    while (!drained(p) && !p->failed && !p->hurry && p->link->ops->now(p->link) < until)
        dm_pool_pump(p, 0.1);
}

void dm_pool_hurry(dm_pool *p)
{
    p->hurry = 1;
}

void dm_pool_stop(dm_pool *p, dm_status reason)
{
    if (!p->stop)
        p->stop = (sig_atomic_t)reason;
}

dm_arena *dm_pool_arena(dm_pool *p)
{
    return p->arena;
}

/* ---- scores ---- */

static double sum_present(const dm_result *r, size_t n, size_t *present)
{
    double sum = 0;
    *present = 0;
    for (size_t i = 0; i < n; i++)
        if (r[i].present) {
            sum += r[i].score;
            ++*present;
        }
    return sum;
}

double dm_mean_score(const dm_result *r, size_t n)
{
    size_t present;
    double sum = sum_present(r, n, &present);
    return present ? sum / (double)present : NAN;
}

double dm_percent_score(const dm_result *r, size_t n)
{
    size_t present;
    double sum = sum_present(r, n, &present);
    return present ? dm_py_round2(100 * sum / (double)present) : NAN;
}

/* ---- progress ---- */

void dm_pool_phase(dm_pool *p, const char *name, size_t units)
{
    p->phase = dm_arena_printf(p->arena, "%s", name);
    p->phase_total = units;
    p->phase_done = 0;
    p->mean_sum = 0;
    p->mean_n = 0;
}

dm_pool_stats dm_pool_stats_of(const dm_pool *p)
{
    dm_pool_stats s = {.phase = p->phase ? p->phase : "",
                       .done = p->phase_done,
                       .total = p->phase_total,
                       .mean = p->mean_n ? p->mean_sum / (double)p->mean_n : NAN,
                       .errors = p->n_errors,
                       .in_flight = p->n_sent,
                       .usage = p->usage,
                       .cost = NAN,
                       .left = dm_budget_left(p),
                       .ranks = (size_t)p->n_ready};
    for (int m = 0; m < DM_ROLES; m++)
        if (p->models[m].config)
            s.slots += (size_t)p->models[m].config->concurrency;
    const dm_lm_config *task = p->models[p->model_of[DM_TASK]].config;
    if (task && task->price.known)
        s.cost = p->cost;
    return s;
}

void dm_pool_on_tick(dm_pool *p, double seconds, void (*fn)(void *user, const dm_pool_stats *s),
                     void *user)
{
    p->tick = fn;
    p->tick_user = user;
    p->tick_every = seconds;
    p->last_tick = p->link->ops->now(p->link);
}
