/* The tables through which an engine and a worker reach the world: a clock, a transport and a
 * metric that are no more than this file, without a socket, a process or a second that passes. */
#include "world.h"

#include "base/random.h"
#include "lm/inside.h"
#include "pool/worker.h"

#include <criterion/criterion.h>

#define SEED 7
#define MOST 32

/* ---- a clock and a transport ---- */

typedef struct way {
    dm_transport transport; /* first */
    double now, waited;     /* waited: what the engine asked for last */
    dm_attempt *out[MOST];  /* [n] under way */
    size_t n, sent, dropped, forgotten, closed;
    int64_t before; /* of the newest attempt */
} way;

static double time_of(void *user)
{
    return ((const way *)user)->now;
}

static void send_attempt(dm_transport *t, dm_attempt *a)
{
    way *w = (way *)t;
    dm_buf_reset(&a->reply);
    a->sends = 0;
    a->code = CURLE_OK;
    a->status = 0;
    a->retry_after = 0;
    a->handle = w;
    w->before = a->before;
    w->out[w->n++] = a;
    w->sent++;
}

static void take_out(way *w, const dm_attempt *a)
{
    size_t i = 0;
    while (w->out[i] != a)
        i++;
    for (w->n--; i < w->n; i++)
        w->out[i] = w->out[i + 1];
}

static void drop(dm_transport *t, dm_attempt *a)
{
    take_out((way *)t, a);
    ((way *)t)->dropped++;
}

static void forget(dm_transport *t, dm_attempt *a)
{
    ((way *)t)->forgotten += a->handle != NULL;
    a->handle = NULL;
}

static bool turn(dm_transport *t)
{
    (void)t;
    return false;
}

static void note_wait(dm_transport *t, dm_wait_fd *fds, size_t n, double timeout)
{
    (void)fds;
    (void)n;
    ((way *)t)->waited = timeout;
}

static void close_way(dm_transport *t)
{
    ((way *)t)->closed++;
}

static const dm_transport_ops way_ops = {send_attempt, drop, forget, turn, note_wait, close_way};

/* The oldest attempt ends so; sends: requests of it, as far as it may. Returns those. */
static int end(way *w, int sends, CURLcode code, long status, double retry_after, const char *body)
{
    dm_attempt *a = w->out[0];
    while (a->sends < sends && a->may_send(a))
        a->sends++;
    a->code = code;
    a->status = status;
    a->retry_after = retry_after;
    dm_buf_text(&a->reply, body);
    take_out(w, a);
    int n = a->sends;
    a->ended(a);
    return n;
}

#define GOOD                                                                                       \
    "{\"choices\": [{\"message\": {\"content\": \"[[ ## answer ## ]]\\nyes\"}}], \"usage\": "      \
    "{\"prompt_tokens\": 10, \"completion_tokens\": 2}}"

/* ---- an engine on it ---- */

typedef struct bench {
    way way;
    dm_arena *arena;
    dm_lm *lm;
    dm_prefix prefix;
    dm_lm_request request;
    size_t done;
    dm_fault fault;
    dm_usage usage;
    char text[2048];
} bench;

static void done(void *user, const dm_lm_answer *a)
{
    bench *b = user;
    b->done++;
    b->fault = a->fault;
    b->usage = a->usage;
    snprintf(b->text, sizeof b->text, "%s", a->text ? a->text : "");
}

static void open_bench(bench *b, const char *model)
{
    dm_error err = {DM_OK, ""};
    *b = (bench){.way = {.transport = {&way_ops}, .now = 1000}, .arena = dm_arena_new(0)};
    dm_at at = dm_at_root(dm_json_read(b->arena, dm_str_of(model), &err), "test", DM_E_JOB);
    dm_lm_options o = {.slots = 8, .seed = SEED, .clock = {time_of, &b->way}};
    o.transport = &b->way.transport;
    o.role[DM_TASK] = dm_lm_config_read(b->arena, &at, &err);
    cr_assert_not_null(o.role[DM_TASK], "%s", err.text);
    b->lm = dm_lm_new(&o, &err);
    cr_assert_not_null(b->lm, "%s", err.text);
    b->request = (dm_lm_request){.prefix = &b->prefix,
                                 .user = DM_STR("question"),
                                 .temperature = NAN,
                                 .rollout = -1};
}

static void close_bench(bench *b)
{
    dm_lm_free(b->lm);
    cr_expect_eq(b->way.closed, 1);
    dm_arena_free(b->arena);
}

#define MODEL "{\"model\": \"hosted_vllm/any\", \"api_base\": \"http://nowhere.invalid/v1\"}"

/* An attempt fails, the engine waits by the clock that it was given, to the instant, and tries
 * again; what curl sent twice counts twice. */
Test(tables, attempts_follow_the_given_clock)
{
    bench b;
    double pause[3];
    open_bench(&b, MODEL);
    for (uint64_t i = 0; i < 3; i++)
        pause[i] = dm_backoff((int64_t)i + 1, i == 1 ? 9 : 0, dm_draw_double(SEED, 0x6a69, i));
    dm_lm_submit(b.lm, &b.request, done, &b);
    dm_lm_poll(b.lm, NULL, 0, 3600);
    cr_assert_eq(b.way.n, 1);
    cr_expect_eq(b.way.waited, 3600, "nothing but the answer is waited for: %g", b.way.waited);
    static const struct {
        CURLcode code;
        long status;
        double after;
        int sends, requests; /* requests: of the call, before the next attempt */
    } row[] = {{CURLE_GOT_NOTHING, 0, 0, 1, 1},
               {CURLE_OK, 503, 9, 1, 2},
               {CURLE_RECV_ERROR, 0, 0, 2, 4}};
    for (size_t i = 0; i < 3; i++) {
        cr_expect_eq(end(&b.way, row[i].sends, row[i].code, row[i].status, row[i].after, "{}"),
                     row[i].sends);
        dm_lm_poll(b.lm, NULL, 0, 3600);
        cr_expect_eq(b.way.n, 0, "attempt %zu: no pause", i);
        cr_expect_float_eq(b.way.waited, pause[i], 1e-9, "attempt %zu: %g s, not %g", i,
                           b.way.waited, pause[i]);
        b.way.now += pause[i] - 1e-6;
        dm_lm_poll(b.lm, NULL, 0, 3600);
        cr_expect_eq(b.way.n, 0, "attempt %zu: too early", i);
        b.way.now += 2e-6;
        dm_lm_poll(b.lm, NULL, 0, 3600);
        cr_assert_eq(b.way.n, 1, "attempt %zu: not sent again", i);
        cr_expect_eq(b.way.before, row[i].requests);
    }
    end(&b.way, 1, CURLE_OK, 200, 0, GOOD);
    cr_expect(b.done == 1 && b.fault == DM_FAULT_NONE);
    cr_expect_eq(b.usage.requests, 5);
    cr_expect_eq(b.usage.untold, 3, "a 503 costs nothing, the answer was told: %d",
                 (int)b.usage.untold);
    cr_expect_eq(b.usage.retries, 3);
    close_bench(&b);
    cr_expect_eq(b.way.forgotten, 1, "what the transport kept for the call is freed once");
}

/* No request goes out beyond what was set aside, whoever would send it. */
Test(tables, the_transport_asks_before_each_request)
{
    for (int64_t most = 1; most <= 5; most++) {
        bench b;
        int64_t sent = 0;
        open_bench(&b, MODEL);
        b.request.most_sends = most;
        dm_lm_submit(b.lm, &b.request, done, &b);
        while (b.done == 0) {
            dm_lm_poll(b.lm, NULL, 0, 3600);
            if (b.way.n)
                sent += end(&b.way, 7, CURLE_GOT_NOTHING, 0, 0, "");
            b.way.now += 10;
        }
        cr_expect_eq(sent, most, "%d requests of %d", (int)sent, (int)most);
        cr_expect_eq(b.usage.requests, most);
        cr_expect_eq(b.fault, DM_FAULT_TRANSPORT);
        close_bench(&b);
    }
}

/* What is cancelled or under way at the end is dropped, and never told. */
Test(tables, what_is_under_way_is_dropped)
{
    bench b;
    open_bench(&b, MODEL);
    uint64_t first = dm_lm_submit(b.lm, &b.request, done, &b);
    dm_lm_submit(b.lm, &b.request, done, &b);
    dm_lm_poll(b.lm, NULL, 0, 0);
    cr_assert_eq(b.way.n, 2);
    dm_lm_cancel(b.lm, first);
    cr_expect_eq(b.way.dropped, 1);
    close_bench(&b);
    cr_expect(b.way.dropped == 2 && b.way.n == 0 && b.way.forgotten == 2 && b.done == 0);
}

/* A server's probe takes the same road, and nothing else goes to it before. */
Test(tables, probes_go_through_the_transport)
{
    bench b;
    dm_error err = {DM_OK, ""};
    open_bench(&b, "{\"model\": \"hosted_vllm/any\", \"api_base\": [\"http://a.invalid/v1\", "
                   "\"http://b.invalid/v1\"]}");
    dm_lm_options o = {.slots = 8, .seed = SEED, .probe = true, .clock = {time_of, &b.way}};
    o.role[DM_TASK] = b.lm->models[0].config;
    dm_lm_free(b.lm);
    o.transport = &b.way.transport;
    b.lm = dm_lm_new(&o, &err);
    b.way.closed = 0;
    dm_lm_submit(b.lm, &b.request, done, &b);
    dm_lm_poll(b.lm, NULL, 0, 3600);
    cr_assert_eq(b.way.n, 2, "both are asked what they serve");
    cr_expect(!b.way.out[0]->request && !b.way.out[0]->body);
    cr_expect_str_eq(b.way.out[0]->url, "http://a.invalid/v1/models");
    end(&b.way, 0, CURLE_OK, 200, 0, "{\"data\": [{\"id\": \"another\"}]}");
    end(&b.way, 0, CURLE_OK, 200, 0, "{\"data\": [{\"id\": \"any\"}]}");
    dm_lm_poll(b.lm, NULL, 0, 3600);
    cr_assert_eq(b.way.n, 1);
    cr_expect_str_eq(b.way.out[0]->url, "http://b.invalid/v1/chat/completions");
    cr_expect_eq(b.way.out[0]->user, &b);
    close_bench(&b);
}

/* ---- a worker on them, with a metric that takes its time ---- */

typedef struct judge {
    dm_metric_done *done;
    void *user;
    double *now, due;
    size_t asked, freed;
} judge;

static void judge_submit(void *self, const dm_value *example, const dm_value *prediction,
                         const dm_step *trace, size_t n_steps, const dm_program *program,
                         dm_metric_done *told, void *user)
{
    judge *j = self;
    (void)trace;
    (void)n_steps;
    (void)program;
    cr_expect_str_eq(dm_value_get(example, "question")->text.p, "q100");
    cr_expect_str_eq(dm_value_get(prediction, "answer")->text.p, "yes");
    j->asked++;
    j->done = told;
    j->user = user;
    j->due = *j->now + 40;
}

static double judge_due(const void *self)
{
    return ((const judge *)self)->due;
}

static void judge_poll(void *self)
{
    judge *j = self;
    if (!j->done || *j->now < j->due)
        return;
    dm_metric_done *told = j->done;
    j->done = NULL;
    j->due = INFINITY;
    told(j->user, &(dm_metric_score){.ok = true, .score = .25});
}

static void judge_free(void *self)
{
    ((judge *)self)->freed++;
}

static const dm_metric_ops judge_ops = {.submit = judge_submit,
                                        .due = judge_due,
                                        .poll = judge_poll,
                                        .free = judge_free};

typedef struct sent { /* by the worker */
    size_t hellos, finds, answers, results;
    double score;
} sent;

static void from_worker(void *user, dm_buf *msg)
{
    sent *s = user;
    dm_wire_message m;
    dm_reader list;
    dm_wire_item it;
    cr_assert(dm_wire_open(&m, dm_buf_view(msg)));
    s->hellos += m.type == DM_MSG_HELLO;
    if (m.type == DM_MSG_RESULTS && dm_wire_get_results(&m, &list))
        while (dm_wire_next_item(&list, &it)) {
            dm_result r;
            dm_paid paid;
            s->answers += it.kind == DM_ITEM_ANSWER;
            s->finds += it.kind == DM_ITEM_FIND;
            if (it.kind != DM_ITEM_RESULT || !dm_read_result(it.result, 0, NULL, &r, &paid))
                continue;
            s->results++;
            s->score = r.score;
        }
    dm_wire_close(&m);
    dm_buf_free(msg);
}

static void give(dm_worker *w, dm_buf *msg)
{
    dm_worker_receive(w, dm_buf_view(msg));
    dm_buf_free(msg);
}

/* Nobody knows the answer to its first call. */
static void let_ask(dm_worker *w)
{
    dm_wire_list l;
    dm_buf msg;
    dm_wire_list_init(&l);
    dm_wire_add_found(&l, &(dm_wire_found){.task = 5, .kind = DM_FOUND_ASK});
    dm_wire_put_found(&msg, &l);
    give(w, &msg);
    dm_wire_list_free(&l);
}

static void give_work(dm_worker *w, const world *of)
{
    dm_buf msg, json;
    dm_wire_list states, tasks;
    dm_arena *a = of->arena;
    dm_work work = dm_work_of(dm_candidate_seal(dm_candidate_new(a, of->program)));
    dm_wire_put_setup(&msg, 0, DM_STR(""));
    give(w, &msg);
    dm_wire_put_slots(&msg, &(dm_wire_slots){{4, 0, 0, 0}});
    give(w, &msg);
    dm_buf_init(&json, DM_MAX_TEXT);
    dm_json_write(&json, dm_candidate_write(a, work.candidate), DM_JSON_PYTHON);
    dm_wire_list_init(&states);
    dm_wire_list_init(&tasks);
    dm_wire_add_state(&states, &(dm_wire_state){.candidate = dm_buf_view(&json), .work = work});
    dm_wire_add_task(&tasks, &(dm_wire_task){.id = 5, .row = (int64_t)of->train->n});
    dm_wire_put_shard(&msg, &states, &tasks);
    give(w, &msg);
    dm_wire_list_free(&states);
    dm_wire_list_free(&tasks);
    dm_buf_free(&json);
}

/* A worker's run from its shard to its result, every time and score from the tables. */
Test(tables, a_worker_knows_the_world_by_its_port)
{
    world of = world_new("{\"predict\": \"question -> answer\"}");
    sent s = {0};
    way road = {.transport = {&way_ops}, .now = 50};
    judge j = {.now = &road.now, .due = INFINITY};
    dm_value *lm = dm_value_dict(of.arena);
    dm_value_set(of.arena, lm, DM_STR("model"), dm_value_text(of.arena, "hosted_vllm/any"));
    for (int i = 0; i < DM_ROLES; i++)
        of.setup.lm[i] = lm;
    dm_shared *shared = dm_shared_new(&of.setup, dm_metric_of(of.arena, "judge", &judge_ops, &j));
    dm_worker *w = dm_worker_new((dm_worker_port){.send = from_worker,
                                                  .user = &s,
                                                  .clock = {time_of, &road},
                                                  .transport = &road.transport,
                                                  .shared = shared},
                                 NULL);
    give_work(w, &of);
    cr_expect_eq(s.hellos, 1);
    cr_assert(dm_worker_step(w, NULL, 0, 3600));
    cr_assert(road.n == 0 && s.finds == 1, "it asks whether that is known, at once");
    let_ask(w);
    cr_assert(dm_worker_step(w, NULL, 0, 3600));
    cr_assert_eq(road.n, 1);
    end(&road, 1, CURLE_OK, 200, 0, GOOD);
    cr_expect_eq(j.asked, 1);
    cr_assert(dm_worker_step(w, NULL, 0, 3600));
    cr_expect(road.waited <= .005 && s.answers == 1 && s.results == 0,
              "the answer leaves ahead of a metric that takes its time");
    cr_assert(dm_worker_step(w, NULL, 0, 3600));
    cr_expect_float_eq(road.waited, 40, 1e-9, "until the metric is due: %g", road.waited);
    road.now += 40;
    cr_assert(dm_worker_step(w, NULL, 0, 3600));
    cr_expect(s.results == 1 && s.score == .25, "%zu results, %g", s.results, s.score);
    dm_worker_free(w);
    cr_expect(road.closed == 1 && j.freed == 0, "what is shared is not the worker's");
    dm_shared_free(shared);
    cr_expect_eq(j.freed, 1);
    dm_arena_free(of.arena);
}

/* What a rule says is what the real worker gets to, through the form of each adapter. */
static void some_rule(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                      dm_run_result *out)
{
    golden_rule(NULL, work, row, a, out);
    out->fault = *(const dm_fault *)user;
    out->error = out->fault ? "so says the rule" : NULL;
}

Test(tables, a_rule_s_fault_is_the_run_s)
{
    static const dm_fault faults[] = {DM_FAULT_NONE,    DM_FAULT_OVERFLOW, DM_FAULT_PARSE,
                                      DM_FAULT_REFUSED, DM_FAULT_FILTER,   DM_FAULT_TRANSPORT};
    for (dm_adapter adapter = 0; adapter < DM_N_ADAPTERS; adapter++)
        for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
            world w = world_new(TWO_PREDICTORS);
            dm_fault fault = DM_FAULT_NONE;
            const dm_result *r;
            dm_error err = {DM_OK, ""};
            w.setup.adapter = adapter;
            w.sim.run = some_rule;
            w.sim.user = &fault;
            dm_pool *p = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
            dm_work work = dm_work_of(dm_candidate_seal(dm_candidate_new(w.arena, w.program)));
            const dm_example *one[] = {&w.val->examples[0], &w.val->examples[1]};
            cr_assert_eq(dm_pool_wait(p, dm_pool_submit(p, &work, one, 1), &r, &err), DM_OK);
            cr_expect(r[0].present && r[0].score == 1, "%s: %g", dm_adapter_name(adapter),
                      r[0].score);
            fault = faults[i];
            dm_status st = dm_pool_wait(p, dm_pool_submit(p, &work, one + 1, 1), &r, &err);
            if (fault == DM_FAULT_TRANSPORT) { /* nothing else is answered: an outage */
                cr_expect_eq(st, DM_STOP_OUTAGE, "%d: %s", st, err.text);
            } else {
                cr_assert_eq(st, DM_OK, "%s", err.text);
                cr_expect_eq(r[0].fault, fault, "%s: %s, not %s", dm_adapter_name(adapter),
                             dm_fault_name(r[0].fault), dm_fault_name(fault));
            }
            dm_pool_free(p);
            dm_arena_free(w.arena);
        }
}

/* ---- what a server has in place of what it does not know ---- */

#define NO_MODEL "{\"error\": {\"message\": \"no such model\"}}"
#define LIST     "{\"data\": [{\"id\": \"llama-8b\"}, {\"id\": \"anyy\"}]}"

/* Submits a call that ends so, and tells what is asked then. */
static const char *ask_in_vain(bench *b, const char *model, long status, const char *body)
{
    open_bench(b, model);
    dm_lm_submit(b->lm, &b->request, done, b);
    dm_lm_poll(b->lm, NULL, 0, 3600);
    end(&b->way, 1, CURLE_OK, status, 0, body);
    return b->way.n ? b->way.out[0]->url : "";
}

static void expect_end(bench *b, dm_fault fault, const char *words)
{
    cr_expect_eq(b->done, 1);
    cr_expect_eq(b->fault, fault, "%s", dm_fault_name(b->fault));
    cr_expect(strstr(b->text, words), "%s: not %s", b->text, words);
    close_bench(b);
    cr_expect_eq(b->way.n, 0);
}

Test(tables, an_unknown_model_and_what_is_served)
{
    static const struct {
        long status;
        dm_fault fault;
    } rows[] = {{404, DM_FAULT_DENIED}, {400, DM_FAULT_REFUSED}, {422, DM_FAULT_REFUSED}};
    for (size_t i = 0; i < 3; i++) {
        bench b;
        cr_expect_str_eq(ask_in_vain(&b, MODEL, rows[i].status, NO_MODEL),
                         "http://nowhere.invalid/v1/models");
        cr_expect_eq(b.done, 0);
        end(&b.way, 0, CURLE_OK, 200, 0, LIST);
        expect_end(&b, rows[i].fault,
                   ": no such model; the server serves \"llama-8b\" and \"anyy\"; did you mean "
                   "\"anyy\"?");
    }
}

Test(tables, a_path_without_v1)
{
    bench b;
    const char *openai = "{\"model\": \"openai/any\", \"api_base\": \"http://a.invalid\"}";
    cr_expect_str_eq(ask_in_vain(&b, openai, 404, "404 page not found"), "http://a.invalid/models");
    end(&b.way, 0, CURLE_OK, 404, 0, "404 page not found");
    cr_assert_eq(b.way.n, 1);
    cr_expect_str_eq(b.way.out[0]->url, "http://a.invalid/v1/models");
    end(&b.way, 0, CURLE_OK, 200, 0, LIST);
    expect_end(&b, DM_FAULT_DENIED, "; did you mean http://a.invalid/v1?");
    /* nothing is there either, or a page that is no list */
    ask_in_vain(&b, openai, 405, "no");
    end(&b.way, 0, CURLE_OK, 404, 0, "no");
    end(&b.way, 0, CURLE_OK, 200, 0, "<html>");
    expect_end(&b, DM_FAULT_REFUSED, "HTTP 405");
    cr_expect_null(strstr(b.text, "did you mean"));
    ask_in_vain(&b, openai, 404, "no");
    end(&b.way, 0, CURLE_COULDNT_CONNECT, 0, 0, "");
    expect_end(&b, DM_FAULT_DENIED, "HTTP 404");
}

/* Where it is known what people leave out, it is put there. */
Test(tables, a_class_that_knows_its_path_finds_it)
{
    bench b;
    ask_in_vain(&b, "{\"model\": \"hosted_vllm/any\", \"api_base\": \"http://a.invalid/gate\"}",
                404, "404 page not found");
    dm_lm_submit(b.lm, &b.request, done, &b); /* a second one meanwhile */
    dm_lm_poll(b.lm, NULL, 0, 3600);
    end(&b.way, 0, CURLE_OK, 404, 0, "");
    end(&b.way, 1, CURLE_OK, 404, 0, "");
    end(&b.way, 0, CURLE_OK, 200, 0, LIST);
    dm_lm_poll(b.lm, NULL, 0, 3600);
    cr_assert_eq(b.way.n, 2);
    for (int i = 0; i < 2; i++) {
        cr_expect_str_eq(b.way.out[0]->url, "http://a.invalid/gate/v1/chat/completions");
        end(&b.way, 1, CURLE_OK, 200, 0, GOOD);
    }
    cr_expect(b.done == 2 && b.fault == DM_FAULT_NONE);
    close_bench(&b);
}

/* The server is asked once, before it has answered anything; calls that wait for it may be dropped.
 */
Test(tables, what_is_held_is_asked_once_and_may_be_dropped)
{
    bench b;
    ask_in_vain(&b, MODEL, 404, NO_MODEL);
    close_bench(&b);
    cr_expect(b.done == 0 && b.way.n == 0 && b.way.dropped == 1);
    ask_in_vain(&b, MODEL, 404, NO_MODEL);
    uint64_t second = dm_lm_submit(b.lm, &b.request, done, &b);
    dm_lm_poll(b.lm, NULL, 0, 3600);
    end(&b.way, 0, CURLE_OK, 200, 0, LIST);
    cr_expect_eq(b.done, 1);
    dm_lm_cancel(b.lm, second);
    dm_lm_submit(b.lm, &b.request, done, &b);
    dm_lm_poll(b.lm, NULL, 0, 3600);
    end(&b.way, 1, CURLE_OK, 404, 0, NO_MODEL); /* known by now */
    cr_expect(b.done == 2 && strstr(b.text, "did you mean \"anyy\""));
    dm_lm_submit(b.lm, &b.request, done, &b);
    dm_lm_poll(b.lm, NULL, 0, 3600);
    end(&b.way, 1, CURLE_OK, 200, 0, GOOD);
    dm_lm_submit(b.lm, &b.request, done, &b);
    dm_lm_poll(b.lm, NULL, 0, 3600);
    end(&b.way, 1, CURLE_OK, 400, 0, NO_MODEL); /* it is a request's own now */
    cr_expect(b.done == 4 && b.way.n == 0);
    close_bench(&b);
}

/* ---- a server that loads its model ---- */

#define LOADING                                                                                    \
    "{\"error\": {\"code\": 503, \"message\": \"Loading model\", \"type\": "                       \
    "\"unavailable_error\"}}"

/* Seconds for which a server is asked that always says so, and the words at the end. */
static double asks_for(bench *b, const char *model, const char *body)
{
    open_bench(b, model);
    double from = b->way.now;
    dm_lm_submit(b->lm, &b->request, done, b);
    while (b->done == 0 && b->way.now < from + 1000) {
        dm_lm_poll(b->lm, NULL, 0, 3600);
        if (b->way.n)
            end(&b->way, 1, CURLE_OK, 503, 0, body);
        else
            b->way.now += 0.25;
    }
    double took = b->way.now - from;
    close_bench(b);
    return took;
}

Test(tables, a_server_that_loads_is_waited_for)
{
    static const struct {
        const char *body;
        bool loads;
    } rows[] = {{LOADING, true},
                {"{\"error\": \"Model x is currently loading\", \"estimated_time\": 20}", true},
                {"{\"detail\": \"model not ready\"}", true},
                {"model is still loading", true},
                {"{\"error\": {\"message\": \"overloaded\"}}", false},
                {"<html>503 Service Unavailable</html>", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bench b;
        double took = asks_for(&b, MODEL, rows[i].body);
        cr_expect(rows[i].loads ? took >= 60 && took < 75 : took < 15, "%s: %g s", rows[i].body,
                  took);
        cr_expect_eq(b.fault, DM_FAULT_TRANSPORT);
        cr_expect_eq(rows[i].loads, strstr(b.text, "lm.wait") != NULL, "%s", b.text);
    }
}

Test(tables, the_jobs_own_wait_counts_for_one_that_loads)
{
    bench b;
    double took = asks_for(
        &b, "{\"model\": \"hosted_vllm/any\", \"api_base\": \"http://a.invalid/v1\", \"wait\": 0}",
        LOADING);
    cr_expect_lt(took, 15, "%g", took);
    took = asks_for(&b,
                    "{\"model\": \"hosted_vllm/any\", \"api_base\": \"http://a.invalid/v1\", "
                    "\"wait\": \"5 min\"}",
                    LOADING);
    cr_expect(took >= 300 && took < 320, "%g", took);
    /* and once it has answered, it is a server like others */
    open_bench(&b, MODEL);
    dm_lm_submit(b.lm, &b.request, done, &b);
    dm_lm_poll(b.lm, NULL, 0, 3600);
    end(&b.way, 1, CURLE_OK, 503, 0, LOADING);
    b.way.now += 2;
    dm_lm_poll(b.lm, NULL, 0, 3600);
    end(&b.way, 1, CURLE_OK, 200, 0, GOOD);
    cr_expect(b.done == 1 && b.fault == DM_FAULT_NONE && b.usage.requests == 2);
    close_bench(&b);
}

/* ---- calls of all servers ---- */

#define THREE                                                                                      \
    "{\"model\": \"hosted_vllm/any\", \"api_base\": [\"http://a.invalid/v1\", "                    \
    "\"http://b.invalid/v1\", \"http://c.invalid/v1\"]}"

/* Ends the attempts one after another, each by the status of its server. Returns how many. */
static size_t go_round(bench *b, const long status[3], int64_t most)
{
    size_t n = 0;
    open_bench(b, THREE);
    b->request.of_all = true;
    b->request.most_sends = most;
    dm_lm_submit(b->lm, &b->request, done, b);
    dm_lm_poll(b->lm, NULL, 0, 3600);
    for (; b->way.n && n < 9; n++) {
        cr_assert_eq(b->way.n, 1, "one after another");
        long s = status[b->way.out[0]->url[strlen("http://")] - 'a'];
        end(&b->way, 1, CURLE_OK, s, 0, s == 200 ? GOOD : "{\"error\": \"no\"}");
        dm_lm_poll(b->lm, NULL, 0, 3600);
    }
    close_bench(b);
    return n;
}

Test(tables, the_weakest_of_all_servers_decides)
{
    static const struct {
        long status[3];
        int64_t most;
        size_t asked;
        dm_fault fault;
    } rows[] = {
        {{200, 200, 200}, 0, 3, DM_FAULT_NONE},    {{400, 200, 200}, 0, 0, DM_FAULT_REFUSED},
        {{200, 400, 200}, 0, 0, DM_FAULT_REFUSED}, {{200, 200, 422}, 0, 0, DM_FAULT_REFUSED},
        {{400, 400, 400}, 0, 1, DM_FAULT_REFUSED}, {{200, 200, 400}, 1, 1, DM_FAULT_NONE},
        {{200, 200, 200}, 2, 2, DM_FAULT_NONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bench b;
        size_t n = go_round(&b, rows[i].status, rows[i].most);
        cr_expect(b.done == 1 && (b.fault == rows[i].fault || rows[i].most), "row %zu: %s", i,
                  dm_fault_name(b.fault));
        cr_expect(rows[i].asked == 0 || n == rows[i].asked, "row %zu: %zu asked", i, n);
        cr_expect_eq(b.usage.requests, (int64_t)n);
    }
    /* what is wrong with one of them in another way is not told by this call */
    for (long bad = 500; bad <= 503; bad++) {
        bench b;
        long status[3] = {200, 200, 200};
        for (int k = 0; k < 3; k++) {
            status[k] = bad;
            go_round(&b, status, 0);
            cr_expect(b.done == 1 && b.fault == DM_FAULT_NONE, "%ld at %d: %s", bad, k, b.text);
            status[k] = 200;
        }
    }
}
