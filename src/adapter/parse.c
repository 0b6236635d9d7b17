/* What adapters have in common in reading completions: DSPy's errors, fields that may be missing.
 */
#include "adapter/inside.h"
#include "base/utf8.h"
#include "json/json.h"

#include <string.h>

static void put_names(dm_buf *b, const dm_signature *s, const dm_value *found)
{
    bool first = true;
    dm_buf_char(b, '[');
    for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++) {
        if (found && !dm_value_get_str(found, s->fields[i].name))
            continue;
        dm_buf_printf(b, "%s%.*s", first ? "" : ", ", DM_STR_ARG(s->fields[i].name));
        first = false;
    }
    dm_buf_char(b, ']');
}

#define BEFORE_QUOTE "LM Response: "
#define AFTER_QUOTE  " \n\nExpected to find output fields"
#define BEFORE_FOUND "Actual output fields parsed from the LM response: "

dm_status dm_parse_error(const dm_adapter_class *c, const char *message, const dm_signature *s,
                         dm_str completion, const dm_value *found, dm_error *err)
{
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    if (*message)
        dm_buf_printf(&b, "%s\n\n", message);
    completion = dm_utf8_head(completion, 600);
    dm_buf_printf(&b,
                  "Adapter %s failed to parse the LM response. \n\n" BEFORE_QUOTE "%.*s" AFTER_QUOTE
                  " in the LM response: ",
                  c->dspy, DM_STR_ARG(completion));
    put_names(&b, s, NULL);
    dm_buf_text(&b, " \n\n");
    if (found) {
        dm_buf_text(&b, BEFORE_FOUND);
        put_names(&b, s, found);
        dm_buf_text(&b, " \n\n");
    }
    dm_fail(err, DM_E_PARSE, "%s", b.data);
    dm_buf_free(&b);
    return DM_E_PARSE;
}

dm_str dm_parse_quoted(dm_str error)
{
    const char *from = memmem(error.p, error.n, BEFORE_QUOTE, strlen(BEFORE_QUOTE));
    if (!from)
        return (dm_str){"", 0};
    from += strlen(BEFORE_QUOTE);
    size_t left = error.n - (size_t)(from - error.p);
    const char *to = memmem(from, left, AFTER_QUOTE, strlen(AFTER_QUOTE));
    return (dm_str){from, to ? (size_t)(to - from) : left};
}

bool dm_parse_found_some(dm_str error)
{
    static const char before[] = BEFORE_FOUND "[";
    const char *from = error.p, *end = error.p + error.n, *last = NULL;
    while (from < end && (from = memmem(from, (size_t)(end - from), before, strlen(before))))
        last = from += strlen(before); /* the answer that is quoted may say so too */
    return last && last < end && *last != ']';
}

dm_status dm_parse_misfit(const dm_adapter_class *c, const dm_signature *s, const dm_field *f,
                          const dm_value *v, const dm_error *why, dm_str completion,
                          const dm_value *found, dm_error *err)
{
    dm_buf value, b;
    dm_buf_init(&value, DM_MAX_TEXT);
    dm_py_str(&value, v);
    dm_buf_init(&b, 1000);
    dm_str shown = dm_utf8_head(dm_buf_view(&value), 300);
    dm_buf_printf(
        &b, "Failed to parse field %.*s with value %.*s from the LM response. Error message: %s",
        DM_STR_ARG(f->name), DM_STR_ARG(shown), why->text);
    dm_status st = dm_parse_error(c, b.data ? b.data : "", s, completion, found, err);
    dm_buf_free(&value);
    dm_buf_free(&b);
    return st;
}

dm_status dm_parse_complete(const dm_adapter_class *c, dm_arena *a, const dm_signature *s,
                            dm_str completion, const dm_value *found, const dm_value **fields,
                            dm_error *err)
{
    dm_value *all = dm_value_dict(a);
    for (size_t i = s->n_inputs; i < s->n_inputs + s->n_outputs; i++) {
        const dm_field *f = &s->fields[i];
        const dm_value *v = dm_value_get_str(found, f->name);
        if (!v && !dm_type_allows_none(f->type))
            return dm_parse_error(c, "", s, completion, found, err);
        dm_value_set(a, all, f->name, v ? v : dm_value_null(a));
    }
    *fields = all;
    return DM_OK;
}
