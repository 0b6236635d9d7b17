#include "cmd/say.h"
#include "base/show.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static void put(FILE *to, dm_buf *b)
{
    if (b->len)
        fwrite(b->data, 1, b->len, to);
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
    dm_buf_init(&b, SIZE_MAX / 2);
    dm_buf_char(&b, '\r');
    dm_show(&b, line, DM_SHOW_LINE);
    dm_buf_text(&b, "\033[K");
    put(to, &b);
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
