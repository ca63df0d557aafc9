/* SPDX-License-Identifier: BSD-3-Clause */
/* A growing list of names. */
#ifndef CEL_CLI_NAMES_H
#define CEL_CLI_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/* Start it as {0}. */
struct names {
    char **names;
    size_t n;
    size_t cap;
    bool failed; /* out of memory: something is missing */
};

/* A name that is there already is not added again. */
void names_add(struct names *list, const char *name, size_t len);

/* The words of a list separated by commas. */
void names_split(struct names *list, const char *text);

/* Takes out what is in the other one. */
void names_without(struct names *list, const struct names *other);

void names_sort(struct names *list);
bool names_have(const struct names *list, const char *name);
void names_fini(struct names *list);

#endif
