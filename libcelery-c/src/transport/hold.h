/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Deliveries that are not settled yet: small dense numbers outside, a transport's own
 * record inside.  Finding one by its tag takes no search.
 */
#ifndef CEL_TRANSPORT_HOLD_H
#define CEL_TRANSPORT_HOLD_H

#include <celery/error.h>
#include <stddef.h>
#include <stdint.h>

struct cel_hold {
    char *slots;
    size_t item_size;
    size_t slot_size;
    size_t cap;
    size_t count;
    uint32_t free_slot; /* first of the free chain, or UINT32_MAX */
};

/* item_size: bytes of the transport's record. */
void cel_hold_init(struct cel_hold *h, size_t item_size);
void cel_hold_fini(struct cel_hold *h); /* records are not touched */

/*
 * A zeroed record and its tag, never 0 and not used again soon; NULL: out of memory.
 * Records move when one is added: keep tags, not pointers.
 */
void *cel_hold_add(struct cel_hold *h, uint64_t *ret_tag);

/* The record, or NULL for a tag that is unknown or settled. */
void *cel_hold_get(const struct cel_hold *h, uint64_t tag);
void cel_hold_remove(struct cel_hold *h, uint64_t tag); /* unknown: harmless */

/* Walk: start with *at = 0; NULL at the end.  The current record may be removed. */
void *cel_hold_next(const struct cel_hold *h, size_t *at, uint64_t *ret_tag);

#endif
