/* Signature strings: refused with the text and a mark, or read, written, and read back as the same;
 * schema and prefixes can be made of whatever was read. */
#include "adapter/adapter.h"
#include "base/utf8.h"
#include "fuzz.h"
#include "json/json.h"

#include <stdlib.h>

static dm_hash hash_of(dm_arena *a, const dm_signature *s)
{
    return dm_json_hash(dm_signature_write(a, s));
}

int fuzz_signature(const uint8_t *data, size_t size)
{
    dm_arena *a = dm_arena_new(0);
    dm_error err = {DM_OK, ""};
    dm_str text = {(const char *)data, size};
    dm_signature *s = dm_utf8_valid(text) == size ? dm_signature_parse(a, text, &err) : NULL;
    if (s) {
        dm_at at = dm_at_root(dm_signature_write(a, s), "signature", DM_E_JOB);
        dm_signature *again = dm_signature_read(a, &at, &err);
        dm_hash h = hash_of(a, s), k = again ? hash_of(a, again) : (dm_hash){{0}};
        dm_buf b;
        dm_prefix prefix;
        if (!again || !dm_hash_eq(&h, &k))
            abort();
        dm_buf_init(&b, DM_MAX_TEXT);
        dm_adapter_schema(&b, s);
        (void)dm_signature_with_reasoning(a, s);
        for (int kind = 0; kind < DM_N_ADAPTERS; kind++)
            if (dm_adapter_prefix(a, (dm_adapter)kind, s, s->instructions, NULL, 0, &prefix,
                                  &err) != DM_OK)
                abort();
        dm_buf_free(&b);
    } else if (err.status && !err.text[0]) {
        abort();
    }
    dm_arena_free(a);
    return 0;
}
