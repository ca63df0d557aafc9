/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values as Python's JSON has them, without loss.  Stable.
 *
 * json_t cannot hold integers over 64 bits, NaN, infinities or lone surrogates.  A
 * celery_value can: it is a read-only view of a decoded message or result.  It is
 * borrowed from the object it was asked of and lives as long as that object.
 * Functions take NULL and values of another kind: they answer 0, NULL or false.
 * All functions may be called from any thread while nobody frees the owner.
 */
#ifndef CELERY_VALUE_H
#define CELERY_VALUE_H

#include <celery/error.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

CELERY_BEGIN_DECLS

typedef struct cel_node celery_value;

typedef enum celery_kind {
    CELERY_KIND_NULL,
    CELERY_KIND_FALSE,
    CELERY_KIND_TRUE,
    CELERY_KIND_INT,    /* any number of digits */
    CELERY_KIND_FLOAT,  /* also NaN, Infinity, -Infinity */
    CELERY_KIND_STRING, /* WTF-8: UTF-8 that may hold lone surrogates and NUL */
    CELERY_KIND_BYTES,  /* only from msgpack, yaml or a decoded {"__type__": "bytes"} */
    CELERY_KIND_ARRAY,
    CELERY_KIND_OBJECT,
} celery_kind;

/* The kind; CELERY_KIND_NULL for NULL. */
CELERY_API celery_kind celery_value_kind(const celery_value *v);

/* True with *ret set when v is an int that fits in 64 bits; otherwise false. */
CELERY_API bool celery_value_int(const celery_value *v, int64_t *ret);

/* True with *ret set when v is an int or a float (nearest double). */
CELERY_API bool celery_value_double(const celery_value *v, double *ret);

/*
 * The bytes of a string or of bytes, not NUL-terminated, with their length in *ret_len.
 * For an int or a float: its text.  NULL for other kinds.
 */
CELERY_API const char *celery_value_text(const celery_value *v, size_t *ret_len);

/* Number of elements of an array, or of members of an object; otherwise 0. */
CELERY_API size_t celery_value_size(const celery_value *v);

/* The first element of an array, or the first key (a string) of an object; or NULL. */
CELERY_API const celery_value *celery_value_first(const celery_value *v);

/*
 * What follows an element of an array.  In an object keys and values alternate: what
 * follows a key is its value, what follows a value is the next key.  NULL at the end.
 */
CELERY_API const celery_value *celery_value_next(const celery_value *v);

/* Element i of an array, from 0; NULL when there is none. */
CELERY_API const celery_value *celery_value_at(const celery_value *v, size_t i);

/* Member of an object by its (NUL-terminated UTF-8) key; NULL when there is none. */
CELERY_API const celery_value *celery_value_get(const celery_value *v, const char *key);

/*
 * A new json_t of the value (caller owns), or NULL with err naming the path of what
 * json_t cannot hold: "args[0].total: integer over 64 bits".
 */
CELERY_API json_t *celery_value_to_json(const celery_value *v, celery_error *err);

/*
 * Python's repr() of the value in new memory from malloc(), NUL-terminated, at most
 * max bytes with "..." at the cut (0: no limit).  NULL when out of memory.
 */
CELERY_API char *celery_value_repr(const celery_value *v, size_t max);

/*
 * A value as json.dumps(value) of Python prints it, in new memory from malloc(), with
 * its length in *ret_len (may be NULL).  NULL when out of memory.
 */
CELERY_API char *celery_value_dumps(const celery_value *v, size_t *ret_len);

CELERY_END_DECLS

#endif
