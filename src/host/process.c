/* One process: its pipes, the lines in them, its last words. */
#include "base/clock.h"
#include "base/log.h"
#include "host/inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_OUT   ((size_t)512 << 20)
#define MOST_LINE  ((size_t)80 << 20) /* more than the host writes */
#define MOST_SHOWN 20 /* lines that the program prints, of a rank; --verbose shows all */
#define AT_ONCE    ((size_t)4 << 20) /* bytes that are read before somebody else's turn */

static void begin(dm_process *p)
{
    dm_buf_init(&p->out, MOST_OUT);
    dm_buf_init(&p->in, MOST_LINE);
    dm_buf_init(&p->words, 4 * DM_HOST_WORDS);
    dm_buf_init(&p->line, DM_HOST_WORDS);
    p->phase = DM_HOST_STARTING;
    p->since = dm_now();
    p->forked = p->orphan = false;
}

int dm_process_start(dm_process *p, char **argv, char *folder, dm_str hello)
{
    int why = dm_child_start(&p->child, argv, folder);
    if (why != 0)
        return why;
    begin(p);
    dm_process_send(p, hello);
    return 0;
}

int dm_process_fork(dm_process *p, const dm_process *zygote)
{
    int why = dm_child_fork(&p->child, &zygote->child);
    if (why != 0)
        return why;
    begin(p);
    p->forked = true;
    return 0;
}

void dm_process_end(dm_process *p)
{
    dm_child_end(&p->child);
    if (p->phase != DM_HOST_NONE) {
        dm_buf_free(&p->out);
        dm_buf_free(&p->in);
        dm_buf_free(&p->words);
        dm_buf_free(&p->line);
    }
    free(p->knows);
    p->knows = NULL;
    p->n_knows = p->sent = p->taken = p->looked = 0;
    p->phase = DM_HOST_NONE;
    p->asked = false;
    p->pid = 0;
}

/* ---- writing ---- */

static bool write_out(dm_process *p)
{
    if (p->sent < p->out.len) {
        ssize_t n = dm_child_write(&p->child, p->out.data + p->sent, p->out.len - p->sent);
        if (n < 0)
            return false;
        p->sent += (size_t)n;
    }
    if (p->sent == p->out.len) {
        dm_buf_reset(&p->out);
        p->sent = 0;
    }
    return true;
}

void dm_process_send(dm_process *p, dm_str line)
{
    dm_buf_str(&p->out, line);
    (void)write_out(p); /* that it has ended shows when it is read */
}

/* ---- reading ---- */

/* 1: there may be more; 0: nothing now; -1: it has ended. */
static int read_some(int fd, dm_buf *to, size_t most)
{
    char bytes[65536];
    for (size_t all = 0; all < most;) {
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n > 0) {
            dm_buf_add(to, bytes, (size_t)n);
            all += (size_t)n;
        } else if (n == 0) {
            return -1;
        } else if (errno != EINTR) {
            return errno == EAGAIN ? 0 : -1;
        }
    }
    return 1;
}

static void keep_end(dm_buf *b, size_t most)
{
    if (b->len <= most)
        return;
    memmove(b->data, b->data + (b->len - most), most);
    b->len = most;
}

/* ---- what the program prints ---- */

static bool hushed;
static size_t shown; /* lines of this rank's */

void dm_process_hush(bool hush)
{
    hushed = hush;
}

static void show_line(dm_process *p)
{
    bool blank = p->line.len == 0, aside = hushed || p->asked || p->phase != DM_HOST_READY;
    if (!blank && !aside && shown == MOST_SHOWN)
        dm_log(DM_WARN, "what else the program prints is not shown; --verbose shows it");
    if (!blank)
        dm_log(!aside && shown < MOST_SHOWN ? DM_WARN : DM_DEBUG, "the program prints: %.*s",
               (int)p->line.len, p->line.data);
    shown += !blank && !aside;
    p->line.len = 0;
    p->line.full = false;
}

static void show(dm_process *p, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] == '\n' || p->line.full)
            show_line(p);
        else if (text[i] != '\r')
            dm_buf_char(&p->line, text[i]);
}

static void read_words(dm_process *p)
{
    for (int more = 1; p->child.err >= 0 && more > 0;) {
        size_t before = p->words.len;
        more = read_some(p->child.err, &p->words, DM_HOST_WORDS);
        if (p->words.len > before)
            show(p, p->words.data + before, p->words.len - before);
        keep_end(&p->words, DM_HOST_WORDS);
    }
}

bool dm_process_turn(dm_process *p)
{
    if (p->taken > 0) {
        memmove(p->in.data, p->in.data + p->taken, p->in.len - p->taken);
        p->in.len -= p->taken;
        p->looked -= p->taken;
        p->taken = 0;
    }
    bool writes = write_out(p);
    int reads = read_some(p->child.out, &p->in, AT_ONCE);
    read_words(p);
    return writes && reads >= 0 && !p->in.full;
}

dm_str dm_process_line(dm_process *p)
{
    const char *from = p->in.data ? p->in.data + p->looked : NULL;
    const char *end = from ? memchr(from, '\n', p->in.len - p->looked) : NULL;
    if (!end) {
        p->looked = p->in.len;
        return (dm_str){NULL, 0};
    }
    dm_str line = {p->in.data + p->taken, (size_t)(end - p->in.data) - p->taken};
    p->taken = p->looked = (size_t)(end - p->in.data) + 1;
    return line;
}

/* ---- last words ---- */

static bool is_of_others(dm_str path)
{
    static const char *const others[] = {"site-packages", "dist-packages", "lib/python",
                                         "dspy-host",     "<frozen",       "<string>"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (memmem(path.p, path.n, others[i], strlen(others[i])))
            return true;
    return false;
}

/* File "/path/mymod.py", line 20 in forward */
static bool frame_of(dm_str line, dm_str *path, long *number)
{
    static const char head[] = "  File \"", mid[] = "\", line ";
    if (!dm_str_starts(line, head))
        return false;
    path->p = line.p + strlen(head);
    const char *end = memmem(path->p, line.n - strlen(head), mid, strlen(mid));
    if (!end)
        return false;
    path->n = (size_t)(end - path->p);
    *number = strtol(end + strlen(mid), NULL, 10);
    return true;
}

/* faulthandler writes a stack for each thread, the newest frame first. Threads of ours that wait
 * have the host's own file there; of another one the first frame of the user's tells. */
void dm_process_where(const dm_process *p, char *out, size_t room)
{
    bool newest = true, waits = false;
    *out = 0;
    for (size_t i = 0; i < p->words.len;) {
        const char *from = p->words.data + i, *end = memchr(from, '\n', p->words.len - i);
        dm_str line = {from, end ? (size_t)(end - from) : p->words.len - i}, path;
        long number;
        i += line.n + 1;
        if (!frame_of(line, &path, &number)) {
            newest = true;
            continue;
        }
        if (newest)
            waits = memmem(path.p, path.n, "dspy-host", 9) != NULL;
        newest = false;
        if (waits || is_of_others(path) || *out)
            continue;
        const char *slash = memrchr(path.p, '/', path.n);
        dm_str name = {slash ? slash + 1 : path.p,
                       slash ? path.n - (size_t)(slash + 1 - path.p) : path.n};
        snprintf(out, room, "%.*s:%ld", DM_STR_ARG(name), number);
    }
}

void dm_process_last_words(const dm_process *p, char *out, size_t room)
{
    size_t end = p->words.len, from;
    while (end > 0 && strchr(" \r\n\t", p->words.data[end - 1]))
        end--;
    for (from = end; from > 0 && p->words.data[from - 1] != '\n';)
        from--;
    if (end - from > 300)
        from = end - 300;
    snprintf(out, room, "%.*s", (int)(end - from), end > from ? p->words.data + from : "");
}
