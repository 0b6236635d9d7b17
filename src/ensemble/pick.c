#include "ensemble/pick.h"
#include "json/json.h"
#include "pool/question.h"

#include <math.h>
#include <stdint.h>

static const char instructions[] =
    "Several programs were given the same inputs, and they answer differently. Say which answer is "
    "the best: the one that is right, or, where none is, that is nearest to it. Judge what it "
    "says, "
    "not how long or how sure it is, and not where it stands in the list. Give its number.";

dm_future *dm_pick_ask(dm_pool *p, const dm_value *inputs, const dm_value *const *answers, size_t n)
{
    dm_arena *a = dm_pool_arena(p);
    dm_model_question q = dm_model_question_new(p, instructions);
    dm_value *numbered = dm_value_dict(a);
    const dm_lm_config *model = dm_pool_model(p, DM_JUDGE);
    for (size_t i = 0; i < n; i++)
        dm_value_set(a, numbered, dm_str_of(dm_arena_printf(a, "%zu", i + 1)), answers[i]);
    dm_model_question_show_value(&q, "inputs", "dict", "what the programs were given", inputs);
    dm_model_question_show_value(&q, "answers", "dict", "their answers, by number", numbered);
    return dm_model_question_ask_for(&q, "best", "int", "the number of the best answer",
                                     (dm_work){.role = DM_JUDGE,
                                               .rollout = -1,
                                               .temperature =
                                                   model && model->has_temperature ? NAN : 0});
}

size_t dm_pick_of(const dm_result *r, size_t n)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *said = r->fault == DM_FAULT_NONE && r->outputs.p
                               ? dm_value_get(dm_json_read(a, r->outputs, NULL), "best")
                               : NULL;
    size_t pick = SIZE_MAX;
    if (said && said->kind == DM_INT && said->number >= 1 && said->number <= (double)n)
        pick = (size_t)said->number - 1;
    dm_arena_free(a);
    return pick;
}
