/* SPDX-License-Identifier: BSD-3-Clause */
/* MessagePack, as kombu uses it: use_bin_type=True, raw=False. */
#ifndef CEL_CODEC_MSGPACK_H
#define CEL_CODEC_MSGPACK_H

#include "codec/doc.h"

/* Strings and bytes point into bytes, which must outlive them. */
celery_status cel_msgpack_read(struct cel_arena *a, struct cel_slice bytes,
                               const struct cel_json_limits *limits,
                               struct cel_node **ret_node, celery_error *err);

/* CELERY_EMESSAGE for integers over 64 bits and lone surrogates, as packb() refuses them. */
celery_status cel_msgpack_write(struct cel_buf *out, const struct cel_node *n,
                                celery_error *err);

#endif
