/* SPDX-License-Identifier: BSD-3-Clause */
/* Set of texts, bounded in number, whose members expire: revoked ids. */
#ifndef CEL_BASE_AGESET_H
#define CEL_BASE_AGESET_H

#include "base/slice.h"
#include <celery/error.h>

struct cel_ageset;

/* max members (the oldest make room), each for age seconds.  NULL: out of memory. */
struct cel_ageset *cel_ageset_new(size_t max, double age);
struct cel_ageset *cel_ageset_free(struct cel_ageset *s);
celery_status cel_ageset_add(struct cel_ageset *s, struct cel_slice member, double now);

/* One that was added before now; the members it finds must be older. */
celery_status cel_ageset_add_aged(struct cel_ageset *s, struct cel_slice member,
                                  double added, double now);
bool cel_ageset_has(struct cel_ageset *s, struct cel_slice member, double now);
void cel_ageset_remove(struct cel_ageset *s, struct cel_slice member);
size_t cel_ageset_count(const struct cel_ageset *s);

/* Walk from the oldest.  *at starts as NULL; false at the end. */
bool cel_ageset_next(const struct cel_ageset *s, void **at, struct cel_slice *ret_member,
                     double *ret_added);

#endif
