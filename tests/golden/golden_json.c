#include "golden.h"

Test(golden_json, repair)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *all = golden(a, "json_repair.json");
    for (size_t i = 0; i < all->n; i++) {
        const dm_value *text = all->items[i]->items[0], *want = all->items[i]->items[1];
        const dm_value *got = dm_json_repair(a, text->text);
        cr_expect(got->kind == want->kind && dm_value_equal(got, want), "%s: %s, not %s",
                  text->text.p, golden_text(a, got), golden_text(a, want));
    }
    dm_arena_free(a);
}
