/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A progress bar on standard error while long work is done.  Only on a terminal, only
 * after half a second, drawn at most ten times a second; otherwise nothing is printed.
 *
 *     struct progress p;
 *     progress_begin(&p, "Migrating", &line.globals);
 *     ... progress_set(&p, done, total) as often as you like ...
 *     progress_end(&p);
 */
#ifndef CEL_CLI_PROGRESS_H
#define CEL_CLI_PROGRESS_H

#include "cli/opt.h"
#include "cli/text.h"
#include <stdint.h>

struct progress {
    const char *what;
    struct term term;
    double start; /* monotonic */
    double drawn; /* when it was last; 0: it is not shown */
    bool off;
};

/* what is borrowed.  globals: -C, and -q, which switches the bar off; may be NULL. */
void progress_begin(struct progress *p, const char *what, const struct globals *globals);

/* total 0: it is not known, and only the count is shown. */
void progress_set(struct progress *p, uint64_t done, uint64_t total);

/* Removes the bar before something else is printed; the next progress_set() draws it again. */
void progress_clear(struct progress *p);

/* Removes it for good. */
void progress_end(struct progress *p);

#endif
