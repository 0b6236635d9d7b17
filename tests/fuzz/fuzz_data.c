/* Data files: the first byte chooses the format, the rest is the file. */
#include "fuzz.h"
#include "data/dataset.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

int fuzz_data(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    dm_arena *a = dm_arena_new(0);
    dm_error err = {DM_OK, ""};
    dm_dataset *d = NULL;
    dm_str text = {(const char *)data + 1, size - 1};
    dm_status st = dm_dataset_parse(a, "data", text, data[0] % (DM_TSV + 1), &d, &err);
    if (st == DM_OK) {
        if (d->n == 0)
            abort();
        for (size_t i = 0; i < d->n; i++) {
            dm_hash h = dm_json_hash(d->examples[i].row);
            if (d->examples[i].row->kind != DM_DICT || !dm_hash_eq(&h, &d->examples[i].fingerprint))
                abort();
        }
    } else if (st != DM_E_DATA || strncmp(err.text, "data:", 5) != 0) {
        abort();
    }
    dm_arena_free(a);
    return 0;
}
