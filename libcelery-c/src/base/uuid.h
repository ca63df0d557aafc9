/* SPDX-License-Identifier: BSD-3-Clause */
/* Random ids from a pool of getrandom() bytes; safe across fork. */
#ifndef CEL_BASE_UUID_H
#define CEL_BASE_UUID_H

#include <stddef.h>
#include <stdint.h>

#define CEL_UUID_SIZE 37 /* 36 characters and a NUL */

void cel_uuid4(char text[CEL_UUID_SIZE]);

/* uuid3(NAMESPACE_OID, name), as kombu.common.generate_oid makes it. */
void cel_uuid3_oid(const char *name, char text[CEL_UUID_SIZE]);

void cel_random(void *bytes, size_t len);
double cel_random_double(void); /* 0 <= x < 1 */

#endif
