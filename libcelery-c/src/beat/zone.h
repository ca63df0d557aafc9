/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Time zones from the system's tzdata (RFC 8536), read once and then plain data: libc's
 * localtime() knows one zone for the whole process.  The answers are those of Python's
 * zoneinfo, which Celery uses.
 */
#ifndef CEL_BEAT_ZONE_H
#define CEL_BEAT_ZONE_H

#include "base/slice.h"
#include <celery/error.h>
#include <stdbool.h>
#include <stdint.h>

struct cel_zone;

/*
 * "Europe/Berlin"; NULL or "UTC": UTC, for which no tzdata is needed.  CELERY_ECONFIG:
 * there is no such zone, or its file is damaged.
 */
celery_status cel_zone_open(const char *name, struct cel_zone **ret_zone,
                            celery_error *err);

/* What TZ says, otherwise /etc/localtime, otherwise UTC. */
celery_status cel_zone_open_local(struct cel_zone **ret_zone, celery_error *err);

/* A zone from the bytes of a TZif file. */
celery_status cel_zone_parse(const char *name, struct cel_slice tzif,
                             struct cel_zone **ret_zone, celery_error *err);

/* A zone from POSIX TZ text: "CET-1CEST,M3.5.0,M10.5.0/3". */
celery_status cel_zone_posix(const char *text, struct cel_zone **ret_zone,
                             celery_error *err);

struct cel_zone *cel_zone_free(struct cel_zone *zone);
const char *cel_zone_name(const struct cel_zone *zone);

/* Clock on the wall (microseconds, see civil.h) of an instant (microseconds since 1970 UTC). */
int64_t cel_zone_wall(const struct cel_zone *zone, int64_t utc_us, int *ret_fold);

/*
 * The instant of a clock on the wall.  What comes twice: the first for fold 0, the second for
 * fold 1.  What is skipped: counted with the offset before (fold 0) or after the gap.
 */
int64_t cel_zone_utc(const struct cel_zone *zone, int64_t wall_us, int fold);

/* True when the zone skips it (dateutil.tz.datetime_exists() says no). */
bool cel_zone_skips(const struct cel_zone *zone, int64_t wall_us);

/* dateutil.tz.resolve_imaginary(): moved forward by the gap; others stay. */
int64_t cel_zone_resolve(const struct cel_zone *zone, int64_t wall_us);

#endif
