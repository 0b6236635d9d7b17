/* dspy-mpi run: answers of a program, one JSON object a line. */
#include "cmd/asked.h"
#include "cmd/columns.h"
#include "cmd/commands.h"
#include "cmd/history.h"
#include "cmd/inputs.h"
#include "cmd/lines.h"
#include "cmd/owned.h"
#include "cmd/say.h"
#include "cmd/session.h"
#include "json/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* They render as DSPy's do; but it is said. */
static void warn_of_missing(const dm_program *p, const dm_dataset *d)
{
    for (size_t k = 0; k < p->n_inputs; k++) {
        size_t missing = 0, first = 0;
        for (size_t i = d->n; i-- > 0;)
            if (!dm_value_get_str(d->examples[i].row, p->inputs[k])) {
                missing++;
                first = i;
            }
        if (missing)
            dm_say(stderr,
                   "dspy-mpi: the input \"%.*s\" is missing in %zu of %zu, first in number %zu\n",
                   DM_STR_ARG(p->inputs[k]), missing, d->n, first + 1);
    }
}

static dm_status read_examples(dm_arena *a, const dm_command_line *line, const dm_job *job,
                               dm_dataset **out, dm_error *err)
{
    const dm_value *file = dm_value_get(line->flags, "inputs-file");
    dm_value *inputs, *rows = dm_value_list(a);
    bool given;
    dm_status st = dm_inputs_read(a, line, job->program, &inputs, &given, err);
    if (st != DM_OK)
        return st;
    if (file && given)
        return dm_fail(err, DM_E_USAGE, "--inputs, or --input and --input-json: not both");
    if (file) {
        bool from_stdin = dm_str_is(file->text, "-");
        st = dm_dataset_read(a, from_stdin ? "/dev/stdin" : file->text.p, out, err);
        if (st == DM_OK)
            *out = (dm_dataset *)(uintptr_t)dm_columns_typed(a, job->program, *out);
        if (st == DM_OK)
            warn_of_missing(job->program, *out);
        return st;
    }
    if (!given && job->program->n_inputs)
        return dm_fail(err, DM_E_USAGE,
                       "inputs are missing: --input %.*s='...' or --inputs FILE.jsonl",
                       DM_STR_ARG(job->program->inputs[0]));
    dm_value_append(a, rows, inputs);
    *out = dm_dataset_of(a, "command line", rows);
    return DM_OK;
}

/* ---- lines ---- */

typedef struct running {
    dm_session *s;
    const dm_dataset *set;
    dm_lines lines;
    bool with_inputs;
    int code;
} running;

/* The inputs, the data's id first, and behind them what is in `more`. */
static void put_with_inputs(dm_buf *b, const running *r, const dm_value *row, const dm_value *more)
{
    const dm_program *p = r->s->job->program;
    dm_arena *a = dm_arena_new(4096);
    dm_value *d = dm_value_dict(a);
    if (dm_value_get(row, "id"))
        dm_value_set(a, d, DM_STR("id"), dm_value_get(row, "id"));
    for (size_t i = 0; i < p->n_inputs; i++)
        if (dm_value_get_str(row, p->inputs[i]))
            dm_value_set(a, d, p->inputs[i], dm_value_get_str(row, p->inputs[i]));
    for (size_t i = 0; more && i < more->n; i++)
        dm_value_set(a, d, more->members[i].key, more->members[i].value);
    dm_json_write(b, d, DM_JSON_PYTHON);
    dm_arena_free(a);
}

static dm_status write_line(running *r, const dm_result *result, bool abstained, dm_error *err)
{
    dm_arena *a = dm_arena_new(4096);
    const dm_value *row = r->set->examples[r->lines.n].row;
    dm_value *note = dm_value_dict(a);
    dm_buf b;
    bool answered = result->fault == DM_FAULT_NONE && !abstained;
    if (abstained)
        dm_value_set(a, note, DM_STR("abstained"), dm_value_bool(a, true));
    else if (!answered)
        dm_value_set(a, note, DM_STR("error"),
                     dm_value_text(a,
                                   result->error ? result->error : dm_fault_name(result->fault)));
    dm_buf_init(&b, DM_MAX_TEXT);
    if (r->with_inputs)
        put_with_inputs(&b, r, row, answered ? dm_json_read(a, result->outputs, NULL) : note);
    else if (answered)
        dm_buf_str(&b, result->outputs);
    else
        dm_json_write(&b, note, DM_JSON_PYTHON);
    dm_session_clear_line(r->s);
    dm_status st = dm_lines_put(&r->lines, dm_buf_view(&b), err);
    if (result->fault == DM_FAULT_TRANSPORT || result->fault == DM_FAULT_ENDPOINT)
        r->code = 69;
    else if (result->fault != DM_FAULT_NONE && r->code == 0)
        r->code = 65;
    dm_buf_free(&b);
    dm_arena_free(a);
    return st;
}

/* ---- asking ---- */

static void say_of_vote(const dm_session *s, const dm_asked *asked, size_t n)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    if (n > 1)
        dm_asked_text(&b, s->job->ensemble, asked, n);
    if (asked->without)
        dm_buf_printf(&b, "dspy-mpi: for %zu of %zu a member got no answer: the others voted\n",
                      asked->without, n);
    dm_say_text(stderr, dm_buf_view(&b));
    dm_buf_free(&b);
}

/* So far ahead of the row that is waited for others are asked: a slow answer leaves no place empty,
 * and a file of any length costs no more than its rows. */
static size_t rows_ahead(const dm_job *job)
{
    return 1024 + 8 * (size_t)(job->concurrency > 0 ? job->concurrency : 32);
}

static void add_asked(dm_asked *sum, const dm_asked *more)
{
    sum->runs += more->runs;
    sum->all += more->all;
    sum->second += more->second;
    sum->abstained += more->abstained;
    sum->without += more->without;
}

/* An ensemble is asked in two waves, so for a block of rows at a time; each is written then. */
static dm_status ask_ensemble(running *r, const dm_asking *how, dm_error *err)
{
    dm_asked sum = {.runs = 0};
    dm_status st = DM_OK;
    while (st == DM_OK && r->lines.n < r->set->n && !r->lines.left) {
        size_t first = r->lines.n, n = r->set->n - first, most = rows_ahead(r->s->job);
        dm_dataset block = *r->set;
        dm_asking of_block = *how;
        const dm_result *results;
        dm_asked asked;
        block.examples += first;
        block.n = n < most ? n : most;
        of_block.before = first;
        st = dm_ask(r->s, &of_block, &block, &results, &asked, err);
        add_asked(&sum, &asked);
        for (size_t i = 0; st == DM_OK && i < block.n && !r->lines.left; i++)
            st = write_line(r, &results[i], asked.member[i] == DM_ABSTAINS, err);
    }
    if (st > 0)
        dm_session_drain(r->s, st);
    dm_session_clear_line(r->s);
    if (st == DM_OK)
        say_of_vote(r->s, &sum, r->lines.n);
    return st;
}

/* Each row is written when it and those before it are answered. After a stop those that are under
 * way may end, and what they come to is written too, up to the first row that has no answer. */
static dm_status ask_program(running *r, dm_error *err)
{
    const dm_job *job = r->s->job;
    size_t n = r->set->n, asked = 0, ahead = rows_ahead(job);
    dm_future **futures = dm_alloc_n(n, sizeof *futures);
    dm_work w = dm_work_of(job->student);
    dm_status st = DM_OK, stopped = DM_OK;
    w.scored = false;
    while (st == DM_OK && r->lines.n < n && !r->lines.left) {
        const dm_result *result;
        size_t next = r->lines.n;
        for (; !stopped && asked < n && asked < next + ahead; asked++) {
            const dm_example *e = &r->set->examples[asked];
            futures[asked] = dm_pool_submit(r->s->pool, &w, &e, 1);
        }
        if (next == asked)
            break;
        st = dm_pool_wait(r->s->pool, futures[next], &result, err);
        if (st > 0 && !stopped) {
            stopped = st;
            dm_session_drain(r->s, st);
            st = DM_OK;
        } else if (st == DM_OK) {
            st = write_line(r, result, false, err);
        }
    }
    free(futures);
    return st < 0 ? st : stopped;
}

static void say_stopped(const running *r)
{
    const char *path = r->lines.path;
    dm_say(stderr, "dspy-mpi: stopped after %zu of %zu rows%s%s%s\n", r->lines.n, r->set->n,
           path ? " in " : "", path ? path : "",
           path            ? ": the same command resumes from there"
           : r->set->n > 1 ? "; with --out=FILE the same command resumes where it was stopped"
                           : "");
}

static int answer(running *r, const dm_asking *how, dm_error *err)
{
    const dm_job *job = r->s->job;
    dm_pool_phase(r->s->pool, "run", job->ensemble ? 0 : r->set->n); /* an ensemble: not known */
    dm_status st = job->ensemble ? ask_ensemble(r, how, err) : ask_program(r, err);
    dm_session_clear_line(r->s);
    if (st == DM_OK && !r->lines.left)
        st = dm_lines_end(&r->lines, err);
    dm_error second = {DM_OK, ""};
    dm_status closed = dm_lines_close(&r->lines, &second);
    if (st > 0)
        say_stopped(r);
    if (st < 0)
        return dm_say_failure(err);
    if (closed != DM_OK)
        return dm_say_failure(&second);
    if (st == DM_OK && r->lines.path)
        dm_say(stderr, "%zu rows in %s, %zu of them from an earlier start\n", r->lines.n,
               r->lines.path, r->lines.found);
    return st > 0 ? dm_exit_code(st) : r->code;
}

/* ---- --out ---- */

static bool is_there(const char *path)
{
    struct stat of;
    return lstat(path, &of) == 0 && (!S_ISREG(of.st_mode) || of.st_size > 0);
}

/* Aside go file and journal by --fresh, and by --force a file that no run wrote. */
static dm_status clear_way(const char *file, const char *folder, bool fresh, bool force,
                           dm_error *err)
{
    dm_status st = DM_OK;
    if ((fresh || force) && is_there(file))
        st = dm_owned_move_aside(file, err);
    if (st == DM_OK && fresh && is_there(folder))
        st = dm_owned_move_aside(folder, err);
    return st;
}

/* The file's journal is in a folder beside it: FILE.run. */
static dm_status open_out(dm_arena *a, const dm_command_line *line, dm_job *job, running *r,
                          dm_error *err)
{
    const dm_value *out = dm_value_get(line->flags, "out");
    bool fresh = dm_value_get(line->flags, "fresh") != NULL;
    if (!out && fresh)
        return dm_fail(err, DM_E_USAGE, "--fresh moves an output file aside: give --out=FILE");
    if (!out)
        return dm_lines_open(&r->lines, NULL, false, err);
    job->out = job->setup.out = dm_arena_printf(a, "%s.run", out->text.p);
    const char *journal = dm_arena_printf(a, "%s/journal", job->out);
    dm_status st = clear_way(out->text.p, job->out, fresh, job->force && !is_there(journal), err);
    bool begun = is_there(journal);
    if (st == DM_OK)
        st = dm_lines_open(&r->lines, out->text.p, begun, err);
    if (st == DM_OK && mkdir(job->out, 0777) != 0 && errno != EEXIST)
        st = dm_fail(err, DM_E_OUTPUT, "%s cannot be made: %s", job->out, strerror(errno));
    if (st == DM_OK)
        st = dm_history_open(a, job, line, DM_FSYNC_1S, err);
    return st;
}

static void close_out(dm_job *job)
{
    dm_error err = {DM_OK, ""};
    dm_replay_free(job->setup.replay);
    if (job->setup.journal && dm_journal_close(job->setup.journal, &err) != DM_OK)
        (void)dm_say_failure(&err);
}

/* Up to the first call. */
static dm_status prepare(dm_arena *a, const dm_command_line *line, dm_job *job, dm_asking *how,
                         running *r, dm_error *err)
{
    dm_dataset *examples = NULL;
    DM_TRY(dm_program_job(a, line, true, job, err));
    DM_TRY(dm_session_deadline(line, job, err));
    DM_TRY(dm_asking_read(line, job, how, err));
    DM_TRY(read_examples(a, line, job, &examples, err));
    r->set = examples;
    DM_TRY(dm_job_settle(a, job, err));
    DM_TRY(open_out(a, line, job, r, err));
    if (job->stand_in)
        dm_say(stderr, "(stand-in, not a language model)\n");
    return DM_OK;
}

int dm_cmd_run(dm_arena *a, const dm_command_line *line)
{
    dm_job job = {.arena = a};
    dm_session s;
    dm_error err = {DM_OK, ""};
    dm_asking how = {0};
    running r = {.s = &s, .with_inputs = dm_value_get(line->flags, "with-inputs") != NULL};
    dm_status st = prepare(a, line, &job, &how, &r, &err);
    if (st == DM_OK)
        st = dm_session_open(&s, &job, &err);
    int code = st == DM_OK ? answer(&r, &how, &err) : dm_say_failure(&err);
    if (st == DM_OK)
        dm_session_close(&s);
    close_out(&job);
    return code;
}
