/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables of broker_transport_options, whose rows begin with the option's name. */
#ifndef CEL_TRANSPORT_OPTION_H
#define CEL_TRANSPORT_OPTION_H

#include "base/error.h"
#include "base/slice.h"

struct cel_option_table {
    const char *transport; /* "redis", in messages */
    const void *rows;      /* each begins with const char *name */
    size_t n, size;        /* rows, bytes of each */
};

/* The place of the row with that name.  CELERY_ECONFIG: there is none; the nearest is named. */
celery_status cel_option_find(const struct cel_option_table *table, struct cel_slice name,
                              size_t *ret_i, celery_error *err);

#endif
