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

void dm_write_array(dm_writer *w, size_t n)
{
    msgpack_pack_array(&w->packer, n);
}

void dm_write_int(dm_writer *w, int64_t v)
{
    msgpack_pack_int64(&w->packer, v);
}

void dm_write_double(dm_writer *w, double v)
{
    msgpack_pack_double(&w->packer, v);
}

void dm_write_bool(dm_writer *w, bool v)
{
    if (v)
        msgpack_pack_true(&w->packer);
    else
        msgpack_pack_false(&w->packer);
}

void dm_write_str(dm_writer *w, dm_str s)
{
    if (!s.p) {
        msgpack_pack_nil(&w->packer);
        return;
    }
    msgpack_pack_bin(&w->packer, s.n);
    msgpack_pack_bin_body(&w->packer, s.p, s.n);
}

void dm_write_hash(dm_writer *w, const dm_hash *h)
{
    dm_write_str(w, (dm_str){(const char *)h->b, sizeof h->b});
}

bool dm_record_open(dm_record *r, dm_str bytes, size_t *used, dm_reader *top)
{
    size_t off = 0;
    msgpack_unpacked_init(&r->unpacked);
    r->bad = false;
    *top = (dm_reader){.bad = &r->bad};
    msgpack_unpack_return rc = msgpack_unpack_next(&r->unpacked, bytes.p, bytes.n, &off);
    if ((rc != MSGPACK_UNPACK_SUCCESS && rc != MSGPACK_UNPACK_EXTRA_BYTES) ||
        r->unpacked.data.type != MSGPACK_OBJECT_ARRAY) {
        r->bad = true;
        return false;
    }
    if (used)
        *used = off;
    top->items = r->unpacked.data.via.array.ptr;
    top->n = r->unpacked.data.via.array.size;
    return true;
}

void dm_record_free(dm_record *r)
{
    msgpack_unpacked_destroy(&r->unpacked);
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
