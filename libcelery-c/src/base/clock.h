/* SPDX-License-Identifier: BSD-3-Clause */
/* Time.  Tests can put their own clock in. */
#ifndef CEL_BASE_CLOCK_H
#define CEL_BASE_CLOCK_H

#include <stdint.h>

double cel_clock_mono(void); /* seconds, never goes back */
double cel_clock_wall(void); /* seconds since 1970, UTC */
int64_t cel_clock_wall_us(void);

/* NULL restores the system's clock.  For tests, before other threads run. */
struct cel_clock_ops {
    double (*mono)(void);
    double (*wall)(void);
};
void cel_clock_set(const struct cel_clock_ops *ops);

#endif
