/* What advise asks: the start program, until its interval leaves the thresholds, and three cheap
 * changes of it on the same examples. Which examples depends on the data and the seed alone. The
 * test set is not asked: whether a compilation is begun must not depend on what it is judged by. */
#include "base/clock.h"
#include "base/random.h"
#include "cmd/advise.h"
#include "optimizer/optimizer.h"

#include <math.h>
#include <string.h>

#define LEAST_PAIRS 8 /* examples of a probe */
#define CHECK_FIRST 20

typedef struct asking {
    dm_advising *v;
    dm_session *s;
    dm_example *rows;        /* [v->rows] validation set first */
    const dm_result **start; /* [v->rows] NULL: not known */
    size_t known;            /* rows whose results are looked at */
    size_t sent;             /* rows asked for; more, where the first ones went out together */
    size_t probed;           /* examples that the probes asked for */
} asking;

/* ---- examples ---- */

static bool is_demo(const dm_candidate *c, const dm_example *e)
{
    for (size_t i = 0; i < c->program->n; i++)
        for (size_t k = 0; k < c->parts[i].n_demos; k++)
            if (dm_value_equal(c->parts[i].demos[k], e->row))
                return true;
    return false;
}

/* Different rows of the validation set, then of the training set those that the program does not
 * show already, and that do not stand in the validation set as well. */
static void gather(asking *k)
{
    dm_advising *v = k->v;
    const dm_job *job = v->job;
    const dm_dataset *sets[] = {job->valset_is_trainset ? NULL : job->valset, job->trainset};
    const int of[] = {DM_VALIDATION, DM_TRAIN};
    size_t room = v->data.sets[DM_VALIDATION].distinct + v->data.sets[DM_TRAIN].distinct;
    v->available = room;
    room = room < (size_t)v->most ? room : (size_t)v->most;
    k->rows = dm_arena_alloc_n(v->arena, room, sizeof *k->rows);
    k->start = dm_arena_alloc_n(v->arena, room, sizeof *k->start);
    for (int s = 0; s < 2; s++)
        for (size_t i = 0; sets[s] && i < v->data.sets[of[s]].distinct && v->rows < room; i++) {
            const dm_example *e = &sets[s]->examples[v->data.sets[of[s]].rows[i]];
            bool again = s == 1 && is_demo(job->student, e);
            for (size_t j = 0; s == 1 && j < v->rows && !again; j++)
                again = dm_hash_eq(&k->rows[j].fingerprint, &e->fingerprint);
            if (!again)
                k->rows[v->rows++] = *e;
        }
}

/* One future an example: those that came before a stop are known all the same. */
static dm_status ask(asking *k, const dm_candidate *c, size_t from, size_t n, const dm_result **out,
                     dm_error *err)
{
    dm_pool *p = k->s->pool;
    dm_work w = dm_work_of(c);
    dm_future **f = dm_arena_alloc_n(k->v->arena, n, sizeof *f);
    for (size_t i = 0; i < n; i++) {
        const dm_example *e = &k->rows[from + i];
        f[i] = dm_pool_submit(p, &w, &e, 1);
    }
    for (size_t i = 0; i < n; i++) {
        dm_status st = dm_pool_wait(p, f[i], &out[i], err);
        if (st < 0)
            return st;
        if (st == DM_OK)
            continue;
        out[i] = NULL;
        if (!k->v->stopped)
            dm_session_drain(k->s, st);
        k->v->stopped = st;
    }
    return DM_OK;
}

/* ---- the start ---- */

static size_t scores_of(const dm_result *const *r, size_t n, double *scores)
{
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (r[i] && dm_counts_against(r[i], NULL))
            scores[m++] = r[i]->score;
    return m;
}

static double calls_made(const asking *k)
{
    return (double)dm_pool_stats_of(k->s->pool).usage.requests;
}

/* Calls of an example, as far as is known. */
static double calls_each(const asking *k)
{
    double least = (double)k->v->job->program->n, runs = (double)(k->sent + k->probed);
    return runs > 0 ? fmax(least, calls_made(k) / runs) : least;
}

static void count_start(asking *k)
{
    dm_advising *v = k->v;
    v->asked = v->failed = v->unread = v->truncated = v->metric_failed = 0;
    for (size_t i = 0; i < k->known; i++) {
        const dm_result *r = k->start[i];
        if (!r)
            continue;
        v->asked++;
        v->failed += r->fault != DM_FAULT_NONE;
        v->unread += r->fault == DM_FAULT_PARSE;
        v->metric_failed += r->fault == DM_FAULT_METRIC || r->fault == DM_FAULT_PROGRAM;
        v->truncated += r->truncated;
    }
}

static void measure_start(asking *k, double took)
{
    dm_advising *v = k->v;
    dm_usage u = dm_pool_stats_of(k->s->pool).usage;
    dm_use assumed = dm_estimate_use(v->job, &v->measured, 0);
    double each = assumed.prompt / (double)v->job->program->n, answers = (double)u.answers;
    if (u.answers == 0 || u.prompt == 0)
        return;
    v->measured.prompt[0] = (double)u.prompt / answers;
    v->measured.tokens_per_byte *= v->measured.prompt[0] / each;
    v->measured.completion = (double)u.completion / answers;
    v->measured.seconds = took * fmin((double)v->job->concurrency, answers) / answers;
}

static dm_status ask_start(asking *k, double most, dm_error *err)
{
    dm_advising *v = k->v;
    double began = dm_now(), *scores = dm_arena_alloc_n(v->arena, v->rows, sizeof *scores);
    size_t fit = (size_t)fmax(1, floor(most / (double)v->job->program->n));
    v->planned = v->rows < fit ? v->rows : fit;
    dm_pool_phase(k->s->pool, "start", v->planned);
    for (size_t look = 1; look <= DM_LOOKS && !v->stopped; look++) {
        size_t n = dm_look_at(v->planned, look);
        if (n == k->known)
            continue;
        if (n > k->sent && k->known && calls_made(k) + calls_each(k) * (double)(n - k->sent) > most)
            return DM_OK; /* its answers need more calls than planned */
        k->sent = n > k->sent ? n : k->sent;
        dm_status st = ask(k, v->job->student, k->known, n - k->known, k->start + k->known, err);
        if (st != DM_OK)
            return st;
        if (k->known == 0)
            measure_start(k, dm_now() - began);
        k->known = n;
        v->looks++;
        v->start = dm_mean_of(scores, scores_of(k->start, n, scores), dm_look_width(n, v->planned));
        count_start(k);
        if (dm_side_of(&v->start) != DM_SIDE_OPEN)
            return DM_OK;
    }
    return DM_OK;
}

/* ---- headroom ---- */

/* Rows of the training set that are none of the first n that are asked, in random order. */
static size_t draw_demos(const asking *k, size_t n, const dm_value **out, size_t most)
{
    const dm_advising *v = k->v;
    const dm_job *job = v->job;
    const struct dm_set_facts *f = &v->data.sets[DM_TRAIN];
    size_t *order = dm_arena_alloc_n(v->arena, f->distinct, sizeof *order), drawn = 0;
    dm_pyrandom rng;
    for (size_t i = 0; i < f->distinct; i++)
        order[i] = f->rows[i];
    dm_pyrandom_seed(&rng, job->seed);
    dm_pyrandom_shuffle(&rng, order, f->distinct);
    for (size_t i = 0; i < f->distinct && drawn < most; i++) {
        const dm_value *row = job->trainset->examples[order[i]].row;
        const dm_value *in =
            dm_example_inputs(v->arena, row, job->program->inputs, job->program->n_inputs);
        bool asked = false;
        for (size_t j = 0; j < n && !asked; j++)
            asked =
                dm_value_equal(in, dm_example_inputs(v->arena, k->rows[j].row, job->program->inputs,
                                                     job->program->n_inputs));
        if (!asked)
            out[drawn++] = row;
    }
    return drawn;
}

static const dm_candidate *with_demos(dm_arena *a, const dm_candidate *start,
                                      const dm_value *const *demos, size_t n)
{
    dm_candidate *c = dm_candidate_copy(a, start);
    for (size_t i = 0; i < c->program->n; i++) {
        const dm_value **own = dm_arena_alloc_n(a, n, sizeof *own);
        memcpy(own, demos, n * sizeof *own);
        dm_part_set_demos(&c->parts[i], own, n);
    }
    return dm_candidate_seal(c);
}

/* The instruction of the last step, and how its answers look. */
static const dm_candidate *with_format(const dm_advising *v)
{
    dm_candidate *c = dm_candidate_copy(v->arena, v->job->student);
    const dm_predictor *last = &c->program->predictors[c->program->n - 1];
    const dm_signature *s = last->signature;
    dm_candidate_part *part = &c->parts[c->program->n - 1];
    dm_str field = s->fields[s->n_inputs + s->n_outputs - 1].name;
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_printf(&b,
                  "%.*s\n\nGive `%.*s` alone, exactly in the form that is asked for: no sentence "
                  "around it, no explanation, no full stop.",
                  DM_STR_ARG(part->instructions), DM_STR_ARG(field));
    if (v->data.n_classes >= 2 && v->data.n_classes <= 20) {
        dm_buf_text(&b, " It is one of:");
        for (size_t i = 0; i < v->data.n_classes; i++)
            dm_buf_printf(&b, "%s %s", i ? "," : "", v->data.classes[i].name);
    }
    part->instructions = (dm_str){dm_arena_string(v->arena, b.data, b.len), b.len};
    dm_buf_free(&b);
    return dm_candidate_seal(c);
}

static void compare(asking *k, dm_probe *probe, const dm_result *const *r, size_t n)
{
    double *a = dm_arena_alloc_n(k->v->arena, n, sizeof *a),
           *b = dm_arena_alloc_n(k->v->arena, n, sizeof *b), sums[2] = {0, 0};
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (r[i] && k->start[i] && dm_counts_against(r[i], k->start[i]) &&
            dm_counts_against(k->start[i], r[i])) {
            sums[0] += a[m] = k->start[i]->score;
            sums[1] += b[m++] = r[i]->score;
        }
    probe->gain = dm_gain_of(a, b, m, DM_PROBES);
    probe->start = m ? sums[0] / (double)m : NAN;
    probe->score = m ? sums[1] / (double)m : NAN;
}

static dm_status probe(asking *k, dm_probe *out, const char *name, const dm_candidate *c, size_t n,
                       dm_error *err)
{
    const dm_result **r = dm_arena_alloc_n(k->v->arena, n, sizeof *r);
    dm_usage before = dm_pool_stats_of(k->s->pool).usage;
    if (dm_hash_eq(&c->sent, &k->v->job->student->sent)) /* it would be shown nothing new */
        return DM_OK;
    k->probed += n;
    dm_status st = ask(k, c, 0, n, r, err);
    if (st != DM_OK)
        return st;
    dm_usage u = dm_pool_stats_of(k->s->pool).usage;
    double answers = (double)(u.answers - before.answers);
    out->name = name;
    out->prompt = answers > 0 ? (double)(u.prompt - before.prompt) / answers : NAN;
    compare(k, out, r, n);
    return DM_OK;
}

/* What may be asked by probe i, when so much is left to the rest of them: a run is only let out
 * where its fallback, too, would fit. Counted in examples, so that a run whose answers are known
 * already asks the same. */
static size_t size_of_probe(const asking *k, size_t i, double left)
{
    const dm_advising *v = k->v;
    double each = calls_each(k), steps = (double)v->job->program->n;
    bool falls_back = dm_adapter_fallback(v->job->setup.adapter) != v->job->setup.adapter;
    double all = v->most - each * (double)(k->sent + k->probed) - (falls_back ? steps : 0);
    double n = floor(fmin(left / (double)(DM_PROBES - i), all) / each + 1e-9);
    n = fmin(n, fmin(DM_PROBE_EXAMPLES, (double)k->known));
    return n < LEAST_PAIRS ? 0 : (size_t)n;
}

/* most: calls of all probes together. */
static dm_status ask_probes(asking *k, double most, dm_error *err)
{
    static const char *const names[] = {"4 demonstrations", "8 demonstrations",
                                        "format instruction"};
    dm_advising *v = k->v;
    const dm_value *demos[8];
    size_t first = k->known < DM_PROBE_EXAMPLES ? k->known : DM_PROBE_EXAMPLES,
           few = draw_demos(k, first, demos, 8);
    dm_status st = DM_OK;
    dm_pool_phase(k->s->pool, "headroom", DM_PROBES * first);
    for (size_t i = 0; i < DM_PROBES && st == DM_OK && !v->stopped; i++) {
        size_t d = i < 2 ? 4 * (i + 1) : 0;
        size_t n = size_of_probe(k, i, most - calls_each(k) * (double)k->probed);
        v->probes[i].demos = d;
        if (n && few >= d)
            st =
                probe(k, &v->probes[i], names[i],
                      d ? with_demos(v->arena, v->job->student, demos, d) : with_format(v), n, err);
    }
    if (v->measured.prompt[0] > 0 && v->probes[1].name && v->probes[1].prompt > 0) {
        v->measured.n = k->known;
        v->measured.prompt[1] = v->probes[1].prompt;
        v->measured.demos = 8;
    }
    return st;
}

dm_status dm_advise_ask(dm_advising *v, dm_session *s, dm_error *err)
{
    asking k = {.v = v, .s = s};
    double rest = fmin(DM_PROBES * DM_PROBE_EXAMPLES, floor(3 * v->most / 8)), began = dm_now();
    v->measured = dm_calibration_assumed();
    gather(&k);
    dm_dataset first = {.path = v->job->file, .examples = k.rows, .n = v->rows};
    first.n = first.n < CHECK_FIRST ? first.n : CHECK_FIRST;
    if ((double)(first.n * v->job->program->n) > v->most - rest)
        first.n = (size_t)fmax(1, floor((v->most - rest) / (double)v->job->program->n));
    k.sent = first.n;
    dm_status st = v->rows ? dm_try_program(s->pool, v->job->student, &first, err) : DM_OK;
    if (st == DM_OK && v->rows)
        st = ask_start(&k, v->most - rest, err);
    bool enough = v->n_train >= DM_FEW_TRAIN;
    if (st == DM_OK && !v->stopped && enough && dm_side_of(&v->start) != DM_SIDE_ABOVE)
        st = ask_probes(&k, rest, err);
    v->stats = dm_pool_stats_of(s->pool);
    v->seconds = dm_now() - began;
    return st;
}
