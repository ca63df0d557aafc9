/* SPDX-License-Identifier: BSD-3-Clause */
/* Time zones: files, rules, gaps and overlaps; no file of this system is needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/slice.h"
#include "beat/civil.h"
#include "beat/zone.h"

static struct cel_zone *posix(const char *text)
{
    celery_error err = {0};
    struct cel_zone *zone = NULL;

    if (cel_zone_posix(text, &zone, &err) < 0) {
        fail_msg("%s: %s", text, err.message);
    }
    return zone;
}

static int64_t at(int year, int month, int day, int hour, int minute)
{
    struct cel_civil c = {year, month, day, hour, minute, 0, 0};

    return cel_civil_us(&c);
}

static void test_calendar_there_and_back(void **state)
{
    for (int64_t day = -800000; day < 3000000; day += 373) {
        struct cel_civil c = cel_civil_of(day * CEL_DAY + 5);

        assert_int_equal(cel_civil_us(&c), day * CEL_DAY + 5);
    }
    assert_int_equal(cel_civil_weekday(0), 4);
    assert_int_equal(cel_civil_weekday(-1), 3);
    assert_int_equal(cel_civil_month_days(1900, 2), 28);
    assert_int_equal(cel_civil_month_days(2000, 2), 29);
}

static void test_gap_and_overlap_of_berlin(void **state)
{
    struct cel_zone *z = posix("CET-1CEST,M3.5.0,M10.5.0/3");
    int fold;

    /* 2026-03-29 02:00 becomes 03:00 */
    assert_true(cel_zone_skips(z, at(2026, 3, 29, 2, 30)));
    assert_false(cel_zone_skips(z, at(2026, 3, 29, 3, 0)));
    assert_int_equal(cel_zone_resolve(z, at(2026, 3, 29, 2, 30)), at(2026, 3, 29, 3, 30));
    assert_int_equal(cel_zone_utc(z, at(2026, 3, 29, 2, 30), 0), at(2026, 3, 29, 1, 30));
    assert_int_equal(cel_zone_utc(z, at(2026, 3, 29, 2, 30), 1), at(2026, 3, 29, 0, 30));
    /* 2026-10-25 03:00 becomes 02:00 */
    assert_int_equal(cel_zone_utc(z, at(2026, 10, 25, 2, 30), 0),
                     at(2026, 10, 25, 0, 30));
    assert_int_equal(cel_zone_utc(z, at(2026, 10, 25, 2, 30), 1),
                     at(2026, 10, 25, 1, 30));
    assert_int_equal(cel_zone_wall(z, at(2026, 10, 25, 0, 30), &fold),
                     at(2026, 10, 25, 2, 30));
    assert_int_equal(fold, 0);
    assert_int_equal(cel_zone_wall(z, at(2026, 10, 25, 1, 30), &fold),
                     at(2026, 10, 25, 2, 30));
    assert_int_equal(fold, 1);
    cel_zone_free(z);
}

static void test_rule_holds_for_ever(void **state)
{
    struct cel_zone *z = posix("CET-1CEST,M3.5.0,M10.5.0/3");

    for (int year = 1980; year < 9990; year += 7) {
        assert_int_equal(cel_zone_wall(z, at(year, 7, 1, 0, 0), NULL),
                         at(year, 7, 1, 2, 0));
        assert_int_equal(cel_zone_wall(z, at(year, 1, 1, 0, 0), NULL),
                         at(year, 1, 1, 1, 0));
    }
    cel_zone_free(z);
}

static void test_other_forms_of_rules(void **state)
{
    struct cel_zone *z = posix("<-03>3<-02>,M3.5.0/-2,M10.5.0/-1"); /* Greenland */

    assert_int_equal(cel_zone_wall(z, at(2026, 7, 1, 12, 0), NULL),
                     at(2026, 7, 1, 10, 0));
    cel_zone_free(z);
    z = posix("AAA3BBB,J60/0,300/24");
    assert_int_equal(cel_zone_wall(z, at(2028, 3, 1, 2, 59), NULL),
                     at(2028, 2, 29, 23, 59));
    assert_int_equal(cel_zone_wall(z, at(2028, 3, 1, 3, 0), NULL), at(2028, 3, 1, 1, 0));
    cel_zone_free(z);
    z = posix("AEST-10AEDT,M10.1.0,M4.1.0/3"); /* south of the equator */
    assert_int_equal(cel_zone_wall(z, at(2026, 1, 1, 0, 0), NULL), at(2026, 1, 1, 11, 0));
    assert_int_equal(cel_zone_wall(z, at(2026, 6, 1, 0, 0), NULL), at(2026, 6, 1, 10, 0));
    cel_zone_free(z);
    z = posix("<+0545>-5:45");
    assert_int_equal(cel_zone_wall(z, at(2026, 6, 1, 0, 0), NULL), at(2026, 6, 1, 5, 45));
    cel_zone_free(z);
}

static void test_wrong_rules_and_names_are_refused(void **state)
{
    static const char *const rules[] = {"",
                                        "C",
                                        "CET",
                                        "CET-",
                                        "CET-1CEST",
                                        "CET-1CEST,M3",
                                        "CET-1CEST,M13.5.0,M10.5.0/3",
                                        "CET-1CEST,M3.6.0,M10.5.0/3",
                                        "CET-1CEST,M3.5.7,M10.5.0",
                                        "CET-25",
                                        "CET-1x",
                                        "CET-1CEST,J0,J365",
                                        "CET-1CEST,366,1",
                                        "<>1",
                                        "CET-1CEST,M3.5.0/168,M10.5.0"};
    static const char *const names[] = {"../etc/passwd",  "/etc/localtime", "",      ".",
                                        "Europe/../../x", "Europe/Nowhere", "Europe"};
    celery_error err = {0};
    struct cel_zone *z;

    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        assert_int_equal(cel_zone_posix(rules[i], &z, &err), CELERY_ECONFIG);
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(cel_zone_open(names[i], &z, &err), CELERY_ECONFIG);
    }
}

/* ---- files ---- */

/* Version 2: an empty first block, one change, a footer. */
static const char file[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                           "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\4"
                           "\0\0\0\0\0\0UTC\0"
                           "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                           "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\2\0\0\0\10"
                           "\0\0\0\0\x60\0\0\0"
                           "\1"
                           "\0\0\0\0\0\0"
                           "\0\0\x0e\x10\0\4"
                           "UTC\0CET\0"
                           "\nCET-1\n";

static void test_file_of_two_offsets(void **state)
{
    celery_error err = {0};
    struct cel_zone *z = NULL;

    assert_int_equal(cel_zone_parse("x", cel_slice(file, sizeof file - 1), &z, &err),
                     CELERY_OK);
    assert_int_equal(cel_zone_wall(z, 0, NULL), 0);
    assert_int_equal(cel_zone_wall(z, at(2026, 1, 1, 0, 0), NULL), at(2026, 1, 1, 1, 0));
    cel_zone_free(z);
}

static void test_damaged_files_are_refused(void **state)
{
    celery_error err = {0};

    for (size_t len = 0; len < sizeof file - 1; len++) {
        struct cel_zone *z = NULL;

        assert_int_equal(cel_zone_parse("x", cel_slice(file, len), &z, &err),
                         CELERY_ECONFIG);
        assert_null(z);
    }
    for (size_t i = 0; i < sizeof file - 1; i++) {
        char copy[sizeof file];
        struct cel_zone *z = NULL;

        memcpy(copy, file, sizeof file);
        copy[i] = (char)~copy[i];
        /* Either is fine; reading it must be harmless. */
        if (cel_zone_parse("x", cel_slice(copy, sizeof file - 1), &z, NULL) ==
            CELERY_OK) {
            cel_zone_wall(z, at(2300, 1, 1, 0, 0), NULL);
            cel_zone_free(z);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calendar_there_and_back),
        cmocka_unit_test(test_gap_and_overlap_of_berlin),
        cmocka_unit_test(test_rule_holds_for_ever),
        cmocka_unit_test(test_other_forms_of_rules),
        cmocka_unit_test(test_wrong_rules_and_names_are_refused),
        cmocka_unit_test(test_file_of_two_offsets),
        cmocka_unit_test(test_damaged_files_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
