/* A model's answer for a signature: all outputs, or an error that says what is wrong. The first
 * byte chooses adapter and signature. */
#include "adapter/adapter.h"
#include "base/utf8.h"
#include "fuzz.h"
#include "json/json.h"

#include <stdlib.h>

static const char *const signatures[] = {
    "question -> answer",
    "question -> reasoning, answer: int",
    "text -> label: Literal['a', 'b'], score: float, good: bool",
    "text -> items: list[str], counts: dict[str, int]",
    "text -> maybe: Optional[list[float]], any: Union[int, str]",
};
#define N_SIGNATURES (sizeof signatures / sizeof *signatures)

int fuzz_completion(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 1 << 20)
        return 0;
    dm_arena *a = dm_arena_new(0);
    dm_error err = {DM_OK, ""};
    dm_str text = {(const char *)data + 1, size - 1};
    if (dm_utf8_valid(text) == text.n) {
        dm_signature *s =
            dm_signature_parse(a, dm_str_of(signatures[(data[0] >> 1) % N_SIGNATURES]), &err);
        const dm_value *fields = NULL;
        dm_status st =
            dm_adapter_parse(a, (dm_adapter)(data[0] % DM_N_ADAPTERS), s, text, &fields, &err);
        if (st == DM_OK) {
            dm_buf b;
            dm_buf_init(&b, DM_MAX_TEXT);
            dm_json_write(&b, fields, DM_JSON_PYTHON);
            if (fields->kind != DM_DICT || fields->n != s->n_outputs ||
                dm_utf8_valid(dm_buf_view(&b)) != b.len)
                abort();
            dm_buf_free(&b);
        } else if (!err.text[0]) {
            abort();
        }
    }
    dm_arena_free(a);
    return 0;
}
