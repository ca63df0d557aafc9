/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/option.h"
#include "config/config.h"
#include <limits.h>
#include <stdio.h>

static const char *name_of(const struct cel_option_table *t, size_t i)
{
    const char *name;

    memcpy(&name, (const char *)t->rows + i * t->size, sizeof name);
    return name;
}

static celery_status unknown(const struct cel_option_table *t, struct cel_slice name,
                             celery_error *err)
{
    const char *nearest = "";
    int best = INT_MAX;
    char text[41];

    snprintf(text, sizeof text, "%.*s", (int)(name.len < 40 ? name.len : 40),
             name.data ? name.data : "");
    for (size_t i = 0; i < t->n; i++) {
        int d = cel_config_distance(text, name_of(t, i));

        if (d < best) {
            best = d;
            nearest = name_of(t, i);
        }
    }
    return cel_error_set(err, CELERY_ECONFIG,
                         "broker_transport_options: the %s transport has no option %s; "
                         "did you mean %s?",
                         t->transport, text, nearest);
}

celery_status cel_option_find(const struct cel_option_table *t, struct cel_slice name,
                              size_t *ret_i, celery_error *err)
{
    for (size_t i = 0; i < t->n; i++) {
        if (cel_slice_is(name, name_of(t, i))) {
            *ret_i = i;
            return CELERY_OK;
        }
    }
    return unknown(t, name, err);
}
