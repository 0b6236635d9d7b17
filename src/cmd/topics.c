#include "cmd/topics.h"
#include "cmd/job_table.h"
#include "lm/provider.h"
#include "metric/metric.h"
#include "optimizer/optimizer.h"

static void optimizers(dm_help_page *p)
{
    dm_help_text(p, "`optimizer` is a name, or an object with a name and parameters: {\"name\": "
                    "\"mipro_v2\", \"auto\": \"light\"}. Names, units and defaults are DSPy's "
                    "where DSPy has the parameter. On the command line: --optimizer.auto=light.");
    for (size_t i = 0; i < dm_n_optimizers; i++) {
        const dm_optimizer *o = dm_optimizers[i];
        const char *title = o->name;
        for (const char *const *alias = o->aliases; *alias; alias++)
            title = dm_arena_printf(p->a, "%s, %s", title, *alias);
        dm_help_title(p, title);
        dm_help_rows(p, "", o->params);
    }
}

static void metrics(dm_help_page *p)
{
    dm_metric_about m;
    dm_help_text(p, "`metric` is a name, or an object with a name and options: {\"name\": "
                    "\"f1\", \"field\": \"summary\"}; or {\"command\": [\"./m\"]}. A score is 0 to "
                    "1, or true or false.");
    dm_help_title(p, "built-in metrics");
    dm_help_rows(p, "", dm_metric_common);
    for (size_t i = 0; dm_metric_about_of(i, &m); i++) {
        dm_help_item(p, m.name, m.help);
        dm_help_rows(p, "  ", m.options);
    }
}

static void models(dm_help_page *p)
{
    const char *names = "";
    for (size_t i = 0; i < dm_n_providers; i++)
        names = dm_arena_printf(p->a, "%s%s%s", names, i ? ", " : "", dm_providers[i]->name);
    dm_help_text(p, "`lm` is provider/name, or an object with these keys. On the command line: "
                    "--lm.temperature=0. `lms` has models by role: task, teacher, prompt, judge; "
                    "or by names that members of an ensemble ask.");
    dm_help_text(p, dm_arena_printf(p->a, "Providers: %s.", names));
    dm_help_title(p, "keys of a model");
    dm_help_rows(p, "", dm_lm_table);
}

static void budget(dm_help_page *p)
{
    dm_help_text(p,
                 "`budget` caps the whole job, over all its attempts: {\"calls\": 5000, \"cost\": "
                 "\"$20\"}. A cap is never exceeded: the most that a call may cost is set aside "
                 "before it goes out. At a cap the best program so far is written, and the exit "
                 "code is 0. The same command with a higher cap resumes from there. `dspy-mpi "
                 "plan` estimates calls, tokens, money and time before the first call.");
    dm_help_title(p, "keys of a budget");
    dm_help_rows(p, "", dm_budget_table);
}

static void failures(dm_help_page *p)
{
    static const char *const rows[][2] = {
        {"408, 425, 429, 502, 503, 504, 529, no connection, no reply in time",
         "tried again, Retry-After obeyed; never a score. No answer at all for `outage`: exit 75, "
         "resumable"},
        {"500, a body that cannot be read",
         "tried again up to 6 times while other calls are answered; then that example fails"},
        {"an answer that does not parse, in JSON mode either",
         "`failure_score`, counted separately; the rates are shown beside each score"},
        {"a prompt too long, a content filter, most other 4xx",
         "`failure_score` where the program that it is compared with got an answer; where neither "
         "did, the example is left out of both scores"},
        {"401, a bad certificate, 403 or 404 to everything",
         "one sentence, and the run ends, or uses the other servers"},
        {"a metric that raises, hangs or dies",
         "that example fails, with the metric's message; one that never answers: exit 65"},
        {"Ctrl-C, TERM, a deadline, dspy-mpi stop OUT",
         "calls in flight may end, the best so far is saved, exit 75"},
        {"a crash, kill -9, a dead node", "start the same command again: finished work is not done "
                                          "again, and the program is that of an undisturbed run"},
        {"another job in OUT", "exit 73, naming what differs; --fresh moves it aside"},
    };
    dm_help_text(p, "Errors are not scores: what the network or a server does to a call never "
                    "becomes one. What happens, and what is done:");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        dm_help_item(p, rows[i][0], rows[i][1]);
}

static void exit_codes(dm_help_page *p)
{
    static const char *const rows[][2] = {
        {"0", "done, also at a cap of the budget; a finished run shows its result again"},
        {"64", "the command line is wrong"},
        {"65", "data or metric is wrong"},
        {"69", "no model is available"},
        {"70", "a fault of dspy-mpi's own"},
        {"73", "something cannot be written, or OUT is another job's"},
        {"75", "stopped, and resumable: start the same command again"},
        {"78", "the job file, or a setting in it, is wrong"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        dm_help_item(p, rows[i][0], rows[i][1]);
}

static void files(dm_help_page *p)
{
    static const char *const rows[][2] = {
        {"program.json", "the program, which DSPy loads; its metadata has optimizer, seed, scores"},
        {"predictions.jsonl",
         "the start program and the winner on validation and test set, one row per example"},
        {"trials.csv", "each candidate's score with its 95 % interval"},
        {"candidates/", "each candidate's program"},
        {"status.json", "running, done, stopped or failed; updated while it runs"},
        {"journal", "every answer and result, from which a run is resumed"},
    };
    dm_help_text(p, "A compile writes its results to the folder OUT (`out`; the job file's name "
                    "without .json):");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        dm_help_item(p, rows[i][0], rows[i][1]);
    dm_help_text(p, "`eval --out=FOLDER` keeps predictions.jsonl and score.json; `run --out=FILE` "
                    "keeps its journal in FILE.run.");
}

const dm_topic dm_topics[] = {
    {"optimizers", "names and parameters", optimizers},
    {"metrics", "built-in ones and their options, and your own", metrics},
    {"models", "providers, and every key of a model", models},
    {"budget", "caps on calls, tokens, money and time", budget},
    {"failures", "what happens when something fails", failures},
    {"exit-codes", "what each exit code means", exit_codes},
    {"files", "what is in OUT", files},
    {NULL, NULL, NULL},
};
