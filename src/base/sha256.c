#include "base/sha256.h"

#include <stdbool.h>

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static inline uint32_t ror(uint32_t x, int n)
{
    return (x >> n) | (x << (32 - n));
}

/* A round changes two of the eight words; kw is the constant and the word of the message. A turn of
 * sums of turns is less than three turns of the word. */
static inline void turn(uint32_t a, uint32_t b, uint32_t *bc, uint32_t *d, uint32_t e, uint32_t f,
                        uint32_t g, uint32_t *h, uint32_t kw)
{
    uint32_t t = *h + kw + (g ^ (e & (f ^ g))) + ror(ror(ror(e, 14) ^ e, 5) ^ e, 6);
    *d += t;
    uint32_t ab = a ^ b;
    *h = t + ((*bc & ab) ^ b) + ror(ror(ror(a, 9) ^ a, 11) ^ a, 2);
    *bc = ab;
}

static inline uint32_t word(const uint32_t *w, int i)
{
    uint32_t x = w[i - 15], y = w[i - 2];
    return w[i - 16] + (ror(ror(x, 11) ^ x, 7) ^ (x >> 3)) + w[i - 7] +
           (ror(ror(y, 2) ^ y, 17) ^ (y >> 10));
}

static inline uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The eight words stay where they are and their names turn: moving them is most of the time. */
void dm_sha256_in_c(uint32_t state[8], const uint8_t *p, size_t n)
{
    uint32_t w[64];
    for (; n > 0; n--, p += 64) {
        for (int i = 0; i < 16; i++)
            w[i] = big_endian(p + 4 * i);
        for (int i = 16; i < 64; i++)
            w[i] = word(w, i);
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7], bc = b ^ c;
        for (int i = 0; i < 64; i += 8) {
            turn(a, b, &bc, &d, e, f, g, &h, K[i] + w[i]);
            turn(h, a, &bc, &c, d, e, f, &g, K[i + 1] + w[i + 1]);
            turn(g, h, &bc, &b, c, d, e, &f, K[i + 2] + w[i + 2]);
            turn(f, g, &bc, &a, b, c, d, &e, K[i + 3] + w[i + 3]);
            turn(e, f, &bc, &h, a, b, c, &d, K[i + 4] + w[i + 4]);
            turn(d, e, &bc, &g, h, a, b, &c, K[i + 5] + w[i + 5]);
            turn(c, d, &bc, &f, g, h, a, &b, K[i + 6] + w[i + 6]);
            turn(b, c, &bc, &e, f, g, h, &a, K[i + 7] + w[i + 7]);
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d;
        state[4] += e, state[5] += f, state[6] += g, state[7] += h;
    }
}

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>

#define BY_SHA __attribute__((target("sha,sse4.1,ssse3")))

static bool has_sha(void)
{
    unsigned a, b, c, d;
    bool sse = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSSE3) && (c & bit_SSE4_1);
    return sse && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

/* Four words of the message, of which the last sixteen are at hand. */
BY_SHA static inline __m128i next_words(__m128i w[4], int i)
{
    __m128i last = w[(i + 3) & 3], before = w[(i + 2) & 3];
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]),
                                _mm_alignr_epi8(last, before, 4));
    return _mm_sha256msg2_epu32(sum, last);
}

/* The instructions have the state as the words a b e f and c d g h, from the top. */
BY_SHA static void by_sha(uint32_t state[8], const uint8_t *p, size_t n)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)state), 0xb1);
    __m128i efgh =
        _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(state + 4)), 0x1b);
    __m128i abef = _mm_alignr_epi8(badc, efgh, 8), cdgh = _mm_blend_epi16(efgh, badc, 0xf0);
    for (; n > 0; n--, p += 64) {
        __m128i w[4], abef_was = abef, cdgh_was = cdgh;
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            const void *from = p + 16 * (i & 3);
            w[i & 3] = i < 4 ? _mm_shuffle_epi8(_mm_loadu_si128(from), swap) : next_words(w, i);
            __m128i kw = _mm_add_epi32(w[i & 3], _mm_loadu_si128((const void *)(K + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, kw);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(kw, 0x0e));
        }
        abef = _mm_add_epi32(abef, abef_was);
        cdgh = _mm_add_epi32(cdgh, cdgh_was);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((void *)state, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

dm_sha256_blocks *dm_sha256_in_silicon(void)
{
    return has_sha() ? by_sha : NULL;
}
#else
dm_sha256_blocks *dm_sha256_in_silicon(void)
{
    return NULL;
}
#endif
