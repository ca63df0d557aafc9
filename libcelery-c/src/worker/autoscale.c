/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/autoscale.h"

#include "base/slice.h"

#include <stdlib.h>

/* AUTOSCALE_KEEPALIVE of the environment, or this. */
#define KEEPALIVE 30.0

#define MOST 4096 /* slots, of any pool */

static double keepalive(void)
{
    const char *text = getenv("AUTOSCALE_KEEPALIVE");
    double seconds = 0;

    return text && cel_slice_to_double(cel_slice_of(text), &seconds) && seconds > 0
               ? seconds
               : KEEPALIVE;
}

bool cel_autoscale_parse(const char *text, struct cel_autoscale *ret)
{
    struct cel_slice rest = cel_slice_of(text);
    struct cel_slice part;
    int64_t numbers[2] = {0, 0};
    size_t n = 0;

    while (cel_slice_split(&rest, ',', &part)) {
        if (n == 2 || !cel_slice_to_int(cel_slice_trim(part), &numbers[n]) ||
            numbers[n] < 0 || numbers[n] > MOST) {
            return false;
        }
        n++;
    }
    bool reversed = numbers[0] < numbers[1];
    int64_t max = numbers[reversed ? 1 : 0];
    int64_t min = numbers[reversed ? 0 : 1];

    if (n == 0 || max == 0) {
        return false;
    }
    *ret = (struct cel_autoscale){
        .max = (unsigned)max,
        .min = min > 0 ? (unsigned)min : 1,
        .now = min > 0 ? (unsigned)min : 1,
        .keepalive = keepalive(),
    };
    return true;
}

unsigned cel_autoscale_next(const struct cel_autoscale *a, size_t reserved, double now,
                            bool may_shrink)
{
    unsigned wanted = reserved > a->max   ? a->max
                      : reserved < a->min ? a->min
                                          : (unsigned)reserved;

    if (wanted < a->now &&
        (!may_shrink || !a->has_grown || now - a->grew <= a->keepalive)) {
        return a->now;
    }
    return wanted;
}

void cel_autoscale_set(struct cel_autoscale *a, unsigned slots, double now)
{
    if (slots > a->now) {
        a->grew = now;
        a->has_grown = true;
    }
    a->now = slots;
}
