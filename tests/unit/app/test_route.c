/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "app/route.h"

static struct cel_arena arena;
static struct cel_route_table table;

static int teardown(void **state)
{
    (void)state;
    cel_arena_fini(&arena);
    return 0;
}

static celery_status read_table(const char *json, celery_error *err)
{
    struct cel_json_limits limits = {0};
    struct cel_node *doc = NULL;
    celery_status st = cel_json_parse(&arena, cel_slice_of(json), &limits, &doc, NULL);
    assert_int_equal(st, CELERY_OK);
    return cel_route_table_read(&arena, doc, &table, err);
}

static const char *queue_of(const char *task)
{
    const struct cel_route_rule *rule = cel_route_table_find(&table, cel_slice_of(task));
    return rule ? rule->queue : "-";
}

static void test_exact_names_come_before_patterns(void **state)
{
    (void)state;
    assert_int_equal(
        read_table("{\"a.*\": \"one\", \"a.b*\": \"two\", \"a.bc\": \"three\"}", NULL),
        CELERY_OK);
    assert_string_equal(queue_of("a.x"), "one");
    assert_string_equal(queue_of("a.bd"), "one");
    assert_string_equal(queue_of("a.bc"), "three");
    assert_string_equal(queue_of("a.b.c/d"), "one");
    assert_string_equal(queue_of("b"), "-");
    assert_string_equal(queue_of(""), "-");
}

static void test_question_mark_alone_is_no_pattern(void **state)
{
    (void)state;
    assert_int_equal(read_table("{\"a?\": \"one\", \"b?*\": \"two\"}", NULL), CELERY_OK);
    assert_string_equal(queue_of("ab"), "-");
    assert_string_equal(queue_of("a?"), "one");
    assert_string_equal(queue_of("bc"), "two");
    assert_string_equal(queue_of("b"), "-");
}

static void test_first_map_that_knows_decides(void **state)
{
    (void)state;
    assert_int_equal(
        read_table("[{\"a.*\": \"one\"}, {\"a.b\": \"two\", \"c\": \"three\"}]", NULL),
        CELERY_OK);
    assert_string_equal(queue_of("a.b"), "one");
    assert_string_equal(queue_of("c"), "three");
}

static void test_pairs(void **state)
{
    (void)state;
    assert_int_equal(
        read_table("[[\"a\", \"one\"], [\"b*\", {\"queue\": \"two\"}]]", NULL),
        CELERY_OK);
    assert_string_equal(queue_of("a"), "one");
    assert_string_equal(queue_of("bb"), "two");
    assert_int_equal(read_table("[[[\"a\", \"three\"]]]", NULL), CELERY_OK);
    assert_string_equal(queue_of("a"), "three");
}

static void test_wrong_routes_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "7",
        "\"my.Router\"",
        "{\"a\": 7}",
        "{\"a\": \"\"}",
        "{\"a\": {\"queue\": 7}}",
        "{\"a\": {\"priority\": \"x\"}}",
        "{\"a\": {\"priority\": 256}}",
        "[7]",
        "[[7]]",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        celery_error err = {0};
        if (read_table(cases[i], &err) != CELERY_ECONFIG ||
            !strstr(err.message, "task_routes")) {
            fail_msg("%s: %s", cases[i], err.message);
        }
    }
    assert_int_equal(read_table("null", NULL), CELERY_OK);
    assert_int_equal(table.n_rules, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, teardown)
    const struct CMUnitTest tests[] = {
        T(test_exact_names_come_before_patterns),
        T(test_question_mark_alone_is_no_pattern),
        T(test_first_map_that_knows_decides),
        T(test_pairs),
        T(test_wrong_routes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
