/* Messages from the coordinator, as a worker reads them: [length in two bytes, message] over and
 * over. An even first byte gives it a setup before. */
#include "fuzz.h"
#include "unit/world.h"

#include "pool/worker.h"

#include <stdlib.h>

static void drop(void *user, dm_buf *msg)
{
    dm_wire_message m;
    (void)user;
    if (!dm_wire_open(&m, dm_buf_view(msg)) || m.type < DM_MSG_HELLO)
        abort();
    dm_wire_close(&m);
    dm_buf_free(msg);
}

static void give_setup(dm_worker *w, const dm_setup *setup)
{
    dm_buf msg, text;
    dm_buf_init(&text, DM_MAX_TEXT);
    dm_setup_write(&text, setup);
    dm_wire_put_setup(&msg, 0, dm_buf_view(&text));
    dm_worker_receive(w, dm_buf_view(&msg));
    dm_buf_free(&text);
    dm_buf_free(&msg);
}

int fuzz_worker(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    world given = world_new(ONE_PREDICTOR);
    dm_worker *w = dm_worker_new((dm_worker_port){.send = drop}, NULL);
    if (!(data[0] & 1))
        give_setup(w, &given.setup);
    data++;
    size--;
    while (size >= 2) {
        size_t n = (size_t)data[0] | (size_t)data[1] << 8;
        data += 2;
        size -= 2;
        n = n < size ? n : size;
        char *copy = malloc(n + 1); /* of its own size: what is read beyond it is seen */
        memcpy(copy, data, n);
        dm_worker_receive(w, (dm_str){copy, n});
        free(copy);
        data += n;
        size -= n;
    }
    dm_worker_free(w);
    dm_arena_free(given.arena);
    return 0;
}
