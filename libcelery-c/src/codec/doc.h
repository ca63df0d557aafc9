/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A lossless value in an arena.  Numbers keep their text, objects their order, strings are
 * WTF-8.  Nodes are plain data: whoever holds the arena may read them from any thread.
 */
#ifndef CEL_CODEC_DOC_H
#define CEL_CODEC_DOC_H

#include "base/arena.h"
#include "base/buf.h"
#include <celery/value.h>

enum cel_node_flags {
    CEL_NODE_PLAIN = 1 << 0, /* string of printable ASCII without " and \: no escaping */
    CEL_NODE_TAIL = 1 << 1,  /* array or object of cel_node_new(): knows its last child */
};

/*
 * A kind that only codec/json_raw.h makes: an array as the text between its brackets, in the
 * very form that cel_json_write() gives it.  Size counts bytes; it is never empty.
 */
enum { CEL_KIND_RAW = CELERY_KIND_OBJECT + 1 };

struct cel_node {
    uint8_t kind; /* celery_kind, or CEL_KIND_RAW */
    uint8_t flags;
    uint32_t size; /* bytes of text; elements of an array; members of an object */
    union {
        const char *text;       /* INT, FLOAT: its characters; STRING, BYTES */
        struct cel_node *first; /* ARRAY: first element; OBJECT: first key */
    };
    struct cel_node
        *next; /* of an array's element, of a key (its value) or value (next key) */
};

/* ---- reading; all take NULL ---- */

/* Text of a STRING, BYTES or number node; {NULL, 0} for others. */
struct cel_slice cel_node_text(const struct cel_node *n);
bool cel_node_is_string(const struct cel_node *n);
bool cel_node_is_null(const struct cel_node *n); /* also true for NULL */
bool cel_node_bool(const struct cel_node *n, bool otherwise);
int64_t cel_node_int(const struct cel_node *n, int64_t otherwise);
double cel_node_double(const struct cel_node *n, double otherwise);

/* Member of an object, or NULL. */
const struct cel_node *cel_node_get(const struct cel_node *object, struct cel_slice key);

/* Python's truth value: false for null, false, 0, "", [], {}. */
bool cel_node_truth(const struct cel_node *n);

/* Same kinds and values: members in any order, floats by value (NaN equals NaN). */
bool cel_node_equal(const struct cel_node *a, const struct cel_node *b);

/* Walk members: for (k = cel_node_first(o); k; k = v->next) { v = k->next; ... } */
static inline const struct cel_node *cel_node_first(const struct cel_node *n)
{
    return n && (n->kind == CELERY_KIND_ARRAY || n->kind == CELERY_KIND_OBJECT) ? n->first
                                                                                : NULL;
}

/* ---- building; all return NULL when out of memory and take NULL arenas' failures ---- */

struct cel_node *cel_node_new(struct cel_arena *a, celery_kind kind);
struct cel_node *cel_node_new_int(struct cel_arena *a, int64_t value);
struct cel_node *cel_node_new_double(struct cel_arena *a, double value); /* Python repr */
struct cel_node *cel_node_new_bool(struct cel_arena *a, bool value);
/* Copies the text (WTF-8, checked by the caller). */
struct cel_node *cel_node_new_string(struct cel_arena *a, struct cel_slice text);
struct cel_node *cel_node_new_bytes(struct cel_arena *a, struct cel_slice bytes);
/* Appends; a NULL child makes the call fail, so constructors can be nested. */
celery_status cel_node_append(struct cel_node *array, struct cel_node *child);
/* Appends a member; an existing key gets the new value in its old place. */
celery_status cel_node_put(struct cel_arena *a, struct cel_node *object,
                           struct cel_slice key, struct cel_node *value);
/* Deep copy into another arena. */
struct cel_node *cel_node_copy(struct cel_arena *a, const struct cel_node *n);

/* ---- JSON ---- */

struct cel_json_limits {
    unsigned depth;  /* nesting; 0: 1000, about Python's own limit; at most 4096 */
    size_t elements; /* nodes in all; 0: the default of 16 million */
};

/*
 * Parses as Python's json.loads(): NaN and infinities, integers of any size, lone
 * surrogates, NUL, last of duplicate keys wins in the place of the first.  Nodes may point into
 * text, which must outlive them.  CELERY_EMESSAGE with offset and reason, CELERY_ELIMIT.
 */
celery_status cel_json_parse(struct cel_arena *a, struct cel_slice text,
                             const struct cel_json_limits *limits,
                             struct cel_node **ret_node, celery_error *err);

/* json.dumps() with Python's defaults, byte for byte.  Bytes become kombu's typed map. */
celery_status cel_json_write(struct cel_buf *out, const struct cel_node *n);

/* The same for parts. */
celery_status cel_json_write_string(struct cel_buf *out, struct cel_slice wtf8);
celery_status cel_json_write_double(struct cel_buf *out,
                                    double value); /* repr, NaN ... */

/* Python's repr(float); returns the length. */
size_t cel_repr_double(double value, char text[32]);

/* ---- Python's repr() and celery.utils.saferepr ---- */

/* repr(): max bytes, 0 for no limit; strings with Python's quote choice. */
celery_status cel_repr(struct cel_buf *out, const struct cel_node *n, size_t max);
celery_status cel_repr_string(struct cel_buf *out, struct cel_slice wtf8);

/*
 * saferepr(): about max characters (0: no limit), as argsrepr and log lines have it; like
 * upstream it passes max by what closes brackets and quotes.  levels: how deep containers are
 * shown; 0: 3 as everywhere but in argsrepr, under 0: all.  tuple: an outermost array is
 * written with round brackets.
 */
celery_status cel_saferepr(struct cel_buf *out, const struct cel_node *n, size_t max,
                           int levels, bool tuple);

/* ---- kombu's typed values (kombu >= 5.3 utils/json.py) ---- */

/* If n is exactly {"__type__": t, "__value__": v}: true, with both. */
bool cel_json_typed(const struct cel_node *n, struct cel_slice *ret_type,
                    const struct cel_node **ret_value);

/*
 * Checks typed values anywhere in a document as object_hook would: an unknown __type__ or
 * a value of the wrong form is CELERY_EMESSAGE.
 */
celery_status cel_json_check_types(const struct cel_node *n, celery_error *err);

/* The bytes of a typed "bytes" or "base64" value, or of a BYTES node; false: neither. */
bool cel_json_bytes(struct cel_arena *a, const struct cel_node *n, struct cel_slice *ret);

/* ---- jansson ---- */

/* New reference; NULL with err naming the path ("args[0].x: integer over 64 bits"). */
json_t *cel_doc_to_json(const struct cel_node *n, const char *path, celery_error *err);
struct cel_node *cel_doc_from_json(struct cel_arena *a, const json_t *value);

#endif
