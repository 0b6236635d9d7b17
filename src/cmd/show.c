/* dspy-mpi show: a program for people, or the exact messages that are sent. */
#include "cmd/commands.h"
#include "cmd/inputs.h"
#include "cmd/program_file.h"
#include "cmd/say.h"
#include "cmd/session.h"
#include "json/json.h"

#include <stdio.h>
#include <sys/stat.h>

/* DSPy leaves such a demonstration out of the prompt, and keeps it in the file. */
static const char *never_sent(const dm_signature *s, const dm_value *demo)
{
    bool any_output = false;
    for (size_t i = 0; i < s->n_outputs; i++)
        any_output |= dm_value_get_str(demo, s->fields[s->n_inputs + i].name) != NULL;
    if (dm_demo_is_sent(s, demo))
        return "";
    return any_output ? " (never sent: it has no input of this step)"
                      : " (never sent: it has no output of this step)";
}

static void show_part(dm_buf *b, const dm_predictor *p, const dm_candidate_part *part)
{
    const dm_signature *s = p->signature;
    if (p->step.n)
        dm_buf_printf(b, "== %.*s\n", DM_STR_ARG(p->step));
    for (size_t i = 0; i < s->n_inputs + s->n_outputs; i++) {
        dm_buf_printf(b, "%s%.*s: ",
                      i == s->n_inputs ? " -> "
                      : i              ? ", "
                                       : "",
                      DM_STR_ARG(s->fields[i].name));
        dm_type_python(b, s->fields[i].type);
    }
    dm_buf_printf(b, "\n\n%.*s\n", DM_STR_ARG(part->instructions));
    for (size_t i = 0; i < part->n_demos; i++) {
        const dm_value *demo = part->demos[i];
        dm_buf_printf(b, "\n-- demonstration %zu%s%s\n", i + 1,
                      dm_value_get(demo, "augmented") ? " (bootstrapped)" : "",
                      never_sent(s, demo));
        for (size_t k = 0; k < demo->n; k++) {
            if (dm_str_is(demo->members[k].key, "augmented"))
                continue;
            dm_buf_printf(b, "%.*s: ", DM_STR_ARG(demo->members[k].key));
            dm_py_str(b, demo->members[k].value);
            dm_buf_char(b, '\n');
        }
    }
    dm_buf_char(b, '\n');
}

static void put_message(dm_buf *b, const dm_message *m, bool first)
{
    dm_buf_printf(b, "%s\n  {\"role\": \"%s\", \"content\": ", first ? "" : ",",
                  dm_message_role_name(m->role));
    dm_json_write_string(b, m->content);
    dm_buf_char(b, '}');
}

/* The first predictor's messages; the later ones' inputs are known only when it has answered. */
static dm_status show_messages(dm_arena *a, dm_buf *b, const dm_job *job, const dm_value *inputs,
                               dm_error *err)
{
    const dm_candidate_part *part = &job->student->parts[0];
    const dm_signature *s = job->program->predictors[0].signature;
    dm_prefix prefix;
    dm_message last = {DM_USER, {NULL, 0}};
    dm_status st = dm_adapter_prefix(a, job->setup.adapter, s, part->instructions, part->demos,
                                     part->n_demos, &prefix, err);
    if (st == DM_OK)
        st = dm_adapter_user(a, job->setup.adapter, s, inputs, &last.content, err);
    if (st != DM_OK)
        return st;
    dm_buf_char(b, '[');
    for (size_t i = 0; i < prefix.n; i++)
        put_message(b, &prefix.messages[i], i == 0);
    put_message(b, &last, prefix.n == 0);
    dm_buf_text(b, "\n]\n");
    return DM_OK;
}

/* The program's file, in the words that were typed where these name it and not a job. */
static const char *file_of(dm_arena *a, const dm_command_line *line, const dm_job *job)
{
    const char *typed = line->job_file;
    struct stat x, y;
    dm_error unsaid;
    bool same = typed && dm_program_path(a, typed, &typed, &unsaid) == DM_OK &&
                stat(typed, &x) == 0 && stat(job->program_file, &y) == 0 && x.st_dev == y.st_dev &&
                x.st_ino == y.st_ino;
    return same ? typed : job->program_file;
}

/* Its members for people, and the Python that loads it. */
static dm_status show_ensemble(dm_arena *a, dm_buf *b, const dm_command_line *line,
                               const dm_job *job, dm_error *err)
{
    const dm_ensemble *e = job->ensemble;
    if (dm_value_get(line->flags, "messages"))
        return dm_fail(err, DM_E_USAGE,
                       "%s: this is an ensemble, and --messages shows those of one program: give "
                       "the file of a member",
                       file_of(a, line, job));
    for (size_t k = 0; k < e->n; k++) {
        dm_buf_printf(b, "==== member %zu of %zu, %u vote%s\n", k + 1, e->n, (unsigned)e->votes[k],
                      e->votes[k] == 1 ? "" : "s");
        for (size_t i = 0; i < e->members[k]->program->n; i++)
            show_part(b, &e->members[k]->program->predictors[i], &e->members[k]->parts[i]);
    }
    dm_buf_printf(b, "==== %s of %.*s; in Python\n", dm_reduce_name(e->reduce),
                  DM_STR_ARG(e->field));
    dm_ensemble_python(b, a, e, file_of(a, line, job));
    return DM_OK;
}

int dm_cmd_show(dm_arena *a, const dm_command_line *line)
{
    dm_job job;
    dm_value *inputs;
    dm_buf b;
    bool given;
    dm_error err = {DM_OK, ""};
    dm_status st = dm_program_job(a, line, false, &job, &err);
    if (st == DM_OK)
        st = dm_inputs_read(a, line, job.program, &inputs, &given, &err);
    dm_buf_init(&b, DM_MAX_FILE);
    if (st == DM_OK && job.ensemble)
        st = show_ensemble(a, &b, line, &job, &err);
    else if (st == DM_OK && dm_value_get(line->flags, "messages"))
        st = show_messages(a, &b, &job, inputs, &err);
    else if (st == DM_OK)
        for (size_t i = 0; i < job.program->n; i++)
            show_part(&b, &job.program->predictors[i], &job.student->parts[i]);
    if (st == DM_OK && dm_value_get(line->flags, "messages"))
        dm_say_json(stdout, dm_buf_view(&b));
    else if (st == DM_OK)
        dm_say_text(stdout, dm_buf_view(&b));
    dm_buf_free(&b);
    return st == DM_OK ? 0 : dm_say_failure(&err);
}
