/* What went wrong with results, whose fault it is and what to do about it; and how many may go
 * wrong.
 */
#include "adapter/adapter.h"
#include "base/log.h"
#include "base/secret.h"
#include "optimizer/inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_QUOTE 500 /* bytes of an answer that does not parse */

typedef enum kind {
    CUT,
    METRIC,
    UNJUDGED,
    PROGRAM,
    REFUSED,
    TOO_LONG,
    FILTERED,
    NO_ANSWER,
    UNREAD,
    KINDS
} kind;

static kind kind_of(const dm_result *r)
{
    switch (r->fault) {
    case DM_FAULT_METRIC:
        return METRIC;
    case DM_FAULT_JUDGE:
        return UNJUDGED;
    case DM_FAULT_PROGRAM:
        return PROGRAM;
    case DM_FAULT_REFUSED:
        return REFUSED;
    case DM_FAULT_OVERFLOW:
        return TOO_LONG;
    case DM_FAULT_FILTER:
        return FILTERED;
    case DM_FAULT_PARSE:
        return r->starved ? CUT : UNREAD;
    case DM_FAULT_NONE:
    case DM_FAULT_TRANSPORT:
    case DM_FAULT_ENDPOINT:
    case DM_FAULT_SERVER:
    case DM_FAULT_DENIED:
        break;
    }
    return NO_ANSWER;
}

/* A sampling key of the job's that the server's words name; NULL: none. */
static const char *named_key(const dm_lm_config *model, const char *words)
{
    const dm_value *const given[] = {model->sampling, model->extra_body};
    for (size_t g = 0; g < 2; g++)
        for (size_t i = 0; given[g] && i < given[g]->n; i++) {
            const char *key = given[g]->members[i].key.p;
            if (strlen(key) > 3 && strcasestr(words, key))
                return key;
        }
    return NULL;
}

typedef struct faults { /* of one kind among n results */
    const dm_lm_config *model;
    const dm_result *first;
    const char *words; /* of the first */
    char many[60];     /* "20 of 20 answers are" */
} faults;

static dm_status tell_cut(dm_buf *b, const faults *f)
{
    const dm_lm_config *m = f->model;
    dm_buf_printf(b, "%s cut ", f->many);
    if (m->has_max_tokens)
        dm_buf_printf(b, "at max_tokens=%lld", (long long)m->max_tokens);
    else
        dm_buf_printf(b, "at %lld tokens, the most that the server gives",
                      (long long)f->first->cut);
    if (f->first->reasoning > 0)
        dm_buf_printf(b, ", %lld of them reasoning", (long long)f->first->reasoning);
    else
        dm_buf_text(b, ", before the model has ended its reasoning");
    dm_buf_text(b, m->has_max_tokens ? ": raise it, or lower lm.reasoning_effort"
                                     : ": lower lm.reasoning_effort, or give it a server that "
                                       "takes more");
    return m->has_max_tokens ? DM_E_JOB : DM_E_MODEL;
}

static dm_status tell_refused(dm_buf *b, const faults *f)
{
    const char *key = named_key(f->model, f->words);
    dm_buf_printf(b, "%s refused: %s", f->many, f->words);
    if (!key)
        return DM_E_MODEL;
    dm_buf_printf(b, ": take `%s` out of the job's model, or give what the server allows", key);
    return DM_E_JOB;
}

static dm_status tell_unread(dm_buf *b, const faults *f)
{
    char *answer = dm_outside(dm_parse_quoted(dm_str_of(f->words)), MOST_QUOTE);
    dm_buf_printf(b, "%s not in the form of the program's outputs; the first: %s", f->many,
                  *answer ? answer : "an empty answer");
    free(answer);
    return DM_E_MODEL;
}

/* Appends what went wrong and what to do; the status is that of whose fault it is. */
static dm_status tell(dm_buf *b, kind k, const faults *f)
{
    switch (k) {
    case CUT:
        return tell_cut(b, f);
    case REFUSED:
        return tell_refused(b, f);
    case UNREAD:
        return tell_unread(b, f);
    case METRIC:
        dm_buf_printf(b,
                      "%s not scored, because the metric failed: %s; `dspy-mpi check` tries it "
                      "without a call",
                      f->many, f->words);
        return DM_E_DATA;
    case UNJUDGED:
        dm_buf_printf(b,
                      "%s not scored, because the judge gave no score: %s; look at the judge's "
                      "signature, and at parts in predictions.jsonl",
                      f->many, f->words);
        return DM_E_MODEL;
    case PROGRAM:
        dm_buf_printf(b, "%s missing, because the program itself fails: %s", f->many, f->words);
        return DM_E_DATA;
    case TOO_LONG:
        dm_buf_printf(b, "%s refused, because the prompts are too long: %s", f->many, f->words);
        return DM_E_DATA;
    case FILTERED:
        dm_buf_printf(b, "%s stopped by the provider's content filter: %s", f->many, f->words);
        return DM_E_DATA;
    case NO_ANSWER:
    case KINDS:
        break;
    }
    dm_buf_printf(b, "%s not available: %s", f->many, f->words);
    return DM_E_MODEL;
}

dm_status dm_tell_faults(dm_buf *b, const dm_lm_config *model, const dm_result *r, size_t n)
{
    size_t counts[KINDS] = {0}, failed = 0;
    kind most = CUT;
    for (size_t i = 0; i < n; i++)
        if (r[i].fault != DM_FAULT_NONE) {
            counts[kind_of(&r[i])]++;
            failed++;
        }
    for (kind k = CUT; k < KINDS; k++)
        if (counts[k] > counts[most])
            most = k;
    if (failed == 0)
        return DM_OK;
    faults f = {.model = model};
    for (size_t i = 0; i < n && !f.first; i++)
        if (r[i].fault != DM_FAULT_NONE && kind_of(&r[i]) == most)
            f.first = &r[i];
    f.words = f.first->error && *f.first->error ? f.first->error : dm_fault_name(f.first->fault);
    if (n > 1)
        snprintf(f.many, sizeof f.many, "%zu of %zu answers are", counts[most], n);
    else
        snprintf(f.many, sizeof f.many, "the answer is");
    return tell(b, most, &f);
}

bool dm_is_unread(const dm_result *r)
{
    return r->fault != DM_FAULT_NONE && kind_of(r) == UNREAD;
}

/* ---- how many ---- */

static bool is_error(const dm_result *r)
{
    return r->fault != DM_FAULT_NONE && r->fault != DM_FAULT_TRANSPORT &&
           r->fault != DM_FAULT_SERVER && r->fault != DM_FAULT_ENDPOINT &&
           r->fault != DM_FAULT_JUDGE; /* the server's are nobody's errors */
}

size_t dm_count_failed(const dm_result *r, size_t n)
{
    size_t failed = 0;
    for (size_t i = 0; i < n; i++)
        failed += is_error(&r[i]);
    return failed;
}

/* most 0: any number; given: by the job. */
static dm_status count_errors(const dm_lm_config *model, int64_t most, bool given,
                              const char *where, const dm_result *r, size_t n, int64_t *count,
                              dm_error *err)
{
    for (size_t i = 0; i < n && most > 0; i++) {
        if (!is_error(&r[i]))
            continue;
        if (!given && dm_is_refusal(r[i].fault))
            continue; /* what costs a candidate its place ends no run (src/README.md §5) */
        if (++*count < most)
            continue;
        dm_buf b;
        dm_buf_init(&b, DM_MAX_TEXT);
        dm_status st = dm_tell_faults(&b, model, &r[i], 1);
        st = given ? DM_E_DATA : st; /* the limit is the user's own */
        dm_fail(err, st, "%lld examples failed %s, and max_errors is %lld. Of the last one %s",
                (long long)*count, where, (long long)most, b.data);
        dm_buf_free(&b);
        return st;
    }
    return DM_OK;
}

const dm_result *dm_void_failed(dm_arena *a, const dm_params *p, const char *name,
                                const dm_result *r, size_t n)
{
    int64_t most = p->has_max_errors ? p->max_errors : DM_MAX_ERRORS;
    size_t failed = dm_count_failed(r, n);
    if (most <= 0 || failed < (size_t)most)
        return r;
    dm_log(DM_WARN,
           "%s: %zu of %zu examples failed, and max_errors is %lld: it scores 0, as in DSPy", name,
           failed, n, (long long)most);
    dm_result *none = dm_arena_alloc_n(a, n, sizeof *none);
    for (size_t i = 0; i < n; i++) {
        none[i] = r[i];
        none[i].score = 0;
    }
    return none;
}

dm_status dm_count_errors(const dm_pool *p, const dm_params *params, const dm_result *r, size_t n,
                          int64_t *count, dm_error *err)
{
    return count_errors(dm_pool_model(p, DM_TASK), params->has_max_errors ? params->max_errors : 0,
                        true, "in the evaluation of one candidate", r, n, count, err);
}

dm_status dm_count_pass_errors(const dm_pool *p, const dm_params *params, const dm_result *r,
                               size_t n, int64_t *count, dm_error *err)
{
    return count_errors(dm_pool_model(p, DM_TEACHER),
                        params->has_max_errors ? params->max_errors : DM_MAX_ERRORS,
                        params->has_max_errors, "in one bootstrapping pass", r, n, count, err);
}
