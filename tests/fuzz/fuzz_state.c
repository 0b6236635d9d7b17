/* State files: refused in a sentence, or read to a candidate that is written and read back as the
 * same. The first byte chooses whether the program is known. */
#include "fuzz.h"
#include "json/json.h"
#include "program/state_file.h"

#include <stdlib.h>
#include <string.h>

static const dm_program *known_program(dm_arena *a)
{
    const dm_value *v =
        dm_json_read(a, DM_STR("{\"chain_of_thought\": \"question -> answer\"}"), NULL);
    dm_at at = dm_at_root(v, "program", DM_E_JOB);
    return dm_program_read(a, &at, NULL);
}

static void same_again(dm_arena *a, const dm_candidate *c)
{
    const dm_candidate *again = NULL;
    dm_buf b;
    dm_buf_init(&b, DM_MAX_TEXT);
    dm_state_write(&b, a, c, NULL);
    if (dm_state_read(a, dm_buf_view(&b), "again", c->program, &again, NULL, NULL) != DM_OK ||
        !dm_hash_eq(&again->hash, &c->hash))
        abort();
    dm_buf_free(&b);
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
    dm_arena_free(a);
    return 0;
}
