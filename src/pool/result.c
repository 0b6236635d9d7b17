#include "pool/result.h"
#include "json/json.h"

#include <math.h>

void dm_write_how(dm_writer *w, const dm_work *work)
{
    dm_write_array(w, work->steps ? 6 : 5); /* the keys of other cells stay what they were */
    dm_write_bool(w, work->scored);
    dm_write_bool(w, work->trace);
    dm_write_bool(w, work->drop_own_demo);
    dm_write_int(w, work->rollout);
    dm_write_double(w, isnan(work->temperature) ? -1 : work->temperature);
    if (work->steps)
        dm_write_bool(w, true);
}

void dm_read_how(dm_reader *r, dm_work *out)
{
    dm_reader in = dm_read_array(r);
    out->scored = dm_read_bool(&in);
    out->trace = dm_read_bool(&in);
    out->drop_own_demo = dm_read_bool(&in);
    out->rollout = dm_read_int(&in);
    double temperature = dm_read_double(&in);
    out->temperature = temperature < 0 ? NAN : temperature;
    out->steps = in.at < in.n && dm_read_bool(&in);
}

/* Those from untold on are 0 for most calls, and need not be there. */
void dm_write_usage(dm_writer *w, const dm_usage *u)
{
    bool all = u->untold || u->odd || u->written || u->reasoning || u->flex;
    dm_write_array(w, u->flex ? 11 : all ? 10 : 6);
    dm_write_int(w, u->requests);
    dm_write_int(w, u->answers);
    dm_write_int(w, u->prompt);
    dm_write_int(w, u->completion);
    dm_write_int(w, u->cached);
    dm_write_int(w, u->retries);
    if (!all)
        return;
    dm_write_int(w, u->untold);
    dm_write_int(w, u->odd);
    dm_write_int(w, u->written);
    dm_write_int(w, u->reasoning);
    if (u->flex)
        dm_write_int(w, u->flex);
}

dm_usage dm_read_usage(dm_reader *r)
{
    dm_reader in = dm_read_array(r);
    dm_usage u = {0};
    u.requests = dm_read_int(&in);
    u.answers = dm_read_int(&in);
    u.prompt = dm_read_int(&in);
    u.completion = dm_read_int(&in);
    u.cached = dm_read_int(&in);
    u.retries = dm_read_int(&in);
    if (in.at < in.n)
        u.untold = dm_read_int(&in);
    if (in.at < in.n)
        u.odd = dm_read_int(&in);
    if (in.at < in.n)
        u.written = dm_read_int(&in);
    if (in.at < in.n)
        u.reasoning = dm_read_int(&in);
    if (in.at < in.n)
        u.flex = dm_read_int(&in);
    return u;
}

static void write_answer_fields(dm_writer *w, const dm_answer *a)
{
    dm_write_int(w, a->fault);
    dm_write_bool(w, a->final);
    dm_write_str(w, a->content);
    dm_write_bool(w, a->truncated);
    dm_write_usage(w, &a->usage);
}

void dm_write_answer(dm_writer *w, const dm_answer *a)
{
    dm_write_array(w, 5);
    write_answer_fields(w, a);
}

void dm_write_answer_record(dm_writer *w, const dm_answer *a, uint64_t by)
{
    dm_write_array(w, 6);
    write_answer_fields(w, a);
    dm_write_int(w, (int64_t)by);
}

static dm_answer read_answer_fields(dm_reader *in)
{
    dm_answer a = {0};
    a.fault = (dm_fault)dm_read_size(in, DM_FAULTS - 1);
    a.final = dm_read_bool(in);
    a.content = dm_read_str(in);
    a.truncated = dm_read_bool(in);
    a.usage = dm_read_usage(in);
    return a;
}

dm_answer dm_read_answer(dm_reader *r)
{
    dm_reader in = dm_read_array(r);
    return read_answer_fields(&in);
}

bool dm_open_answer(dm_record *rec, dm_str bytes, dm_answer *out, uint64_t *by)
{
    dm_reader in;
    if (!dm_record_open(rec, bytes, NULL, &in))
        return false;
    *out = read_answer_fields(&in);
    uint64_t cell = in.at < in.n ? (uint64_t)dm_read_int(&in) : 0;
    if (by)
        *by = cell; /* journals of before do not say */
    return !rec->bad;
}

static void write_value(dm_writer *w, const dm_value *v)
{
    dm_buf b;
    if (!v) {
        dm_write_str(w, (dm_str){NULL, 0});
        return;
    }
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_json_write(&b, v, DM_JSON_PYTHON);
    dm_write_str(w, dm_buf_view(&b));
    dm_buf_free(&b);
}

void dm_write_result(dm_writer *w, const dm_run_result *r)
{
    dm_write_array(w, r->parts.p ? 13 : r->starved ? 12 : r->feedback ? 11 : 10);
    dm_write_int(w, r->fault);
    dm_write_double(w, r->score);
    write_value(w, r->outputs);
    dm_write_array(w, r->before ? 1 : r->n_steps);
    if (r->before) { /* one item, where a step has three and more */
        dm_write_array(w, 1);
        write_value(w, r->before);
    }
    for (size_t i = 0; i < r->n_steps; i++) {
        const dm_step *s = &r->steps[i];
        dm_write_array(w, s->live.p ? 5 : s->outputs ? 3 : 4);
        dm_write_int(w, (int64_t)s->predictor);
        write_value(w, s->inputs);
        write_value(w, s->outputs);
        if (!s->outputs || s->live.p)
            dm_write_str(w, s->unread);
        if (s->live.p)
            dm_write_str(w, s->live);
    }
    dm_write_usage(w, &r->usage);
    dm_write_bool(w, r->fallback);
    dm_write_bool(w, r->truncated);
    dm_write_str(w, r->error ? dm_str_of(r->error) : (dm_str){NULL, 0});
    dm_write_array(w, r->n_keys);
    for (size_t i = 0; i < r->n_keys; i++)
        dm_write_hash(w, &r->keys[i]);
    dm_write_int(w, r->formats);
    if (r->parts.p) { /* a run that has some is not starved */
        dm_write_str(w, r->feedback ? dm_str_of(r->feedback) : (dm_str){NULL, 0});
        dm_write_str(w, r->parts);
        dm_write_int(w, (int64_t)r->n_judged);
    } else if (r->starved) {
        dm_write_int(w, r->cut);
        dm_write_int(w, r->reasoning);
    } else if (r->feedback) {
        dm_write_str(w, dm_str_of(r->feedback));
    }
}

static const dm_value *read_value(dm_arena *a, dm_str text, bool *bad)
{
    const dm_value *v = text.p ? dm_json_read(a, text, NULL) : NULL;
    if (!v || v->kind != DM_DICT)
        *bad = true;
    return v;
}

static dm_str text_in(dm_arena *a, dm_str s)
{
    return (dm_str){dm_arena_string(a, s.p ? s.p : "", s.n), s.n};
}

static void read_steps(dm_reader *in, dm_arena *a, dm_result *out)
{
    dm_reader list = dm_read_array(in), first = list;
    if (list.n == 1 && (first = dm_read_array(&list), first.n) == 1) {
        out->before = dm_read_str(&first);
        return;
    }
    if (!a || list.n == 0)
        return;
    list.at = 0;
    dm_step *steps = dm_arena_alloc_n(a, list.n, sizeof *steps);
    for (size_t i = 0; i < list.n; i++) {
        dm_reader s = dm_read_array(&list);
        steps[i].predictor = dm_read_size(&s, 4096);
        steps[i].inputs = read_value(a, dm_read_str(&s), in->bad);
        dm_str outputs = dm_read_str(&s);
        if (s.n == 4)
            steps[i].unread = text_in(a, dm_read_str(&s));
        else
            steps[i].outputs = read_value(a, outputs, in->bad);
        if (s.n == 5) {
            (void)dm_read_str(&s); /* nothing: it could be read */
            steps[i].live = text_in(a, dm_read_str(&s));
        }
    }
    out->steps = steps;
    out->n_steps = (uint32_t)list.n;
}

static void read_keys(dm_reader *in, dm_arena *a, dm_paid *out)
{
    dm_reader list = dm_read_array(in);
    if (!a || list.n == 0)
        return;
    out->keys = dm_arena_alloc_n(a, list.n, sizeof *out->keys);
    for (out->n_keys = 0; out->n_keys < list.n; out->n_keys++)
        out->keys[out->n_keys] = dm_read_hash(&list);
}

/* src/README.md §5: a fault of the program, the metric, or of this request alone is failure_score;
 * one of the way, the endpoint or the judge leaves the example out; of a refusal a comparison
 * decides. */
static void judge(dm_result *r, double failure_score)
{
    if (r->fault == DM_FAULT_NONE) {
        r->present = true;
        return;
    }
    r->refused = dm_is_refusal(r->fault);
    r->present = !r->refused && r->fault != DM_FAULT_TRANSPORT && r->fault != DM_FAULT_ENDPOINT &&
                 r->fault != DM_FAULT_JUDGE;
    r->score = r->present || r->refused ? failure_score : NAN;
}

bool dm_read_result(dm_str bytes, double failure_score, dm_arena *a, dm_result *out, dm_paid *paid)
{
    dm_record rec;
    dm_reader in;
    bool ok = dm_record_open(&rec, bytes, NULL, &in);
    if (ok) {
        *out = (dm_result){0};
        out->fault = (dm_fault)dm_read_size(&in, DM_FAULTS - 1);
        out->score = dm_read_double(&in);
        out->outputs = dm_read_str(&in);
        read_steps(&in, a, out);
        *paid = (dm_paid){.usage = dm_read_usage(&in)};
        out->fallback = dm_read_bool(&in);
        out->truncated = dm_read_bool(&in);
        dm_str error = dm_read_str(&in);
        out->error = error.p && a ? dm_arena_string(a, error.p, error.n) : NULL;
        if (in.at < in.n) /* journals of before have none */
            read_keys(&in, a, paid);
        if (in.at < in.n)
            out->formats = dm_read_size(&in, DM_FORMATS - 1) & (DM_FORMATS - 1);
        size_t left = in.at < in.n ? in.n - in.at : 0;
        out->starved = left == 2;
        if (left == 3) {
            dm_str feedback = dm_read_str(&in);
            out->feedback = a && feedback.p ? text_in(a, feedback).p : NULL;
            out->parts = dm_read_str(&in);
            paid->n_judged = dm_read_size(&in, paid->n_keys ? paid->n_keys : SIZE_MAX / 2);
        } else if (out->starved) {
            out->cut = dm_read_int(&in);
            out->reasoning = dm_read_int(&in);
        } else if (in.at < in.n) {
            dm_str feedback = dm_read_str(&in);
            out->feedback = a ? text_in(a, feedback).p : NULL;
        }
        judge(out, failure_score);
        ok = !rec.bad;
    }
    dm_record_free(&rec);
    return ok;
}
