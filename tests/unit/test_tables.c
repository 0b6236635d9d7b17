/* The tables through which an engine and a worker reach the world: a clock, a transport and a
 * metric that are no more than this file, without a socket, a process or a second that passes. */
#include "way.h"
#include "world.h"

#include "pool/worker.h"

#include <criterion/criterion.h>

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
