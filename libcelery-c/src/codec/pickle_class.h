/* SPDX-License-Identifier: BSD-3-Clause */
/* What a pickle does with classes, as data: calls that are known become values. */
#ifndef CEL_CODEC_PICKLE_CLASS_H
#define CEL_CODEC_PICKLE_CLASS_H

#include "codec/pickle.h"

/* All return NULL when out of memory. */

/* The name of a class or function: {"__class__": name, "__module__": module}. */
struct cel_node *cel_pickle_class(struct cel_arena *a, struct cel_slice module,
                                  struct cel_slice name);

/* Made by this file, and not a map that only looks like it. */
bool cel_pickle_is_class(const struct cel_node *n);
bool cel_pickle_is_instance(const struct cel_node *n);

/* class(*args): the value if the class is one of those in the table, or an instance. */
struct cel_node *cel_pickle_call(struct cel_arena *a, const struct cel_node *class,
                                 struct cel_node *args);

/* BUILD: changes the instance in its place. */
celery_status cel_pickle_set_state(struct cel_arena *a, struct cel_node *instance,
                                   struct cel_node *state);

/* The array or object that an instance of a subclass of list or dict contains. */
struct cel_node *cel_pickle_items(struct cel_arena *a, struct cel_node *instance,
                                  celery_kind kind);

#endif
