/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Hashing by sums of products: the multiplications do not wait for each other. Multiply words by different
 * constants, add, and finish.
 */
#ifndef WEFT_MIX_H
#define WEFT_MIX_H

#include <linux/types.h>

/* Odd constants without structure: the fractional parts of square roots (as in SHA-2). */
#define WEFT_ODD_1 0x6a09e667f3bcc909ULL
#define WEFT_ODD_2 0xbb67ae8584caa73bULL
#define WEFT_ODD_3 0x3c6ef372fe94f82bULL
#define WEFT_ODD_4 0xa54ff53a5f1d36f1ULL
#define WEFT_ODD_5 0x510e527fade682d1ULL
#define WEFT_ODD_6 0x9b05688c2b3e6c1fULL
#define WEFT_ODD_7 0x1f83d9abfb41bd6bULL
#define WEFT_ODD_8 0x5be0cd19137e2179ULL

static __always_inline __u64 weft_finish(__u64 sum)
{
	sum ^= sum >> 32;
	sum *= WEFT_ODD_8;
	return sum ^ sum >> 29;
}

#endif
