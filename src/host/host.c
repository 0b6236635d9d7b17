/* Which run goes to which process, and what becomes of runs whose process hangs or dies. */
#include "host/host.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/show.h"
#include "host/inside.h"
#include "json/json.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MOST_PROCESSES 256
#define IMPORTS_IN                                                                                 \
    600.0               /* s, after which a process that has not imported its program is given up */
#define TELLS_IN    1.0 /* s that a process has to say where it hangs */
#define MOST_UNBORN 10
#define LOOK_AT     1.0 /* s between looks at runs that may hang */
#define LONE        MOST_PROCESSES
#define ZYGOTE      (MOST_PROCESSES + 1)
#define ALL         (MOST_PROCESSES + 2)

struct dm_hosts {
    dm_arena *arena;
    const dm_value *spec, *expect;
    char *argv[6], *folder;
    dm_buf hello, other; /* the line, and that of processes which need not say the data again */
    double timeout;
    int epoll;
    dm_endings ends;
    /* LONE is for runs that are to run alone. ZYGOTE has imported the program and runs nothing: the
     * others are forked from it, in a hundredth of the time. */
    dm_process all[ALL];
    bool spawns;                 /* the program is no such that may be forked */
    size_t n;                    /* that may be started */
    dm_host_run *waiting, *last; /* in the order in which they came */
    size_t n_runs, n_states, threads;
    int64_t next;
    int unborn;        /* processes in a row that ended before they were ready */
    dm_value *outside; /* what was said of connections of the program's own */
    dm_arena *first;
    const dm_value *ready; /* what the first one said */
    char trouble[1536];
    bool by_metric; /* that is its fault */
    struct {        /* way.c */
        void (*done)(void *user, const dm_value *message);
        void (*lost)(void *user, const dm_process *p);
        void *user;
    } go;
};

/* ---- making ---- */

static size_t cores(void)
{
    cpu_set_t set;
    const char *open_mpi = getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    const char *local = open_mpi ? open_mpi : getenv("MPI_LOCALNRANKS"); /* MPICH, Intel MPI */
    long ranks = local ? strtol(local, NULL, 10) : 1;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    long each = n / (ranks > 1 ? ranks - 1 : 1); /* rank 0 runs nothing where there are others */
    return each > 1 ? (size_t)each : 1;
}

static double number_of(const dm_value *d, const char *key, double otherwise)
{
    const dm_value *v = dm_value_get(d, key);
    return v && (v->kind == DM_INT || v->kind == DM_FLOAT) && v->number > 0 ? v->number : otherwise;
}

dm_hosts *dm_hosts_new(const dm_value *spec)
{
    dm_hosts *h = dm_alloc(sizeof *h);
    h->arena = dm_arena_new(0);
    h->spec = dm_value_copy(h->arena, spec);
    h->expect = dm_value_get(h->spec, "expect");
    h->outside = dm_value_dict(h->arena);
    h->timeout = number_of(h->spec, "timeout", 60);
    h->n = (size_t)number_of(h->spec, "processes", (double)cores());
    h->n = h->n < MOST_PROCESSES ? h->n : MOST_PROCESSES;
    h->threads = (size_t)number_of(dm_value_get(h->spec, "hello"), "threads", 64);
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    const char *words[] = {dm_guard_name, "/usr/bin/env", "PYTHONHASHSEED=0",
                           dm_host_text(h->spec, "interpreter"), dm_host_text(h->spec, "script")};
    for (size_t i = 0; i < 5; i++)
        h->argv[i] = dm_arena_printf(h->arena, "%s", words[i]);
    h->folder = dm_arena_printf(h->arena, "DSPY_MPI_JOB_DIR=%s", dm_host_text(h->spec, "folder"));
    dm_buf_init(&h->hello, DM_MAX_TEXT);
    dm_json_write(&h->hello, dm_value_get(h->spec, "hello"), DM_JSON_COMPACT);
    dm_buf_char(&h->hello, '\n');
    dm_buf_init(&h->other, DM_MAX_TEXT);
    if (h->hello.len > 2)
        dm_buf_printf(&h->other, "{\"rows\":false,%.*s", (int)h->hello.len - 1, h->hello.data + 1);
    for (size_t i = 0; i < ALL; i++)
        dm_child_init(&h->all[i].child, h->epoll, &h->ends);
    h->all[LONE].lone = true;
    h->all[ZYGOTE].child.by_socket = true;
    return h;
}

static void free_run(dm_host_run *r)
{
    free(r->message);
    free(r);
}

static void take_out(dm_host_run *r)
{
    dm_hosts *h = r->hosts;
    dm_host_run **first = r->process ? &r->process->runs : &h->waiting;
    *(r->prev ? &r->prev->next : first) = r->next;
    if (r->next)
        r->next->prev = r->prev;
    else if (!r->process)
        h->last = r->prev;
    if (r->process)
        r->process->n_runs--;
    r->process = NULL;
    r->next = r->prev = NULL;
}

static void put_in_line(dm_host_run *r)
{
    dm_hosts *h = r->hosts;
    r->prev = h->last;
    *(h->last ? &h->last->next : &h->waiting) = r;
    h->last = r;
}

void dm_hosts_free(dm_hosts *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < ALL; i++) {
        while (h->all[i].runs) {
            dm_host_run *r = h->all[i].runs;
            take_out(r);
            free_run(r);
        }
        dm_process_end(&h->all[i]);
    }
    while (h->waiting) {
        dm_host_run *r = h->waiting;
        take_out(r);
        free_run(r);
    }
    dm_endings_clear(&h->ends, true);
    close(h->epoll);
    dm_buf_free(&h->hello);
    dm_buf_free(&h->other);
    dm_arena_free(h->first);
    dm_arena_free(h->arena);
    free(h);
}

dm_host_state *dm_host_state_new(dm_hosts *h, const dm_value *state)
{
    dm_host_state *s = dm_alloc(sizeof *s);
    dm_buf b;
    dm_buf_init(&b, DM_MAX_FILE);
    dm_json_write(&b, state, DM_JSON_COMPACT);
    s->number = h->n_states++;
    s->text = dm_buf_take(&b, &s->n);
    return s;
}

void dm_host_state_free(dm_host_state *s)
{
    if (!s)
        return;
    free(s->text);
    free(s);
}

/* ---- runs and processes ---- */

static void fail_all(dm_hosts *h, const char *fmt, ...) DM_PRINTF(2, 3);
static void fail_all(dm_hosts *h, const char *fmt, ...)
{
    va_list ap;
    if (*h->trouble)
        return;
    va_start(ap, fmt);
    vsnprintf(h->trouble, sizeof h->trouble, fmt, ap);
    va_end(ap);
}

static void spawn(dm_hosts *h, dm_process *p)
{
    dm_str hello = dm_buf_view(h->expect ? &h->other : &h->hello);
    int why = dm_process_start(p, h->argv, h->folder, hello);
    if (why != 0)
        fail_all(h, "cannot start %s: %s", h->argv[3], strerror(why));
}

/* Or what it is forked from, if that is not there; then its turn comes later. */
static void start(dm_hosts *h, dm_process *p)
{
    dm_process *zygote = &h->all[ZYGOTE];
    if (h->spawns)
        spawn(h, p);
    else if (zygote->phase == DM_HOST_NONE)
        spawn(h, zygote);
    else if (zygote->phase == DM_HOST_READY)
        (void)dm_process_fork(p, zygote); /* if not now, then later */
}

static bool knows(dm_process *p, size_t number)
{
    if (number / 8 >= p->n_knows) {
        size_t n = number / 4 + 64;
        p->knows = dm_grow(p->knows, n, 1);
        memset(p->knows + p->n_knows, 0, n - p->n_knows);
        p->n_knows = n;
    }
    bool known = p->knows[number / 8] >> number % 8 & 1;
    p->knows[number / 8] |= (uint8_t)(1u << number % 8);
    return known;
}

static void send_run(dm_process *p, dm_host_run *r)
{
    dm_buf b;
    take_out(r);
    r->process = p;
    r->alone = p->n_runs == 0;
    for (dm_host_run *other = p->runs; other; other = other->next)
        other->alone = false;
    r->next = p->runs;
    if (p->runs)
        p->runs->prev = r;
    p->runs = r;
    p->n_runs++;
    r->open = 0;
    r->since = dm_now();
    dm_buf_init(&b, DM_MAX_FILE);
    if (!knows(p, r->state->number))
        dm_buf_printf(&b, "{\"op\":\"candidate\",\"id\":%zu,\"state\":%.*s}\n", r->state->number,
                      (int)r->state->n, r->state->text);
    dm_buf_printf(&b, "{\"op\":\"run\",\"id\":%lld,\"candidate\":%zu,", (long long)r->number,
                  r->state->number);
    dm_buf_add(&b, r->message, r->n);
    dm_buf_text(&b, "}\n");
    dm_process_send(p, dm_buf_view(&b));
    dm_buf_free(&b);
}

/* The process with the fewest runs; where all have some, another one is started for the next. */
static dm_process *room_for(dm_hosts *h, const dm_host_run *r)
{
    dm_process *best = NULL, *none = NULL;
    if (r->suspect) {
        dm_process *lone = &h->all[LONE];
        if (lone->phase == DM_HOST_NONE)
            start(h, lone);
        return lone->phase == DM_HOST_READY && lone->n_runs == 0 ? lone : NULL;
    }
    for (size_t i = 0; i < h->n; i++) {
        dm_process *p = &h->all[i];
        if (p->phase == DM_HOST_NONE)
            none = none ? none : p;
        else if (p->phase == DM_HOST_READY && p->n_runs < h->threads && !p->asked &&
                 (!best || p->n_runs < best->n_runs))
            best = p;
    }
    if (none && (!best || best->n_runs > 0))
        start(h, none);
    return best;
}

static void assign(dm_hosts *h)
{
    bool full = false;
    for (dm_host_run *r = h->waiting, *next; r && !*h->trouble; r = next) {
        next = r->next;
        dm_process *p = full && !r->suspect ? NULL : room_for(h, r);
        if (p)
            send_run(p, r);
        else if (!r->suspect && h->all[h->n - 1].phase != DM_HOST_NONE)
            full = true; /* and none is left to be started */
    }
}

dm_host_run *dm_host_begin(dm_hosts *h, const dm_host_state *s, dm_str message,
                           const dm_host_events *events, void *user)
{
    dm_host_run *r = dm_alloc(sizeof *r);
    r->hosts = h;
    r->state = s;
    r->message = dm_copy_bytes(message.p, message.n);
    r->n = message.n;
    r->events = events;
    r->user = user;
    r->number = ++h->next;
    h->n_runs++;
    put_in_line(r);
    assign(h);
    return r;
}

void dm_host_answer(dm_host_run *r, int64_t call, dm_str members)
{
    dm_buf b;
    if (!r->process || r->process->phase != DM_HOST_READY)
        return;
    r->open--;
    r->since = dm_now();
    dm_buf_init(&b, DM_MAX_FILE);
    dm_buf_printf(&b, "{\"op\":\"answer\",\"id\":%lld,", (long long)call);
    dm_buf_str(&b, members);
    dm_buf_text(&b, "}\n");
    dm_process_send(r->process, dm_buf_view(&b));
    dm_buf_free(&b);
}

int64_t dm_host_number(const dm_host_run *r)
{
    return r->number;
}

dm_process *dm_hosts_process(dm_hosts *h, int64_t run)
{
    dm_process *any = NULL;
    for (size_t i = 0; i < ZYGOTE; i++) {
        dm_process *p = &h->all[i];
        if (p->phase != DM_HOST_READY || p->asked)
            continue;
        for (const dm_host_run *r = p->runs; r; r = r->next)
            if (r->number == run)
                return p;
        any = any ? any : p;
    }
    return any;
}

void dm_hosts_on_go(dm_hosts *h, void (*done)(void *user, const dm_value *message),
                    void (*lost)(void *user, const dm_process *p), void *user)
{
    h->go.done = done;
    h->go.lost = lost;
    h->go.user = user;
}

static void end_process(dm_hosts *h, dm_process *p)
{
    dm_process_end(p);
    if (h->go.lost)
        h->go.lost(h->go.user, p);
}

static void forget(dm_host_run *r)
{
    take_out(r);
    r->hosts->n_runs--;
    free_run(r);
}

void dm_host_drop(dm_host_run *r)
{
    char line[64];
    if (r->process && r->process->phase == DM_HOST_READY) {
        int n =
            snprintf(line, sizeof line, "{\"op\":\"cancel\",\"id\":%lld}\n", (long long)r->number);
        dm_process_send(r->process, (dm_str){line, (size_t)n});
    }
    forget(r);
}

static void end_with(dm_host_run *r, const dm_value *result)
{
    r->events->ended(r->user, result);
    forget(r);
}

/* ---- a process hangs, or has ended ---- */

static void fail_run(dm_host_run *r, const char *text, const char *where)
{
    dm_arena *a = dm_arena_new(2048);
    dm_value *d = dm_value_dict(a), *e = dm_value_dict(a);
    dm_value_set(a, e, DM_STR("class"), dm_value_text(a, "exit"));
    dm_value_set(a, e, DM_STR("message"), dm_value_text(a, text));
    if (*where)
        dm_value_set(a, e, DM_STR("where"), dm_value_text(a, where));
    dm_value_set(a, d, DM_STR("error"), e);
    end_with(r, d);
    dm_arena_free(a);
}

static void begin_anew(dm_host_run *r)
{
    take_out(r);
    put_in_line(r);
    r->open = 0;
    r->events->again(r->user);
}

static bool hangs(const dm_host_run *r, double now)
{
    return r->open <= 0 && now - r->since > r->hosts->timeout;
}

/* The longest of those that hang; NULL: none does. */
static dm_host_run *hanging(const dm_process *p, double now)
{
    dm_host_run *worst = NULL;
    for (dm_host_run *r = p->runs; r; r = r->next)
        if (hangs(r, now) && (!worst || r->since < worst->since))
            worst = r;
    return worst;
}

/* Ends the process. guilty: the run that hangs in it; NULL: it has died, of whichever. */
static void replace(dm_hosts *h, dm_process *p, dm_host_run *guilty)
{
    char where[200], words[400], text[800];
    dm_process_where(p, where, sizeof where);
    dm_process_last_words(p, words, sizeof words);
    dm_host_run *fails = p->orphan                 ? NULL
                         : p->lone                 ? (guilty ? guilty : p->runs)
                         : guilty && guilty->alone ? guilty
                                                   : NULL;
    dm_log(DM_WARN, "a process of the Python program %s%s%s; another one takes its place",
           guilty ? "hangs" : "has ended", *where ? ", last at " : "", where);
    end_process(h, p);
    for (dm_host_run *r = p->runs, *next; r; r = next) {
        next = r->next;
        if (r == fails)
            continue;
        r->deaths += guilty == NULL && !p->orphan;
        r->suspect |= r == guilty || r->deaths > 1;
        begin_anew(r);
    }
    if (!fails)
        return;
    if (guilty)
        snprintf(text, sizeof text, "the program ran %g s without asking a model", h->timeout);
    else
        snprintf(text, sizeof text, "the program ended its process%s%s",
                 *words ? ", whose last words were: "
                        : " without a word; if the system ended it for want of memory, lower "
                          "program.hosts",
                 words);
    fail_run(fails, text, where);
}

static void look_for_hanging(dm_hosts *h, dm_process *p, double now)
{
    dm_host_run *r = hanging(p, now);
    if (!r) {
        p->asked = false; /* it has gone on */
    } else if (!p->asked) {
        p->asked = true;
        p->since = now;
        if (p->pid > 1)
            kill((pid_t)p->pid, SIGUSR1);
    } else if (now - p->since > TELLS_IN) {
        replace(h, p, r);
    }
}

/* One that came as far before may be killed while it starts, for want of memory or by hand. */
static void has_ended(dm_hosts *h, dm_process *p)
{
    char words[400];
    for (size_t i = 0; p == &h->all[ZYGOTE] && i < ZYGOTE; i++)
        h->all[i].orphan = h->all[i].forked; /* they end with it */
    if (p->phase == DM_HOST_READY) {
        replace(h, p, NULL);
        return;
    }
    if (h->ready && ++h->unborn < MOST_UNBORN) {
        dm_log(DM_WARN, "a process of the Python program ended while it was starting; another one "
                        "takes its place");
        dm_process_end(p);
        return;
    }
    dm_process_last_words(p, words, sizeof words);
    fail_all(h, "the Python program could not be started with %s%s%s", h->argv[3],
             *words ? ": " : "", words);
    dm_process_end(p);
}

/* ---- what a process says ---- */

/* What it holds cannot be shared with forks: it is the first host itself, and the others are
 * started as it was. */
static void take_for_host(dm_hosts *h, const dm_value *m)
{
    dm_log(DM_WARN, "the Python program %s when it is imported: each process imports it by itself",
           dm_host_text(m, "alone"));
    h->spawns = true;
    h->all[0] = h->all[ZYGOTE];
    h->all[ZYGOTE] = (dm_process){.phase = DM_HOST_NONE};
    dm_child_init(&h->all[ZYGOTE].child, h->epoll, &h->ends);
}

static void take_ready(dm_hosts *h, dm_process *p, const dm_value *m)
{
    const dm_value *error = dm_value_get(m, "error");
    if (error) {
        const char *where = dm_host_text(error, "where");
        fail_all(h, "the Python program: %s%s%s%s", dm_host_text(error, "message"),
                 *where ? " (" : "", where, *where ? ")" : "");
        return;
    }
    p->phase = DM_HOST_READY;
    p->pid = (int64_t)number_of(m, "pid", 0);
    h->unborn = 0;
    if (p->forked)
        return; /* it is what the zygote is */
    if (!h->ready) {
        h->first = dm_arena_new(0);
        h->ready = dm_value_copy(h->first, m);
    }
    if (!h->expect)
        h->expect = dm_hosts_expected(h->arena, h->ready);
    char why[sizeof h->trouble];
    if (!dm_ready_fits(h->expect, m, why, sizeof why))
        fail_all(h, "%s", why);
    if (p == &h->all[ZYGOTE] && *dm_host_text(m, "alone"))
        take_for_host(h, m);
}

static dm_host_run *run_of(const dm_process *p, const dm_value *number)
{
    int64_t n;
    if (!number || !dm_value_to_int(number, &n))
        return NULL;
    for (dm_host_run *r = p->runs; r; r = r->next)
        if (r->number == n)
            return r;
    return NULL; /* it was dropped */
}

/* Each once, whichever of the processes it is. */
static void say_outside(dm_hosts *h, const dm_value *list)
{
    for (size_t i = 0; list && list->kind == DM_LIST && i < list->n; i++) {
        const dm_value *what = list->items[i];
        if (what->kind != DM_STRING || dm_value_get_str(h->outside, what->text))
            continue;
        dm_value_set(h->arena, h->outside, what->text, dm_value_bool(h->arena, true));
        dm_log(DM_WARN,
               "the Python program itself asks %s: that is not counted, limited, kept or resumed",
               what->text.p);
    }
}

/* a: what m lives in. True: whoever was asked has it now. */
static bool take_message(dm_hosts *h, dm_process *p, dm_arena *a, const dm_value *m)
{
    const char *op = dm_host_text(m, "op");
    say_outside(h, dm_value_get(m, "outside"));
    if (strcmp(op, "ready") == 0) {
        take_ready(h, p, m);
        return false;
    }
    if (strcmp(op, "done") == 0 && h->go.done)
        h->go.done(h->go.user, m);
    dm_host_run *r = run_of(p, dm_value_get(m, "run"));
    int64_t call = 0;
    if (!r)
        return false;
    r->since = dm_now();
    if (strcmp(op, "result") == 0) {
        end_with(r, m);
        return false;
    }
    if (strcmp(op, "lm") != 0 || !dm_value_to_int(dm_value_get(m, "id"), &call))
        return false;
    r->open++;
    r->events->asked(r->user, call, m, a);
    return true;
}

static void take_lines(dm_hosts *h, dm_process *p)
{
    dm_str line;
    while (p->phase != DM_HOST_NONE && (line = dm_process_line(p)).p) {
        dm_arena *a = dm_arena_new(4096);
        const dm_value *m = dm_json_read(a, line, NULL);
        if (!m || !take_message(h, p, a, m))
            dm_arena_free(a);
    }
}

/* ---- the loop ---- */

size_t dm_hosts_fds(dm_hosts *h, dm_wait_fd *fds, size_t max)
{
    if (max == 0)
        return 0;
    fds[0] = (dm_wait_fd){.fd = h->epoll};
    return 1;
}

double dm_hosts_due(const dm_hosts *h)
{
    bool any = h->n_runs > 0;
    for (size_t i = 0; i < ALL && !any; i++)
        any = h->all[i].phase == DM_HOST_STARTING;
    return any ? dm_now() + LOOK_AT : INFINITY;
}

void dm_hosts_poll(dm_hosts *h)
{
    struct epoll_event none[64];
    double now = dm_now();
    (void)epoll_wait(h->epoll, none, 64, 0);
    dm_endings_clear(&h->ends, false);
    for (size_t k = 0; k < h->n + 2 && !*h->trouble;
         k++) { /* the zygote first: it may have ended */
        dm_process *p = &h->all[k == 0 ? ZYGOTE : k <= h->n ? k - 1 : LONE];
        if (p->phase == DM_HOST_NONE)
            continue;
        bool lives = dm_process_turn(p);
        take_lines(h, p);
        if (p->phase == DM_HOST_NONE || *h->trouble)
            continue;
        if (!lives)
            has_ended(h, p);
        else if (p->phase == DM_HOST_READY)
            look_for_hanging(h, p, now);
        else if (now - p->since > IMPORTS_IN)
            fail_all(h, "the Python program was not imported within %g s", IMPORTS_IN);
    }
    assign(h);
}

void dm_hosts_refuse_score(dm_hosts *h, double score)
{
    fail_all(h,
             "the metric returned %g; this search takes scores from 0 to 1: scale them in the "
             "metric, or take one of DSPy's own searches, which take any number",
             score);
    h->by_metric = true;
}

bool dm_hosts_blame_metric(const dm_hosts *h)
{
    return h->by_metric;
}

const char *dm_hosts_trouble(const dm_hosts *h)
{
    return *h->trouble ? h->trouble : NULL;
}

const dm_value *dm_hosts_ready(dm_hosts *h, dm_arena *a, dm_error *err)
{
    if (!h->ready && h->all[ZYGOTE].phase == DM_HOST_NONE)
        start(h, &h->all[0]);
    while (!h->ready && !*h->trouble) {
        struct pollfd fd = {.fd = h->epoll, .events = POLLIN};
        (void)poll(&fd, 1, 200);
        dm_hosts_poll(h);
    }
    if (*h->trouble) {
        (void)dm_fail(err, DM_E_JOB, "%s", h->trouble);
        return NULL;
    }
    return dm_value_copy(a, h->ready);
}
