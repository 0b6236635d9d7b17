/* What the engine does where a server does not know the path or the model, loads its model, or is
 * one of several that do not take the same. */
#include "way.h"

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

Test(nearby, an_unknown_model_and_what_is_served)
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

Test(nearby, a_path_without_v1)
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
Test(nearby, a_class_that_knows_its_path_finds_it)
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
Test(nearby, what_is_held_is_asked_once_and_may_be_dropped)
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

Test(nearby, a_server_that_loads_is_waited_for)
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

Test(nearby, the_jobs_own_wait_counts_for_one_that_loads)
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
    bool answered = false;
    open_bench(b, THREE);
    b->request.of_all = true;
    b->request.most_sends = most;
    dm_lm_submit(b->lm, &b->request, done, b);
    dm_lm_poll(b->lm, NULL, 0, 3600);
    for (; b->way.n && n < 9; n++) {
        cr_assert_eq(b->way.n, 1, "one after another");
        cr_expect_eq(b->way.out[0]->timeout, answered ? 60 : 0, "one that is silent holds up all");
        long s = status[b->way.out[0]->url[strlen("http://")] - 'a'];
        answered |= s == 200;
        end(&b->way, 1, CURLE_OK, s, 0, s == 200 ? GOOD : "{\"error\": \"no\"}");
        dm_lm_poll(b->lm, NULL, 0, 3600);
    }
    close_bench(b);
    return n;
}

Test(nearby, the_weakest_of_all_servers_decides)
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
