/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/client.h"
#include <math.h>

static void assert_json(const struct cel_node *node, const char *want)
{
    struct cel_buf out = {0};
    assert_int_equal(cel_json_write(&out, node), CELERY_OK);
    assert_string_equal(cel_buf_cstr(&out), want);
    cel_buf_fini(&out);
}

static void test_arguments_by_format_json_and_text(void **state)
{
    celery_error err = {0};
    celery_sig *sig = celery_sig_new("t", &err, "[i, s, {s: f}]", 1, "x", "y", 2.5);
    assert_non_null(sig);
    assert_json(sig->args, "[1, \"x\", {\"y\": 2.5}]");
    celery_sig_set_args(sig, json_pack("[b]", 1));
    celery_sig_set_kwargs(sig, json_pack("{s:n}", "k"));
    assert_json(sig->args, "[true]");
    assert_json(sig->kwargs, "{\"k\": null}");
    assert_int_equal(celery_sig_set_args_text(sig, "[NaN, 18446744073709551616]", &err),
                     0);
    assert_json(sig->args, "[NaN, 18446744073709551616]");
    assert_int_equal(sig->failed.status, CELERY_OK);
    celery_sig_free(sig);
    sig = celery_sig_new("t", &err, "");
    assert_null(sig->args);
    celery_sig_free(sig);
    assert_int_equal(err.status, CELERY_OK);
}

static void test_wrong_arguments_are_refused(void **state)
{
    celery_error err = {0};
    assert_null(celery_sig_new(NULL, &err, NULL));
    assert_null(celery_sig_new("", &err, "[o]", json_integer(1)));
    assert_null(celery_sig_new("t", &err, "i", 1));
    assert_int_equal(err.status, CELERY_EINVAL);
    assert_non_null(strstr(err.message, "array"));
    celery_sig *sig = celery_sig_new("t", &err, NULL);
    assert_true(celery_sig_set_kwargs_text(sig, "[]", &err) < 0);
    assert_true(celery_sig_set_kwargs_text(sig, "{", &err) < 0);
    assert_true(celery_sig_set_kwargs_text(sig, NULL, &err) < 0);
    assert_true(sig->failed.status < 0);
    celery_sig_free(sig);
}

static void test_the_first_failed_setter_is_remembered(void **state)
{
    static const struct {
        void (*set)(celery_sig *sig, double seconds);
        double value;
    } cases[] = {
        {celery_sig_set_countdown, -1}, {celery_sig_set_countdown, NAN},
        {celery_sig_set_expires, -1},   {celery_sig_set_expires, INFINITY},
        {celery_sig_set_expires, 1e18},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        celery_sig *sig = celery_sig_new("t", NULL, NULL);
        cases[i].set(sig, cases[i].value);
        celery_sig_set_priority(sig, 10);
        assert_int_equal(sig->failed.status, CELERY_EINVAL);
        assert_null(strstr(sig->failed.message, "priority"));
        celery_sig_free(sig);
    }
    celery_sig *sig = celery_sig_new("t", NULL, NULL);
    celery_sig_set_serializer(sig, "pickle");
    assert_int_equal(sig->failed.status, CELERY_ENOTSUP);
    celery_sig_free(sig);
}

static void test_the_last_setter_of_a_time_wins(void **state)
{
    celery_sig *sig = celery_sig_new("t", NULL, NULL);
    celery_sig_set_countdown(sig, 5);
    celery_sig_set_eta(sig, "1970-01-01T00:00:01+00:00");
    assert_true(sig->countdown < 0);
    assert_int_equal(sig->eta_us, 1000000);
    celery_sig_set_countdown(sig, 5);
    assert_int_equal(sig->eta_us, INT64_MIN);
    celery_sig_set_expires(sig, 5);
    celery_sig_set_expires_at(sig, "1970-01-01T00:00:01Z");
    assert_false(sig->has_expires);
    assert_int_equal(sig->expires_us, 1000000);
    celery_sig_free(sig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments_by_format_json_and_text),
        cmocka_unit_test(test_wrong_arguments_are_refused),
        cmocka_unit_test(test_the_first_failed_setter_is_remembered),
        cmocka_unit_test(test_the_last_setter_of_a_time_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
