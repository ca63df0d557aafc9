/* SPDX-License-Identifier: BSD-3-Clause */
/* Timestamps of YAML 1.1: dates, and dates with times. */
#ifndef CEL_CODEC_YAML_TIME_H
#define CEL_CODEC_YAML_TIME_H

#include "codec/doc.h"

struct cel_yaml_time {
    int year, month, day, hour, minute, second;
    int microsecond;
    bool utc;   /* Z */
    int offset; /* minutes */
    bool has_offset;
};

/*
 * Whether text has the form.  As a plain scalar a date has two digits for month and day
 * unless a time follows (yaml/resolver.py); an explicit tag takes one, too.
 */
bool cel_yaml_time_match(struct cel_slice text, bool plain, struct cel_yaml_time *ret,
                         bool *ret_has_time);

/* construct_yaml_timestamp() as kombu's typed "date" or "datetime". */
struct cel_node *cel_yaml_make_time(struct cel_arena *a, struct cel_slice text,
                                    const char **ret_why);

#endif
