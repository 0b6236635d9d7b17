/* The interface of pool.h over cells, scheduler and strands. */
#include "pool/inside.h"
#include "base/clock.h"
#include "base/log.h"
#include "json/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

dm_work dm_work_of(const dm_candidate *c)
{
    return (dm_work){
        .candidate = c, .role = DM_TASK, .scored = true, .rollout = -1, .temperature = NAN};
}

/* ---- making and ending ---- */

static dm_status read_models(dm_pool *p, dm_error *err)
{
    const dm_lm_config *config[DM_ROLES];
    dm_status st = dm_setup_models(p->arena, p->setup, config, err);
    for (int i = 0; i < DM_ROLES && st == DM_OK; i++) {
        p->model_of[i] = dm_setup_model_of(p->setup, i);
        if (!config[i] || p->model_of[i] != i)
            continue;
        p->models[i].config = config[i];
        p->models[i].identity = dm_lm_identity(p->arena, config[i]);
        p->models[i].answered_at = -1;
    }
    return st;
}

static void send_setup(dm_pool *p)
{
    dm_buf text;
    dm_buf_init(&text, DM_MAX_MESSAGE);
    if (!p->link->one_process)
        dm_setup_write(&text, p->setup);
    for (int w = 0; w < p->link->n_workers; w++) {
        dm_buf msg;
        dm_wire_put_setup(&msg, (size_t)w, dm_buf_view(&text));
        if (msg.full || text.full) {
            dm_pool_fail(p, DM_E_LIMIT, "the job is over %zu bytes", DM_MAX_MESSAGE);
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
    p->began = link->ops->now(link);
    p->peers = dm_arena_alloc_n(p->arena, (size_t)link->n_workers, sizeof *p->peers);
    for (int w = 0; w < link->n_workers; w++) {
        dm_wire_list_init(&p->peers[w].states);
        dm_wire_list_init(&p->peers[w].tasks);
        dm_wire_list_init(&p->peers[w].found);
    }
    dm_tables_init(p);
    p->rows = dm_setup_rows(setup);
    for (size_t i = 0; i < p->rows.n; i++) {
        uint32_t known;
        if (!dm_table_get(&p->row_table, &dm_row(&p->rows, i)->fingerprint, &known))
            dm_table_put(&p->row_table, (uint32_t)i);
    }
    dm_strands_init(p);
    if (read_models(p, &local) != DM_OK || dm_legs_begin(p, &local) != DM_OK) {
        if (err)
            *err = local;
        dm_pool_free(p);
        return NULL;
    }
    dm_budget_begin(p);
    dm_resume_begin(p);
    send_setup(p);
    return p;
}

static void say_bye(dm_pool *p)
{
    for (int w = 0; w < p->link->n_workers; w++) {
        dm_buf msg;
        if (p->peers[w].lost)
            continue;
        dm_wire_put_empty(&msg, DM_MSG_BYE);
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
        dm_wire_list_free(&p->peers[w].states);
        dm_wire_list_free(&p->peers[w].tasks);
        dm_wire_list_free(&p->peers[w].found);
    }
    p->link->ops->close(p->link);
    for (int m = 0; m < DM_ROLES; m++) {
        dm_queue_free(&p->models[m].first);
        dm_queue_free(&p->models[m].queue);
        dm_queue_free(&p->models[m].delayed);
        dm_queue_free(&p->models[m].released);
        dm_queue_free(&p->models[m].holding);
    }
    dm_resume_free(p);
    dm_known_free(p);
    dm_prefixes_free(p);
    free(p->trials.rows);
    free(p->trials.spent);
    dm_index_free(&p->trials.index);
    for (size_t i = 0; i < p->n_cells; i++)
        dm_legs_free(p->cells[i]);
    free(p->cells);
    free(p->states);
    dm_table_free(&p->row_table);
    dm_table_free(&p->cell_table);
    dm_table_free(&p->state_table);
    dm_table_free(&p->key_table);
    dm_arena_free(p->arena);
    free(p);
}

/* ---- futures ---- */

static dm_account *account(const dm_pool *p)
{
    return p->running ? p->running->account : dm_ledger_root(p->budget.ledger);
}

/* Whom the caller asks in the role's place. */
static dm_role asked(const dm_pool *p, dm_role role)
{
    return p->running && p->running->roles ? p->running->roles[role] : role;
}

dm_future *dm_pool_submit(dm_pool *p, const dm_work *w, const dm_example *const *examples, size_t n)
{
    dm_future *f = dm_arena_alloc(p->arena, sizeof *f);
    dm_work own = *w;
    own.role = asked(p, w->role);
    f->n = n;
    f->cells = dm_arena_alloc_n(p->arena, n, sizeof *f->cells);
    f->state = dm_pool_state(p, &own);
    f->account = account(p);
    f->progress = p->running ? p->running->progress : &p->progress;
    f->phase = f->progress->number;
    f->phase_name = f->progress->phase;
    f->chain = dm_is_chain(w);
    for (size_t i = 0; i < n; i++) {
        bool made;
        f->cells[i] = dm_pool_cell(p, f->state, examples[i], &made);
        if (made && p->setup->replay)
            dm_schedule_replay(p, f->cells[i]);
        dm_schedule_want(p, f, f->cells[i]);
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
    f->results = dm_arena_alloc_n(p->arena, f->n, sizeof *f->results);
    for (size_t i = 0; i < f->n; i++)
        f->results[i] = dm_cell_result(p, p->cells[f->cells[i]], p->arena);
}

static bool is_done(const dm_pool *p, const void *what)
{
    const dm_future *f = what;
    (void)p;
    return f->n_done == f->n || dm_account_cut(f->account);
}

/* Why a wait has ended that did not get what it waited for. */
static dm_status why_not(const dm_pool *p, dm_error *err)
{
    if (p->failed) {
        if (err)
            *err = p->error;
        return p->failed;
    }
    return p->stop ? (dm_status)p->stop : DM_STOP_BUDGET;
}

dm_status dm_pool_wait(dm_pool *p, dm_future *f, const dm_result **results, dm_error *err)
{
    dm_wait_until(p, is_done, f, false);
    *results = NULL;
    if (f->n_done < f->n)
        return why_not(p, err);
    make_results(p, f);
    *results = f->results;
    return DM_OK;
}

static bool has_one(const dm_pool *p, const dm_future *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (p->cells[f->cells[i]]->phase == DM_CELL_DONE && p->cells[f->cells[i]]->good)
            return true;
    return false;
}

static bool is_done_or_has_one(const dm_pool *p, const void *what)
{
    const dm_future *f = what;
    return is_done(p, f) || (!dm_ledger_capped(p->budget.ledger) && has_one(p, f));
}

dm_status dm_pool_wait_for_one(dm_pool *p, dm_future *f, bool *one, dm_error *err)
{
    dm_wait_until(p, is_done_or_has_one, f, false);
    *one = has_one(p, f);
    return *one || f->n_done == f->n ? DM_OK : why_not(p, err);
}

const dm_lm_config *dm_pool_model(const dm_pool *p, dm_role role)
{
    return p->models[p->model_of[asked(p, role)]].config;
}

void dm_pool_cancel(dm_pool *p, dm_future *f)
{
    /* Under a cap it runs to its end: whether it was still in time would decide what is left. */
    f->cancelled = !dm_ledger_capped(p->budget.ledger);
}

void dm_pool_split(dm_pool *p, size_t n, double part)
{
    dm_account_split(account(p), n, part);
}

dm_amount dm_pool_charged(const dm_pool *p, const dm_strand *s)
{
    return dm_account_charged(s ? s->own : dm_ledger_root(p->budget.ledger));
}

bool dm_pool_share_is_used(const dm_pool *p)
{
    return !p->stop;
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
        if (!p->peers[w].ready || p->peers[w].lost)
            continue;
        dm_wire_put_empty(&msg, DM_MSG_DRAIN);
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

double dm_pool_failure_score(const dm_pool *p)
{
    return p->setup->failure_score;
}

dm_arena *dm_pool_arena(dm_pool *p)
{
    return p->arena;
}

/* ---- scores ---- */

bool dm_counts_against(const dm_result *r, const dm_result *other)
{
    return r->present || (r->refused && other && other->present);
}

static double sum_against(const dm_result *r, const dm_result *other, size_t n, size_t *counted)
{
    double sum = 0;
    *counted = 0;
    for (size_t i = 0; i < n; i++)
        if (dm_counts_against(&r[i], other ? &other[i] : NULL)) {
            sum += r[i].score;
            ++*counted;
        }
    return sum;
}

double dm_mean_against(const dm_result *r, const dm_result *other, size_t n)
{
    size_t counted;
    double sum = sum_against(r, other, n, &counted);
    return counted ? sum / (double)counted : NAN;
}

double dm_mean_score(const dm_result *r, size_t n)
{
    return dm_mean_against(r, NULL, n);
}
