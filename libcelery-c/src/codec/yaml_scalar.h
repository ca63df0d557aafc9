/* SPDX-License-Identifier: BSD-3-Clause */
/* The scalars of YAML 1.1, resolved and constructed as PyYAML's SafeLoader does. */
#ifndef CEL_CODEC_YAML_SCALAR_H
#define CEL_CODEC_YAML_SCALAR_H

#include "codec/doc.h"

#define CEL_YAML_TAG "tag:yaml.org,2002:"

/* The tag, without its prefix, of a plain scalar: "int", "str", "merge" ... */
const char *cel_yaml_resolve(struct cel_slice text);

/*
 * The value of a scalar with this tag (without prefix).  NULL with *ret_why set when the
 * text has not its form or the tag is unknown; *ret_why "" when out of memory.
 */
struct cel_node *cel_yaml_construct(struct cel_arena *a, const char *tag,
                                    struct cel_slice text, const char **ret_why);

/* Whether text has the form of a timestamp (with a time: *ret_has_time). */
bool cel_yaml_is_timestamp(struct cel_slice text, bool *ret_has_time);

#endif
