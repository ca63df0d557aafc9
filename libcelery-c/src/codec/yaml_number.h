/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers of YAML 1.1: bases, underscores, base 60. */
#ifndef CEL_CODEC_YAML_NUMBER_H
#define CEL_CODEC_YAML_NUMBER_H

#include "codec/doc.h"

/* The regular expressions of yaml/resolver.py. */
bool cel_yaml_is_int(struct cel_slice text);
bool cel_yaml_is_float(struct cel_slice text);

/*
 * construct_yaml_int() and construct_yaml_float(), also of texts that only an explicit tag
 * makes a number.  NULL: not a number, or with *ret_why "" out of memory.
 */
struct cel_node *cel_yaml_make_int(struct cel_arena *a, struct cel_slice text,
                                   const char **ret_why);
struct cel_node *cel_yaml_make_float(struct cel_arena *a, struct cel_slice text,
                                     const char **ret_why);

#endif
