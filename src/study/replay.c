#include "study/replay.h"
#include "study/frames.h"
#include "study/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP ((size_t)4096) /* read at once for one value */

/* A record is found by 8 bytes made of its key; the key itself is looked at when it is read. So ten
 * million records take 160 MB, whatever is in them. */
typedef struct entry {
    uint64_t key; /* its dm_hash_mix */
    uint64_t at;  /* of the frame; the highest bit: an answer, so results come first */
} entry;
#define IS_ANSWER ((uint64_t)1 << 63)

struct dm_replay {
    char *path;    /* of the file that values are read from; NULL: they are kept here */
    int fd;        /* -1: not opened */
    uint64_t next; /* where the next record of the file stands */
    dm_buf kept;
    dm_frames of_results, of_answers; /* what was given last stays until the next of its kind */
    entry *entries;                   /* [n], once sorted by key, results first, then in order */
    size_t n, cap, results;
    bool sorted;
    dm_amount mark;         /* the last */
    dm_replay_taken *taken; /* [n_taken] */
    size_t n_taken, cap_taken;
    uint64_t from, until; /* what is found stands there */
    dm_hash asked;        /* whose answers were asked for last, */
    size_t number, found; /* and which of them, and its entry */
};

dm_replay *dm_replay_new(void)
{
    dm_replay *r = dm_alloc(sizeof *r);
    r->fd = -1;
    r->found = SIZE_MAX;
    r->until = UINT64_MAX;
    dm_buf_init(&r->kept, SIZE_MAX / 4);
    return r;
}

dm_replay *dm_replay_of_file(const char *path)
{
    dm_replay *r = dm_replay_new();
    r->path = dm_copy_string(path);
    return r;
}

void dm_replay_free(dm_replay *r)
{
    if (!r)
        return;
    if (r->fd >= 0)
        close(r->fd);
    if (r->path) {
        dm_frames_free(&r->of_results);
        dm_frames_free(&r->of_answers);
    }
    dm_buf_free(&r->kept);
    free(r->entries);
    free(r->taken);
    free(r->path);
    free(r);
}

/* ---- reading the journal ---- */

/* [key, bytes] as dm_journal_cell writes it is read by its offsets; what else says the same by the
 * reader of all records. */
bool dm_journal_cell_read(dm_str payload, dm_hash *key, dm_str *bytes)
{
    static const char start[] = "\x92\xc4\x20";
    dm_record rec;
    dm_reader in;
    size_t head = 3 + sizeof key->b;
    if (payload.n >= head + 2 && memcmp(payload.p, start, 3) == 0) {
        const unsigned char *p = (const unsigned char *)payload.p + head;
        size_t width = *p >= 0xc4 && *p <= 0xc6 ? (size_t)1 << (*p - 0xc4) : 0, n = 0;
        if (width && payload.n >= head + 1 + width) {
            for (size_t i = 1; i <= width; i++)
                n = n << 8 | p[i];
            memcpy(key->b, payload.p + 3, sizeof key->b);
            *bytes = (dm_str){payload.p + head + 1 + width, n};
            return payload.n - head - 1 - width == n;
        }
    }
    bool ok = dm_record_open(&rec, payload, NULL, &in);
    *key = dm_read_hash(&in);
    *bytes = dm_read_str(&in);
    ok = ok && !rec.bad && bytes->p;
    dm_record_free(&rec);
    return ok;
}

static dm_amount read_amount(dm_reader *in)
{
    dm_amount a = {dm_read_double(in), 0, 0};
    a.tokens = dm_read_double(in);
    a.cost = dm_read_double(in);
    return a;
}

/* Of the budget: the mark, or what was taken from the accounts. */
static dm_status read_amounts(dm_replay *r, dm_journal_type type, uint64_t at, dm_str payload,
                              dm_error *err)
{
    dm_record rec;
    dm_reader in;
    bool ok = dm_record_open(&rec, payload, NULL, &in);
    dm_amount first = read_amount(&in), second = {0, 0, 0};
    if (type == DM_JOURNAL_TAKEN)
        second = read_amount(&in);
    ok = ok && !rec.bad;
    dm_record_free(&rec);
    if (!ok)
        return dm_fail(err, DM_E_OUTPUT, "a record that cannot be read");
    if (type == DM_JOURNAL_USAGE) {
        r->mark = first;
        return DM_OK;
    }
    r->taken = dm_room(r->taken, r->n_taken, &r->cap_taken, sizeof *r->taken);
    r->taken[r->n_taken++] = (dm_replay_taken){at, first, second};
    return DM_OK;
}

dm_amount dm_replay_mark(const dm_replay *r)
{
    return r->mark;
}

const dm_replay_taken *dm_replay_all_taken(const dm_replay *r, size_t *n)
{
    *n = r->n_taken;
    return r->taken;
}

static dm_status open_source(dm_replay *r, dm_error *err)
{
    r->fd = open(r->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (r->fd < 0)
        return dm_fail(err, DM_E_OUTPUT, "%s", strerror(errno));
    r->of_results = dm_frames_of_file(r->fd, 0);
    r->of_answers = dm_frames_of_file(r->fd, 0);
    r->of_results.step = r->of_answers.step = STEP;
    return DM_OK;
}

/* Where the record stands that is given to visit: all are, one after the other. */
static uint64_t place_of(dm_replay *r, dm_journal_type type, dm_str payload)
{
    uint64_t at = r->path ? r->next : r->kept.len;
    r->next += DM_FRAME_HEAD + payload.n;
    if (r->path) {
        r->of_results.size = r->of_answers.size = r->next;
    } else if (type == DM_JOURNAL_RESULT || type == DM_JOURNAL_ANSWER) {
        dm_journal_frame(&r->kept, type, payload);
        r->of_results = r->of_answers = dm_frames_of_bytes(dm_buf_view(&r->kept));
    }
    return at;
}

dm_status dm_replay_visit(void *user, dm_journal_type type, dm_str payload, dm_error *err)
{
    dm_replay *r = user;
    dm_hash key;
    dm_str bytes;
    dm_status st = r->path && r->fd < 0 ? open_source(r, err) : DM_OK;
    if (st != DM_OK)
        return st;
    uint64_t at = place_of(r, type, payload);
    if (type == DM_JOURNAL_USAGE || type == DM_JOURNAL_TAKEN)
        return read_amounts(r, type, at, payload, err);
    if (type == DM_JOURNAL_CACHED)
        return dm_fail(err, DM_E_OUTPUT,
                       "a version of dspy-mpi that kept answers in another form started it: finish "
                       "the run with that version, or give --fresh to move the old one aside");
    if (type != DM_JOURNAL_RESULT && type != DM_JOURNAL_ANSWER)
        return DM_OK;
    if (!dm_journal_cell_read(payload, &key, &bytes))
        return dm_fail(err, DM_E_OUTPUT, "a record that cannot be read");
    if (r->n == r->cap) {
        r->cap = r->cap ? r->cap + r->cap / 2 : 256;
        r->entries = dm_grow(r->entries, r->cap, sizeof *r->entries);
    }
    r->entries[r->n++] =
        (entry){dm_hash_mix(&key), at | (type == DM_JOURNAL_ANSWER ? IS_ANSWER : 0)};
    r->results += type == DM_JOURNAL_RESULT;
    r->sorted = false;
    return DM_OK;
}

dm_replay *dm_replay_open(const char *path, dm_error *err)
{
    dm_replay *r = dm_replay_of_file(path);
    struct stat s;
    dm_status st = open_source(r, err);
    if (st == DM_OK && fstat(r->fd, &s) != 0)
        st = dm_fail(err, DM_E_OUTPUT, "%s", strerror(errno));
    if (st == DM_OK) {
        dm_frames f = dm_frames_of_file(r->fd, (uint64_t)s.st_size);
        (void)dm_frames_scan(&f, dm_replay_visit, r, &st, err);
        dm_frames_free(&f);
    }
    if (st == DM_OK)
        return r;
    (void)dm_error_wrap(err, st, "%s", path);
    dm_replay_free(r);
    return NULL;
}

/* ---- finding ---- */

static bool bit_of(const entry *e, int bit)
{
    return bit >= 64 ? e->key >> (bit - 64) & 1 : e->at >> bit & 1;
}

/* By one bit after the other, in place: no order of the records makes it slow. */
static void sort(entry *e, size_t n, int bit)
{
    while (n > 1 && bit >= 0) {
        size_t low = 0, high = n;
        while (low < high) {
            if (!bit_of(&e[low], bit)) {
                low++;
                continue;
            }
            entry other = e[--high];
            e[high] = e[low];
            e[low] = other;
        }
        bit--;
        sort(e, low, bit);
        e += low;
        n -= low;
    }
}

/* The first entry with this mix of a key; n: none. */
static size_t first_of(dm_replay *r, uint64_t key)
{
    if (!r->sorted)
        sort(r->entries, r->n, 127);
    r->sorted = true;
    size_t low = 0, high = r->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->entries[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < r->n && r->entries[low].key == key ? low : r->n;
}

/* Reads an entry's record; a file that was changed meanwhile gives none. */
static bool fetch(dm_replay *r, const entry *e, dm_hash *key, dm_str *bytes)
{
    dm_frame frame;
    return dm_frame_read(e->at & IS_ANSWER ? &r->of_answers : &r->of_results, e->at & ~IS_ANSWER,
                         &frame) &&
           dm_journal_cell_read(frame.payload, key, bytes);
}

static bool in_window(const dm_replay *r, const entry *e)
{
    uint64_t at = e->at & ~IS_ANSWER;
    return at >= r->from && at < r->until;
}

/* The next record of the key from entry i on; its number, or r->n. */
static size_t next_of(dm_replay *r, size_t i, const dm_hash *key, bool answer, dm_str *bytes)
{
    dm_hash found;
    uint64_t wanted = dm_hash_mix(key);
    for (; i < r->n && r->entries[i].key == wanted; i++)
        if (!(r->entries[i].at & IS_ANSWER) == !answer && in_window(r, &r->entries[i]) &&
            fetch(r, &r->entries[i], &found, bytes) && dm_hash_eq(&found, key))
            return i;
        else if (!answer && (r->entries[i].at & IS_ANSWER))
            break;
    *bytes = (dm_str){NULL, 0};
    return r->n;
}

dm_str dm_replay_result(dm_replay *r, const dm_hash *key)
{
    dm_str bytes;
    (void)next_of(r, first_of(r, dm_hash_mix(key)), key, false, &bytes);
    return bytes;
}

/* They are asked for in order: the next one is looked for behind the last. */
dm_str dm_replay_answer(dm_replay *r, const dm_hash *key, size_t i)
{
    dm_str bytes = {NULL, 0};
    bool goes_on = r->found < r->n && i == r->number + 1 && dm_hash_eq(&r->asked, key);
    size_t at = goes_on ? r->found + 1 : first_of(r, dm_hash_mix(key)), left = goes_on ? 0 : i;
    at = next_of(r, at, key, true, &bytes);
    for (; left > 0 && at < r->n; left--)
        at = next_of(r, at + 1, key, true, &bytes);
    r->asked = *key;
    r->number = i;
    r->found = at;
    return bytes;
}

uint64_t dm_replay_place(const dm_replay *r)
{
    return r->found < r->n ? r->entries[r->found].at & ~IS_ANSWER : UINT64_MAX;
}

void dm_replay_window(dm_replay *r, uint64_t from, uint64_t until)
{
    r->from = from;
    r->until = until;
    r->found = SIZE_MAX;
}

uint64_t dm_replay_done_at(dm_replay *r, uint64_t mix)
{
    size_t i = first_of(r, mix);
    return i < r->n && !(r->entries[i].at & IS_ANSWER) ? r->entries[i].at : UINT64_MAX;
}

void dm_replay_each(dm_replay *r, void (*visit)(void *user, const dm_replayed *record), void *user)
{
    dm_hash done;
    bool any = false;
    (void)first_of(r, 0);
    for (size_t i = 0; i < r->n; i++) {
        bool result = !(r->entries[i].at & IS_ANSWER);
        dm_replayed x = {.type = result ? DM_JOURNAL_RESULT : DM_JOURNAL_ANSWER,
                         .at = r->entries[i].at & ~IS_ANSWER};
        if (!fetch(r, &r->entries[i], &x.key, &x.bytes) ||
            (result && any && dm_hash_eq(&done, &x.key)))
            continue;
        visit(user, &x);
        any |= result;
        if (result)
            done = x.key;
    }
}

size_t dm_replay_results(const dm_replay *r)
{
    return r->results;
}

void dm_journal_cell(dm_journal *j, dm_journal_type type, const dm_hash *key, dm_str bytes)
{
    dm_buf b;
    dm_writer w;
    dm_buf_init(&b, (size_t)256 << 20);
    dm_writer_init(&w, &b);
    dm_write_array(&w, 2);
    dm_write_hash(&w, key);
    dm_write_str(&w, bytes);
    dm_journal_add(j, type, dm_buf_view(&b));
    dm_buf_free(&b);
}
