/* SPDX-License-Identifier: BSD-3-Clause */
/* Borrowed text: pointer and length, not NUL-terminated. */
#ifndef CEL_BASE_SLICE_H
#define CEL_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cel_slice {
    const char *data;
    size_t len;
};

#define CEL_SLICE(literal) ((struct cel_slice){(literal), sizeof(literal) - 1})
#define CEL_SLICE_NULL     ((struct cel_slice){NULL, 0})

static inline struct cel_slice cel_slice(const char *data, size_t len)
{
    return (struct cel_slice){data, len};
}

/* A NUL-terminated string; NULL gives {NULL, 0}. */
static inline struct cel_slice cel_slice_of(const char *text)
{
    return (struct cel_slice){text, text ? strlen(text) : 0};
}

static inline bool cel_slice_eq(struct cel_slice a, struct cel_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool cel_slice_is(struct cel_slice a, const char *text)
{
    return cel_slice_eq(a, cel_slice_of(text));
}

bool cel_slice_starts(struct cel_slice s, struct cel_slice prefix);
bool cel_slice_ends(struct cel_slice s, struct cel_slice suffix);
struct cel_slice cel_slice_trim(struct cel_slice s); /* ASCII white space at both ends */

/* Cuts *rest at the first separator and gives what is before it; false at the end. */
bool cel_slice_split(struct cel_slice *rest, char separator, struct cel_slice *ret_part);

/* Whole-slice conversions, decimal, no blanks; false when it is not one or overflows. */
bool cel_slice_to_int(struct cel_slice s, int64_t *ret);
bool cel_slice_to_double(struct cel_slice s, double *ret); /* independent of locale */

#endif
