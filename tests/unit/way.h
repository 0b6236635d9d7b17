/* An engine on a clock and a transport that are no more than this file. */
#ifndef WAY_H
#define WAY_H

#include "base/random.h"
#include "json/json.h"
#include "lm/inside.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

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

static inline double time_of(void *user)
{
    return ((const way *)user)->now;
}

static inline void send_attempt(dm_transport *t, dm_attempt *a)
{
    way *w = (way *)t;
    dm_buf_reset(&a->reply);
    a->sends = 0;
    a->code = CURLE_OK;
    a->status = 0;
    dm_told_init(&a->told);
    a->handle = w;
    w->before = a->before;
    w->out[w->n++] = a;
    w->sent++;
}

static inline void take_out(way *w, const dm_attempt *a)
{
    size_t i = 0;
    while (w->out[i] != a)
        i++;
    for (w->n--; i < w->n; i++)
        w->out[i] = w->out[i + 1];
}

static inline void drop(dm_transport *t, dm_attempt *a)
{
    take_out((way *)t, a);
    ((way *)t)->dropped++;
}

static inline void forget(dm_transport *t, dm_attempt *a)
{
    ((way *)t)->forgotten += a->handle != NULL;
    a->handle = NULL;
}

static inline bool turn(dm_transport *t)
{
    (void)t;
    return false;
}

static inline void note_wait(dm_transport *t, dm_wait_fd *fds, size_t n, double timeout)
{
    (void)fds;
    (void)n;
    ((way *)t)->waited = timeout;
}

static inline void close_way(dm_transport *t)
{
    ((way *)t)->closed++;
}

static const dm_transport_ops way_ops = {send_attempt, drop, forget, turn, note_wait, close_way};

/* The oldest attempt ends so; sends: requests of it, as far as it may. Returns those. */
static inline int end(way *w, int sends, CURLcode code, long status, double retry_after,
                      const char *body)
{
    dm_attempt *a = w->out[0];
    while (a->sends < sends && a->may_send(a))
        a->sends++;
    a->code = code;
    a->status = status;
    a->told.retry_after = retry_after;
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

static inline void done(void *user, const dm_lm_answer *a)
{
    bench *b = user;
    b->done++;
    b->fault = a->fault;
    b->usage = a->usage;
    snprintf(b->text, sizeof b->text, "%s", a->text ? a->text : "");
}

static inline void open_bench(bench *b, const char *model)
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

static inline void close_bench(bench *b)
{
    dm_lm_free(b->lm);
    cr_expect_eq(b->way.closed, 1);
    dm_arena_free(b->arena);
}

#define MODEL "{\"model\": \"hosted_vllm/any\", \"api_base\": \"http://nowhere.invalid/v1\"}"

#endif
