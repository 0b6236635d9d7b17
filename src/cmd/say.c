#include "cmd/say.h"
#include "base/show.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define ERASE "\r\033[K"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile sig_atomic_t live; /* the cursor stands behind a live line */

/* What stands on the terminal while a live line is there would share the line with it. */
static void put(FILE *to, dm_buf *b)
{
    pthread_mutex_lock(&lock);
    if (live && b->len) {
        fputs(ERASE, stderr);
        fflush(stderr);
        live = 0;
    }
    if (b->len)
        fwrite(b->data, 1, b->len, to);
    pthread_mutex_unlock(&lock);
    dm_buf_free(b);
}

static void show(FILE *to, dm_str text, dm_layout layout)
{
    dm_buf b;
    dm_buf_init(&b, SIZE_MAX / 2);
    dm_show(&b, text, layout);
    put(to, &b);
}

void dm_say(FILE *to, const char *fmt, ...)
{
    va_list ap;
    dm_buf b;
    dm_buf_init(&b, SIZE_MAX / 2);
    va_start(ap, fmt);
    dm_show_vprintf(&b, fmt, ap);
    va_end(ap);
    put(to, &b);
}

static volatile sig_atomic_t dated;

void dm_say_dated(bool on)
{
    dated = on;
}

const char *dm_say_clock(char text[16])
{
    time_t t = time(NULL);
    struct tm local;
    text[0] = 0;
    if (dated && localtime_r(&t, &local))
        (void)strftime(text, 16, "%H:%M:%S ", &local);
    return text;
}

void dm_say_text(FILE *to, dm_str text)
{
    show(to, text, DM_SHOW_LINES);
}

void dm_say_json(FILE *to, dm_str text)
{
    show(to, text, DM_SHOW_JSON);
}

void dm_say_live(FILE *to, dm_str line)
{
    dm_buf b;
    if (!line.n && !live)
        return;
    dm_buf_init(&b, SIZE_MAX / 2);
    dm_buf_char(&b, '\r');
    dm_show(&b, line, DM_SHOW_LINE);
    dm_buf_text(&b, "\033[K");
    live = 0; /* it is replaced, not shared */
    put(to, &b);
    fflush(to);
    live = line.n > 0;
}

void dm_say_live_drop(void)
{
    if (live)
        (void)!write(2, ERASE, sizeof ERASE - 1); /* shown: it is ours */
    live = 0;
}

size_t dm_say_columns(const char *told)
{
    struct winsize size;
    char *end;
    long n = told ? strtol(told, &end, 10) : 0;
    if (ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return n > 1 && n < 10000 ? (size_t)n : 80;
}

void dm_say_close_gaps(void)
{
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        int got = open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY); /* of the lowest free number */
        if (got < 0)
            (void)!open("/", O_RDONLY | O_DIRECTORY); /* always there, and never written */
    }
}
