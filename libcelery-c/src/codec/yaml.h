/* SPDX-License-Identifier: BSD-3-Clause */
/* YAML, as kombu uses it: yaml.safe_load() and yaml.safe_dump() of PyYAML. */
#ifndef CEL_CODEC_YAML_H
#define CEL_CODEC_YAML_H

#include "codec/doc.h"

/*
 * YAML 1.1.  Timestamps become kombu's typed "date" and "datetime", sets the array of their
 * members; aliases are copied, in all at most a million nodes.
 */
celery_status cel_yaml_read(struct cel_arena *a, struct cel_slice bytes,
                            const struct cel_json_limits *limits,
                            struct cel_node **ret_node, celery_error *err);

/* What yaml.safe_load() reads back as the same value; flow style on one line. */
celery_status cel_yaml_write(struct cel_buf *out, const struct cel_node *n,
                             celery_error *err);

#endif
