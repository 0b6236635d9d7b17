#include "data/packed.h"

#include <string.h>
#include <strings.h>
#include <zlib.h>
#include <zstd.h>

#define PIECE                                                                                      \
    ((size_t)64 << 10) /* unpacked at once: what a small file can blow up to before it is          \
                          refused is the ceiling and one of these */

static bool is_gzip(dm_str s)
{
    return s.n >= 2 && memcmp(s.p, "\x1f\x8b", 2) == 0;
}

static bool is_zstd(dm_str s)
{
    return s.n >= 4 && memcmp(s.p, "\x28\xb5\x2f\xfd", 4) == 0;
}

bool dm_is_packed(dm_str bytes)
{
    return is_gzip(bytes) || is_zstd(bytes);
}

static dm_status too_large(const dm_buf *out, const char *name, dm_error *err)
{
    return dm_fail(err, DM_E_LIMIT,
                   "%s: larger than %zu bytes when it is unpacked: split it into smaller files",
                   name, out->max);
}

static dm_status damaged(const char *name, const char *kind, const char *why, dm_error *err)
{
    return dm_fail(err, DM_E_DATA,
                   "%s: the %s data is cut short or damaged: %s; copy or download the file again",
                   name, kind, why);
}

/* A piece's room at the end; NULL: the ceiling is reached. */
static char *room(dm_buf *out, size_t *n)
{
    size_t left = out->max - out->len;
    *n = left < PIECE ? left : PIECE;
    return *n ? dm_buf_room(out, *n) : NULL;
}

/* Several members one after another are one file, as gzip has it; zeros behind the last are a
 * tape's. */
static bool next_member(z_stream *z)
{
    while (z->avail_in && !*z->next_in)
        z->next_in++, z->avail_in--;
    return z->avail_in > 0;
}

static dm_status inflate_all(z_stream *z, dm_buf *out, const char *name, dm_error *err)
{
    for (;;) {
        size_t n;
        char *to = room(out, &n), spare[1];
        z->next_out =
            (Bytef *)(to ? to : spare); /* at the ceiling one byte tells an end from more */
        z->avail_out = (uInt)(to ? n : 1);
        uInt before = z->avail_out;
        int rc = inflate(z, Z_NO_FLUSH);
        size_t made = before - z->avail_out;
        if (!to && made)
            return too_large(out, name, err);
        out->len += made;
        if (rc == Z_STREAM_END) {
            if (!next_member(z))
                return DM_OK;
            rc = inflateReset(z);
        }
        if (rc == Z_BUF_ERROR || (rc == Z_OK && !z->avail_in && z->avail_out))
            return damaged(name, "gzip", "it ends too early", err);
        if (rc != Z_OK)
            return damaged(name, "gzip", z->msg ? z->msg : "its bytes are not valid", err);
    }
}

static dm_status unpack_gzip(dm_buf *out, const char *name, dm_str bytes, dm_error *err)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)bytes.p, .avail_in = (uInt)bytes.n};
    if (bytes.n > UINT32_MAX || inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        return dm_fail(err, DM_E_LIMIT, "%s: cannot be unpacked in memory", name);
    dm_status st = inflate_all(&z, out, name, err);
    (void)inflateEnd(&z);
    return st;
}

static dm_status decompress_all(ZSTD_DStream *z, dm_buf *out, const char *name, dm_str bytes,
                                dm_error *err)
{
    ZSTD_inBuffer in = {bytes.p, bytes.n, 0};
    size_t rc = 1;
    for (;;) {
        size_t n;
        char *to = room(out, &n), spare[1];
        ZSTD_outBuffer piece = {to ? to : spare, to ? n : 1, 0};
        size_t before = in.pos;
        rc = ZSTD_decompressStream(z, &piece, &in);
        if (ZSTD_isError(rc))
            return damaged(name, "Zstandard", ZSTD_getErrorName(rc), err);
        if (!to && piece.pos)
            return too_large(out, name, err);
        out->len += piece.pos;
        if (rc == 0 && in.pos == in.size)
            return DM_OK;
        if (in.pos == in.size && in.pos == before && piece.pos == 0)
            return damaged(name, "Zstandard", "it ends too early", err);
    }
}

static dm_status unpack_zstd(dm_buf *out, const char *name, dm_str bytes, dm_error *err)
{
    ZSTD_DStream *z = ZSTD_createDStream();
    if (!z)
        return dm_fail(err, DM_E_LIMIT, "%s: cannot be unpacked in memory", name);
    dm_status st = decompress_all(z, out, name, bytes, err);
    ZSTD_freeDStream(z);
    return st;
}

dm_status dm_unpack(dm_buf *out, const char *name, dm_str bytes, dm_error *err)
{
    dm_status st =
        is_gzip(bytes) ? unpack_gzip(out, name, bytes, err) : unpack_zstd(out, name, bytes, err);
    if (st == DM_OK && out->full)
        return too_large(out, name, err);
    return st;
}

bool dm_is_named(const char *name, const char *ending)
{
    static const char *const packed[] = {".gz", ".zst"};
    size_t n = strlen(name), m = strlen(ending);
    for (size_t i = 0; i < 2; i++) {
        size_t k = strlen(packed[i]);
        if (n >= k && strcasecmp(name + n - k, packed[i]) == 0) {
            n -= k;
            break;
        }
    }
    return n >= m && strncasecmp(name + n - m, ending, m) == 0;
}
