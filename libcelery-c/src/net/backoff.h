/* SPDX-License-Identifier: BSD-3-Clause */
/* Retry intervals: exponential with full jitter. */
#ifndef CEL_NET_BACKOFF_H
#define CEL_NET_BACKOFF_H

struct cel_backoff {
    double base; /* first interval at most, seconds */
    double max;  /* ceiling */
    unsigned tries;
};

#define CEL_BACKOFF_INIT(base, max) \
    {                               \
        (base), (max), 0            \
    }

/* A random time between 0 and min(max, base * 2^tries), never under 10 ms; counts the try. */
double cel_backoff_next(struct cel_backoff *b);
void cel_backoff_reset(struct cel_backoff *b);
/* Forgets the tries beyond so many. */
void cel_backoff_ease(struct cel_backoff *b, unsigned tries);

#endif
