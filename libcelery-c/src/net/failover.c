/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/failover.h"
#include "base/uuid.h"
#include <string.h>

static size_t any(size_t n)
{
    return (size_t)(cel_random_double() * (double)n) % n;
}

void cel_failover_init(struct cel_failover *f, size_t n, const char *strategy)
{
    *f = (struct cel_failover){.n = n ? n : 1};
    f->shuffle = strategy && strcmp(strategy, "shuffle") == 0;
    if (f->shuffle) {
        f->at = any(f->n);
    }
}

bool cel_failover_next(struct cel_failover *f)
{
    /* By chance, too, not the one that just failed, if there are others. */
    size_t step = f->shuffle && f->n > 1 ? 1 + any(f->n - 1) : 1;
    f->at = (f->at + step) % f->n;
    if (++f->tried < f->n) {
        return false;
    }
    f->tried = 0;
    return true;
}

void cel_failover_works(struct cel_failover *f)
{
    f->tried = 0;
}
