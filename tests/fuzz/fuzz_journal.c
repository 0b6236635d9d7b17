/* A journal of any bytes, and one whose records are whole but hold any bytes: [type, length,
 * payload] over and over, wrapped as the journal writes them. What replay takes can be read. */
#include "fuzz.h"
#include "pool/wire.h"

#include <stdlib.h>
#include <string.h>

typedef struct seen {
    dm_replay *replay;
    dm_hash keys[64];
    size_t n;
} seen;

static dm_status visit(void *user, dm_journal_type type, dm_str payload, dm_error *err)
{
    seen *s = user;
    dm_status st = dm_replay_visit(s->replay, type, payload, err);
    dm_record rec;
    dm_reader in;
    bool ok = dm_record_open(&rec, payload, NULL, &in);
    dm_hash key = dm_read_hash(&in);
    if (ok && !rec.bad && s->n < 64)
        s->keys[s->n++] = key;
    dm_record_free(&rec);
    return st;
}

static void read_all(seen *s)
{
    for (size_t i = 0; i < s->n; i++) {
        dm_arena *a = dm_arena_new(4096);
        dm_result r;
        dm_paid paid;
        dm_str bytes = dm_replay_result(s->replay, &s->keys[i]);
        if (bytes.p && dm_read_result(bytes, 0, a, &r, &paid) && r.n_steps && !r.steps)
            abort();
        for (size_t k = 0; (bytes = dm_replay_answer(s->replay, &s->keys[i], k)).p; k++) {
            dm_record rec;
            dm_answer answer;
            (void)!dm_open_answer(&rec, bytes, &answer, NULL);
            dm_record_free(&rec);
        }
        dm_arena_free(a);
    }
}

static void put_u32(dm_buf *b, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        dm_buf_char(b, (char)(v >> (8 * i)));
}

static void wrap(dm_buf *out, const uint8_t *data, size_t size)
{
    while (size >= 2) {
        uint32_t type = data[0] % (DM_JOURNAL_ANSWER + 2), n = data[1];
        data += 2;
        size -= 2;
        n = n < size ? n : (uint32_t)size;
        dm_buf head;
        dm_buf_init(&head, 8);
        put_u32(&head, n);
        put_u32(&head, type);
        dm_buf_text(out, "DMJ1");
        dm_buf_str(out, dm_buf_view(&head));
        put_u32(out, dm_crc32c(dm_crc32c(0, head.data, 8), data, n));
        dm_buf_add(out, data, n);
        dm_buf_free(&head);
        data += n;
        size -= n;
    }
}

int fuzz_journal(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    dm_buf b;
    dm_error err = {DM_OK, ""};
    dm_status st;
    bool damaged;
    seen s = {.replay = dm_replay_new()};
    dm_buf_init(&b, DM_MAX_TEXT);
    if (data[0] & 1)
        wrap(&b, data + 1, size - 1);
    else
        dm_buf_add(&b, data + 1, size - 1);
    size_t good = dm_journal_scan(dm_buf_view(&b), visit, &s, &damaged, &st, &err);
    if (good > b.len || (st != DM_OK && !err.text[0]) || (damaged && good == b.len))
        abort();
    read_all(&s);
    dm_buf_free(&b);
    dm_replay_free(s.replay);
    return 0;
}
