#include "base/log.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    dm_log_sink *sink;
    void *user;
    dm_level least;
    char **secrets; /* [n] as long as the process; the longest first: one may hold another */
    size_t n;
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

void dm_log_secret(const char *secret)
{
    size_t n = strlen(secret), at = 0;
    if (n < 8)
        return;
    pthread_mutex_lock(&lock);
    while (at < state.n && strlen(state.secrets[at]) >= n && strcmp(state.secrets[at], secret) != 0)
        at++;
    if (at == state.n || strcmp(state.secrets[at], secret) != 0) {
        state.secrets = dm_grow(state.secrets, state.n + 1, sizeof *state.secrets);
        memmove(state.secrets + at + 1, state.secrets + at, (state.n - at) * sizeof *state.secrets);
        state.secrets[at] = dm_copy_string(secret);
        state.n++;
    }
    pthread_mutex_unlock(&lock);
}

static void mask(char *text)
{
    for (size_t i = 0; i < state.n; i++) {
        size_t n = strlen(state.secrets[i]);
        for (char *at = strstr(text, state.secrets[i]); at; at = strstr(at + 3, state.secrets[i])) {
            memcpy(at, "***", 3);
            memmove(at + 3, at + n, strlen(at + n) + 1);
        }
    }
}

void dm_log_mask(char *text)
{
    pthread_mutex_lock(&lock);
    mask(text);
    pthread_mutex_unlock(&lock);
}

void dm_log(dm_level level, const char *fmt, ...)
{
    if (!state.sink || level < state.least)
        return;
    char *text; /* whole: the part of a secret that a cut leaves would not be found */
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    pthread_mutex_lock(&lock);
    mask(text);
    dm_log_sink *sink = state.sink;
    void *user = state.user;
    pthread_mutex_unlock(&lock);
    if (sink)
        sink(user, level, text);
    free(text);
}
