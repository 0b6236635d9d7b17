/* SHA-256 by FIPS 180-4; CRC-32C (Castagnoli) by RFC 3720. */
#include "base/hash.h"
#include "base/sha256.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* Whoever is first finds out what the processor can do; several may. */
static void blocks256(uint32_t h[8], const uint8_t *p, size_t n)
{
    static _Atomic(dm_sha256_blocks *) best;
    dm_sha256_blocks *blocks = atomic_load_explicit(&best, memory_order_relaxed);
    if (!blocks) {
        blocks = dm_sha256_in_silicon();
        if (!blocks)
            blocks = dm_sha256_in_c;
        atomic_store_explicit(&best, blocks, memory_order_relaxed);
    }
    blocks(h, p, n);
}

void dm_sha256_init(dm_sha256 *s)
{
    static const uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(s->h, h, sizeof h);
    s->n = 0;
}

void dm_sha256_add(dm_sha256 *s, const void *data, size_t n)
{
    const uint8_t *p = data;
    size_t used = s->n % 64;
    s->n += n;
    if (used) {
        size_t room = 64 - used, part = n < room ? n : room;
        if (part)
            memcpy(s->block + used, p, part);
        p += part;
        n -= part;
        if (used + part < 64)
            return;
        blocks256(s->h, s->block, 1);
    }
    if (n >= 64)
        blocks256(s->h, p, n / 64);
    if (n % 64)
        memcpy(s->block, p + n - n % 64, n % 64);
}

dm_hash dm_sha256_end(dm_sha256 *s)
{
    size_t used = s->n % 64;
    uint64_t bits = 8 * s->n;
    dm_hash out;
    s->block[used++] = 0x80;
    memset(s->block + used, 0, 64 - used);
    if (used > 56) { /* no room for the length */
        blocks256(s->h, s->block, 1);
        memset(s->block, 0, 56);
    }
    for (int i = 0; i < 8; i++)
        s->block[56 + i] = (uint8_t)(bits >> (56 - 8 * i));
    blocks256(s->h, s->block, 1);
    for (int i = 0; i < 8; i++) {
        out.b[4 * i] = (uint8_t)(s->h[i] >> 24);
        out.b[4 * i + 1] = (uint8_t)(s->h[i] >> 16);
        out.b[4 * i + 2] = (uint8_t)(s->h[i] >> 8);
        out.b[4 * i + 3] = (uint8_t)s->h[i];
    }
    return out;
}

dm_hash dm_hash_of(const void *p, size_t n)
{
    dm_sha256 s;
    dm_sha256_init(&s);
    dm_sha256_add(&s, p, n);
    return dm_sha256_end(&s);
}

bool dm_hash_eq(const dm_hash *a, const dm_hash *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

void dm_hash_hex(const dm_hash *h, char out[65])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        out[2 * i] = digits[h->b[i] >> 4];
        out[2 * i + 1] = digits[h->b[i] & 15];
    }
    out[64] = 0;
}

uint64_t dm_hash_u64(const dm_hash *h)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v |= (uint64_t)h->b[i] << (8 * i);
    return v;
}

uint64_t dm_hash_mix(const dm_hash *h)
{
    uint64_t x = 0x9e3779b97f4a7c15u, word;
    for (size_t i = 0; i < sizeof h->b; i += sizeof word) {
        memcpy(&word, h->b + i, sizeof word);
        x = (x ^ word) * 0xd6e8feb86659fd93u;
        x ^= x >> 32;
    }
    x *= 0xd6e8feb86659fd93u;
    return x ^ x >> 29;
}

static uint32_t crc_table[256];

static void make_crc_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0x82f63b78u ^ (c >> 1) : c >> 1;
        crc_table[i] = c;
    }
}

uint32_t dm_crc32c(uint32_t crc, const void *data, size_t n)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const uint8_t *p = data;
    pthread_once(&once, make_crc_table);
    crc = ~crc;
    while (n--)
        crc = crc_table[(crc ^ *p++) & 255] ^ (crc >> 8);
    return ~crc;
}
