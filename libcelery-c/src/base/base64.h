/* SPDX-License-Identifier: BSD-3-Clause */
/* Base64 (RFC 4648, with padding). */
#ifndef CEL_BASE_BASE64_H
#define CEL_BASE_BASE64_H

#include "base/buf.h"

/* Encoded length of n bytes, without a NUL. */
#define CEL_BASE64_LEN(n) (((n) + 2) / 3 * 4)

/* Writes CEL_BASE64_LEN(len) characters. */
void cel_base64_encode(const void *bytes, size_t len, char *ret_text);
celery_status cel_base64_append(struct cel_buf *out, const void *bytes, size_t len);

/*
 * Decodes as Python's base64.b64decode(): characters outside the alphabet are skipped,
 * wrong padding is an error.  ret_bytes has room for len / 4 * 3 + 3.  False: not base64.
 */
bool cel_base64_decode(struct cel_slice text, char *ret_bytes, size_t *ret_len);

#endif
