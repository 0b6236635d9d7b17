#include "cmd/history.h"
#include "base/place.h"
#include "cmd/job_models.h"
#include "cmd/python_job.h"
#include "cmd/say.h"
#include "json/json.h"
#include "lm/serves.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SERVES_SECONDS 5.0

typedef struct history {
    const dm_job *job;
    dm_arena *arena, *attempt; /* attempt: for one record at a time */
    dm_replay *replay;
    struct said { /* by role: what its server said last, in any attempt */
        dm_arena *arena;
        const dm_value *value;
    } said[DM_ROLES];
} history;

dm_status dm_history_fsync(const dm_command_line *line, dm_fsync *out, dm_error *err)
{
    static const char *const names[] = {"each", "1s", "none"};
    const dm_value *v = dm_value_get(line->flags, "fsync");
    *out = DM_FSYNC_1S;
    for (int i = 0; v && i < 3; i++)
        if (dm_str_is(v->text, names[i])) {
            *out = (dm_fsync)i;
            return DM_OK;
        }
    return v ? dm_fail(err, DM_E_USAGE, "--fsync is each, 1s or none, not \"%s\"", v->text.p)
             : DM_OK;
}

/* ---- what servers serve ---- */

/* One value a role, however many attempts the journal has. */
static void remember(history *h, const dm_value *serves)
{
    for (int i = 0; serves && serves->kind == DM_DICT && i < dm_job_roles(h->job); i++) {
        const dm_value *v = dm_value_get(serves, dm_job_role_name(h->job, i));
        struct said *s = &h->said[i];
        if (!v || (s->value && dm_value_equal(s->value, v)))
            continue;
        dm_arena_free(s->arena);
        s->arena = dm_arena_new(1024);
        s->value = dm_value_copy(s->arena, v);
    }
}

static dm_status visit(void *user, dm_journal_type type, dm_str payload, dm_error *err)
{
    history *h = user;
    if (type == DM_JOURNAL_ATTEMPT) {
        const dm_value *v = dm_json_read(h->attempt, payload, NULL);
        remember(h, v && v->kind == DM_DICT ? dm_value_get(v, "serves") : NULL);
        dm_arena_reset(h->attempt);
    }
    return dm_replay_visit(h->replay, type, payload, err);
}

static const dm_value *said_before(const history *h)
{
    dm_value *d = dm_value_dict(h->arena);
    for (int i = 0; i < DM_ROLES; i++)
        if (h->said[i].value)
            dm_value_set(h->arena, d, dm_str_of(dm_job_role_name(h->job, i)), h->said[i].value);
    return d;
}

static dm_value *ask_servers(dm_arena *a, const dm_job *job)
{
    dm_value *d = dm_value_dict(a);
    for (int i = 0; i < dm_job_roles(job); i++) {
        const dm_lm_config *c = job->setup.model[i];
        bool first = dm_setup_model_of(&job->setup, i) == i;
        const dm_value *said = c && first ? dm_lm_serves(a, c, SERVES_SECONDS) : NULL;
        if (said)
            dm_value_set(a, d, dm_str_of(dm_job_role_name(job, i)), said);
    }
    return d;
}

static void put_json(dm_buf *b, const dm_value *v)
{
    if (v)
        dm_json_write(b, v, DM_JSON_PYTHON);
    else
        dm_buf_text(b, "not told");
}

/* Answers of two models in one compilation compare nothing. */
static dm_status compare_servers(const dm_value *before, const dm_value *now, dm_error *err)
{
    for (size_t i = 0; i < now->n; i++) {
        const dm_member *m = &now->members[i];
        const dm_value *old = dm_value_get_str(before, m->key);
        for (size_t k = 0; old && k < m->value->n; k++) {
            const dm_member *said = &m->value->members[k];
            const dm_value *then = dm_value_get_str(old, said->key);
            dm_buf b;
            if (then && dm_value_equal(then, said->value))
                continue;
            dm_buf_init(&b, 4096);
            put_json(&b, then);
            dm_buf_text(&b, " then, ");
            put_json(&b, said->value);
            dm_status st = dm_fail(
                err, DM_E_OUTPUT,
                "the server of the %s model serves something else than when this OUT was started "
                "(`%s`: %s now): --accept-model-change continues anyway, --fresh starts over",
                m->key.p, said->key.p, b.data);
            dm_buf_free(&b);
            return st;
        }
    }
    return DM_OK;
}

static dm_status begin_attempt(history *h, dm_job *job, bool accept, dm_error *err)
{
    dm_value *now = ask_servers(h->arena, job), *d = dm_value_dict(h->arena);
    dm_status st = accept ? DM_OK : compare_servers(said_before(h), now, err);
    dm_buf b;
    if (st != DM_OK)
        return st;
    dm_value_set(h->arena, d, DM_STR("version"), dm_value_text(h->arena, DM_VERSION));
    dm_value_set(h->arena, d, DM_STR("serves"), now);
    if (job->dropped && job->dropped->n)
        dm_value_set(h->arena, d, DM_STR("dropped"), job->dropped);
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_json_write(&b, d, DM_JSON_PYTHON);
    dm_journal_add(job->setup.journal, DM_JOURNAL_ATTEMPT, dm_buf_view(&b));
    dm_buf_free(&b);
    return DM_OK;
}

/* ---- the whole ---- */

const dm_value *dm_history_more(dm_arena *a, const dm_job *job)
{
    dm_value *more = dm_value_dict(a);
    dm_value_set(a, more, DM_STR("version"), dm_value_text(a, DM_VERSION));
    if (job->program->python)
        dm_value_set(a, more, DM_STR(DM_CALLS_TRIED), dm_value_float(a, job->program->calls));
    return more;
}

/* Its answers are taken, not its results. */
static dm_status open_earlier(dm_arena *a, dm_job *job, dm_error *err)
{
    const char *path = dm_arena_printf(a, "%s/" DM_EARLIER_JOURNAL, job->out);
    if (access(path, F_OK) != 0)
        return DM_OK;
    if (!dm_journal_is_one(path))
        return dm_fail(err, DM_E_OUTPUT, "%s is not a journal of dspy-mpi: " DM_MOVE_IT, path);
    job->setup.earlier = dm_replay_open(path, err);
    if (!job->setup.earlier)
        return err->status;
    dm_say(stderr, "answers in %s are not requested again\n", path);
    return DM_OK;
}

dm_status dm_history_open(dm_arena *a, dm_job *job, const dm_command_line *line, dm_fsync sync,
                          dm_error *err)
{
    const char *path = dm_arena_printf(a, "%s/journal", job->out);
    history h = {.job = job,
                 .arena = a,
                 .attempt = dm_arena_new(0),
                 .replay = dm_replay_of_file(path)};
    job->setup.journal = dm_journal_open(path, sync, dm_job_identity(a, job),
                                         dm_history_more(a, job), visit, &h, err);
    dm_status st = job->setup.journal ? DM_OK : err->status;
    if (st == DM_OK)
        st = begin_attempt(&h, job, dm_value_get(line->flags, "accept-model-change") != NULL, err);
    if (st == DM_OK)
        st = open_earlier(a, job, err);
    dm_arena_free(h.attempt);
    for (int i = 0; i < DM_ROLES; i++)
        dm_arena_free(h.said[i].arena);
    if (st != DM_OK) {
        (void)dm_journal_close(job->setup.journal, NULL);
        dm_replay_free(h.replay);
        job->setup.journal = NULL;
        return st;
    }
    (void)unlink(dm_arena_printf(a, "%s/stop", job->out)); /* of an earlier run */
    job->setup.replay = h.replay;
    if (dm_replay_results(h.replay))
        dm_say(stderr, "resumed: %zu results are in %s and are not requested again\n",
               dm_replay_results(h.replay), path);
    return DM_OK;
}
