#include "golden.h"
#include "search/tpe.h"

static dm_tpe *study_of(dm_arena *a, const dm_value *params, int64_t seed)
{
    size_t *choices = dm_arena_alloc_n(a, params->n, sizeof *choices);
    const char **names = dm_arena_alloc_n(a, params->n, sizeof *names);
    for (size_t p = 0; p < params->n; p++) {
        names[p] = params->items[p]->items[0]->text.p;
        choices[p] = (size_t)params->items[p]->items[1]->number;
    }
    return dm_tpe_new(params->n, choices, names, (uint32_t)seed);
}

Test(golden_tpe, optuna_draw_for_draw)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *studies = dm_value_get(golden(a, "rng.json"), "optuna_tpe");
    cr_assert(studies && studies->n == 5);
    for (size_t s = 0; s < studies->n; s++) {
        int64_t seed = -1;
        cr_assert(dm_value_to_int(dm_value_get(studies->items[s], "seed"), &seed));
        const dm_value *params = dm_value_get(studies->items[s], "params");
        const dm_value *steps = dm_value_get(studies->items[s], "steps");
        dm_tpe *t = study_of(a, params, seed);
        size_t waiting = SIZE_MAX; /* Optuna takes a trial's value after the full evaluation's */
        double value = 0;
        uint16_t x[64], want[64];
        for (size_t i = 0; i < steps->n; i++) {
            const dm_value *step = steps->items[i];
            bool draw = dm_str_is(step->items[0]->text, "draw");
            if (draw && waiting != SIZE_MAX)
                dm_tpe_tell(t, waiting, value);
            for (size_t p = 0; p < params->n; p++)
                want[p] = (uint16_t)step->items[1]->items[p]->number;
            if (draw) {
                waiting = dm_tpe_ask(t, x);
                value = step->items[2]->number;
                for (size_t p = 0; p < params->n; p++)
                    cr_expect_eq(x[p], want[p], "study %zu step %zu parameter %zu: %d, not %d", s,
                                 i, p, x[p], want[p]);
            } else {
                dm_tpe_add(t, want, step->items[2]->number);
            }
        }
        dm_tpe_free(t);
    }
    dm_arena_free(a);
}

Test(golden_tpe, startup_draws)
{
    dm_arena *a = dm_arena_new(0);
    const dm_value *want = dm_value_get(golden(a, "rng.json"), "optuna_startup_seed9_3x6");
    const char *names[] = {"0_predictor_instruction", "0_predictor_demos"};
    dm_tpe *t = dm_tpe_new(2, (size_t[]){3, 6}, names, 9);
    for (size_t i = 0; i < want->n; i++) {
        uint16_t x[2];
        dm_tpe_ask(t, x);
        cr_expect_eq(x[0], (int)want->items[i]->items[0]->number);
        cr_expect_eq(x[1], (int)want->items[i]->items[1]->number);
    }
    dm_tpe_free(t);
    dm_arena_free(a);
}
