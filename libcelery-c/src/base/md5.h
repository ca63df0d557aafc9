/* SPDX-License-Identifier: BSD-3-Clause */
/* MD5 (RFC 1321): what Amazon SQS says of the bodies it got and gives.  No protection from anyone. */
#ifndef CEL_BASE_MD5_H
#define CEL_BASE_MD5_H

#include "base/slice.h"

enum { CEL_MD5_HEX = 32 };

/* Digests in lower-case hexadecimal digits, without a NUL. */
void cel_md5_hex(struct cel_slice bytes, char ret_hex[CEL_MD5_HEX]);

#endif
