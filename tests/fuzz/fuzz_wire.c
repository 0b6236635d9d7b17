/* Any bytes as a message: what can be read is written again, and that is read as the same bytes. */
#include "fuzz.h"

#include "pool/wire.h"

#include <stdlib.h>
#include <string.h>

static void write_shard(dm_wire_message *m, dm_buf *b)
{
    dm_wire_list states, tasks;
    dm_reader in_states, in_tasks;
    dm_wire_state s;
    dm_wire_task t;
    dm_wire_list_init(&states);
    dm_wire_list_init(&tasks);
    if (dm_wire_get_shard(m, &in_states, &in_tasks)) {
        while (dm_wire_next_state(&in_states, &s))
            dm_wire_add_state(&states, &s);
        while (dm_wire_next_task(&in_tasks, &t))
            dm_wire_add_task(&tasks, &t);
    }
    dm_wire_put_shard(b, &states, &tasks);
    dm_wire_list_free(&states);
    dm_wire_list_free(&tasks);
}

static void write_lists(dm_wire_message *m, dm_buf *b)
{
    dm_wire_list l;
    dm_reader list;
    dm_wire_item it;
    dm_wire_found f;
    dm_wire_list_init(&l);
    if (m->type == DM_MSG_RESULTS) {
        if (dm_wire_get_results(m, &list))
            while (dm_wire_next_item(&list, &it))
                dm_wire_add_item(&l, &it);
        dm_wire_put_results(b, &l);
    } else {
        if (dm_wire_get_found(m, &list))
            while (dm_wire_next_found(&list, &f))
                dm_wire_add_found(&l, &f);
        dm_wire_put_found(b, &l);
    }
    dm_wire_list_free(&l);
}

static void write_greeting(dm_wire_message *m, dm_buf *b)
{
    dm_wire_setup s;
    dm_wire_hello h;
    if (m->type == DM_MSG_SETUP && dm_wire_get_setup(m, &s))
        dm_wire_put_setup(b, s.worker, s.json);
    else if (m->type == DM_MSG_HELLO && dm_wire_get_hello(m, &h))
        dm_wire_put_hello(b, h.host, h.pid);
    else
        dm_wire_put_empty(b, DM_MSG_BYE);
}

static void write_small(dm_wire_message *m, dm_buf *b)
{
    dm_wire_slots slots;
    dm_wire_failed failed;
    dm_wire_log log;
    dm_wire_slow slow;
    dm_wire_limits limits;
    dm_wire_tally tally;
    dm_wire_pace pace;
    dm_role role;
    if (m->type == DM_MSG_SLOTS && dm_wire_get_slots(m, &slots))
        dm_wire_put_slots(b, &slots);
    else if (m->type == DM_MSG_FAILED && dm_wire_get_failed(m, &failed))
        dm_wire_put_failed(b, failed.status, failed.text);
    else if (m->type == DM_MSG_LOG && dm_wire_get_log(m, &log))
        dm_wire_put_log(b, log.level, log.line);
    else if (m->type == DM_MSG_FAILING && dm_wire_get_failing(m, &role))
        dm_wire_put_failing(b, role);
    else if (m->type == DM_MSG_SLOW && dm_wire_get_slow(m, &slow))
        dm_wire_put_slow(b, &slow);
    else if (m->type == DM_MSG_LIMITS && dm_wire_get_limits(m, &limits))
        dm_wire_put_limits(b, &limits);
    else if (m->type == DM_MSG_TALLY && dm_wire_get_tally(m, &tally))
        dm_wire_put_tally(b, &tally);
    else if (m->type == DM_MSG_PACE && dm_wire_get_pace(m, &pace))
        dm_wire_put_pace(b, &pace);
    else
        dm_wire_put_empty(b, DM_MSG_DRAIN);
}

/* False: there is no such message. */
static bool again(dm_str bytes, dm_buf *b, bool *good)
{
    dm_wire_message m;
    bool ok = dm_wire_open(&m, bytes);
    if (ok) {
        switch (m.type) {
        case DM_MSG_SETUP:
        case DM_MSG_HELLO:
            write_greeting(&m, b);
            break;
        case DM_MSG_SHARD:
            write_shard(&m, b);
            break;
        case DM_MSG_FOUND:
        case DM_MSG_RESULTS:
            write_lists(&m, b);
            break;
        default:
            write_small(&m, b);
        }
        *good = !m.record.bad;
    }
    dm_wire_close(&m);
    return ok;
}

int fuzz_wire(const uint8_t *data, size_t size)
{
    dm_buf first, second;
    bool good = false, same = false;
    char *copy = malloc(size + 1); /* of its own size: what is read beyond it is seen */
    memcpy(copy, data, size);
    if (again((dm_str){copy, size}, &first, &good)) {
        if (good) {
            if (!again(dm_buf_view(&first), &second, &same) || !same || second.len != first.len ||
                memcmp(first.data, second.data, first.len) != 0)
                abort();
            dm_buf_free(&second);
        }
        dm_buf_free(&first);
    }
    free(copy);
    return 0;
}
