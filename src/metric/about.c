/* What is said of metrics that are no class of their own: commands, libraries, judges, sums,
 * Python. What their keys hold is read by judge_read.c, command.c, library.c, metric.c. */
#include "metric/judge_inside.h"

#define KEY(key, what, text, without)                                                              \
    {                                                                                              \
        .name = (key), .kind = DM_PARAM_ANY, .value = (what), .help = (text), .absent = (without)  \
    }
#define FIELD    KEY("field", "NAME", "column of the data that holds the label", "the only one")
#define QUESTION KEY("question", "NAME", "column that holds the question", "the only input")
#define THRESHOLD(without)                                                                         \
    KEY("threshold", "X", "from there on an answer is right while bootstrapping", without)
#define WEIGHT KEY("weight", "W", "of a part, in a sum", "required there")
#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }

const dm_param dm_judge_own_keys[] = {
    KEY("judge", "SIG", "what the model is asked, as a signature of yours", "required"),
    KEY("score", "FIELD", "output that is the score", "the only number"),
    KEY("feedback", "FIELD", "output that says why, for GEPA",
        "the reasoning of a chain_of_thought"),
    KEY("range", "JSON", "lowest and highest score that the model may give", "[0, 1]"),
    KEY("inputs", "JSON", "for an input: example.COLUMN or prediction.OUTPUT", "by its name"),
    THRESHOLD("none"),
    WEIGHT,
    END};
const dm_param dm_semantic_f1_keys[] = {FIELD,
                                        QUESTION,
                                        KEY("decompositional", "BOOL",
                                            "the model lists key ideas first", "false"),
                                        THRESHOLD("0.66"),
                                        WEIGHT,
                                        END};
const dm_param dm_grounded_keys[] = {FIELD,
                                     QUESTION,
                                     KEY("context", "NAME",
                                         "output or column that holds the passages", "context"),
                                     THRESHOLD("0.66"),
                                     WEIGHT,
                                     END};
static const dm_param sum[] = {KEY("sum", "JSON", "parts: each a metric or a judge, and its weight",
                                   "required"),
                               END};

static const dm_metric_about others[] = {
    {"command", "a program of your own gives the score", dm_command_table},
    {"library", "a shared library of your own gives the score", dm_library_table},
    {"judge", "a model gives the score (lms.judge, else lm)", dm_judge_own_keys},
    {"semantic_f1", "a model compares the ideas in output and label, as DSPy's SemanticF1",
     dm_semantic_f1_keys},
    {"complete_and_grounded",
     "a model compares the answer with the label and the passages, as DSPy's CompleteAndGrounded",
     dm_grounded_keys},
    {"sum", "a weighted sum of others", sum},
    {"python", "a function in Python; \"module:function\" alone says the same", dm_python_table},
};

bool dm_metric_other_about(size_t i, dm_metric_about *out)
{
    if (i >= sizeof others / sizeof *others)
        return false;
    *out = others[i];
    return true;
}
