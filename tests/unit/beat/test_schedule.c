/* SPDX-License-Identifier: BSD-3-Clause */
/* Crontabs and intervals give Celery's answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "beat/civil.h"
#include "beat/schedule.h"
#include <stdio.h>
#include <string.h>

static const struct recorded {
    const char *question;
    const char *answer;
} recorded[] = {
#include "schedule_cases.h"
};

static struct cel_zone *zone_of(const char *name)
{
    celery_error err = {0};
    struct cel_zone *zone = NULL;

    if (cel_zone_open(name, &zone, &err) < 0) {
        fail_msg("%s", err.message);
    }
    return zone;
}

static struct cel_node *parse(struct cel_arena *a, const char *json)
{
    struct cel_node *n = NULL;

    assert_int_equal(cel_json_parse(a, cel_slice_of(json), NULL, &n, NULL), CELERY_OK);
    return n;
}

static int64_t number(const struct cel_node *q, const char *key, int64_t otherwise)
{
    return cel_node_int(cel_node_get(q, cel_slice_of(key)), otherwise);
}

static void answer(const struct cel_node *q, char *text, size_t size)
{
    int64_t field = number(q, "field", -1);
    celery_error err = {0};
    struct cel_schedule s;
    uint64_t set;
    bool due;
    int64_t wait;

    snprintf(text, size, "error");
    if (field >= 0) {
        if (cel_crontab_parse_field((enum cel_crontab_field)field,
                                    cel_node_text(cel_node_get(q, CEL_SLICE("text"))),
                                    &set, &err) == CELERY_OK) {
            snprintf(text, size, "%llu", (unsigned long long)set);
        }
        return;
    }
    struct cel_slice name = cel_node_text(cel_node_get(q, CEL_SLICE("zone")));
    char zone_name[64] = {0};

    memcpy(zone_name, name.data, name.len);
    struct cel_zone *zone = zone_of(zone_name);
    struct cel_schedule_env env = {zone, number(q, "now", 0), number(q, "deadline", -1)};

    if (cel_schedule_read(&s, cel_node_get(q, CEL_SLICE("schedule")), &err) ==
            CELERY_OK &&
        cel_schedule_due(&s, &env, number(q, "last", 0), &due, &wait, &err) ==
            CELERY_OK) {
        snprintf(text, size, "%d %lld", due, (long long)wait);
    }
    cel_zone_free(zone);
}

static void test_recorded_answers_of_celery(void **state)
{
    for (size_t i = 0; i < sizeof recorded / sizeof recorded[0]; i++) {
        struct cel_arena a = {0};
        char text[64];

        answer(parse(&a, recorded[i].question), text, sizeof text);
        if (strcmp(text, recorded[i].answer) != 0) {
            fail_msg("%s: %s, Celery says %s", recorded[i].question, text,
                     recorded[i].answer);
        }
        cel_arena_fini(&a);
    }
}

/* ---- what is refused ---- */

static void refused(const char *json, const char *why)
{
    struct cel_arena a = {0};
    celery_error err = {0};
    struct cel_schedule s;

    assert_true(cel_schedule_read(&s, parse(&a, json), &err) < 0);
    if (!strstr(err.message, why)) {
        fail_msg("%s: %s", json, err.message);
    }
    cel_arena_fini(&a);
}

static void test_wrong_schedules_are_refused_with_a_reason(void **state)
{
    refused("null", "number of seconds");
    refused("-1", "number of seconds");
    refused("true", "number of seconds");
    refused("\"* * * *\"", "5 fields");
    refused("\"* *  * * *\"", "5 fields");
    refused("\"60 * * * *\"", "not within 0-59");
    refused("\"* * * * 7\"", "not within 0-6");
    refused("{\"crontab\": {\"hours\": 1}}", "no field of a crontab");
    refused("{\"crontab\": {\"hour\": [1, 24]}}", "Valid range is 0-23");
    refused("{\"crontab\": {\"hour\": []}}", "an empty list");
    refused("{\"crontab\": {\"hour\": 1.5}}", "give a number");
    refused("{\"crontab\": {\"day_of_month\": 30, \"month_of_year\": 2}}",
            "never occurs");
    refused("{\"crontab\": {\"minute\": \"*/0\"}}", "not a step");
    refused("{\"crontab\": {\"minute\": \"\"}}", "empty part");
    refused("{\"every\": \"soon\"}", "number of seconds");
    refused("{\"every\": 3, \"relativ\": true}", "\"every\"");
    refused("{\"solar\": {\"event\": \"sunset\"}}", "solar");
    refused("[]", "number of seconds");
}

static void test_a_day_that_never_comes_is_an_error_and_no_endless_loop(void **state)
{
    struct cel_zone *zone = zone_of("UTC");
    celery_error err = {0};
    struct cel_crontab c;
    int64_t next;

    /* 29 February on a Monday comes, 28 years apart at most. */
    cel_crontab_init(&c);
    assert_int_equal(cel_crontab_from_text(&c, CEL_SLICE("0 0 29 2 1"), &err), CELERY_OK);
    assert_int_equal(cel_crontab_next(&c, zone, INT64_C(1767225600000000), &next, &err),
                     CELERY_OK);
    assert_int_equal(cel_civil_of(next).year, 2044);
    /* Behind the last year of the calendar there is nothing. */
    assert_int_equal(
        cel_crontab_next(&c, zone, cel_civil_days(9999, 12, 31) * CEL_DAY, &next, &err),
        CELERY_ECONFIG);
    cel_zone_free(zone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_answers_of_celery),
        cmocka_unit_test(test_wrong_schedules_are_refused_with_a_reason),
        cmocka_unit_test(test_a_day_that_never_comes_is_an_error_and_no_endless_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
