/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON that is passed on as it came, because writing it again would give the same bytes. */
#ifndef CEL_CODEC_JSON_RAW_H
#define CEL_CODEC_JSON_RAW_H

#include "codec/doc.h"

/*
 * Passes one value from p on that is written exactly as json.dumps() would write it again, and
 * answers its end.  NULL: it is not, or it may not be: floats, more than CEL_RAW_KEYS members,
 * more than CEL_RAW_DEPTH levels and typed values are left to the parser.
 */
enum { CEL_RAW_KEYS = 24, CEL_RAW_DEPTH = 32 };
const char *cel_json_skip_same(const char *p, const char *end);

/* Members of an object that is walked: none of its keys comes twice. */
struct cel_raw_keys {
    size_t n;
    struct cel_slice keys[CEL_RAW_KEYS]; /* between their quotes */
};

/* The same for the next key and the ": " behind it. */
const char *cel_json_skip_same_key(const char *p, const char *end,
                                   struct cel_raw_keys *seen);

/* The same for the ", " behind an element; at what closes the container p itself. */
const char *cel_json_skip_comma(const char *p, const char *end, char closing);

/* The text between the brackets of an array, which must outlive it. */
struct cel_node *cel_json_raw(struct cel_arena *a, struct cel_slice text);

/*
 * The object with everything parsed: itself, or a copy of its members when one of them is raw.
 * NULL: out of memory.
 */
const struct cel_node *cel_json_whole(struct cel_arena *a, const struct cel_node *object,
                                      celery_error *err);

#endif
