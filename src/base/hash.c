/* SHA-256 and SHA-512 by FIPS 180-4; CRC-32C (Castagnoli) by RFC 3720. */
#include "base/hash.h"
#include "base/sha256.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static const uint64_t K[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817};

static uint64_t ror64(uint64_t x, int n)
{
    return (x >> n) | (x << (64 - n));
}

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

static void block512(uint64_t h[8], const uint8_t *p)
{
    uint64_t w[80], v[8];
    for (int i = 0; i < 16; i++) {
        w[i] = 0;
        for (int j = 0; j < 8; j++)
            w[i] = w[i] << 8 | p[8 * i + j];
    }
    for (int i = 16; i < 80; i++) {
        uint64_t s0 = ror64(w[i - 15], 1) ^ ror64(w[i - 15], 8) ^ (w[i - 15] >> 7);
        uint64_t s1 = ror64(w[i - 2], 19) ^ ror64(w[i - 2], 61) ^ (w[i - 2] >> 6);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    memcpy(v, h, sizeof v);
    for (int i = 0; i < 80; i++) {
        uint64_t s1 = ror64(v[4], 14) ^ ror64(v[4], 18) ^ ror64(v[4], 41);
        uint64_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + K[i] + w[i];
        uint64_t s0 = ror64(v[0], 28) ^ ror64(v[0], 34) ^ ror64(v[0], 39);
        uint64_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        h[i] += v[i];
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

void dm_sha512(const void *data, size_t n, uint8_t out[64])
{
    uint64_t h[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
                     0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
                     0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
    const uint8_t *p = data;
    size_t left = n;
    uint8_t last[256] = {0};
    for (; left >= 128; p += 128, left -= 128)
        block512(h, p);
    if (left)
        memcpy(last, p, left);
    last[left] = 0x80;
    size_t blocks = left < 112 ? 1 : 2;
    for (int i = 0; i < 8; i++)
        last[128 * blocks - 1 - (size_t)i] = (uint8_t)((uint64_t)n * 8 >> (8 * i));
    for (size_t i = 0; i < blocks; i++)
        block512(h, last + 128 * i);
    for (int i = 0; i < 64; i++)
        out[i] = (uint8_t)(h[i / 8] >> (56 - 8 * (i % 8)));
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
