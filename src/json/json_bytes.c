/* Which text the bytes of a JSON body are, as Python's json.detect_encoding says, decoded with
 * "surrogatepass". */
#include "base/utf8.h"
#include "json/json.h"

#include <string.h>

typedef struct encoding {
    int width; /* of a unit: 1, 2 or 4 bytes */
    bool big;  /* the most significant byte comes first */
    size_t skip;
} encoding;

static encoding encoding_of(dm_str s)
{
    const unsigned char *b = (const unsigned char *)s.p;
    if (s.n >= 4 && memcmp(b, "\0\0\xFE\xFF", 4) == 0)
        return (encoding){4, true, 4};
    if (s.n >= 4 && memcmp(b, "\xFF\xFE\0\0", 4) == 0)
        return (encoding){4, false, 4};
    if (s.n >= 2 && memcmp(b, "\xFE\xFF", 2) == 0)
        return (encoding){2, true, 2};
    if (s.n >= 2 && memcmp(b, "\xFF\xFE", 2) == 0)
        return (encoding){2, false, 2};
    if (s.n >= 3 && memcmp(b, "\xEF\xBB\xBF", 3) == 0)
        return (encoding){1, false, 3};
    if (s.n >= 4 && !b[0]) /* the text begins with ASCII: where its zeros are tells */
        return b[1] ? (encoding){2, true, 0} : (encoding){4, true, 0};
    if (s.n >= 4 && !b[1])
        return b[2] || b[3] ? (encoding){2, false, 0} : (encoding){4, false, 0};
    if (s.n == 2 && !b[0])
        return (encoding){2, true, 0};
    if (s.n == 2 && !b[1])
        return (encoding){2, false, 0};
    return (encoding){1, false, 0};
}

static uint32_t unit_at(const encoding *e, const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < e->width; i++)
        v = v << 8 | (unsigned char)p[e->big ? i : e->width - 1 - i];
    return v;
}

static bool is_surrogate(uint32_t cp)
{
    return cp >= 0xD800 && cp < 0xE000;
}

static bool decode_wide(const encoding *e, dm_str s, dm_buf *out)
{
    size_t width = (size_t)e->width, i = e->skip;
    for (; i + width <= s.n; i += width) {
        uint32_t cp = unit_at(e, s.p + i);
        uint32_t low = e->width == 2 && i + 2 * width <= s.n ? unit_at(e, s.p + i + width) : 0;
        if (cp >= 0xD800 && cp < 0xDC00 && low >= 0xDC00 && low < 0xE000) {
            cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
            i += width;
        }
        if (cp > 0x10FFFF)
            return false;
        dm_utf8_put(out, is_surrogate(cp) ? 0xFFFD : cp);
    }
    return i == s.n;
}

/* At a surrogate in three bytes, which is all that "surrogatepass" forgives. */
static bool at_surrogate(dm_str s)
{
    const unsigned char *b = (const unsigned char *)s.p;
    return s.n >= 3 && b[0] == 0xED && b[1] >= 0xA0 && b[1] < 0xC0 && (b[2] & 0xC0) == 0x80;
}

static bool decode_narrow(dm_str s, dm_buf *out)
{
    for (;;) {
        size_t n = dm_utf8_valid(s);
        dm_buf_add(out, s.p, n);
        s = (dm_str){s.p + n, s.n - n};
        if (s.n == 0)
            return true;
        if (!at_surrogate(s))
            return false;
        dm_utf8_put(out, 0xFFFD);
        s = (dm_str){s.p + 3, s.n - 3};
    }
}

dm_status dm_json_decode(dm_arena *a, dm_str bytes, dm_str *text, dm_error *err)
{
    if (!bytes.p)
        bytes = DM_STR("");
    encoding e = encoding_of(bytes);
    dm_str rest = {bytes.p + e.skip, bytes.n - e.skip};
    if (e.width == 1 && dm_utf8_valid(rest) == rest.n) {
        *text = rest;
        return DM_OK;
    }
    dm_buf out;
    dm_buf_init(&out, 2 * bytes.n + 16);
    bool good = e.width == 1 ? decode_narrow(rest, &out) : decode_wide(&e, bytes, &out);
    *text = (dm_str){good ? dm_arena_string(a, out.data ? out.data : "", out.len) : "",
                     good ? out.len : 0};
    dm_buf_free(&out);
    return good ? DM_OK : dm_fail(err, DM_E_DATA, "not text: its bytes are not UTF-8");
}
