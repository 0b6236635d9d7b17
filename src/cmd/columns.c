#include "cmd/columns.h"
#include "base/log.h"
#include "base/secret.h"
#include "metric/metric.h"

#include <stdlib.h>

static const dm_field *field_in(const dm_signature *s, dm_str name, bool output)
{
    size_t from = output ? s->n_inputs : 0, to = output ? s->n_inputs + s->n_outputs : s->n_inputs;
    for (size_t i = from; i < to; i++)
        if (dm_str_eq(s->fields[i].name, name))
            return &s->fields[i];
    return NULL;
}

/* An output of the last step that has it is a label; else it is an input. */
static const dm_field *field_of(const dm_program *p, dm_str name)
{
    const dm_field *f = NULL;
    for (size_t i = p->n; i-- > 0 && !f;)
        f = field_in(p->predictors[i].signature, name, true);
    for (size_t i = 0; i < p->n && !f; i++)
        f = field_in(p->predictors[i].signature, name, false);
    return f;
}

static void warn(const dm_dataset *set, const dm_field *f, size_t misfits, size_t row,
                 const dm_value *cell)
{
    dm_buf type;
    dm_buf_init(&type, 200);
    dm_type_python(&type, f->type);
    char *shown = dm_outside(cell->text, 100);
    dm_log(DM_WARN,
           "%s: the column \"%.*s\" is left as text: %zu of %zu cells are not of type %s, first in "
           "row %zu: \"%s\"",
           set->path, DM_STR_ARG(f->name), misfits, set->n, type.data ? type.data : "", row + 1,
           shown);
    free(shown);
    dm_buf_free(&type);
}

/* Column i as values; NULL: they stay as they are. */
static const dm_value **column(dm_arena *a, const dm_dataset *set, const dm_field *f, size_t i)
{
    const dm_value **values = dm_arena_alloc_n(a, set->n, sizeof *values);
    size_t misfits = 0, first = 0;
    for (size_t r = 0; r < set->n; r++) {
        values[r] = dm_metric_label(a, f->type, set->examples[r].row->members[i].value);
        if (values[r])
            continue;
        first = misfits++ ? first : r;
    }
    if (misfits)
        warn(set, f, misfits, first, set->examples[first].row->members[i].value);
    return misfits ? NULL : values;
}

const dm_dataset *dm_columns_typed(dm_arena *a, const dm_program *p, const dm_dataset *set)
{
    if (!set || !set->cells || !set->n)
        return set;
    const dm_value *head = set->examples[0].row; /* all rows have the same columns, in one order */
    const dm_value ***columns = dm_arena_alloc_n(a, head->n, sizeof *columns);
    bool any = false;
    for (size_t i = 0; i < head->n; i++) {
        const dm_field *f = field_of(p, head->members[i].key);
        bool typed = f && f->type->kind != DM_T_STR && f->type->kind != DM_T_ANY;
        columns[i] = typed ? column(a, set, f, i) : NULL;
        any |= columns[i] != NULL;
    }
    if (!any)
        return set;
    dm_value *rows = dm_value_list(a);
    for (size_t r = 0; r < set->n; r++) {
        dm_value *row = dm_value_dict(a);
        const dm_value *was = set->examples[r].row;
        for (size_t i = 0; i < was->n; i++)
            dm_value_set(a, row, was->members[i].key,
                         columns[i] ? columns[i][r] : was->members[i].value);
        dm_value_append(a, rows, row);
    }
    return dm_dataset_of(a, set->path, rows);
}
