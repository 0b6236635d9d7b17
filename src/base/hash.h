/* Hashes. SHA-256 names content (cells, candidates, data), CRC-32C guards journal records. FIPS
 * 180-4; RFC 3720 appendix B.4. */
#ifndef DM_BASE_HASH_H
#define DM_BASE_HASH_H

#include "base/buf.h"

typedef struct dm_hash {
    uint8_t b[32];
} dm_hash;

typedef struct dm_sha256 {
    uint32_t h[8];
    uint64_t n;
    uint8_t block[64];
} dm_sha256;

void dm_sha256_init(dm_sha256 *s);
void dm_sha256_add(dm_sha256 *s, const void *p, size_t n);
dm_hash dm_sha256_end(dm_sha256 *s);
dm_hash dm_hash_of(const void *p, size_t n); /* SHA-256 */
bool dm_hash_eq(const dm_hash *a, const dm_hash *b);
void dm_hash_hex(const dm_hash *h, char out[65]);
uint64_t dm_hash_u64(const dm_hash *h); /* its first 8 bytes, for tables */
/* The same for hashes that come from a file: all bytes count, so keys with the same beginning,
 * which may have been crafted, are distinguished. */
uint64_t dm_hash_mix(const dm_hash *h);

uint32_t dm_crc32c(uint32_t crc, const void *p, size_t n); /* start with 0 */

#endif
