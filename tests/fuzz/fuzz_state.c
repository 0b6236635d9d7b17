/* State files, of a program and of an ensemble: refused in a sentence, or read to a candidate that
 * is written and read back as the same. The first byte chooses whether the program is known. */
#include "fuzz.h"
#include "ensemble/file.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

static const dm_program *known_program(dm_arena *a)
{
    const dm_value *v =
        dm_json_read(a, DM_STR("{\"chain_of_thought\": \"question -> answer\"}"), NULL);
    dm_at at = dm_at_root(v, "program", DM_E_JOB);
    return dm_program_read(a, &at, NULL);
}

/* What was written is read and written to the same bytes. (Not the same candidate: a NaN in a
 * demonstration is written as null, as DSPy's orjson does.) */
static void same_again(dm_arena *a, const dm_candidate *c)
{
    const dm_candidate *again = NULL;
    dm_buf b, twice;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_init(&twice, DM_MAX_TEXT);
    dm_state_write(&b, a, c, NULL);
    if (dm_state_read(a, dm_buf_view(&b), "again", c->program, &again, NULL, NULL) != DM_OK)
        abort();
    dm_state_write(&twice, a, again, NULL);
    if (!dm_str_eq(dm_buf_view(&b), dm_buf_view(&twice)))
        abort();
    dm_buf_free(&b);
    dm_buf_free(&twice);
}

static void ensemble_again(dm_arena *a, const dm_ensemble *e)
{
    dm_ensemble again;
    dm_buf b, twice;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_buf_init(&twice, DM_MAX_TEXT);
    dm_ensemble_write(&b, a, e, NULL);
    if (dm_ensemble_read(a, dm_buf_view(&b), "again", NULL, &again, NULL, NULL) != DM_OK)
        abort();
    dm_ensemble_write(&twice, a, &again, NULL);
    if (!dm_str_eq(dm_buf_view(&b), dm_buf_view(&twice)))
        abort();
    dm_buf_reset(&b);
    dm_ensemble_python(&b, a, e, "again.json");
    dm_buf_free(&b);
    dm_buf_free(&twice);
}

int fuzz_state(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    dm_arena *a = dm_arena_new(0);
    dm_error err = {DM_OK, ""};
    const dm_candidate *c = NULL;
    const dm_value *provenance = NULL;
    dm_str text = {(const char *)data + 1, size - 1};
    dm_status st = dm_state_read(a, text, "state", data[0] & 1 ? known_program(a) : NULL, &c,
                                 &provenance, &err);
    if (st == DM_OK)
        same_again(a, c);
    else if (!strstr(err.text, "state"))
        abort();
    dm_ensemble e;
    st = dm_ensemble_read(a, text, "state", data[0] & 1 ? known_program(a) : NULL, &e, &provenance,
                          &err);
    if (st == DM_OK)
        ensemble_again(a, &e);
    else if (!strstr(err.text, "state"))
        abort();
    dm_arena_free(a);
    return 0;
}
