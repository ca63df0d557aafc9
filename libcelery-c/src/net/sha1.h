/* SPDX-License-Identifier: BSD-3-Clause */
/* SHA-1, by which Redis names scripts.  Not for anything that must be secure. */
#ifndef CEL_NET_SHA1_H
#define CEL_NET_SHA1_H

#include "base/slice.h"

void cel_sha1_hex(struct cel_slice bytes, char ret_hex[41]);

#endif
