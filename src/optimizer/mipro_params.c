/* MIPROv2's parameters (contract 8.4). */
#include "optimizer/mipro.h"

static const char *const autos[] = {"light", "medium", "heavy", NULL};
static const char *const proposers[] = {"grounded", "reflective", NULL};
static const char *const searches[] = {"factor", "mipro", "tpe", "random", "halving", NULL};

bool dm_mipro_whole(dm_mipro_search s)
{
    return s == DM_MIPRO_SCHEDULE || s == DM_MIPRO_TPE || s == DM_MIPRO_RANDOM;
}

const char *dm_mipro_levels_text(dm_arena *a, const uint16_t *levels, size_t n, size_t per)
{
    dm_buf b;
    dm_buf_init(&b, 4096);
    for (size_t i = 0; i < n; i++)
        dm_buf_printf(&b, "%s%u", i == 0 ? "" : i % per ? "." : " ", (unsigned)levels[i]);
    const char *text = dm_arena_string(a, b.data ? b.data : "", b.len);
    dm_buf_free(&b);
    return text;
}

const char *dm_mipro_search_name(dm_mipro_search s)
{
    return searches[s];
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
        {"proposer", p->proposer == DM_PROPOSER_REFLECTIVE && !model,
         "only search = factor takes new instructions while it runs"},
        {"reflections", p->has_reflections && p->proposer != DM_PROPOSER_REFLECTIVE,
         "only proposer = reflective reads it"},
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
    DM_PARAMS_OF_BOOTSTRAPPING("4"),
    {.name = "stop_at_score",
     .kind = DM_PARAM_NUMBER,
     .low = 0,
     .high = 100,
     .at = offsetof(dm_mipro_params, stop_at_score),
     .given = offsetof(dm_mipro_params, has_stop_at_score),
     .value = "P",
     .help = "per cent at which it stops",
     .absent = "never"},
    {.name = "auto",
     .kind = DM_PARAM_WORD,
     .at = offsetof(dm_mipro_params, auto_mode),
     .words = autos,
     .null_is_0 = true, /* Python's None: the two numbers are given */
     .help = "how much it searches; null: num_candidates and num_trials say it",
     .fallback = "\"light\""},
    {.name = "num_candidates",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 60000,
     .at = offsetof(dm_mipro_params, num_candidates),
     .given = offsetof(dm_mipro_params, has_num_candidates),
     .value = "N",
     .help = "demo sets, and instructions",
     .absent = "auto's"},
    {.name = "num_trials",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1e6,
     .at = offsetof(dm_mipro_params, num_trials),
     .given = offsetof(dm_mipro_params, has_num_trials),
     .value = "N",
     .help = "trials of DSPy's schedule",
     .absent = "auto's"},
    {.name = "minibatch",
     .kind = DM_PARAM_BOOL,
     .at = offsetof(dm_mipro_params, minibatch),
     .given = offsetof(dm_mipro_params, has_minibatch),
     .value = "BOOL",
     .help = "trials on minibatches",
     .fallback = "true"},
    {.name = "minibatch_size",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1e15,
     .at = offsetof(dm_mipro_params, minibatch_size),
     .value = "N",
     .help = "their size",
     .fallback = "35"},
    {.name = "minibatch_full_eval_steps",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1e15,
     .at = offsetof(dm_mipro_params, minibatch_full_eval_steps),
     .value = "N",
     .help = "a full evaluation after so many",
     .fallback = "5"},
    {.name = "proposer",
     .kind = DM_PARAM_WORD,
     .at = offsetof(dm_mipro_params, proposer),
     .words = proposers,
     .help = "DSPy's, before the search; reflective: reflections on the best candidate too, after "
             "one and two thirds of the runs",
     .fallback = "\"grounded\""},
    {.name = "reflections",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 100,
     .at = offsetof(dm_mipro_params, reflections),
     .given = offsetof(dm_mipro_params, has_reflections),
     .value = "N",
     .help = "new instructions of each predictor at a time, with proposer = reflective",
     .fallback = "2"},
    {.name = "program_aware_proposer",
     .kind = DM_PARAM_BOOL,
     .at = offsetof(dm_mipro_params, program_aware_proposer),
     .value = "BOOL",
     .help = "the proposer sees the program",
     .fallback = "true"},
    {.name = "data_aware_proposer",
     .kind = DM_PARAM_BOOL,
     .at = offsetof(dm_mipro_params, data_aware_proposer),
     .value = "BOOL",
     .help = "the proposer sees a summary of the data",
     .fallback = "true"},
    {.name = "view_data_batch_size",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1e15,
     .at = offsetof(dm_mipro_params, view_data_batch_size),
     .value = "N",
     .help = "rows that are looked at together for that summary",
     .fallback = "10"},
    {.name = "tip_aware_proposer",
     .kind = DM_PARAM_BOOL,
     .at = offsetof(dm_mipro_params, tip_aware_proposer),
     .value = "BOOL",
     .help = "the proposer sees a tip",
     .fallback = "true"},
    {.name = "fewshot_aware_proposer",
     .kind = DM_PARAM_BOOL,
     .at = offsetof(dm_mipro_params, fewshot_aware_proposer),
     .value = "BOOL",
     .help = "the proposer sees demonstrations",
     .fallback = "true"},
    {.name = "init_temperature",
     .kind = DM_PARAM_NUMBER,
     .low = 0,
     .high = 10,
     .at = offsetof(dm_mipro_params, init_temperature),
     .value = "T",
     .help = "temperature of proposals",
     .fallback = "1.0"},
    {.name = "proposals",
     .kind = DM_PARAM_FILE,
     .at = offsetof(dm_mipro_params, proposals),
     .suits = dm_proposals_check,
     .value = "FILE",
     .help = "your own instructions: {\"PREDICTOR\": [\"...\", ...]}, filled up by the model; "
             "{\"PREDICTOR\": {\"instead\": [...]}}: not filled up",
     .absent = "the model's alone"},
    {.name = "search",
     .kind = DM_PARAM_WORD,
     .at = offsetof(dm_mipro_params, search),
     .words = searches,
     .help = "how it searches; mipro is DSPy's schedule",
     .fallback = "\"factor\""},
    {.name = "runs",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1e15,
     .at = offsetof(dm_mipro_params, runs),
     .given = offsetof(dm_mipro_params, has_runs),
     .value = "N",
     .help = "program runs of the search",
     .absent = "those of DSPy's schedule"},
    {.name = "in_flight",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1e6,
     .at = offsetof(dm_mipro_params, in_flight),
     .given = offsetof(dm_mipro_params, has_in_flight),
     .value = "N",
     .help = "examples in flight; part of the search",
     .absent = "a twentieth of runs, 32 to 256"},
    {.name = "patience",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = 1e15,
     .at = offsetof(dm_mipro_params, patience),
     .given = offsetof(dm_mipro_params, has_patience),
     .value = "N",
     .help = "it ends after so many runs without another best candidate",
     .absent = "never"},
    {.name = "leak_guard",
     .kind = DM_PARAM_BOOL,
     .at = offsetof(dm_mipro_params, leak_guard),
     .given = offsetof(dm_mipro_params, has_leak_guard),
     .value = "BOOL",
     .help = "an example in a candidate's demonstrations is not scored for it",
     .absent = "true; search = mipro or tpe: false"},
    DM_PARAM_SEED,
    {.name = NULL},
};
