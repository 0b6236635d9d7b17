#include "base/log.h"
#include "base/secret.h"
#include "base/show.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
    dm_log_sink *sink;
    void *user;
    dm_level least;
} state = {.least = DM_ERROR};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void dm_log_set(dm_log_sink *sink, void *user, dm_level least)
{
    pthread_mutex_lock(&lock);
    state.sink = sink;
    state.user = user;
    state.least = least;
    pthread_mutex_unlock(&lock);
}

void dm_log(dm_level level, const char *fmt, ...)
{
    if (!state.sink || level < state.least)
        return;
    char *text; /* whole: the part of a secret that a cut leaves would not be found */
    dm_buf masked, line;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    dm_buf_init(&masked, SIZE_MAX / 2);
    dm_buf_init(&line, SIZE_MAX / 2);
    dm_mask(&masked, (dm_str){text, (size_t)n}, DM_MASK_LINES);
    dm_show(&line, dm_buf_view(&masked), DM_SHOW_LINE);
    dm_buf_free(&masked);
    dm_buf_char(&line, 0);
    pthread_mutex_lock(&lock);
    dm_log_sink *sink = state.sink;
    void *user = state.user;
    pthread_mutex_unlock(&lock);
    if (sink)
        sink(user, level, line.data);
    dm_buf_free(&line);
    free(text);
}
