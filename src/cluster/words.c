#include "cluster/words.h"
#include "base/show.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define KEPT  16384 /* bytes */
#define ERASE "\r\033[K"

void dm_words_init(dm_words *w)
{
    *w = (dm_words){.terminal = dm_is_screen(2)};
    dm_buf_init(&w->line, 1 << 20);
    dm_buf_init(&w->kept, 2 * KEPT + 65536);
}

void dm_words_free(dm_words *w)
{
    dm_buf_free(&w->line);
    dm_buf_free(&w->kept);
}

size_t dm_words_columns(void)
{
    struct winsize size;
    return ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* What mpirun itself says, and nobody needs to read. */
static bool is_noise(const char *line)
{
    static const char *const words[] = {"Forwarding signal", "mpirun: Forwarding", "mpirun noticed",
                                        "mpirun has exited", "mpirun detected", "PMIX ERROR",
                                        "btl_tcp_",
                                        "find reachable pairing", /* its end; ranks write at once */
                                        "ORTE_ERROR_LOG", "sent help message",
                                        "orte_base_help_aggregate",
                                        /* on other hosts, where ours is not: they use /tmp */
                                        "Unable to create TMPDIR", "Setting TMPDIR to", "[hwloc/",
                                        "[mpiexec@", "[proxy:"}; /* Hydra, at its end */
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(line, words[i]))
            return true;
    return false;
}

static bool ends_live(dm_str line)
{
    return line.n >= 3 && memcmp(line.p + line.n - 3, "\033[K", 3) == 0;
}

static void keep(dm_words *w, const char *line)
{
    if (w->kept.len < KEPT)
        dm_buf_printf(&w->kept, "%s", line);
}

/* At most so many bytes as a line has columns but one, and whole characters: the terminal may have
 * become narrower since rank 0 was told. */
static dm_str cut(dm_str text)
{
    size_t most = dm_words_columns() - 1;
    if (text.n > most)
        for (text.n = most; text.n && ((unsigned char)text.p[text.n] & 0xc0) == 0x80;)
            text.n--;
    return text;
}

void dm_words_clear(dm_words *w)
{
    if (w->live)
        (void)!write(2, ERASE, sizeof ERASE - 1); /* shown: it is ours */
    w->live = false;
}

/* A line, or on a terminal also one that the next one replaces: "\r...", "erase the rest". */
static void say(dm_words *w, bool live, dm_str line)
{
    size_t n = live && ends_live(line) ? line.n - 3 : line.n;
    const char *begin = n < line.n ? memrchr(line.p, '\r', n) : NULL;
    size_t before = begin ? (size_t)(begin - line.p) : line.n;
    dm_buf b;
    dm_buf_init(&b, SIZE_MAX / 2);
    if (before)
        dm_words_clear(w);
    dm_show(&b, (dm_str){line.p, before}, DM_SHOW_LINES);
    if (begin) {
        dm_str text = cut((dm_str){begin + 1, n - before - 1});
        dm_buf_char(&b, '\r');
        dm_show(&b, text, DM_SHOW_LINE);
        dm_buf_text(&b, "\033[K");
        w->live = text.n > 0;
    }
    (void)!write(2, b.data ? b.data : "", b.len); /* shown above */
    dm_buf_free(&b);
}

void dm_words_say(dm_words *w, dm_str line)
{
    say(w, false, line);
}

static void pass_line(dm_words *w)
{
    const char *line = w->line.data ? w->line.data : "";
    if (strncmp(line, "----------", 10) == 0) {
        w->in_block = !w->in_block;
        keep(w, line);
    } else if (w->in_block || is_noise(line)) {
        keep(w, line);
    } else {
        say(w, w->terminal, dm_buf_view(&w->line));
    }
    dm_buf_reset(&w->line);
}

void dm_words_pass(dm_words *w, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dm_buf_char(&w->line, bytes[i]);
        /* A live line ends in "erase the rest" instead of a line end. */
        if (bytes[i] == '\n' || ends_live(dm_buf_view(&w->line)) || w->line.len > 65536)
            pass_line(w);
    }
}

void dm_words_end(dm_words *w)
{
    if (w->line.len)
        pass_line(w);
    dm_words_clear(w);
}
