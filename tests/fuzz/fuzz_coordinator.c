/* Messages from workers, as the coordinator reads them: [length in two bytes, message] over and
 * over. Four examples are at worker 0. Whatever comes, each result that is taken can be read. */
#include "fuzz.h"
#include "unit/world.h"

#include "pool/inside.h"

#include <stdlib.h>

static void take_messages(dm_pool *p, const uint8_t *data, size_t size)
{
    while (size >= 2) {
        size_t n = (size_t)data[0] | (size_t)data[1] << 8;
        data += 2;
        size -= 2;
        n = n < size ? n : size;
        char *copy = malloc(n + 1); /* of its own size: what is read beyond it is seen */
        memcpy(copy, data, n);
        dm_pool_receive(p, 0, (dm_str){copy, n});
        free(copy);
        data += n;
        size -= n;
    }
}

int fuzz_coordinator(const uint8_t *data, size_t size)
{
    world w = world_new(TWO_PREDICTORS);
    dm_error err = {DM_OK, ""};
    dm_work work = dm_work_of(dm_candidate_seal(dm_candidate_new(w.arena, w.program)));
    const dm_example *four[4];
    dm_pool *p = dm_pool_simulated_new(&w.setup, &w.sim, &w.stats, &err);
    for (int i = 0; i < 4; i++)
        four[i] = &w.val->examples[i];
    work.trace = true;
    (void)dm_pool_submit(p, &work, four, 4);
    dm_pool_pump(p, 1); /* hello */
    p->models[0].phase = DM_MODEL_GOOD;
    dm_pool_pump(p, 0);
    take_messages(p, data, size);
    for (size_t i = 0; i < p->n_cells; i++) {
        if (p->cells[i]->phase != DM_CELL_DONE)
            continue;
        dm_result r = dm_cell_result(p, p->cells[i], w.arena);
        for (size_t k = 0; k < r.n_steps; k++)
            if (r.steps[k].predictor >= w.program->n || !r.steps[k].inputs || !r.steps[k].outputs)
                abort();
    }
    if (p->failed && !p->error.text[0])
        abort();
    dm_pool_free(p);
    dm_arena_free(w.arena);
    return 0;
}
