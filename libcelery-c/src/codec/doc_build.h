/* SPDX-License-Identifier: BSD-3-Clause */
/* What the decoders of this folder share when they build documents. */
#ifndef CEL_CODEC_DOC_BUILD_H
#define CEL_CODEC_DOC_BUILD_H

#include "codec/doc.h"

/* Ceiling for any depth limit: writing, copying and comparing recurse once per level. */
#define CEL_DOC_DEPTH_MAX 4096u

#define CEL_DOC_DEPTH_DEFAULT    1000u
#define CEL_DOC_ELEMENTS_DEFAULT ((size_t)16 << 20)

/* The limits with their defaults filled in; limits may be NULL. */
struct cel_json_limits cel_doc_limits(const struct cel_json_limits *limits);

/* Python's dict: the last of equal keys wins, in the place of the first.  Linear time. */
celery_status cel_doc_unique_keys(struct cel_node *object);

/*
 * Appends a member without looking for an equal key; see cel_doc_unique_keys().  CELERY_ENOMEM
 * when key or value is NULL.
 */
celery_status cel_doc_add_member(struct cel_node *object, struct cel_node *key,
                                 struct cel_node *value);

/*
 * A key of a map that may be no string, as json.dumps() makes it one.  NULL with what is wrong;
 * "" when out of memory.
 */
struct cel_node *cel_doc_as_key(struct cel_arena *a, struct cel_node *k,
                                const char **ret_why);

/* {"__type__": type, "__value__": value}; NULL when out of memory or when value is. */
struct cel_node *cel_doc_typed(struct cel_arena *a, const char *type,
                               struct cel_node *value);

/* The typed value that JSON has for bytes. */
struct cel_node *cel_doc_typed_bytes(struct cel_arena *a, struct cel_slice bytes);

/* Whether a string of these bytes needs no escaping in JSON (CEL_NODE_PLAIN). */
bool cel_doc_plain(const char *text, size_t len);

/* The error for size bytes that a refused: CELERY_ELIMIT at its ceiling, or ENOMEM. */
celery_status cel_doc_refused(const struct cel_arena *a, size_t size, celery_error *err);

#endif
