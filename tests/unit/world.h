/* A small world for tests of the optimizers: the rule of tests/golden/data/optimizers.json on a
 * simulated pool. */
#ifndef DM_TESTS_WORLD_H
#define DM_TESTS_WORLD_H

#include "json/json.h"
#include "optimizer/few_shot.h"
#include "pool/simulated.h"
#include "questions.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct world {
    dm_arena *arena;
    dm_program *program;
    dm_dataset *train, *val;
    dm_setup setup;
    dm_simulation sim;
    dm_simulated_stats stats;
} world;

/* question qN -> reasoning rN, answer yes iff N%3 != 0, or N%6 == 0 and at least 6 demonstrations
 * are shown (in a program of two steps: to each step its own); the gold answer is yes. */
static inline void golden_rule(void *user, const dm_work *work, const dm_value *row, dm_arena *a,
                               dm_run_result *out)
{
    const dm_program *p = work->candidate->program;
    dm_step *steps = dm_arena_alloc_n(a, p->n, sizeof *steps);
    const dm_value *question = dm_value_get(row, "question");
    int64_t n = strtoll(question->text.p + 1, NULL, 10);
    const dm_value *hint = NULL; /* the first step's answer */
    (void)user;
    for (size_t i = 0; i < p->n; i++) {
        const dm_candidate_part *part = &work->candidate->parts[i];
        size_t shown = 0;
        for (size_t k = 0; k < part->n_demos; k++) {
            bool any_output = dm_value_get(part->demos[k], "answer") != NULL;
            bool self = work->drop_own_demo && dm_value_equal(part->demos[k], row);
            shown += any_output && !self;
        }
        bool yes = n % 3 != 0 || (n % 6 == 0 && shown >= 6);
        dm_value *outputs = dm_value_dict(a), *inputs = dm_value_dict(a);
        dm_value_set(a, inputs, DM_STR("question"), question);
        if (i > 0)
            dm_value_set(a, inputs, DM_STR("hint"), hint);
        dm_value_set(a, outputs, DM_STR("reasoning"),
                     dm_value_text(a, dm_arena_printf(a, "r%lld", (long long)n)));
        dm_value_set(a, outputs, DM_STR("answer"), dm_value_text(a, yes ? "yes" : "no"));
        hint = dm_value_get(outputs, "answer");
        steps[i] = (dm_step){.predictor = i, .inputs = inputs, .outputs = outputs};
    }
    out->outputs = steps[p->n - 1].outputs;
    out->score = dm_value_equal(dm_value_get(out->outputs, "answer"), dm_value_get(row, "answer"));
    out->usage.requests = out->usage.answers = (int64_t)p->n;
    if (work->trace) {
        out->steps = steps;
        out->n_steps = p->n;
    }
}

/* The rule for the program of the world that user is; the proposer of instructions gets a text of
 * its own for each rollout. */
static inline void golden_rule_and_proposals(void *user, const dm_work *work, const dm_value *row,
                                             dm_arena *a, dm_run_result *out)
{
    const world *w = user;
    if (work->candidate->program == w->program) {
        golden_rule(NULL, work, row, a, out);
        return;
    }
    const dm_signature *s = work->candidate->program->predictors[0].signature;
    dm_value *outputs = dm_value_dict(a);
    dm_value_set(a, outputs, s->fields[s->n_inputs].name,
                 dm_value_text(a, dm_arena_printf(a, "Answer, number %lld.",
                                                  (long long)work->rollout)));
    out->outputs = outputs;
    out->usage.requests = out->usage.answers = 1;
}

static inline world world_new(const char *program)
{
    world w = {.arena = dm_arena_new(0)};
    dm_arena *a = w.arena;
    const dm_value *json = dm_json_read(a, dm_str_of(program), NULL);
    dm_at at = dm_at_root(json, "world", DM_E_JOB);
    dm_str *inputs = dm_arena_alloc(a, sizeof *inputs);
    *inputs = DM_STR("question");
    w.program = dm_program_read(a, &at, NULL);
    w.train = questions(a, 0, 20);
    w.val = questions(a, 100, 30);
    w.setup = (dm_setup){.program = w.program,
                         .job_file = "world",
                         .json_fallback = true,
                         .metric = dm_value_text(a, "exact_match"),
                         .sets = {w.train, w.val, NULL},
                         .inputs = inputs,
                         .n_inputs = 1,
                         .deadline = INFINITY};
    dm_value *lm = dm_value_dict(a);
    dm_value_set(a, lm, DM_STR("model"), dm_value_text(a, "embedded/stand-in"));
    dm_value_set(a, lm, DM_STR("outage"), dm_value_int(a, 100000));
    for (int i = 0; i < DM_ROLES; i++)
        w.setup.lm[i] = lm;
    w.sim =
        (dm_simulation){.seed = 1, .ranks = 3, .latency = 1, .survivors = 1, .run = golden_rule};
    return w;
}

#define ONE_PREDICTOR "{\"chain_of_thought\": \"question -> answer\"}"
#define TWO_PREDICTORS                                                                             \
    "{\"steps\": [{\"name\": \"a\", \"chain_of_thought\": \"question -> answer\"},"                \
    " {\"name\": \"b\", \"chain_of_thought\": \"question, hint -> answer\"}]}"

/* "*q1 q5 q7": the demonstrations' questions, a star for bootstrapped ones. */
static inline void demo_names(dm_buf *b, const dm_candidate_part *part)
{
    for (size_t k = 0; k < part->n_demos; k++)
        dm_buf_printf(b, "%s%s%s", k ? " " : "",
                      dm_value_get(part->demos[k], "augmented") ? "*" : "",
                      dm_value_get(part->demos[k], "question")->text.p);
}

/* A pool of the world's simulation, whose rule is given the world. */
static inline dm_pool *pool_of(world *w)
{
    dm_error err = {DM_OK, ""};
    w->sim.user = w;
    dm_pool *p = dm_pool_simulated_new(&w->setup, &w->sim, &w->stats, &err);
    cr_assert_not_null(p, "%s", err.text);
    return p;
}

/* A journal of this process's own, in memory where there is a folder for that. */
static inline const char *journal_path(const char *name)
{
    static char path[80];
    snprintf(path, sizeof path, "%s/%s-%ld", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
             name, (long)getpid());
    return path;
}

#endif
