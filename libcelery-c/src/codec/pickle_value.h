/* SPDX-License-Identifier: BSD-3-Clause */
/* Instances that were read, seen from those that know what they are. */
#ifndef CEL_CODEC_PICKLE_VALUE_H
#define CEL_CODEC_PICKLE_VALUE_H

#include "codec/pickle.h"

/* Whether n is this class or one of its instances. */
bool cel_pickle_is_of(const struct cel_node *n, const char *module, const char *name);

/* The argument of an instance, or NULL. */
const struct cel_node *cel_pickle_arg(const struct cel_node *instance, size_t i);

/* kombu's typed value from uuid.UUID.int; NULL: not of 128 bits, or out of memory. */
struct cel_node *cel_pickle_uuid(struct cel_arena *a, const struct cel_node *number);

#endif
