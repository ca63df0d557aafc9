/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Growable bytes with a ceiling.  A buffer that could not grow remembers it: further
 * appends do nothing and cel_buf_ok() is false, so writers check once at the end.
 */
#ifndef CEL_BASE_BUF_H
#define CEL_BASE_BUF_H

#include "base/slice.h"
#include <celery/error.h>

struct cel_buf {
    char *data;
    size_t len;
    size_t cap;
    size_t max;  /* ceiling in bytes; 0: none */
    bool failed; /* an append was refused */
};

/* {0} is a valid empty buffer without ceiling. */
void cel_buf_init(struct cel_buf *b, size_t max);
void cel_buf_fini(struct cel_buf *b);
void cel_buf_clear(struct cel_buf *b); /* len 0, not failed; keeps the memory */

/* Makes room for more bytes behind len.  CELERY_ENOMEM, CELERY_ELIMIT. */
celery_status cel_buf_reserve(struct cel_buf *b, size_t more, celery_error *err);

celery_status cel_buf_add(struct cel_buf *b, const void *bytes, size_t len);
celery_status cel_buf_addc(struct cel_buf *b, char c);
celery_status cel_buf_adds(struct cel_buf *b, const char *text);
celery_status cel_buf_addf(struct cel_buf *b, const char *fmt, ...) CELERY_PRINTF(2, 3);
celery_status cel_buf_add_int(struct cel_buf *b, int64_t value);

/* Drops n bytes at the front (moves the rest). */
void cel_buf_drop(struct cel_buf *b, size_t n);

/* NUL behind the last byte (not counted in len); "" when there was no memory. */
const char *cel_buf_cstr(struct cel_buf *b);

/* Gives the memory, NUL-terminated, to the caller (cel_free); NULL if failed. */
char *cel_buf_steal(struct cel_buf *b);

static inline bool cel_buf_ok(const struct cel_buf *b)
{
    return !b->failed;
}

static inline struct cel_slice cel_buf_slice(const struct cel_buf *b)
{
    return (struct cel_slice){b->data, b->len};
}

static inline celery_status cel_buf_add_slice(struct cel_buf *b, struct cel_slice s)
{
    return cel_buf_add(b, s.data, s.len);
}

#endif
