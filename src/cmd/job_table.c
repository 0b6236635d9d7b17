#include "cmd/job_table.h"
#include "base/clock.h"
#include "cmd/job.h"

#include <stddef.h>

#define AT(member) .at = offsetof(dm_job, member)

const dm_param dm_job_table[] = {
    {.name = "seed",
     .kind = DM_PARAM_INT,
     .high = INT32_MAX,
     AT(seed),
     .value = "N",
     .help = "seed of all random choices",
     .absent = "DSPy's own: 0; mipro_v2: 9"},
    {.name = "failure_score",
     .kind = DM_PARAM_NUMBER,
     .high = 1,
     AT(setup.failure_score),
     .value = "S",
     .help = "score of an answer that failed",
     .fallback = "0"},
    {.name = "max_errors",
     .kind = DM_PARAM_INT,
     .low = 1,
     .high = INT32_MAX,
     AT(max_errors),
     .value = "N",
     .help = "examples that may fail in a bootstrapping pass; if given, in a candidate's "
             "evaluation too",
     .absent = "10"},
    {.name = "valset_size",
     .kind = DM_PARAM_NUMBER,
     .high = 1e9,
     AT(valset_size),
     .value = "N",
     .help = "cut a validation set from the end of trainset: a number, or a share below 1",
     .absent = "none"},
    {.name = "testset_size",
     .kind = DM_PARAM_NUMBER,
     .high = 1e9,
     AT(testset_size),
     .value = "N",
     .help = "cut a test set from the very end of trainset, in the same way",
     .absent = "none"},
    {.name = NULL},
};

#define CAP(key, member, unit, shown, text)                                                        \
    {                                                                                              \
        .name = (key), .kind = DM_PARAM_AMOUNT, .low = 1e-9, .high = 1e18, AT(member),             \
        .parse = (unit), .value = (shown), .help = (text), .absent = "no cap"                      \
    }

const dm_param dm_budget_table[] = {
    CAP("calls", cap.calls, dm_parse_count, "N", "requests that a server may bill: 5000, 20k"),
    CAP("tokens", cap.tokens, dm_parse_count, "N", "prompt and completion tokens: 50M"),
    CAP("cost", cap.cost, dm_parse_money, "MONEY", "money, at the models' prices: $20"),
    CAP("time", time_cap, dm_parse_seconds, "TIME",
        "time of this attempt: 3h50m; where it cuts differs from run to run"),
    {.name = NULL},
};
