#include "cmd/program_file.h"
#include "json/json.h"

dm_status dm_program_file_read(dm_arena *a, const char *path, const dm_program *program,
                               const dm_candidate **out, const dm_ensemble **ensemble,
                               const dm_value **provenance, dm_error *err)
{
    dm_str text;
    dm_status st = dm_read_file(a, path, DM_MAX_TEXT, &text, err);
    if (st != DM_OK)
        return st;
    dm_arena *scratch = dm_arena_new(0);
    bool several = dm_ensemble_is(dm_json_read(scratch, text, NULL));
    dm_arena_free(scratch);
    if (!several)
        return dm_state_read(a, text, path, program, out, provenance, err);
    if (!ensemble)
        return dm_fail(err, DM_E_DATA,
                       "%s: this is an ensemble, and one program is wanted here: give the file of "
                       "one of its members",
                       path);
    dm_ensemble *e = dm_arena_alloc(a, sizeof *e);
    st = dm_ensemble_read(a, text, path, program, e, provenance, err);
    if (st == DM_OK) {
        *out = e->members[0];
        *ensemble = e;
    }
    return st;
}
