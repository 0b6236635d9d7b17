/* MIPROv2's parameters (contract 8.4). */
#include "optimizer/mipro.h"

static const char *const autos[] = {"light", "medium", "heavy", NULL};
static const char *const searches[] = {"factor", "mipro", "tpe", "random", "halving", NULL};

const char *dm_mipro_search_name(dm_mipro_search s)
{
    return searches[s];
}

void dm_mipro_defaults(dm_params *params)
{
    dm_mipro_params *p = (dm_mipro_params *)params;
    dm_bootstrap_defaults(params);
    p->demos.max_labeled_demos = 4;
    p->auto_mode = DM_AUTO_LIGHT;
    p->minibatch = true;
    p->minibatch_size = 35;
    p->minibatch_full_eval_steps = 5;
    p->program_aware_proposer = true;
    p->data_aware_proposer = true;
    p->tip_aware_proposer = true;
    p->fewshot_aware_proposer = true;
    p->view_data_batch_size = 10;
    p->init_temperature = 1.0;
}

/* What goes together (contract 8.4 b), and what has a reader with the search that was chosen. */
dm_status dm_mipro_check(dm_arena *a, const dm_at *at, dm_params *params, dm_error *err)
{
    (void)a;
    const dm_mipro_params *p = (const dm_mipro_params *)params;
    const char *search = searches[p->search];
    bool schedule = p->search == DM_MIPRO_SCHEDULE, model = p->search == DM_MIPRO_FACTOR,
         automatic = p->auto_mode != DM_AUTO_NONE;
    const struct {
        const char *key;
        bool wrong;
        const char *why;
    } rules[] = {
        {"num_candidates", automatic && p->has_num_candidates,
         "auto sets it; say \"auto\": null to give num_candidates and num_trials yourself"},
        {"num_trials", automatic && p->has_num_trials,
         "auto sets it; say \"auto\": null to give num_candidates and num_trials yourself"},
        {"auto", !automatic && !(p->has_num_candidates && p->has_num_trials),
         "null needs both num_candidates and num_trials"},
        {"minibatch", automatic && p->has_minibatch && !p->minibatch,
         "auto uses minibatches where there are more than 50 validation examples: leave it out, "
         "or set auto to null"},
        {"runs", schedule && p->has_runs, "search = mipro runs what its trials need"},
        {"in_flight", (schedule || p->search == DM_MIPRO_HALVING) && p->has_in_flight,
         "this search decides nothing while results are under way"},
        {"patience", !model && p->has_patience, "only search = factor reads it"},
        {"stop_at_score", p->search == DM_MIPRO_HALVING && p->has_stop_at_score,
         "search = halving has no complete rows before its end"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        dm_at key = dm_at_key(at, rules[i].key);
        if (rules[i].wrong)
            return dm_at_fail(&key, err, "%s (search is %s)", rules[i].why, search);
    }
    return DM_OK;
}

const dm_param dm_mipro_table[] = {
    DM_PARAMS_OF_BOOTSTRAPPING,
    {.name = "stop_at_score",
     .kind = DM_PARAM_NUMBER,
     .low = 0,
     .high = 100,
     .at = offsetof(dm_mipro_params, stop_at_score),
     .given = offsetof(dm_mipro_params, has_stop_at_score)},
    {.name = "auto",
     .kind = DM_PARAM_WORD,
     .at = offsetof(dm_mipro_params, auto_mode),
     .words = autos,
     .null_is_0 = true, /* Python's None: the two numbers are given */
     .value = "WORD",
     .help = "mipro_v2: light, medium, heavy; null: num_candidates and num_trials (light)"},
    {.name = "num_candidates",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 60000,
     .at = offsetof(dm_mipro_params, num_candidates),
     .given = offsetof(dm_mipro_params, has_num_candidates),
     .value = "N",
     .help = "mipro_v2: demo sets, and instructions"},
    {.name = "num_trials",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1e6,
     .at = offsetof(dm_mipro_params, num_trials),
     .given = offsetof(dm_mipro_params, has_num_trials),
     .value = "N",
     .help = "mipro_v2: trials of DSPy's schedule"},
    {.name = "minibatch",
     .kind = DM_PARAM_BOOL,
     .at = offsetof(dm_mipro_params, minibatch),
     .given = offsetof(dm_mipro_params, has_minibatch),
     .value = "BOOL",
     .help = "mipro_v2: trials on minibatches (true)"},
    {.name = "minibatch_size",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1e15,
     .at = offsetof(dm_mipro_params, minibatch_size),
     .value = "N",
     .help = "mipro_v2: their size (35)"},
    {.name = "minibatch_full_eval_steps",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1e15,
     .at = offsetof(dm_mipro_params, minibatch_full_eval_steps),
     .value = "N",
     .help = "mipro_v2: a full evaluation after so many (5)"},
    {.name = "program_aware_proposer",
     .kind = DM_PARAM_BOOL,
     .at = offsetof(dm_mipro_params, program_aware_proposer),
     .value = "BOOL",
     .help = "mipro_v2: the proposer sees the program (true)"},
    {.name = "data_aware_proposer",
     .kind = DM_PARAM_BOOL,
     .at = offsetof(dm_mipro_params, data_aware_proposer),
     .value = "BOOL",
     .help = "mipro_v2: and a summary of the data (true)"},
    {.name = "view_data_batch_size",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1e15,
     .at = offsetof(dm_mipro_params, view_data_batch_size),
     .value = "N",
     .help = "mipro_v2: rows that are looked at together for it (10)"},
    {.name = "tip_aware_proposer",
     .kind = DM_PARAM_BOOL,
     .at = offsetof(dm_mipro_params, tip_aware_proposer),
     .value = "BOOL",
     .help = "mipro_v2: and a tip (true)"},
    {.name = "fewshot_aware_proposer",
     .kind = DM_PARAM_BOOL,
     .at = offsetof(dm_mipro_params, fewshot_aware_proposer),
     .value = "BOOL",
     .help = "mipro_v2: and demonstrations (true)"},
    {.name = "init_temperature",
     .kind = DM_PARAM_NUMBER,
     .low = 0,
     .high = 10,
     .at = offsetof(dm_mipro_params, init_temperature),
     .value = "T",
     .help = "mipro_v2: of proposals (1.0)"},
    {.name = "proposals",
     .kind = DM_PARAM_FILE,
     .at = offsetof(dm_mipro_params, proposals),
     .suits = dm_proposals_check,
     .value = "FILE",
     .help = "mipro_v2: your own instructions: {\"PREDICTOR\": [\"...\", ...]}, filled up by the "
             "model; {\"PREDICTOR\": {\"instead\": [...]}}: not filled up"},
    {.name = "search",
     .kind = DM_PARAM_WORD,
     .at = offsetof(dm_mipro_params, search),
     .words = searches,
     .value = "WORD",
     .help = "mipro_v2: factor, mipro (DSPy's schedule), tpe, random, halving (factor)"},
    {.name = "runs",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1e15,
     .at = offsetof(dm_mipro_params, runs),
     .given = offsetof(dm_mipro_params, has_runs),
     .value = "N",
     .help = "mipro_v2: program runs of the search (those of DSPy's schedule)"},
    {.name = "in_flight",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1e6,
     .at = offsetof(dm_mipro_params, in_flight),
     .given = offsetof(dm_mipro_params, has_in_flight),
     .value = "N",
     .help = "mipro_v2: examples in flight; part of the search (a twentieth of runs, 32 to 256)"},
    {.name = "patience",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1e15,
     .at = offsetof(dm_mipro_params, patience),
     .given = offsetof(dm_mipro_params, has_patience),
     .value = "N",
     .help = "mipro_v2: ends after so many runs without another best candidate (never)"},
    {.name = "leak_guard",
     .kind = DM_PARAM_BOOL,
     .at = offsetof(dm_mipro_params, leak_guard),
     .given = offsetof(dm_mipro_params, has_leak_guard),
     .value = "BOOL",
     .help = "mipro_v2: an example in a candidate's demonstrations is not scored for it (true; "
             "mipro and tpe: false)"},
    DM_PARAM_SEED,
    {.name = NULL},
};
