/* The list of adapters, and what is asked of any of them. */
#include "adapter/inside.h"

#define ADDRESS(number, name) [number] = &dm_adapter_##name,
static const dm_adapter_class *const classes[DM_N_ADAPTERS] = {DM_ADAPTERS(ADDRESS)};

dm_status dm_adapter_user(dm_arena *a, dm_adapter kind, const dm_signature *s,
                          const dm_value *inputs, dm_str *out, dm_error *err)
{
    return dm_render_user(a, classes[kind], s, inputs, out, err);
}

dm_status dm_adapter_prefix(dm_arena *a, dm_adapter kind, const dm_signature *s,
                            dm_str instructions, const dm_value *const *demos, size_t n_demos,
                            dm_prefix *out, dm_error *err)
{
    return dm_render_prefix(a, classes[kind], s, instructions, demos, n_demos, out, err);
}

const char *dm_adapter_name(dm_adapter kind)
{
    return classes[kind]->name;
}

const char *dm_adapter_shown(dm_adapter kind)
{
    return classes[kind]->shown;
}

dm_adapter dm_adapter_fallback(dm_adapter kind)
{
    return classes[kind]->fallback;
}

dm_status dm_adapter_read(const dm_at *at, dm_adapter *out, dm_error *err)
{
    dm_str name = {NULL, 0};
    dm_status st = dm_get_string(at, &name, err);
    if (st != DM_OK || !name.p)
        return st;
    dm_buf names;
    dm_buf_init(&names, 1000);
    for (int i = 0; i < DM_N_ADAPTERS; i++) {
        if (dm_str_is(name, classes[i]->name)) {
            *out = (dm_adapter)i;
            dm_buf_free(&names);
            return DM_OK;
        }
        dm_buf_printf(&names, "%s\"%s\"",
                      i == 0                   ? ""
                      : i + 1 == DM_N_ADAPTERS ? " or "
                                               : ", ",
                      classes[i]->name);
    }
    st = dm_at_fail(at, err, "%s, not \"%.*s\"", names.data, DM_STR_ARG(name));
    dm_buf_free(&names);
    return st;
}

dm_response_format dm_adapter_format(dm_adapter kind, const dm_signature *s)
{
    return classes[kind]->format ? classes[kind]->format(s) : DM_FORMAT_NONE;
}

dm_status dm_adapter_parse(dm_arena *a, dm_adapter kind, const dm_signature *s, dm_str completion,
                           const dm_value **fields, dm_error *err)
{
    return classes[kind]->parse(a, s, completion, fields, err);
}

dm_status dm_adapter_completion(dm_buf *b, dm_arena *a, dm_adapter kind, const dm_signature *s,
                                const dm_value *outputs, dm_error *err)
{
    return classes[kind]->outputs(b, a, s, outputs, err);
}
