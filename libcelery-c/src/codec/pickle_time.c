/* SPDX-License-Identifier: BSD-3-Clause */
/* Lib/_pydatetime.py __setstate(): years, months ... as bytes, and a zone. */
#include "codec/pickle_time.h"

#include "codec/doc_build.h"
#include "codec/pickle_value.h"
#include <stdio.h>

enum { DATE_BYTES = 4, TIME_BYTES = 6 };

static const int64_t DAY = 86400;

/* timezone(timedelta(days, seconds, microseconds)) */
static bool offset_of_timezone(const struct cel_node *zone, int64_t *ret_seconds)
{
    const struct cel_node *delta = cel_pickle_arg(zone, 0);
    if (!cel_pickle_is_of(delta, "datetime", "timedelta")) {
        return false;
    }
    int64_t days = cel_node_int(cel_pickle_arg(delta, 0), 0);
    int64_t seconds = cel_node_int(cel_pickle_arg(delta, 1), 0);
    bool whole = cel_node_int(cel_pickle_arg(delta, 2), 0) == 0;
    if (!whole || days < -1 || days > 0 || seconds < 0 || seconds >= DAY) {
        return false;
    }
    *ret_seconds = days * DAY + seconds;
    return *ret_seconds % 60 == 0;
}

/* Zones with names are known as far as they are UTC. */
static bool offset_of(const struct cel_node *zone, int64_t *ret_seconds)
{
    *ret_seconds = 0;
    if (cel_pickle_is_of(zone, "datetime", "timezone")) {
        return offset_of_timezone(zone, ret_seconds);
    }
    if (cel_pickle_is_of(zone, "zoneinfo", "ZoneInfo._unpickle")) {
        struct cel_slice name = cel_node_text(cel_pickle_arg(zone, 0));
        return cel_slice_is(name, "UTC") || cel_slice_is(name, "Etc/UTC");
    }
    return cel_pickle_is_of(zone, "pytz", "_UTC") ||
           cel_pickle_is_of(zone, "dateutil.tz.tz", "tzutc");
}

/* "+10:00" of a zone, "" of none; false: nobody knows. */
static bool put_offset(const struct cel_node *zone, char text[16])
{
    int64_t seconds;
    text[0] = '\0';
    if (!zone) {
        return true;
    }
    if (!offset_of(zone, &seconds)) {
        return false;
    }
    int minutes = (int)(seconds < 0 ? -seconds : seconds) / 60;
    snprintf(text, 16, "%c%02d:%02d", seconds < 0 ? '-' : '+', minutes / 60,
             minutes % 60);
    return true;
}

static size_t put_date(const unsigned char *s, char *text, size_t size)
{
    /* The fold of a datetime is the high bit of its month. */
    return (size_t)snprintf(text, size, "%04u-%02u-%02u", (s[0] * 256U + s[1]) % 10000,
                            s[2] & 0x7fU, (unsigned)s[3]);
}

static size_t put_time(const unsigned char *s, char *text, size_t size)
{
    unsigned fraction = s[3] * 65536U + s[4] * 256U + s[5];
    size_t n = (size_t)snprintf(text, size, "%02u:%02u:%02u", s[0] & 0x7fU,
                                (unsigned)s[1], (unsigned)s[2]);
    if (fraction > 0) {
        n += (size_t)snprintf(text + n, size - n, ".%06u", fraction % 1000000);
    }
    return n;
}

static const unsigned char *state_of(const struct cel_node *args, size_t len)
{
    struct cel_slice state = cel_node_text(args->first);
    bool is = args->first && args->first->kind == CELERY_KIND_BYTES && state.len == len;
    return is ? (const unsigned char *)state.data : NULL;
}

static struct cel_node *typed(struct cel_arena *a, const char *type, const char *text)
{
    struct cel_node *n =
        cel_doc_typed(a, type, cel_node_new_string(a, cel_slice_of(text)));
    return cel_json_check_types(n, NULL) < 0 ? NULL : n;
}

struct cel_node *cel_pickle_datetime(struct cel_arena *a, struct cel_node *args)
{
    const unsigned char *state = state_of(args, DATE_BYTES + TIME_BYTES);
    char text[64];
    char offset[16];
    if (!state || !put_offset(args->first->next, offset)) {
        return NULL;
    }
    size_t n = put_date(state, text, sizeof text);
    text[n++] = 'T';
    n += put_time(state + DATE_BYTES, text + n, sizeof text - n);
    snprintf(text + n, sizeof text - n, "%s", offset);
    return typed(a, "datetime", text);
}

struct cel_node *cel_pickle_date(struct cel_arena *a, struct cel_node *args)
{
    const unsigned char *state = state_of(args, DATE_BYTES);
    char text[32];
    if (!state || args->size != 1) {
        return NULL;
    }
    put_date(state, text, sizeof text);
    return typed(a, "date", text);
}

struct cel_node *cel_pickle_time(struct cel_arena *a, struct cel_node *args)
{
    const unsigned char *state = state_of(args, TIME_BYTES);
    char text[48];
    char offset[16];
    if (!state || !put_offset(args->first->next, offset)) {
        return NULL;
    }
    size_t n = put_time(state, text, sizeof text);
    snprintf(text + n, sizeof text - n, "%s", offset);
    return typed(a, "time", text);
}
