/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/metric_text.h"
#include <math.h>

static void test_labels_are_escaped(void **state)
{
    struct cel_buf out = {0};
    struct cel_metric_writer m = {.out = &out};
    const char *const labels[] = {"task", "a\"b\\c\nd\xff", "outcome", "", NULL};

    cel_metric_family(&m, "x_total", "counter", "What it is.");
    cel_metric_count(&m, labels, UINT64_MAX);
    assert_string_equal(cel_buf_cstr(&out),
                        "# HELP x_total What it is.\n# TYPE x_total counter\n"
                        "x_total{task=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\",outcome=\"\"} "
                        "18446744073709551615\n");
    cel_buf_fini(&out);
}

static void test_numbers(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {{0, "g 0.0\n"},      {1.5, "g 1.5\n"},       {-0.25, "g -0.25\n"},
                {1e-7, "g 1e-07\n"}, {INFINITY, "g +Inf\n"}, {-INFINITY, "g -Inf\n"},
                {NAN, "g NaN\n"}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cel_buf out = {0};
        struct cel_metric_writer m = {&out, "g"};

        cel_metric_sample(&m, NULL, rows[i].value);
        assert_string_equal(cel_buf_cstr(&out), rows[i].text);
        cel_buf_fini(&out);
    }
}

/* A value that is exactly a bound belongs to its bucket; the counts are cumulative. */
static void test_histogram(void **state)
{
    struct cel_buf out = {0};
    struct cel_metric_writer m = {&out, "h"};
    struct cel_histogram h = {0};
    const char *const labels[] = {"t", "a", NULL};

    cel_histogram_add(&h, 0);
    cel_histogram_add(&h, cel_metric_bounds[0]);
    cel_histogram_add(&h, 0.3);
    cel_histogram_add(&h, 1e9);
    assert_int_equal(cel_histogram_count(&h), 4);
    cel_metric_histogram(&m, labels, &h);
    const char *text = cel_buf_cstr(&out);
    assert_non_null(strstr(text, "h_bucket{t=\"a\",le=\"0.0005\"} 2\n"));
    assert_non_null(strstr(text, "h_bucket{t=\"a\",le=\"0.25\"} 2\n"));
    assert_non_null(strstr(text, "h_bucket{t=\"a\",le=\"0.5\"} 3\n"));
    assert_non_null(strstr(text, "h_bucket{t=\"a\",le=\"3600.0\"} 3\n"));
    assert_non_null(strstr(text, "h_bucket{t=\"a\",le=\"+Inf\"} 4\n"));
    assert_non_null(strstr(text, "h_count{t=\"a\"} 4\n"));
    cel_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels_are_escaped),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_histogram),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
