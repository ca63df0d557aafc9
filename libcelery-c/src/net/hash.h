/* SPDX-License-Identifier: BSD-3-Clause */
/* Hashes, of the module that TLS comes from.  False: it cannot be loaded. */
#ifndef CEL_NET_HASH_H
#define CEL_NET_HASH_H

#include "base/slice.h"
#include <stdbool.h>

bool cel_sha256(struct cel_slice bytes, unsigned char digest[32]);
bool cel_hmac_sha256(struct cel_slice key, struct cel_slice bytes,
                     unsigned char digest[32]);

#endif
