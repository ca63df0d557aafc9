/* SPDX-License-Identifier: BSD-3-Clause */
/* Recorded cases: folders with files in them. */
#ifndef TESTS_WIRE_CASE_H
#define TESTS_WIRE_CASE_H

#include "codec/doc.h"

/* Every folder below root that has a file of that name, sorted; *ret_n of them. */
char **case_find(const char *root, const char *file, size_t *ret_n);

/* A whole file into arena memory; ends the test program when it cannot be read. */
struct cel_slice case_read(struct cel_arena *a, const char *folder, const char *file);
const struct cel_node *case_json(struct cel_arena *a, const char *folder,
                                 const char *file);

/* A member of an object by its NUL-terminated name. */
const struct cel_node *case_get(const struct cel_node *object, const char *name);

#endif
