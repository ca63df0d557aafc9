/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/clock.h"
#include <stddef.h>
#include <time.h>

static const struct cel_clock_ops *own;

static double read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double cel_clock_mono(void)
{
    return own && own->mono ? own->mono() : read_clock(CLOCK_MONOTONIC);
}

double cel_clock_wall(void)
{
    return own && own->wall ? own->wall() : read_clock(CLOCK_REALTIME);
}

int64_t cel_clock_wall_us(void)
{
    if (own && own->wall) {
        return (int64_t)(own->wall() * 1e6 + 0.5);
    }
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void cel_clock_set(const struct cel_clock_ops *ops)
{
    own = ops;
}
