#include "limits.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

bool mock_limits_parse(mock_limits *l, const char *text)
{
    return sscanf(text, "%lf:%lf:%lf", &l->rpm, &l->tpm, &l->kept) == 3 && l->rpm > 0;
}

static double most(const mock_limits *l, int k)
{
    return fmax(1, (k ? l->tpm : l->rpm) / 60 * l->kept);
}

static void tell(mock_limits *l)
{
    static const char *const names[2] = {"requests", "tokens"};
    size_t used = 0;
    *l->headers = 0;
    for (int k = 0; l->tell && strcmp(l->tell, "none") != 0 && k < 2; k++) {
        double limit = k ? l->tpm : l->rpm, left = floor(fmax(0, l->left[k]));
        double reset = (most(l, k) - l->left[k]) / (limit / 60);
        size_t room = sizeof l->headers - used;
        char when[64];
        time_t at = time(NULL) + (time_t)ceil(reset);
        struct tm t;
        if (strcmp(l->tell, "anthropic") == 0) {
            gmtime_r(&at, &t);
            strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &t);
            used += (size_t)snprintf(l->headers + used, room,
                                     "anthropic-ratelimit-%s-limit: %.0f\r\n"
                                     "anthropic-ratelimit-%s-remaining: %.0f\r\n"
                                     "anthropic-ratelimit-%s-reset: %s\r\n",
                                     names[k], limit, names[k], left, names[k], when);
        } else {
            used += (size_t)snprintf(l->headers + used, room,
                                     "x-ratelimit-limit-%s: %.0f\r\n"
                                     "x-ratelimit-remaining-%s: %.0f\r\n"
                                     "x-ratelimit-reset-%s: %.0fms\r\n",
                                     names[k], limit, names[k], left, names[k], ceil(1000 * reset));
        }
    }
}

bool mock_limits_refuse(mock_limits *l, double tokens, double now)
{
    const double need[2] = {1, tokens};
    bool refused = false;
    for (int k = 0; k < 2; k++) {
        double rate = (k ? l->tpm : l->rpm) / 60;
        l->left[k] =
            l->begun ? fmin(most(l, k), l->left[k] + (now - l->filled) * rate) : most(l, k);
        refused |= l->left[k] < need[k];
    }
    l->begun = true;
    l->filled = now;
    l->left[0] = fmax(0, l->left[0] - 1);
    l->left[1] -= refused ? 0 : tokens;
    tell(l);
    return refused;
}
