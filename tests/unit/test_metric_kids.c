/* The kinds of bad behaviour of tests/metric_kid.py, each with six questions, side by side: the
 * right score or words, for each question of its own, and nothing left behind. KID=name runs one.
 */
#include "base/clock.h"
#include "metrics.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KINDS = 100, QUESTIONS = 6, AT_ONCE = 12 };

typedef struct kid {
    char name[64], options[80], expected[8], words[100];
    dm_metric *m;
    got g[QUESTIONS];
    double took; /* s until all was told */
} kid;

static char python[300]; /* the interpreter itself: what finds one may be slow */

/* What `python3 tests/metric_kid.py --table` prints; NULL: nothing. */
static FILE *open_table(void)
{
    int fds[2];
    if (pipe(fds) != 0)
        return NULL;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], 1);
        execlp("python3", "python3", "tests/metric_kid.py", "--table", (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    return fdopen(fds[0], "r");
}

static size_t read_kinds(kid *kids)
{
    char line[400];
    size_t n = 0;
    FILE *f = open_table();
    if (f && fgets(python, sizeof python, f))
        python[strcspn(python, "\n")] = 0;
    while (f && n < KINDS && fgets(line, sizeof line, f)) {
        kid *k = &kids[n];
        char *field[4], *at = line;
        for (int i = 0; i < 4; i++) {
            size_t length = strcspn(at, "\t\n");
            field[i] = at;
            at += length + 1;
            at[-1] = 0;
        }
        snprintf(k->name, sizeof k->name, "%s", field[0]);
        snprintf(k->options, sizeof k->options, "%s", field[1]);
        snprintf(k->expected, sizeof k->expected, "%s", field[2]);
        snprintf(k->words, sizeof k->words, "%s", field[3]);
        n++;
    }
    if (f)
        fclose(f);
    return n;
}

static void start_kid(dm_arena *a, kid *k)
{
    dm_value *d = dm_value_copy(a, json(a, k->options)), *list = dm_value_list(a);
    const char *words[] = {python, "-IS", "tests/metric_kid.py", k->name};
    dm_error err = {DM_OK, ""};
    for (int i = 0; i < 4; i++)
        dm_value_append(a, list, dm_value_text(a, words[i]));
    dm_value_set(a, d, DM_STR("command"), list);
    dm_at at = dm_at_root(d, NULL, DM_E_JOB);
    k->m = dm_metric_new(a, &at, program(a, "k -> a"), NULL, 0, &err);
    cr_assert_not_null(k->m, "%s", err.text);
    for (int i = 0; i < QUESTIONS; i++) {
        dm_value *row = dm_value_dict(a);
        dm_value_set(a, row, DM_STR("k"), dm_value_int(a, i));
        dm_metric_submit(k->m, row, json(a, "{\"a\":\"x\"}"), NULL, 0, program(a, "k -> a"), take,
                         &k->g[i]);
    }
}

static bool has_all(const kid *k)
{
    for (int i = 0; i < QUESTIONS; i++)
        if (k->g[i].n == 0)
            return false;
    return true;
}

/* As a rank's loop does it: sleeps until somebody says something or a time is over. */
static void hear_kids(kid *kids, size_t n)
{
    static struct pollfd polls[KINDS];
    double began = dm_now(), due = began + 5;
    size_t n_polls = 0;
    for (size_t i = 0; i < n; i++) {
        dm_wait_fd fd;
        if (dm_metric_fds(kids[i].m, &fd, 1) == 1)
            polls[n_polls++] = (struct pollfd){.fd = fd.fd, .events = POLLIN};
        due = fmin(due, dm_metric_due(kids[i].m));
    }
    (void)poll(polls, n_polls, (int)ceil(1000 * fmax(0, due - began)));
    for (size_t i = 0; i < n; i++)
        dm_metric_poll(kids[i].m);
}

/* Any of the words between |. */
static bool says(const char *text, const char *words)
{
    char copy[100];
    snprintf(copy, sizeof copy, "%s", words);
    for (char *rest, *w = strtok_r(copy, "|", &rest); w; w = strtok_r(NULL, "|", &rest))
        if (strstr(text, w))
            return true;
    return false;
}

static void judge(const kid *k)
{
    static const double right[QUESTIONS] = {1, 0.5, 0.25, 0.125, 0, 0.75};
    for (int i = 0; i < QUESTIONS; i++) {
        const got *g = &k->g[i];
        char e = k->expected[i];
        bool well = g->n == 1 && (g->ok ? e != '-' && fabs(g->score - right[i]) < 1e-12
                                        : e != '+' && says(g->text, k->words));
        cr_expect(well, "%s, example %d: told %d times: %g %.200s", k->name, i, g->n, g->score,
                  g->text);
    }
}

/* Processes, other than this one, that have the variable in their environment. */
static size_t left_behind(const char *variable)
{
    size_t n = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[300], *text = NULL;
        size_t size = 0;
        snprintf(path, sizeof path, "/proc/%s/environ", e->d_name);
        FILE *f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "r") : NULL;
        while (f && getdelim(&text, &size, 0, f) > 0)
            n += strcmp(text, variable) == 0;
        free(text);
        if (f)
            fclose(f);
    }
    if (d)
        closedir(d);
    return n;
}

static void run_side_by_side(dm_arena *a, kid *kids, size_t n)
{
    double began = dm_now();
    size_t left = n;
    for (size_t i = 0; i < n; i++)
        start_kid(a, &kids[i]);
    while (left > 0 && dm_now() < began + 200) {
        hear_kids(kids, n);
        left = 0;
        for (size_t i = 0; i < n; i++)
            if (!has_all(&kids[i]))
                left++;
            else if (kids[i].took == 0)
                kids[i].took = dm_now() - began;
    }
    for (size_t i = 0; i < n; i++) {
        cr_log_info("%s: %.1f s", kids[i].name, kids[i].took);
        judge(&kids[i]);
        dm_metric_free(kids[i].m);
    }
}

/* Those that wait for a time-out first, and all together. */
static int by_options(const void *a, const void *b)
{
    return strcmp(((const kid *)b)->options, ((const kid *)a)->options);
}

Test(metric_kids, kinds_of_bad_behaviour, .timeout = 1200)
{
    static kid kids[KINDS];
    char mark[64];
    dm_arena *a = dm_arena_new(0);
    size_t n = read_kinds(kids), waits = 0;
    if (n == 0)
        cr_skip_test("needs python3");
    snprintf(mark, sizeof mark, "KID_OF_TEST=%d", (int)getpid());
    putenv(mark);
    setenv("DM_METRIC_START_SECONDS", "15", 1);
    const char *only = getenv("KID");
    for (size_t i = 0; i < n; i++)
        if (only && strcmp(only, kids[i].name) != 0)
            kids[i--] = kids[--n];
    qsort(kids, n, sizeof *kids, by_options);
    while (waits < n && strstr(kids[waits].options, "timeout"))
        waits++;
    run_side_by_side(a, kids, waits);
    for (size_t i = waits; i < n; i += AT_ONCE)
        run_side_by_side(a, kids + i, n - i < AT_ONCE ? n - i : AT_ONCE);
    cr_expect_eq(left_behind(mark), 0, "%zu processes are left", left_behind(mark));
    dm_arena_free(a);
}
