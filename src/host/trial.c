#include "host/inside.h"
#include "host/trial.h"
#include "base/clock.h"
#include "base/log.h"
#include "json/json.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define MOST_CALLS 1000 /* of a run, which is dropped then */
#define SHOWN      40   /* bytes of a prompt around the first difference */
#define SAID_AFTER 5.0  /* s, after which it is said what takes so long */

typedef struct asked {
    const char *predictor;
    dm_str text; /* the messages, as JSON */
} asked;

typedef struct trying { /* one run */
    dm_hosts *hosts;
    dm_arena *arena;
    dm_host_run *run;      /* NULL: it has ended */
    bool good;             /* with a prediction */
    dm_str outputs, score; /* as JSON */
    const dm_value *error; /* NULL: none */
    asked *calls;          /* [n] */
    size_t n, cap;
} trying;

/* Texts as they stand, all else as JSON. */
static dm_str content_of(dm_arena *a, const dm_value *m)
{
    const dm_value *v = dm_value_get(m, "content");
    if (v && v->kind == DM_STRING)
        return v->text;
    return v ? dm_json_text(a, v, DM_JSON_COMPACT) : DM_STR("");
}

static void stand_in(dm_buf *answer, dm_arena *a, const dm_value *messages)
{
    size_t n = messages && messages->kind == DM_LIST ? messages->n : 0;
    dm_message *all = dm_arena_alloc_n(a, n, sizeof *all);
    for (size_t i = 0; i < n; i++) {
        all[i] = (dm_message){DM_USER, content_of(a, messages->items[i])};
        (void)dm_message_role_read(messages->items[i], &all[i].role);
    }
    dm_embedded_answer(answer, all, n, -1);
}

static void note(trying *t, const dm_value *request)
{
    const dm_value *name = dm_value_get(request, "predictor"),
                   *messages = dm_value_get(request, "messages");
    t->calls = dm_arena_room(t->arena, t->calls, t->n, &t->cap, sizeof *t->calls);
    t->calls[t->n++] =
        (asked){name && name->kind == DM_STRING
                    ? dm_arena_string(t->arena, name->text.p, name->text.n)
                    : "the program",
                messages ? dm_json_text(t->arena, messages, DM_JSON_COMPACT) : DM_STR("")};
}

static void on_asked(void *user, int64_t call, const dm_value *request, dm_arena *a)
{
    trying *t = user;
    dm_buf text, members;
    dm_buf_init(&text, DM_MAX_TEXT);
    dm_buf_init(&members, DM_MAX_FILE);
    note(t, request);
    stand_in(&text, a, dm_value_get(request, "messages"));
    dm_buf_text(&members, "\"text\":");
    dm_json_write_string(&members, dm_buf_view(&text));
    dm_host_answer(t->run, call, dm_buf_view(&members));
    dm_buf_free(&members);
    dm_buf_free(&text);
    dm_arena_free(a);
}

static dm_str json_of(dm_arena *a, const dm_value *result, const char *key)
{
    const dm_value *v = dm_value_get(result, key);
    return v ? dm_json_text(a, v, DM_JSON_COMPACT) : DM_STR("");
}

static void on_end(void *user, const dm_value *result)
{
    trying *t = user;
    t->run = NULL;
    t->good = dm_value_get(result, "outputs") != NULL;
    t->outputs = json_of(t->arena, result, "outputs");
    t->score = json_of(t->arena, result, "score");
    if (dm_value_get(result, "error"))
        t->error = dm_value_copy(t->arena, dm_value_get(result, "error"));
}

static void on_again(void *user)
{
    ((trying *)user)->n = 0;
}

/* Until it has ended, or has asked as often as is counted. What comes of it depends on no clock, as
 * amounts that are set aside follow from it: it has to be the same on any machine. */
static void await(dm_hosts *h, trying *t, double began, bool *said)
{
    dm_wait_fd fd;
    (void)dm_hosts_fds(h, &fd, 1);
    while (t->run && !dm_hosts_trouble(h) && t->n < MOST_CALLS) {
        struct pollfd p = {.fd = fd.fd, .events = POLLIN};
        (void)poll(&p, 1, 100);
        dm_hosts_poll(h);
        if (!*said && dm_now() - began > SAID_AFTER) {
            *said = true;
            dm_log(DM_WARN, "the Python program runs on a few examples with made-up answers, to "
                            "learn how often it asks a model");
        }
    }
    if (t->run)
        dm_host_drop(t->run);
    t->run = NULL;
}

static void begin(trying *t, dm_hosts *h, dm_arena *a, const dm_host_state *state,
                  const dm_value *row, const dm_value *inputs)
{
    static const dm_host_events events = {on_asked, on_end, on_again};
    dm_buf b;
    *t = (trying){.hosts = h, .arena = a};
    dm_buf_init(&b, DM_MAX_FILE);
    dm_buf_text(&b, "\"example\":");
    dm_json_write(&b, row, DM_JSON_COMPACT);
    dm_buf_text(&b, ",\"inputs\":");
    dm_json_write(&b, inputs, DM_JSON_COMPACT);
    dm_buf_text(&b, ",\"role\":0,\"scored\":true,\"trial\":true");
    t->run = dm_host_begin(h, state, dm_buf_view(&b), &events, t);
    dm_buf_free(&b);
}

/* Around the first byte that differs: "...booked 4" and "...booked 1". */
static const char *first_difference(dm_arena *a, dm_str p, dm_str q)
{
    size_t at = 0;
    while (at < p.n && at < q.n && p.p[at] == q.p[at])
        at++;
    at = at > SHOWN / 2 ? at - SHOWN / 2 : 0;
    dm_str u = {p.p + (at < p.n ? at : p.n), at < p.n ? p.n - at : 0}, v = {q.p + at, q.n - at};
    u.n = u.n < SHOWN ? u.n : SHOWN;
    v.n = v.n < SHOWN ? v.n : SHOWN;
    return dm_arena_printf(a, "(first difference: \"...%.*s...\" and \"...%.*s...\")",
                           DM_STR_ARG(u), DM_STR_ARG(v));
}

/* Threads may ask in any order: what is not among the first run's requests is compared with the one
 * at its place. */
static const char *difference(dm_arena *a, const trying *x, const trying *y)
{
    for (size_t i = 0; i < y->n; i++) {
        bool known = false;
        for (size_t k = 0; k < x->n && !known; k++)
            known = dm_str_eq(x->calls[k].text, y->calls[i].text);
        if (known)
            continue;
        dm_str p = i < x->n ? x->calls[i].text : DM_STR("");
        return dm_arena_printf(a, "it asked %s %s", y->calls[i].predictor,
                               first_difference(a, p, y->calls[i].text));
    }
    if (x->n != y->n)
        return dm_arena_printf(a, "it asked a model %zu times, and then %zu times", x->n, y->n);
    if (!dm_str_eq(x->outputs, y->outputs))
        return dm_arena_printf(a, "it came to other outputs from the same answers %s",
                               first_difference(a, x->outputs, y->outputs));
    return dm_str_eq(x->score, y->score)
               ? NULL
               : dm_arena_printf(a, "the metric gave %.*s, and then %.*s", DM_STR_ARG(x->score),
                                 DM_STR_ARG(y->score));
}

static void note_failure(dm_host_trial *out, dm_arena *a, const dm_value *e)
{
    bool first = out->n_failed++ == 0,
         metric = dm_str_is(dm_value_text_of(dm_value_get(e, "class")), "metric");
    out->by_metric = (first || out->by_metric) && metric;
    if (first)
        out->failure = dm_host_error_text(a, e);
}

dm_host_trial dm_hosts_try(dm_hosts *h, dm_arena *a, const dm_value *const *rows, size_t n,
                           const dm_value *inputs)
{
    dm_host_trial out = {0};
    double began = dm_now(), calls = 0, counted = 0;
    trying *t = dm_arena_alloc_n(a, n + 1, sizeof *t);
    dm_host_state *state = dm_host_state_new(h, dm_value_dict(a));
    bool said = false;
    dm_process_hush(true);
    for (size_t i = 0; i <= n; i++) { /* one after another, so that one process will do */
        begin(&t[i], h, a, state, rows[i < n ? i : 0], inputs);
        await(h, &t[i], began, &said);
    }
    dm_process_hush(false);
    if (t[0].good && t[n].good)
        out.differs = difference(a, &t[0], &t[n]);
    for (size_t i = 0; i < n; i++)
        if (t[i].error)
            note_failure(&out, a, t[i].error);
    for (size_t i = 0; i < n; i++)
        if (t[i].good || t[i].n >= MOST_CALLS) {
            calls += t[i].n < MOST_CALLS ? (double)t[i].n : MOST_CALLS;
            counted++;
        }
    out.calls = counted > 0 ? calls / counted : 0;
    dm_host_state_free(state);
    return out;
}
