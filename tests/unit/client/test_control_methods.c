/* SPDX-License-Identifier: BSD-3-Clause */
/* Words to arguments, and the commands that an application brings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app.h"
#include <celery/control.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The arguments as text, or the error's.  The first word is the method, NULL the last. */
static const char *parse(const char *const *words)
{
    static char text[400];
    celery_error err = {0};
    size_t n = 0;

    while (words[n + 1]) {
        n++;
    }
    json_t *arguments = celery_control_arguments(celery_control_method_named(words[0]),
                                                 words + 1, n, &err);
    char *dumped = arguments ? json_dumps(arguments, JSON_SORT_KEYS) : NULL;

    snprintf(text, sizeof text, "%s", dumped ? dumped : err.message);
    free(dumped);
    json_decref(arguments);
    return text;
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void test_words(void **state)
{
    assert_string_equal(PARSE("ping"), "{}");
    assert_string_equal(PARSE("rate_limit", "t", "5/s"),
                        "{\"rate_limit\": \"5/s\", \"task_name\": \"t\"}");
    assert_string_equal(PARSE("rate_limit", "t"), "{\"task_name\": \"t\"}");
    assert_string_equal(PARSE("time_limit", "t", "1.5", " 2 "),
                        "{\"hard\": 2.0, \"soft\": 1.5, \"task_name\": \"t\"}");
    assert_string_equal(PARSE("pool_grow", "+3"), "{\"n\": 3}");
    assert_string_equal(PARSE("autoscale", "4", "-1"), "{\"max\": 4, \"min\": -1}");
    assert_string_equal(PARSE("conf", "On"), "{\"with_defaults\": true}");
    assert_string_equal(PARSE("conf", "0"), "{\"with_defaults\": false}");
    assert_string_equal(PARSE("revoke"), "{\"task_id\": []}");
    assert_string_equal(PARSE("revoke", "a", "b"), "{\"task_id\": [\"a\", \"b\"]}");
    assert_string_equal(PARSE("terminate", "KILL", "a"),
                        "{\"signal\": \"KILL\", \"task_id\": [\"a\"]}");
}

static void test_wrong_words(void **state)
{
    assert_non_null(strstr(PARSE("pool_grow", "1.5"), "n is not a valid int: 1.5"));
    assert_non_null(strstr(PARSE("pool_grow", ""), "not a valid int"));
    assert_non_null(
        strstr(PARSE("pool_grow", "99999999999999999999"), "not a valid int"));
    assert_non_null(strstr(PARSE("time_limit", "t", "nan"), "soft is not a valid float"));
    assert_non_null(strstr(PARSE("time_limit", "t", "1e999"), "not a valid float"));
    assert_non_null(strstr(PARSE("conf", "perhaps"), "not a valid bool"));
    assert_non_null(
        strstr(PARSE("cancel_consumer", "a", "b"), "takes arguments: <queue>"));
    assert_non_null(strstr(PARSE("ping", "x"), "takes no arguments"));
    assert_non_null(strstr(PARSE("revoke", "\xff"), "not UTF-8"));
    assert_null(celery_control_arguments(NULL, NULL, 0, NULL));
}

static void test_the_table_is_sorted(void **state)
{
    const celery_control_method *m = celery_control_methods();

    for (; m[1].name; m++) {
        assert_true(strcmp(m[0].name, m[1].name) < 0);
        assert_non_null(m[0].help);
    }
    assert_null(celery_control_method_named("nosuch"));
    assert_null(celery_control_method_named(NULL));
}

/* ---- an application's ---- */

static json_t *answer(void *ctx, const celery_value *arguments, celery_error *err)
{
    return NULL;
}

static celery_status add(celery_app *app, const char *name, const char *parameters)
{
    celery_error err = {0};

    return celery_app_control_command(app, name, parameters, true, answer, NULL, &err);
}

static void checked_as(const char *parameters, const char *checked, const char *signature)
{
    celery_app *app = celery_app_new("x");

    assert_int_equal(add(app, "c", parameters), CELERY_OK);
    const struct cel_control_def *def = cel_app_find_control(app, CEL_SLICE("c"));
    assert_string_equal(def->checked, checked);
    assert_string_equal(def->method.signature, signature);
    assert_false(def->method.changes);
    assert_ptr_equal(celery_app_control_method(app, 0), &def->method);
    assert_null(celery_app_control_method(app, 1));
    celery_app_free(app);
}

static void test_parameters(void **state)
{
    checked_as(NULL, "|", "");
    checked_as("", "|", "");
    checked_as("a", "a |", "<a>");
    checked_as("a:int b | c:float d *", "a b | c d *", "<a> <b> [c] [d]");
    checked_as("| c", "| c", "[c]");
    checked_as("*", "| *", "");
}

static void test_wrong_registrations(void **state)
{
    static const char *const wrong[] = {"a:complex", "1a",  "a | b | c",
                                        "* a",       "a-b", ":int"};
    celery_app *app = celery_app_new("x");

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(add(app, "c", wrong[i]), CELERY_EINVAL);
    }
    assert_int_equal(add(app, "", NULL), CELERY_EINVAL);
    assert_int_equal(add(app, NULL, NULL), CELERY_EINVAL);
    assert_int_equal(add(NULL, "c", NULL), CELERY_EINVAL);
    assert_int_equal(celery_app_control_command(app, "c", NULL, true, NULL, NULL, NULL),
                     CELERY_EINVAL);
    assert_int_equal(app->failed.status, CELERY_EINVAL); /* nobody looked at it */
    assert_int_equal(add(app, "c", NULL), CELERY_OK);
    assert_int_equal(add(app, "c", NULL), CELERY_EINVAL);
    celery_app_free(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_wrong_words),
        cmocka_unit_test(test_the_table_is_sorted),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_wrong_registrations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
