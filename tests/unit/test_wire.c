/* Each message, written and read again. */
#include "pool/wire.h"

#include <criterion/criterion.h>
#include <math.h>

/* Opens what was written; the bytes stay where they are until done(). */
static void opened(dm_wire_message *m, const dm_buf *b, dm_message_type type)
{
    cr_assert(!b->full);
    cr_assert(dm_wire_open(m, dm_buf_view(b)));
    cr_assert_eq(m->type, type);
}

static void done(dm_wire_message *m, dm_buf *b)
{
    cr_expect(!m->record.bad);
    dm_wire_close(m);
    dm_buf_free(b);
}

static void expect_str(dm_str got, const char *want)
{
    cr_expect_eq(got.p == NULL, want == NULL);
    cr_expect(!want || dm_str_is(got, want), "%.*s", DM_STR_ARG(got));
}

static dm_answer an_answer(dm_fault fault)
{
    return (dm_answer){.fault = fault,
                       .final = true,
                       .content = DM_STR("a\0b"),
                       .truncated = true,
                       .usage = {1, 2, 3, 4, 5, 6, 7}};
}

static void expect_answer(const dm_answer *a, dm_fault fault)
{
    dm_answer want = an_answer(fault);
    cr_expect_eq(a->fault, fault);
    cr_expect(a->final);
    cr_expect(dm_str_eq(a->content, want.content));
    cr_expect(a->truncated);
    cr_expect_eq(memcmp(&a->usage, &want.usage, sizeof a->usage), 0);
}

Test(wire, greetings)
{
    dm_buf b;
    dm_wire_setup s;
    dm_wire_hello h;
    dm_wire_put_setup(&b, 12, DM_STR("{\"x\": 1}"));
    dm_wire_message m;
    opened(&m, &b, DM_MSG_SETUP);
    cr_assert(dm_wire_get_setup(&m, &s));
    cr_expect(dm_wire_same_build(s.build));
    cr_expect_eq(s.worker, 12);
    expect_str(s.json, "{\"x\": 1}");
    done(&m, &b);

    dm_wire_put_hello(&b, DM_STR("node07"), 4711);
    opened(&m, &b, DM_MSG_HELLO);
    cr_assert(dm_wire_get_hello(&m, &h));
    cr_expect(dm_wire_same_build(h.build));
    expect_str(h.host, "node07");
    cr_expect_eq(h.pid, 4711);
    done(&m, &b);
}

Test(wire, shard)
{
    dm_wire_list states, tasks;
    dm_buf b;
    dm_wire_list_init(&states);
    dm_wire_list_init(&tasks);
    dm_work work = {.role = DM_PROMPT,
                    .scored = true,
                    .drop_own_demo = true,
                    .rollout = 17,
                    .temperature = NAN},
            other = work;
    other.scored = other.drop_own_demo = false;
    other.trace = other.steps = true;
    other.rollout = -1;
    other.temperature = 0.25;
    dm_wire_add_state(&states, &(dm_wire_state){3, {NULL, 0}, DM_STR("{}"), work});
    dm_wire_add_state(&states, &(dm_wire_state){4, DM_STR("p"), DM_STR("c"), other});
    dm_wire_add_task(&tasks, &(dm_wire_task){.id = 1ll << 40, .state = 3, .most = 2, .row = 9});
    dm_wire_add_task(&tasks, &(dm_wire_task){.id = 5,
                                             .state = 4,
                                             .asks_only = true,
                                             .formats = 6,
                                             .asks_format = true,
                                             .row = -1,
                                             .json = DM_STR("{\"q\": 1}")});
    dm_wire_put_shard(&b, &states, &tasks);
    cr_expect_eq(states.n + tasks.n, 0);

    dm_wire_message m;
    opened(&m, &b, DM_MSG_SHARD);
    dm_reader in_states, in_tasks;
    dm_wire_state s;
    dm_wire_task t;
    cr_assert(dm_wire_get_shard(&m, &in_states, &in_tasks));
    cr_assert(dm_wire_next_state(&in_states, &s));
    cr_expect(s.id == 3 && s.work.role == DM_PROMPT && s.work.scored && !s.work.trace &&
              !s.work.steps && s.work.drop_own_demo && s.work.rollout == 17 &&
              isnan(s.work.temperature));
    expect_str(s.program, NULL);
    expect_str(s.candidate, "{}");
    cr_assert(dm_wire_next_state(&in_states, &s));
    cr_expect(s.id == 4 && !s.work.scored && s.work.trace && s.work.steps &&
              !s.work.drop_own_demo && s.work.rollout == -1 && s.work.temperature == 0.25);
    expect_str(s.program, "p");
    cr_expect(!dm_wire_next_state(&in_states, &s));
    cr_assert(dm_wire_next_task(&in_tasks, &t));
    cr_expect(t.id == 1ll << 40 && t.state == 3 && t.most == 2 && !t.asks_only && t.row == 9 &&
              t.formats == 0 && !t.asks_format);
    expect_str(t.json, NULL);
    cr_assert(dm_wire_next_task(&in_tasks, &t));
    cr_expect(t.id == 5 && t.state == 4 && t.most == 0 && t.row == -1 && t.asks_only &&
              t.formats == 6 && t.asks_format);
    expect_str(t.json, "{\"q\": 1}");
    cr_expect(!dm_wire_next_task(&in_tasks, &t));
    done(&m, &b);
    dm_wire_list_free(&states);
    dm_wire_list_free(&tasks);
}

Test(wire, results)
{
    dm_wire_list l;
    dm_buf b;
    dm_reader list;
    dm_wire_item it;
    dm_hash key = dm_hash_of("k", 1);
    dm_wire_list_init(&l);
    dm_wire_add_item(&l, &(dm_wire_item){DM_ITEM_ANSWER, 1, .key = key, .predictor = 5,
                                         .answer = an_answer(2)});
    dm_wire_add_item(&l, &(dm_wire_item){DM_ITEM_RESULT, 2, .result = DM_STR("bytes"),
                                         .usage = {.odd = 3}});
    dm_wire_add_item(&l, &(dm_wire_item){DM_ITEM_FIND, 3, .key = key, .call = 4});
    dm_wire_put_results(&b, &l);
    dm_wire_message m;
    opened(&m, &b, DM_MSG_RESULTS);
    cr_assert(dm_wire_get_results(&m, &list));
    cr_assert(dm_wire_next_item(&list, &it));
    cr_expect(it.kind == DM_ITEM_ANSWER && it.task == 1 && dm_hash_eq(&it.key, &key));
    cr_expect_eq(it.predictor, 5);
    expect_answer(&it.answer, 2);
    cr_assert(dm_wire_next_item(&list, &it));
    cr_expect(it.kind == DM_ITEM_RESULT && it.task == 2 && it.usage.odd == 3);
    expect_str(it.result, "bytes");
    cr_assert(dm_wire_next_item(&list, &it));
    cr_expect(it.kind == DM_ITEM_FIND && it.task == 3 && dm_hash_eq(&it.key, &key) && it.call == 4);
    cr_expect(!dm_wire_next_item(&list, &it));
    done(&m, &b);
    dm_wire_list_free(&l);
}

Test(wire, found)
{
    dm_wire_list l;
    dm_buf b;
    dm_reader list;
    dm_wire_found f;
    dm_wire_list_init(&l);
    dm_wire_add_found(&l, &(dm_wire_found){6, 1, DM_FOUND_ANSWER, 0, an_answer(3)});
    dm_wire_add_found(&l, &(dm_wire_found){7, 2, DM_FOUND_ASK, .odd = 5});
    dm_wire_add_found(&l, &(dm_wire_found){8, 0, DM_FOUND_BACK, .odd = 0});
    dm_wire_put_found(&b, &l);
    dm_wire_message m;
    opened(&m, &b, DM_MSG_FOUND);
    cr_assert(dm_wire_get_found(&m, &list));
    cr_assert(dm_wire_next_found(&list, &f));
    cr_expect(f.task == 6 && f.call == 1 && f.kind == DM_FOUND_ANSWER);
    expect_answer(&f.answer, 3);
    cr_assert(dm_wire_next_found(&list, &f));
    cr_expect(f.task == 7 && f.call == 2 && f.kind == DM_FOUND_ASK && f.odd == 5);
    cr_assert(dm_wire_next_found(&list, &f));
    cr_expect(f.task == 8 && f.kind == DM_FOUND_BACK);
    cr_expect(!dm_wire_next_found(&list, &f));
    done(&m, &b);
    dm_wire_list_free(&l);
}

Test(wire, the_others)
{
    dm_buf b;
    dm_wire_slots slots = {.n = {3, 0, 7}}, got_slots;
    dm_wire_failed failed;
    dm_wire_log log;
    dm_wire_slow slow;
    dm_wire_tally tally;
    dm_wire_pace pace;
    dm_wire_limits limits;
    dm_role role;
    dm_wire_put_slots(&b, &slots);
    dm_wire_message m;
    opened(&m, &b, DM_MSG_SLOTS);
    cr_assert(dm_wire_get_slots(&m, &got_slots));
    cr_expect_eq(memcmp(&slots, &got_slots, sizeof slots), 0);
    done(&m, &b);
    dm_wire_put_failed(&b, DM_E_MODEL, DM_STR("why"));
    opened(&m, &b, DM_MSG_FAILED);
    cr_assert(dm_wire_get_failed(&m, &failed));
    cr_expect_eq(failed.status, DM_E_MODEL);
    expect_str(failed.text, "why");
    done(&m, &b);
    dm_wire_put_log(&b, DM_WARN, DM_STR("line"));
    opened(&m, &b, DM_MSG_LOG);
    cr_assert(dm_wire_get_log(&m, &log));
    cr_expect_eq(log.level, DM_WARN);
    expect_str(log.line, "line");
    done(&m, &b);
    dm_wire_put_failing(&b, DM_PROMPT);
    opened(&m, &b, DM_MSG_FAILING);
    cr_assert(dm_wire_get_failing(&m, &role));
    cr_expect_eq(role, DM_PROMPT);
    done(&m, &b);
    dm_wire_put_slow(&b, &(dm_wire_slow){DM_TASK, 3, 1.5});
    opened(&m, &b, DM_MSG_SLOW);
    cr_assert(dm_wire_get_slow(&m, &slow));
    cr_expect(slow.role == DM_TASK && slow.endpoint == 3 && slow.seconds == 1.5);
    done(&m, &b);
    dm_wire_put_tally(&b, &(dm_wire_tally){DM_TASK, 1, 40, 3});
    opened(&m, &b, DM_MSG_TALLY);
    cr_assert(dm_wire_get_tally(&m, &tally));
    cr_expect(tally.role == DM_TASK && tally.endpoint == 1 && tally.answered == 40 &&
              tally.refused == 3);
    done(&m, &b);
    dm_wire_put_pace(&b, &(dm_wire_pace){DM_PROMPT, 2, 480.5, 0.25});
    opened(&m, &b, DM_MSG_PACE);
    cr_assert(dm_wire_get_pace(&m, &pace));
    cr_expect(pace.role == DM_PROMPT && pace.endpoint == 2 && pace.pace == 480.5 &&
              pace.offset == 0.25);
    done(&m, &b);
    dm_wire_put_limits(&b, &(dm_wire_limits){DM_JUDGE, 2, {600, 90000, 0, 7}});
    opened(&m, &b, DM_MSG_LIMITS);
    cr_assert(dm_wire_get_limits(&m, &limits));
    cr_expect(limits.role == DM_JUDGE && limits.endpoint == 2 && limits.limit[0] == 600 &&
              limits.limit[1] == 90000 && limits.limit[2] == 0 && limits.limit[3] == 7);
    done(&m, &b);
    for (dm_message_type type = DM_MSG_BYE; type; type = type == DM_MSG_BYE ? DM_MSG_DRAIN : 0) {
        dm_wire_put_empty(&b, type);
        opened(&m, &b, type);
        done(&m, &b);
    }
}

/* A status of no failure is ours, whatever a rank says. */
Test(wire, a_rank_that_fails_without_a_status)
{
    dm_buf b;
    dm_wire_failed failed;
    dm_wire_put_failed(&b, DM_OK, DM_STR(""));
    dm_wire_message m;
    opened(&m, &b, DM_MSG_FAILED);
    cr_assert(dm_wire_get_failed(&m, &failed));
    cr_expect_eq(failed.status, DM_E_INTERNAL);
    done(&m, &b);
}

/* [version, type, build]: what another build would say. */
static void greeting(dm_buf *b, int64_t version, dm_message_type type, const char *build)
{
    dm_writer w;
    dm_buf_init(b, 1000);
    dm_writer_init(&w, b);
    dm_write_array(&w, 3);
    dm_write_int(&w, version);
    dm_write_int(&w, type);
    dm_write_str(&w, dm_str_of(build));
}

Test(wire, other_versions_are_refused_but_for_their_name)
{
    dm_buf b;
    dm_wire_message m;
    dm_wire_hello h;
    greeting(&b, DM_WIRE_VERSION + 1, DM_MSG_HELLO, "dspy-mpi 9.9.9 (wire 9)");
    opened(&m, &b, DM_MSG_HELLO);
    cr_assert(dm_wire_get_hello(&m, &h));
    cr_expect(!dm_wire_same_build(h.build));
    expect_str(h.build, "dspy-mpi 9.9.9 (wire 9)");
    done(&m, &b);
    greeting(&b, DM_WIRE_VERSION + 1, DM_MSG_LOG, "x");
    cr_expect(!dm_wire_open(&m, dm_buf_view(&b)));
    dm_wire_close(&m);
    dm_buf_free(&b);
    greeting(&b, DM_WIRE_VERSION, DM_MESSAGE_TYPES, "x");
    cr_expect(!dm_wire_open(&m, dm_buf_view(&b)));
    dm_wire_close(&m);
    dm_buf_free(&b);
}
