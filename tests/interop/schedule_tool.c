/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * schedule_tool: reads {"schedule": ..., "zone": ..., "last": us, "now": us, "deadline": us} a
 * line and prints "due wait" in microseconds, or "error text"; of {"field": 0 to 4, "text":
 * ...} the set of numbers as a decimal number.  test_beat.py asks Celery the same.
 */
#include "base/arena.h"
#include "beat/schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cel_zone *zone_of(const struct cel_node *n, celery_error *err)
{
    struct cel_zone *zone = NULL;
    struct cel_slice text = cel_node_text(n);
    char name[128] = {0};

    if (text.len < sizeof name) {
        memcpy(name, text.data, text.len);
        cel_zone_open(name, &zone, err);
    }
    return zone;
}

static void answer_field(const struct cel_node *q, int64_t field)
{
    celery_error err = {0};
    uint64_t set;

    if (cel_crontab_parse_field((enum cel_crontab_field)field,
                                cel_node_text(cel_node_get(q, CEL_SLICE("text"))), &set,
                                &err) == CELERY_OK) {
        printf("%llu\n", (unsigned long long)set);
    } else {
        printf("error %s\n", err.message);
    }
}

static void answer(const struct cel_node *q)
{
    struct cel_schedule s;
    celery_error err = {0};
    struct cel_schedule_env env = {
        .zone = zone_of(cel_node_get(q, CEL_SLICE("zone")), &err),
        .now = cel_node_int(cel_node_get(q, CEL_SLICE("now")), 0),
        .deadline = cel_node_int(cel_node_get(q, CEL_SLICE("deadline")), -1),
    };
    int64_t last = cel_node_int(cel_node_get(q, CEL_SLICE("last")), 0);
    bool due;
    int64_t wait;

    if (env.zone &&
        cel_schedule_read(&s, cel_node_get(q, CEL_SLICE("schedule")), &err) ==
            CELERY_OK &&
        cel_schedule_due(&s, &env, last, &due, &wait, &err) == CELERY_OK) {
        printf("%d %lld\n", due, (long long)wait);
    } else {
        printf("error %s\n", err.message);
    }
    cel_zone_free((struct cel_zone *)env.zone);
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t len;

    while ((len = getline(&line, &size, stdin)) > 0) {
        struct cel_arena a = {0};
        struct cel_node *q = NULL;

        if (cel_json_parse(&a, cel_slice(line, (size_t)len), NULL, &q, NULL) < 0) {
            return 2;
        }
        int64_t field = cel_node_int(cel_node_get(q, CEL_SLICE("field")), -1);

        if (field >= 0 && field < CEL_CRON_FIELDS) {
            answer_field(q, field);
        } else {
            answer(q);
        }
        cel_arena_fini(&a);
    }
    free(line);
    return 0;
}
