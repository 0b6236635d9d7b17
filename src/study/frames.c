#include "study/frames.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define WINDOW ((size_t)1 << 20)
/* How often over the bytes behind damage may be read in search of a whole record. A torn tail is
 * read about once; bytes made to look like records without end are called damage. */
#define SEARCHES 4

dm_frames dm_frames_of_bytes(dm_str bytes)
{
    return (dm_frames){.fd = -1, .bytes = bytes, .size = bytes.n};
}

dm_frames dm_frames_of_file(int fd, uint64_t size)
{
    dm_frames f = {.fd = fd, .size = size, .step = WINDOW};
    dm_buf_init(&f.window, WINDOW + DM_FRAME_HEAD + (size_t)DM_FRAME_MOST);
    return f;
}

void dm_frames_free(dm_frames *f)
{
    if (f->fd >= 0)
        dm_buf_free(&f->window);
}

/* ---- bytes ---- */

static bool fill(dm_frames *f, uint64_t at, size_t n)
{
    size_t wanted = n < f->step ? f->step : n;
    if (wanted > f->size - at)
        wanted = (size_t)(f->size - at);
    if (f->window.cap > 4 * WINDOW && wanted <= f->step) /* of one big record */
        dm_buf_free(&f->window);
    dm_buf_reset(&f->window);
    f->bytes = (dm_str){NULL, 0};
    char *to = dm_buf_room(&f->window, wanted);
    for (size_t got = 0; to && got < wanted;) {
        ssize_t r = pread(f->fd, to + got, wanted - got, (off_t)(at + got));
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0) {
            f->failed = r < 0 ? errno : EIO;
            return false;
        }
        got += (size_t)r;
    }
    f->read += wanted;
    f->at = at;
    f->bytes = (dm_str){to, wanted};
    return to != NULL;
}

const char *dm_frames_view(dm_frames *f, uint64_t at, size_t n)
{
    bool there =
        f->bytes.p && at >= f->at && at - f->at <= f->bytes.n && f->bytes.n - (at - f->at) >= n;
    if (!there && (f->fd < 0 || f->failed || !fill(f, at, n)))
        return NULL;
    return f->bytes.p + (at - f->at);
}

/* ---- one record ---- */

static uint32_t get_u32(const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++)
        v |= (uint32_t)(unsigned char)p[i] << (8 * i);
    return v;
}

/* Checks the sum window by window: a length that is only claimed takes no memory. */
static bool is_sound(dm_frames *f, uint64_t at, uint32_t n, uint32_t crc, uint32_t wanted)
{
    for (uint32_t done = 0; done < n;) {
        uint32_t part = n - done < WINDOW ? n - done : (uint32_t)WINDOW;
        const char *p = dm_frames_view(f, at + done, part);
        if (!p)
            return false;
        crc = dm_crc32c(crc, p, part);
        done += part;
    }
    f->read += n;
    return crc == wanted;
}

/* The record but for its payload. */
static bool check(dm_frames *f, uint64_t at, dm_frame *out, uint32_t *length)
{
    const char *head = f->size - at < DM_FRAME_HEAD ? NULL : dm_frames_view(f, at, DM_FRAME_HEAD);
    if (!head || memcmp(head, DM_FRAME_MARK, 4) != 0)
        return false;
    uint32_t n = get_u32(head + 4), crc = dm_crc32c(0, head + 4, 8), wanted = get_u32(head + 12);
    *out = (dm_frame){.at = at,
                      .end = at + DM_FRAME_HEAD + n,
                      .type = (dm_journal_type)get_u32(head + 8)};
    *length = n;
    return n <= DM_FRAME_MOST && f->size - at - DM_FRAME_HEAD >= n &&
           is_sound(f, at + DM_FRAME_HEAD, n, crc, wanted);
}

bool dm_frame_read(dm_frames *f, uint64_t at, dm_frame *out)
{
    uint32_t n;
    if (!check(f, at, out, &n))
        return false;
    out->payload = (dm_str){dm_frames_view(f, at + DM_FRAME_HEAD, n), n};
    return out->payload.p != NULL;
}

/* ---- behind the last one ---- */

static bool record_after(dm_frames *f, uint64_t at)
{
    uint64_t most = f->read + SEARCHES * (f->size - at) + SEARCHES * WINDOW;
    dm_frame frame;
    uint32_t length;
    while (f->size - at >= DM_FRAME_HEAD) {
        size_t n = f->size - at < WINDOW ? (size_t)(f->size - at) : WINDOW;
        const char *p = dm_frames_view(f, at, n);
        if (!p || f->read > most || dm_asked_to_stop)
            return true;
        const char *mark = memmem(p, n, DM_FRAME_MARK, 4);
        if (!mark) {
            at += n - 3; /* a mark may begin in the last three */
            continue;
        }
        at += (uint64_t)(mark - p);
        if (check(f, at, &frame, &length))
            return true;
        at++;
    }
    return false;
}

static bool zeros_from(dm_frames *f, uint64_t at)
{
    while (at < f->size) {
        size_t n = f->size - at < WINDOW ? (size_t)(f->size - at) : WINDOW;
        const char *p = dm_frames_view(f, at, n);
        for (size_t i = 0; i < n; i++)
            if (!p || p[i])
                return false;
        at += n;
    }
    return true;
}

dm_tail dm_frames_tail(dm_frames *f, uint64_t at)
{
    if (at >= f->size)
        return DM_TAIL_NONE;
    if (record_after(f, at + 1))
        return DM_TAIL_MIDDLE;
    size_t n = f->size - at < 4 ? (size_t)(f->size - at) : 4;
    const char *p = dm_frames_view(f, at, n);
    return p && (memcmp(p, DM_FRAME_MARK, n) == 0 || zeros_from(f, at)) ? DM_TAIL_TORN
                                                                        : DM_TAIL_FOREIGN;
}

/* ---- all ---- */

uint64_t dm_frames_scan(dm_frames *f, dm_journal_visit *visit, void *user, dm_status *status,
                        dm_error *err)
{
    uint64_t at = 0;
    dm_frame frame;
    *status = DM_OK;
    while (at < f->size && dm_frame_read(f, at, &frame)) {
        *status = dm_asked_to_stop ? dm_stopped(err, "reading what an earlier run kept")
                                   : visit(user, frame.type, frame.payload, err);
        if (*status != DM_OK)
            return at;
        at = frame.end;
    }
    if (f->failed)
        *status = dm_fail(err, DM_E_OUTPUT, "cannot be read at byte %llu: %s",
                          (unsigned long long)at, strerror(f->failed));
    return at;
}
