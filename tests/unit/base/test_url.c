/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/url.h"
#include "url_cases.h"

static void assert_same(const char *got, const char *want)
{
    if (want) {
        assert_non_null(got);
        assert_string_equal(got, want);
    } else {
        assert_null(got);
    }
}

static void test_parsing_is_that_of_kombu(void **state)
{
    for (size_t i = 0; i < sizeof url_cases / sizeof url_cases[0]; i++) {
        struct cel_url *url = NULL;
        celery_error err = {0};
        celery_status status = cel_url_parse(url_cases[i].text, &url, &err);
        if ((status == CELERY_OK) != url_cases[i].valid) {
            fail_msg("%s: %s", url_cases[i].text, err.message);
        }
        if (url_cases[i].valid) {
            assert_same(url->scheme, url_cases[i].scheme);
            assert_same(url->host, url_cases[i].host);
            assert_int_equal(url->port, url_cases[i].port);
            assert_same(url->user, url_cases[i].user);
            assert_same(url->password, url_cases[i].password);
            bool root = url->path && url->path[1] == '\0'; /* kombu: no path */
            assert_same(root ? NULL : url->path, url_cases[i].path);
        }
        cel_url_free(url);
    }
}

static void test_text_is_that_of_kombu(void **state)
{
    for (size_t i = 0; i < sizeof url_texts / sizeof url_texts[0]; i++) {
        struct cel_url *url = NULL;
        char text[200];
        assert_int_equal(cel_url_parse(url_texts[i].text, &url, NULL), CELERY_OK);
        cel_url_text(url, text, sizeof text);
        assert_string_equal(text, url_texts[i].shown);
        cel_url_free(url);
    }
}

static void test_text_of_rpc_names_nothing(void **state)
{
    struct cel_url *url = NULL;
    char text[200];
    assert_int_equal(cel_url_parse("rpc://u:p@h:1/x", &url, NULL), CELERY_OK);
    cel_url_text(url, text, sizeof text);
    assert_string_equal(text, "rpc://");
    cel_url_free(url);
}

static void test_options_are_decoded_and_the_last_wins(void **state)
{
    struct cel_url *url = NULL;
    assert_int_equal(cel_url_parse("redis://h/0?a=1&b=%2Fx+y&c=&&d&a=2&=z", &url, NULL),
                     CELERY_OK);
    assert_string_equal(cel_url_option(url, "a"), "2");
    assert_string_equal(cel_url_option(url, "b"), "/x y");
    assert_null(cel_url_option(url, "c"));
    assert_null(cel_url_option(url, "d"));
    assert_int_equal(url->n_options, 3);
    cel_url_free(url);
}

static void test_errors_say_what_is_wrong_without_the_password(void **state)
{
    static const struct {
        const char *url, *part;
    } cases[] = {
        {"redis://:sec ret@h/0", "a blank at position 13"},
        {"redis://:secret@h/0\n", "a line end at position 20"},
        {"redis://:secret@h\t/0", "control character 0x09"},
        {"redis://:secret%00@h/0", "%00"},
        {"localhost:6379", "no scheme"},
        {"", "no scheme"},
        {"://h", "no scheme"},
        {"redis://:secret@h:70000/0", "port"},
        {"redis://:sec/ret@h:1/0", "port"},
        {"redis://[::1/0", "bracket"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cel_url *url = NULL;
        celery_error err = {0};
        assert_int_equal(cel_url_parse(cases[i].url, &url, &err), CELERY_ECONFIG);
        assert_null(strstr(err.message, "sec"));
        if (!strstr(err.message, cases[i].part)) {
            fail_msg("%s", err.message);
        }
    }
}

static void test_mask_hides_passwords_of_anything(void **state)
{
    static const char *const urls[] = {
        "redis://:secret@h/0",
        "redis://u:sec@ret@h/0",
        "redis://:se/cret@h/0",
        "redis://:a;secret@h/0",
        "redis://h/0?password=secret",
        "redis://h/0?password=secr@t&x=1",
        "redis://:secret@a;redis://:secret@b",
        "secret@h",
        ":secret@h",
    };
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        char text[100];
        cel_url_mask(urls[i], text, sizeof text);
        assert_null(strstr(text, "ecr"));
        assert_null(strstr(text, "ret@"));
        assert_non_null(strstr(text, "**"));
    }
    char text[100];
    cel_url_mask("redis://:a@h/0?x=1;redis://h2", text, sizeof text);
    assert_string_equal(text, "redis://:**@h/0?x=1;redis://h2");
    char small[8];
    cel_url_mask("redis://:a@h/0", small, sizeof small);
    assert_int_equal(strlen(small), 7);
}

static void test_list(void **state)
{
    struct cel_url **urls = NULL;
    size_t n = 0;
    assert_int_equal(cel_url_parse_list("redis://a/0; redis://b/1;", &urls, &n, NULL),
                     CELERY_OK);
    assert_int_equal(n, 2);
    assert_string_equal(urls[1]->host, "b");
    cel_url_free_list(urls, n);
    assert_int_equal(cel_url_parse_list(" ; ", &urls, &n, NULL), CELERY_ECONFIG);
    assert_int_equal(cel_url_parse_list("redis://a;b", &urls, &n, NULL), CELERY_ECONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parsing_is_that_of_kombu),
        cmocka_unit_test(test_text_is_that_of_kombu),
        cmocka_unit_test(test_text_of_rpc_names_nothing),
        cmocka_unit_test(test_options_are_decoded_and_the_last_wins),
        cmocka_unit_test(test_errors_say_what_is_wrong_without_the_password),
        cmocka_unit_test(test_mask_hides_passwords_of_anything),
        cmocka_unit_test(test_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
