/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of zones share: one table of changes of the offset. */
#ifndef CEL_BEAT_ZONE_TABLE_H
#define CEL_BEAT_ZONE_TABLE_H

#include "beat/zone.h"

struct cel_zone_change {
    int64_t at;     /* seconds since 1970, UTC */
    int32_t offset; /* seconds east of UTC, from then on */
};

struct cel_zone {
    char *name;
    int32_t first; /* offset before the first change */
    struct cel_zone_change *changes;
    size_t n;
    size_t cap;
    /* Behind this the last 400 years are repeated: the calendar does the same. */
    int64_t horizon; /* INT64_MAX: no rule */
};

enum { CEL_ZONE_MAX_CHANGES = 10000 };

struct cel_zone *cel_zone_new(const char *name);
celery_status cel_zone_add(struct cel_zone *zone, int64_t at, int32_t offset,
                           celery_error *err);

/* Adds 400 years of the rule in the footer of a TZif file, behind the last change. */
celery_status cel_zone_rule(struct cel_zone *zone, struct cel_slice posix,
                            celery_error *err);

#endif
