/* The manual page, dspy-mpi(1). */
#include "cmd/help.h"
#include "cmd/topics.h"

static void put_commands(dm_help_page *p, const dm_command *commands, size_t n)
{
    dm_help_title(p, "commands");
    for (size_t i = 0; i < n; i++)
        dm_help_item(p, dm_arena_printf(p->a, "dspy-mpi %s", commands[i].usage), commands[i].help);
    dm_help_item(p, "dspy-mpi launch -n N [--restarts K] COMMAND ...",
                 "runs the command on N ranks, with the options that mpirun needs; started again, "
                 "resumed, up to K times when the run was lost");
    dm_help_item(p, "dspy-mpi cache stats|prune FOLDER [--older-than TIME] [--max-bytes SIZE]",
                 "shows or prunes the answers kept across runs");
    dm_help_item(p, "dspy-mpi help [COMMAND|TOPIC]", "the options of a command; or on a topic");
}

/* Those that several rows describe, for different commands, come with each of them. */
static void put_options(dm_help_page *p, const dm_command *commands, size_t n)
{
    dm_help_title(p, "options");
    dm_help_text(p, "An option overrides the job file's key of the same name.");
    for (size_t i = 0; dm_option_at(i); i++) {
        const dm_option *o = dm_option_at(i);
        const char *of = "";
        size_t k = 0;
        for (size_t c = 0; c < n; c++)
            if (o->commands & commands[c].bit)
                of = dm_arena_printf(p->a, "%s%s%s", of, k++ ? ", " : "", commands[c].name);
        dm_help_item(p,
                     dm_arena_printf(p->a, "--%s%s%s", o->name, o->value ? "=" : "",
                                     o->value ? o->value : ""),
                     dm_arena_printf(p->a, "%s. With %s.", o->help, of));
    }
}

void dm_put_manual(dm_buf *b, const dm_command *commands, size_t n)
{
    dm_help_page p = {.out = b, .a = dm_arena_new(0), .roff = true};
    dm_buf_text(b, ".TH DSPY\\-MPI 1 \"\" \"dspy\\-mpi " DM_VERSION "\" \"User Commands\"\n");
    dm_help_title(&p, "name");
    dm_buf_text(b, "dspy\\-mpi \\- compile language\\-model programs on a cluster\n");
    dm_help_title(&p, "synopsis");
    dm_help_text(&p, "dspy-mpi COMMAND [JOB.json] [--OPTION=VALUE ...]");
    dm_help_title(&p, "description");
    dm_help_text(&p,
                 "It finds the instructions and demonstrations that make a language-model program "
                 "score best on your metric, as DSPy's optimizers do. The result is a file that "
                 "DSPy loads. A job is a JSON file: program, data, metric, models, optimizer, "
                 "budget; every setting is also an option.");
    put_commands(&p, commands, n);
    put_options(&p, commands, n);
    for (const dm_topic *t = dm_topics; t->name; t++) {
        dm_help_title(&p, t->name);
        p.within = true;
        t->put(&p);
        p.within = false;
    }
    dm_arena_free(p.a);
}
