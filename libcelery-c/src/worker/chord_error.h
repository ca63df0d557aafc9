/* SPDX-License-Identifier: BSD-3-Clause */
/* What is said of a chord that fails (celery/backends/base.py chord_error_from_stack). */
#ifndef CEL_WORKER_CHORD_ERROR_H
#define CEL_WORKER_CHORD_ERROR_H

#include "worker/follow.h"

/*
 * Makes ends of r->follow for all that waits for the body, and adds the messages of its
 * errbacks to *effects.  text: of the ChordError; original: what a part raised, or NULL.
 */
celery_status cel_chord_fail(struct cel_request *r, struct cel_slice group_id,
                             const struct cel_node *body, struct cel_slice text,
                             const struct cel_continue_exc *original,
                             struct cel_effects *effects);

/* The map that a result has of an exception, as an exception; texts in the arena of r. */
struct cel_continue_exc cel_chord_exception(struct cel_request *r,
                                            struct cel_slice group_id,
                                            const struct cel_node *map);

/* "<prefix>ValueError('x')", in the arena of r; None for an exception that is none. */
struct cel_slice cel_chord_raised(struct cel_request *r, const char *prefix,
                                  const struct cel_node *map,
                                  const struct cel_continue_exc *exc);

/* "Dependency <id> raised ValueError('x')" */
struct cel_slice cel_chord_dependency(struct cel_request *r, struct cel_slice task_id,
                                      const struct cel_node *map,
                                      const struct cel_continue_exc *exc);

#endif
