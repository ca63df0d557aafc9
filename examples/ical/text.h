/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A growable text.  One that could not grow remembers it, so that writers check once at
 * the end.  Behind the last byte there is always a NUL when data is not NULL.
 */
#ifndef ICAL_TEXT_H
#define ICAL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    char *data;
    size_t len;
    size_t cap;
    bool failed; /* out of memory */
};

/* {0} is a valid empty text. */
void text_free(struct text *t);
void text_clear(struct text *t); /* keeps the memory */

/* Room for more bytes and a NUL behind len; false (and t->failed) when out of memory. */
bool text_reserve(struct text *t, size_t more);

void text_add(struct text *t, const char *bytes, size_t len);
void text_adds(struct text *t, const char *string);
void text_addf(struct text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Appends WTF-8 as json.dumps() of Python prints a string: quotes, ASCII, \ud83d\ude00. */
void text_add_json(struct text *t, const char *wtf8, size_t len);

/* Decodes one code point of WTF-8 at *at and moves on; U+FFFD (one byte on) if invalid. */
unsigned text_next(const char *wtf8, size_t len, size_t *at);

#endif
