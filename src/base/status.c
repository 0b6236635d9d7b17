#include "base/status.h"

#include <stdio.h>
#include <string.h>

static void set_text(dm_error *err, const char *text)
{
    size_t room = sizeof err->text - 1, n = strlen(text);
    if (n > room) {
        n = room - 3;
        while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
            n--; /* not in the middle of a character */
        memcpy(err->text, text, n);
        memcpy(err->text + n, "...", 4);
        return;
    }
    memcpy(err->text, text, n + 1);
}

dm_status dm_fail(dm_error *err, dm_status status, const char *fmt, ...)
{
    if (!err)
        return status;
    char text[2 * sizeof err->text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err->status = status;
    set_text(err, text);
    return status;
}

dm_status dm_error_wrap(dm_error *err, dm_status status, const char *fmt, ...)
{
    if (!err)
        return status;
    char text[2 * sizeof err->text + 2], before[sizeof err->text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(before, sizeof before, fmt, ap);
    va_end(ap);
    snprintf(text, sizeof text, "%s: %s", before, err->text);
    if (err->status == DM_OK)
        err->status = status;
    set_text(err, text);
    return err->status;
}

volatile sig_atomic_t dm_asked_to_stop;

dm_status dm_stopped(dm_error *err, const char *what)
{
    return dm_fail(err, DM_STOP_SIGNAL,
                   "%s was interrupted before the run began: start the same command again", what);
}

int dm_exit_code(dm_status status)
{
    switch (status) {
    case DM_OK:
    case DM_STOP_BUDGET:
        return 0;
    case DM_STOP_SIGNAL:
    case DM_STOP_DEADLINE:
    case DM_STOP_FILE:
    case DM_STOP_OUTAGE:
        return 75;
    case DM_E_USAGE:
        return 64;
    case DM_E_DATA:
    case DM_E_PARSE:
    case DM_E_LIMIT:
        return 65;
    case DM_E_MODEL:
        return 69;
    case DM_E_OUTPUT:
        return 73;
    case DM_E_JOB:
        return 78;
    case DM_E_INTERNAL:
        break;
    }
    return 70;
}

const char *dm_status_name(dm_status status)
{
    switch (status) {
    case DM_OK:
        return "ok";
    case DM_STOP_BUDGET:
        return "budget";
    case DM_STOP_SIGNAL:
        return "signal";
    case DM_STOP_DEADLINE:
        return "deadline";
    case DM_STOP_FILE:
        return "stop file";
    case DM_STOP_OUTAGE:
        return "outage";
    case DM_E_USAGE:
        return "usage";
    case DM_E_DATA:
        return "data";
    case DM_E_MODEL:
        return "model";
    case DM_E_OUTPUT:
        return "output";
    case DM_E_JOB:
        return "job";
    case DM_E_PARSE:
        return "parse";
    case DM_E_LIMIT:
        return "limit";
    case DM_E_INTERNAL:
        break;
    }
    return "internal";
}
