#include "base/status.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/show.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Masked before it is cut: the part of a secret that a cut leaves would not be found. */
static void set_text(dm_error *err, dm_str text)
{
    dm_buf masked, b;
    dm_buf_init(&masked, SIZE_MAX / 2);
    dm_buf_init(&b, SIZE_MAX / 2);
    dm_mask(&masked, text, DM_MASK_LINES);
    dm_show(&b, dm_buf_view(&masked), DM_SHOW_LINES);
    dm_buf_free(&masked);
    dm_str all = dm_buf_view(&b);
    bool whole = all.n < sizeof err->text;
    dm_str head = whole ? all : dm_utf8_head(all, sizeof err->text - 4);
    if (head.n)
        memcpy(err->text, head.p, head.n);
    memcpy(err->text + head.n, whole ? "" : "...", whole ? 1 : 4);
    dm_buf_free(&b);
}

static char *print(const char *fmt, va_list ap)
{
    char *text;
    return vasprintf(&text, fmt, ap) < 0 ? dm_copy_string(fmt) : text;
}

dm_status dm_fail(dm_error *err, dm_status status, const char *fmt, ...)
{
    if (!err)
        return status;
    va_list ap;
    va_start(ap, fmt);
    char *text = print(fmt, ap);
    va_end(ap);
    err->status = status;
    set_text(err, dm_str_of(text));
    free(text);
    return status;
}

dm_status dm_error_wrap(dm_error *err, dm_status status, const char *fmt, ...)
{
    if (!err)
        return status;
    va_list ap;
    va_start(ap, fmt);
    char *before = print(fmt, ap);
    va_end(ap);
    dm_buf b;
    dm_buf_init(&b, SIZE_MAX / 2);
    dm_buf_text(&b, before);
    dm_buf_text(&b, ": ");
    dm_buf_text(&b, err->text);
    if (err->status == DM_OK)
        err->status = status;
    set_text(err, dm_buf_view(&b));
    dm_buf_free(&b);
    free(before);
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
