/* SHA-256 by FIPS 180-4; CRC-32C (Castagnoli) by RFC 3720. */
#include "base/hash.h"

#include <pthread.h>
#include <string.h>

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t ror32(uint32_t x, int n)
{
    return (x >> n) | (x << (32 - n));
}

/* A round changes two of the eight words; kw is the constant and the word of the message. */
static inline void round256(uint32_t a, uint32_t b, uint32_t c, uint32_t *d, uint32_t e, uint32_t f,
                            uint32_t g, uint32_t *h, uint32_t kw)
{
    uint32_t t = *h + (ror32(e, 6) ^ ror32(e, 11) ^ ror32(e, 25)) + (g ^ (e & (f ^ g))) + kw;
    *d += t;
    *h = t + (ror32(a, 2) ^ ror32(a, 13) ^ ror32(a, 22)) + ((a & b) | (c & (a | b)));
}

/* The eight words stay where they are and their names turn: moving them is most of the time. */
static void block256(uint32_t h[8], const uint8_t *p)
{
    uint32_t w[64];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
               (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = ror32(w[i - 15], 7) ^ ror32(w[i - 15], 18) ^ (w[i - 15] >> 3);
        uint32_t s1 = ror32(w[i - 2], 17) ^ ror32(w[i - 2], 19) ^ (w[i - 2] >> 10);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    for (int i = 0; i < 64; i++)
        w[i] += K[i];
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], k = h[7];
    for (int i = 0; i < 64; i += 8) {
        round256(a, b, c, &d, e, f, g, &k, w[i]);
        round256(k, a, b, &c, d, e, f, &g, w[i + 1]);
        round256(g, k, a, &b, c, d, e, &f, w[i + 2]);
        round256(f, g, k, &a, b, c, d, &e, w[i + 3]);
        round256(e, f, g, &k, a, b, c, &d, w[i + 4]);
        round256(d, e, f, &g, k, a, b, &c, w[i + 5]);
        round256(c, d, e, &f, g, k, a, &b, w[i + 6]);
        round256(b, c, d, &e, f, g, k, &a, w[i + 7]);
    }
    uint32_t v[8] = {a, b, c, d, e, f, g, k};
    for (int i = 0; i < 8; i++)
        h[i] += v[i];
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
        block256(s->h, s->block);
    }
    for (; n >= 64; p += 64, n -= 64)
        block256(s->h, p);
    if (n)
        memcpy(s->block, p, n);
}

dm_hash dm_sha256_end(dm_sha256 *s)
{
    uint64_t bits = 8 * s->n;
    uint8_t pad[72] = {0x80}, length[8];
    dm_hash out;
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    dm_sha256_add(s, pad, 1 + (119 - s->n % 64) % 64);
    dm_sha256_add(s, length, 8);
    for (int i = 0; i < 32; i++)
        out.b[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)));
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
