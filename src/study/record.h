/* Records in msgpack, for messages between ranks and for the journal. A record is one msgpack
 * array; reading is by position, typed and bounds-checked, with one sticky flag: a reader that met
 * anything unexpected gives zeros from then on, and the caller checks `bad` once at its end. */
#ifndef DM_STUDY_RECORD_H
#define DM_STUDY_RECORD_H

#include "base/buf.h"
#include "base/hash.h"

#include <msgpack.h>

typedef struct dm_writer {
    msgpack_packer packer;
} dm_writer;

void dm_writer_init(dm_writer *w, dm_buf *out); /* appends to out */
void dm_write_array(dm_writer *w, size_t n);    /* the next n items belong to it */
void dm_write_int(dm_writer *w, int64_t v);
void dm_write_double(dm_writer *w, double v);
void dm_write_bool(dm_writer *w, bool v);
void dm_write_str(dm_writer *w, dm_str s); /* s.p NULL is nil */
void dm_write_hash(dm_writer *w, const dm_hash *h);

typedef struct dm_reader {
    const msgpack_object *items;
    size_t n, at;
    bool *bad;
} dm_reader;

typedef struct dm_record {
    msgpack_zone zone;
    bool made; /* the zone */
    bool bad;
} dm_record;

/* Reads the first msgpack object of bytes, which must be an array; strings point into bytes. used
 * (may be NULL) gets its length. False: not whole or not an array; the record is to be freed all
 * the same. */
bool dm_record_open(dm_record *r, dm_str bytes, size_t *used, dm_reader *top) DM_MUST_USE;
void dm_record_free(dm_record *r);

int64_t dm_read_int(dm_reader *r);
size_t dm_read_size(dm_reader *r, size_t max); /* 0 ... max; beyond: bad */
double dm_read_double(dm_reader *r);
bool dm_read_bool(dm_reader *r);
dm_str dm_read_str(dm_reader *r); /* nil: p NULL */
dm_hash dm_read_hash(dm_reader *r);
dm_reader dm_read_array(dm_reader *r);

#endif
