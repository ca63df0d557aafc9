/* SPDX-License-Identifier: BSD-3-Clause */
/* Serializers by content type, and compression by name. */
#ifndef CEL_CODEC_CODEC_H
#define CEL_CODEC_CODEC_H

#include "codec/doc.h"

/* One serializer (kombu.serialization). */
struct cel_codec {
    const char *name;         /* "json" */
    const char *content_type; /* "application/json" */
    const char *encoding;     /* "utf-8" or "binary" */
    /* Bytes to a document in a; nodes may point into bytes.  CELERY_EMESSAGE, CELERY_ELIMIT. */
    celery_status (*decode)(struct cel_arena *a, struct cel_slice bytes,
                            const struct cel_json_limits *limits,
                            struct cel_node **ret_node, celery_error *err);
    celery_status (*encode)(struct cel_buf *out, const struct cel_node *n,
                            celery_error *err);
};

extern const struct cel_codec cel_codec_json;

/* By name ("json") or content type; NULL when unknown or not in this build. */
const struct cel_codec *cel_codec_find(struct cel_slice name_or_type);

/* The names of this build, NULL-terminated. */
const char *const *cel_codec_names(void);

/*
 * The codec for a message, if the accept list (names or types, NULL-terminated) lets it
 * in.  A missing content type is "application/data".  CELERY_ECONTENT with a line that says
 * what to change; for pickle: "set task_serializer='json' at the sender".
 */
celery_status cel_codec_accept(struct cel_slice content_type, const char *const *accept,
                               const struct cel_codec **ret_codec, celery_error *err);

/* Compression (kombu.compression). */
struct cel_compression {
    const char *content_type;   /* "application/x-gzip" (which is a zlib stream) */
    const char *const *aliases; /* "gzip", "zlib"; NULL-terminated */
    celery_status (*compress)(struct cel_buf *out, struct cel_slice bytes,
                              celery_error *err);
    /* Stops at out->max with CELERY_ELIMIT; CELERY_EMESSAGE for corrupt or truncated data. */
    celery_status (*decompress)(struct cel_buf *out, struct cel_slice bytes,
                                celery_error *err);
};

/* By type or alias; NULL when unknown or not in this build. */
const struct cel_compression *cel_compression_find(struct cel_slice name);
const char *const *cel_compression_names(void);

#endif
