/* SPDX-License-Identifier: BSD-3-Clause */
/* Hash map with text keys (copied), seeded against flooding. */
#ifndef CEL_BASE_MAP_H
#define CEL_BASE_MAP_H

#include "base/slice.h"
#include <celery/error.h>

struct cel_map_slot;

struct cel_map {
    struct cel_map_slot *slots;
    size_t count;
    size_t cap; /* power of two, or 0 */
    size_t tombs;
};

/* {0} is a valid empty map. */
void cel_map_fini(struct cel_map *m); /* values are not touched */

/* Sets or replaces.  *ret_old (may be NULL) is the value before, or NULL. */
celery_status cel_map_set(struct cel_map *m, struct cel_slice key, void *value,
                          void **ret_old);
void *cel_map_get(const struct cel_map *m, struct cel_slice key); /* NULL: not there */
void *cel_map_del(struct cel_map *m, struct cel_slice key);       /* the value, or NULL */

/* Walk in no order; the map must not change meanwhile.  Start with *at = 0. */
bool cel_map_next(const struct cel_map *m, size_t *at, struct cel_slice *ret_key,
                  void **ret_value);

/* SipHash-1-3 with the process's random seed. */
uint64_t cel_hash(struct cel_slice bytes);

#endif
