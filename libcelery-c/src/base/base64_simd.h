/* SPDX-License-Identifier: BSD-3-Clause */
/* Base64 of many characters at once, where the processor can. */
#ifndef CEL_BASE_BASE64_SIMD_H
#define CEL_BASE_BASE64_SIMD_H

#include <stddef.h>

/* Bytes of in that were encoded: a multiple of 12, perhaps none. */
size_t cel_base64_encode_simd(const unsigned char *in, size_t len, char *out);

/*
 * Characters of in that were decoded: a multiple of 16, up to the first that are not of the
 * alphabet.  Writes up to four bytes more than it says, inside the room of the whole text.
 */
size_t cel_base64_decode_simd(const unsigned char *in, size_t len, unsigned char *out);

#endif
