/* dspy-mpi run: answers of a program, one JSON object a line. */
#include "cmd/asked.h"
#include "cmd/commands.h"
#include "cmd/inputs.h"
#include "cmd/say.h"
#include "cmd/session.h"
#include "json/json.h"

#include <stdio.h>

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
        st = dm_dataset_read(a, file->text.p, out, err);
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

static void print_result(const dm_result *r)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    if (r->fault == DM_FAULT_NONE) {
        dm_buf_str(&b, r->outputs);
    } else {
        dm_buf_text(&b, "{\"error\": ");
        dm_json_write_string(&b, dm_str_of(r->error ? r->error : dm_fault_name(r->fault)));
        dm_buf_char(&b, '}');
    }
    dm_buf_char(&b, '\n');
    dm_say_json(stdout, dm_buf_view(&b));
    dm_buf_free(&b);
}

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

static int answer(dm_session *s, const dm_asking *how, dm_dataset *examples, dm_error *err)
{
    const dm_ensemble *ensemble = s->job->ensemble;
    const dm_result *r;
    dm_asked asked;
    int code = 0;
    dm_pool_phase(s->pool, "run", ensemble ? 0 : examples->n); /* an ensemble: not known */
    dm_status st = dm_ask(s, how, examples, &r, &asked, err);
    dm_session_clear_line(s);
    if (st > 0)
        return dm_exit_code(st);
    if (st < 0)
        return dm_say_failure(err);
    for (size_t i = 0; i < examples->n; i++) {
        if (ensemble && asked.member[i] == DM_ABSTAINS)
            dm_say(stdout, "{\"abstained\": true}\n");
        else
            print_result(&r[i]);
        if (r[i].fault == DM_FAULT_TRANSPORT || r[i].fault == DM_FAULT_ENDPOINT)
            code = 69;
        else if (r[i].fault != DM_FAULT_NONE && code == 0)
            code = 65;
    }
    fflush(stdout);
    if (ensemble)
        say_of_vote(s, &asked, examples->n);
    return code;
}

int dm_cmd_run(dm_arena *a, const dm_command_line *line)
{
    dm_job job;
    dm_session s;
    dm_dataset *examples = NULL;
    dm_error err = {DM_OK, ""};
    dm_asking how = {0};
    dm_status st = dm_program_job(a, line, true, &job, &err);
    if (st == DM_OK)
        st = dm_asking_read(line, &job, &how, &err);
    if (st == DM_OK)
        st = read_examples(a, line, &job, &examples, &err);
    if (st == DM_OK)
        st = dm_session_open(&s, &job, &err);
    if (st != DM_OK)
        return dm_say_failure(&err);
    int code = answer(&s, &how, examples, &err);
    dm_session_close(&s);
    return code;
}
