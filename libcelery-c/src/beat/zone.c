/* SPDX-License-Identifier: BSD-3-Clause */
/* Offsets of a zone, by instant and by the clock on the wall. */
#include "base/alloc.h"
#include "base/error.h"
#include "beat/civil.h"
#include "beat/zone_table.h"

static const int64_t cycle = INT64_C(146097) * 86400; /* 400 years in seconds */

struct cel_zone *cel_zone_new(const char *name)
{
    struct cel_zone *zone = cel_calloc(1, sizeof *zone);

    if (zone) {
        zone->horizon = INT64_MAX;
        zone->name = cel_strdup(name);
        if (!zone->name) {
            zone = cel_zone_free(zone);
        }
    }
    return zone;
}

struct cel_zone *cel_zone_free(struct cel_zone *zone)
{
    if (zone) {
        cel_free(zone->name);
        cel_free(zone->changes);
        cel_free(zone);
    }
    return NULL;
}

const char *cel_zone_name(const struct cel_zone *zone)
{
    return zone->name;
}

celery_status cel_zone_add(struct cel_zone *zone, int64_t at, int32_t offset,
                           celery_error *err)
{
    if (zone->n == zone->cap) {
        size_t cap = zone->cap ? zone->cap * 2 : 64;
        struct cel_zone_change *grown =
            cel_realloc(zone->changes, cap, sizeof *zone->changes);

        if (!grown) {
            return cel_error_nomem(err);
        }
        zone->changes = grown;
        zone->cap = cap;
    }
    zone->changes[zone->n++] = (struct cel_zone_change){at, offset};
    return CELERY_OK;
}

static int32_t offset_before(const struct cel_zone *zone, size_t i)
{
    return i == 0 ? zone->first : zone->changes[i - 1].offset;
}

/* When a change happens: UTC (side < 0), or on the wall for fold 0 and 1. */
static int64_t moment(const struct cel_zone *zone, size_t i, int side)
{
    int32_t before = offset_before(zone, i);
    int32_t after = zone->changes[i].offset;
    int32_t larger = before > after ? before : after;

    if (side < 0) {
        return zone->changes[i].at;
    }
    /* zoneinfo's _ts_to_local(): fold 0 sees both ends of gap and overlap late. */
    return zone->changes[i].at + (side == 0 ? larger : before + after - larger);
}

static int32_t find(const struct cel_zone *zone, int64_t seconds, int side)
{
    size_t low = 0;
    size_t high = zone->n;

    if (seconds > zone->horizon) {
        seconds -= ((seconds - zone->horizon - 1) / cycle + 1) * cycle;
    }
    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (moment(zone, mid, side) <= seconds) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return offset_before(zone, low);
}

static int64_t to_seconds(int64_t us)
{
    return cel_civil_floor(us, CEL_SECOND) / CEL_SECOND;
}

int64_t cel_zone_utc(const struct cel_zone *zone, int64_t wall_us, int fold)
{
    return wall_us - find(zone, to_seconds(wall_us), fold) * CEL_SECOND;
}

int64_t cel_zone_wall(const struct cel_zone *zone, int64_t utc_us, int *ret_fold)
{
    int64_t wall = utc_us + find(zone, to_seconds(utc_us), -1) * CEL_SECOND;

    if (ret_fold) {
        *ret_fold = cel_zone_utc(zone, wall, 0) != utc_us;
    }
    return wall;
}

bool cel_zone_skips(const struct cel_zone *zone, int64_t wall_us)
{
    return cel_zone_wall(zone, cel_zone_utc(zone, wall_us, 0), NULL) != wall_us;
}

int64_t cel_zone_resolve(const struct cel_zone *zone, int64_t wall_us)
{
    if (!cel_zone_skips(zone, wall_us)) {
        return wall_us;
    }
    int64_t seconds = to_seconds(wall_us);
    int64_t gap = find(zone, seconds + 86400, 0) - find(zone, seconds - 86400, 0);

    return wall_us + gap * CEL_SECOND;
}
