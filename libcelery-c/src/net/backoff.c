/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/backoff.h"

#include "base/uuid.h"

#include <math.h>

#define SHORTEST       0.01 /* seconds */
#define MOST_DOUBLINGS 60

/*
 * Full jitter: any time up to the ceiling.  Workers that lost the same broker then come
 * back spread out, which equal or slightly varied intervals do not achieve.
 */
double cel_backoff_next(struct cel_backoff *b)
{
    unsigned doublings = b->tries < MOST_DOUBLINGS ? b->tries : MOST_DOUBLINGS;
    double ceiling = ldexp(b->base, (int)doublings);

    if (ceiling > b->max) {
        ceiling = b->max;
    }
    if (b->tries < MOST_DOUBLINGS) {
        b->tries++;
    }
    double wait = cel_random_double() * ceiling;
    return wait > SHORTEST ? wait : SHORTEST;
}

void cel_backoff_reset(struct cel_backoff *b)
{
    b->tries = 0;
}

void cel_backoff_ease(struct cel_backoff *b, unsigned tries)
{
    if (b->tries > tries) {
        b->tries = tries;
    }
}
