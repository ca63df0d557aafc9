/* SPDX-License-Identifier: BSD-3-Clause */
/* --autoscale=MAX,MIN: as many slots as there is work for (celery/worker/autoscale.py). */
#ifndef CEL_WORKER_AUTOSCALE_H
#define CEL_WORKER_AUTOSCALE_H

#include <stdbool.h>
#include <stddef.h>

struct celery_worker;

struct cel_autoscale {
    unsigned max; /* 0: the number of slots is fixed */
    unsigned min; /* 1 at least: a pool of nothing would run nothing */
    unsigned now;
    double keepalive; /* seconds without growing before it shrinks */
    double grew;      /* when it grew last */
    bool has_grown;
};

/* "MAX,MIN" in either order, or one number and 0.  False: it is no such thing. */
bool cel_autoscale_parse(const char *text, struct cel_autoscale *ret);

/*
 * How many slots there should be for that many reserved tasks; may_shrink: it is time to ask for
 * fewer.  Until it has grown it does not shrink, as there.
 */
unsigned cel_autoscale_next(const struct cel_autoscale *a, size_t reserved, double now,
                            bool may_shrink);

/* Notes that the pool has so many. */
void cel_autoscale_set(struct cel_autoscale *a, unsigned slots, double now);

#endif
