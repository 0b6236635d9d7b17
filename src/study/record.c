#include "study/record.h"

#include <string.h>

static int append(void *user, const char *p, size_t n)
{
    dm_buf_add(user, p, n);
    return 0;
}

void dm_writer_init(dm_writer *w, dm_buf *out)
{
    msgpack_packer_init(&w->packer, out, append);
}

/* Most of what is written are small numbers, which are a byte (the format: github.com/msgpack,
 * spec.md). */
static void put_byte(dm_writer *w, unsigned byte)
{
    dm_buf_char(w->packer.data, (char)(unsigned char)byte);
}

void dm_write_array(dm_writer *w, size_t n)
{
    if (n < 16)
        put_byte(w, 0x90u | (unsigned)n);
    else
        msgpack_pack_array(&w->packer, n);
}

void dm_write_int(dm_writer *w, int64_t v)
{
    if (v >= 0 && v < 128)
        put_byte(w, (unsigned)v);
    else
        msgpack_pack_int64(&w->packer, v);
}

void dm_write_double(dm_writer *w, double v)
{
    msgpack_pack_double(&w->packer, v);
}

void dm_write_bool(dm_writer *w, bool v)
{
    put_byte(w, v ? 0xc3 : 0xc2);
}

void dm_write_str(dm_writer *w, dm_str s)
{
    if (!s.p) {
        put_byte(w, 0xc0);
        return;
    }
    if (s.n < 256) {
        put_byte(w, 0xc4);
        put_byte(w, (unsigned)s.n);
    } else {
        msgpack_pack_bin(&w->packer, s.n);
    }
    dm_buf_add(w->packer.data, s.p, s.n);
}

void dm_write_hash(dm_writer *w, const dm_hash *h)
{
    dm_write_str(w, (dm_str){(const char *)h->b, sizeof h->b});
}

static uint64_t big_endian(const char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | (unsigned char)p[i];
    return v;
}

/* How many bytes of head and content an item has, and how many items follow that belong to it.
 * False: its head is not whole, or it is no item. */
static bool item_size(const char *p, size_t left, uint64_t *size, uint64_t *items)
{
    static const uint8_t number[] = {4, 8, 1, 2, 4, 8, 1, 2,
                                     4, 8, 2, 3, 5, 9, 17}; /* from 0xca on */
    unsigned char c = (unsigned char)*p;
    uint64_t length = 0;
    size_t head = 0; /* bytes of a length */
    *items = 0;
    *size = 1;
    if (c <= 0x7f || c >= 0xe0 || c == 0xc0 || c == 0xc2 || c == 0xc3)
        return true;
    if (c <= 0x9f) {
        *items = (c & 0x0f) * (c <= 0x8f ? 2u : 1u);
        return true;
    }
    if (c <= 0xbf) {
        *size = 1 + (c & 0x1f);
        return true;
    }
    if (c >= 0xca && c <= 0xd8) {
        *size = 1 + number[c - 0xca];
        return true;
    }
    if (c == 0xc1)
        return false;
    head = c <= 0xc9   ? (size_t)1 << (c - 0xc4) % 3
           : c <= 0xdb ? (size_t)1 << (c - 0xd9)
           : c & 1     ? 4
                       : 2;
    if (left < 1 + head)
        return false;
    length = big_endian(p + 1, head);
    *size = 1 + head;
    if (c >= 0xdc)
        *items = length * (c >= 0xde ? 2 : 1);
    else
        *size += length + (c >= 0xc7 && c <= 0xc9);
    return true;
}

/* How many items the first object is made of; 0: they are not all there. The unpacker takes memory
 * for as many as an array claims to have before it looks for them. */
static uint64_t items_of(dm_str bytes)
{
    uint64_t wanted = 1, size, items, n = 0;
    size_t at = 0;
    for (; wanted > 0; n++) {
        size_t left = bytes.n - at;
        if (left == 0 || !item_size(bytes.p + at, left, &size, &items) || size > left ||
            items > left - size)
            return 0;
        at += (size_t)size;
        wanted += items - 1;
    }
    return n;
}

/* In one piece of memory, as large as it has to be. */
bool dm_record_open(dm_record *r, dm_str bytes, size_t *used, dm_reader *top)
{
    size_t off = 0;
    msgpack_object whole;
    msgpack_unpack_return rc = MSGPACK_UNPACK_PARSE_ERROR;
    uint64_t n = items_of(bytes);
    r->bad = false;
    *top = (dm_reader){.bad = &r->bad};
    r->made = n > 0 && msgpack_zone_init(&r->zone, n * sizeof whole);
    if (r->made)
        rc = msgpack_unpack(bytes.p, bytes.n, &off, &r->zone, &whole);
    if ((rc != MSGPACK_UNPACK_SUCCESS && rc != MSGPACK_UNPACK_EXTRA_BYTES) ||
        whole.type != MSGPACK_OBJECT_ARRAY) {
        r->bad = true;
        return false;
    }
    if (used)
        *used = off;
    top->items = whole.via.array.ptr;
    top->n = whole.via.array.size;
    return true;
}

void dm_record_free(dm_record *r)
{
    if (r->made)
        msgpack_zone_destroy(&r->zone);
    r->made = false;
}

static const msgpack_object *next(dm_reader *r)
{
    if (*r->bad || r->at >= r->n) {
        *r->bad = true;
        return NULL;
    }
    return &r->items[r->at++];
}

int64_t dm_read_int(dm_reader *r)
{
    const msgpack_object *o = next(r);
    if (!o)
        return 0;
    if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 <= INT64_MAX)
        return (int64_t)o->via.u64;
    if (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        return o->via.i64;
    *r->bad = true;
    return 0;
}

size_t dm_read_size(dm_reader *r, size_t max)
{
    int64_t v = dm_read_int(r);
    if (v < 0 || (uint64_t)v > max) {
        *r->bad = true;
        return 0;
    }
    return (size_t)v;
}

double dm_read_double(dm_reader *r)
{
    const msgpack_object *o = next(r);
    if (o && (o->type == MSGPACK_OBJECT_FLOAT64 || o->type == MSGPACK_OBJECT_FLOAT32))
        return o->via.f64;
    *r->bad = true;
    return 0;
}

bool dm_read_bool(dm_reader *r)
{
    const msgpack_object *o = next(r);
    if (o && o->type == MSGPACK_OBJECT_BOOLEAN)
        return o->via.boolean;
    *r->bad = true;
    return false;
}

dm_str dm_read_str(dm_reader *r)
{
    const msgpack_object *o = next(r);
    if (o && o->type == MSGPACK_OBJECT_BIN)
        return (dm_str){o->via.bin.size ? o->via.bin.ptr : "", o->via.bin.size};
    if (!o || o->type != MSGPACK_OBJECT_NIL)
        *r->bad = true;
    return (dm_str){NULL, 0};
}

dm_hash dm_read_hash(dm_reader *r)
{
    dm_hash h = {{0}};
    dm_str s = dm_read_str(r);
    if (s.n == sizeof h.b)
        memcpy(h.b, s.p, s.n);
    else
        *r->bad = true;
    return h;
}

dm_reader dm_read_array(dm_reader *r)
{
    const msgpack_object *o = next(r);
    if (o && o->type == MSGPACK_OBJECT_ARRAY)
        return (dm_reader){o->via.array.ptr, o->via.array.size, 0, r->bad};
    *r->bad = true;
    return (dm_reader){.bad = r->bad};
}
