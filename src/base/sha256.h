/* What SHA-256 spends its time with: its blocks. In C, and by the processor's own instructions,
 * which take a tenth of the time; both give the same. FIPS 180-4. */
#ifndef DM_BASE_SHA256_H
#define DM_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

/* Takes n blocks of 64 bytes into the eight words of a state. */
typedef void dm_sha256_blocks(uint32_t state[8], const uint8_t *p, size_t n);

dm_sha256_blocks dm_sha256_in_c;
dm_sha256_blocks *dm_sha256_in_silicon(void); /* NULL: this processor has none */

#endif
