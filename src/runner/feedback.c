/* What a metric says on an example: on the whole, or on each predictor. A result, the wire and the
 * journal have one text for it, so feedback on each is JSON behind a character that no text begins
 * with. */
#include "json/json.h"
#include "runner/runner.h"

#define EACH '\x1e' /* the separator of records */

const char *dm_feedback_on_each(dm_arena *a, const dm_value *each)
{
    dm_str text = dm_json_text(a, each, DM_JSON_COMPACT);
    return dm_arena_printf(a, "%c%.*s", EACH, DM_STR_ARG(text));
}

dm_str dm_feedback_on(dm_arena *a, const char *feedback, dm_str path, size_t step)
{
    if (!feedback || *feedback != EACH)
        return feedback ? dm_str_of(feedback) : (dm_str){NULL, 0};
    const dm_value *each = dm_json_read(a, dm_str_of(feedback + 1), NULL),
                   *said = dm_value_get_str(each, path.n ? path : DM_STR("self"));
    if (said && said->kind == DM_LIST) /* on each step */
        said = step < said->n && said->items[step]->kind == DM_STRING ? said->items[step] : NULL;
    if (!said)
        said = dm_value_get(each, "");
    return said && said->kind == DM_STRING ? said->text : (dm_str){NULL, 0};
}
