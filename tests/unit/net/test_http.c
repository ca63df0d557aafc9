/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/http.h"

#define HOST "Host: x\r\n\r\n"

static const struct {
    const char *text;
    int status;
    const char *path;
    const char *query;
} rows[] = {
    {"GET /healthz HTTP/1.1\r\n" HOST, 200, "/healthz", ""},
    {"GET /healthz?a=b?c HTTP/1.1\r\n" HOST, 200, "/healthz", "a=b?c"},
    {"\r\nGET / HTTP/1.1\r\n" HOST, 200, "/", ""},
    {"GET / HTTP/1.0\r\n\r\n", 200, "/", ""},
    {"GET / HTTP/1.0\n\n", 200, "/", ""},
    {"GET http://h:1/p?q HTTP/1.1\r\n" HOST, 200, "/p", "q"},
    {"GET http://h HTTP/1.1\r\n" HOST, 200, "/", ""},
    {"GET / HTTP/1.1\r\nhost:y\r\nContent-Length: 0\r\n\r\n", 200, "/", ""},
    {"GET / HTTP/1.1\r\nHost: x\r\nAccept: text/plain;version=0.0.4\r\n\r\nmore", 200,
     "/", ""},
    {"", 0, "", ""},
    {"GET / HTTP/1.1\r\nHost: x\r\n", 0, "", ""},
    {"GET / HTTP/1.1\r\n\r\n", 400, "", ""},
    {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, "", ""},
    {"POST / HTTP/1.1\r\n" HOST, 405, "", ""},
    {"get / HTTP/1.1\r\n" HOST, 405, "", ""},
    {"GET / HTTP/2.0\r\n" HOST, 505, "", ""},
    {"GET / FTP/1.1\r\n" HOST, 400, "", ""},
    {"GET /\r\n" HOST, 400, "", ""},
    {"GET  / HTTP/1.1\r\n" HOST, 400, "", ""},
    {"GET / HTTP/1.1 x\r\n" HOST, 400, "", ""},
    {"G\xffT / HTTP/1.1\r\n" HOST, 400, "", ""},
    {"GET * HTTP/1.1\r\n" HOST, 400, "", ""},
    {"GET /\x01 HTTP/1.1\r\n" HOST, 400, "", ""},
    {"GET /\xc3\xa4 HTTP/1.1\r\n" HOST, 400, "", ""},
    {"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400, "", ""},
    {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400, "", ""},
    {"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "", ""},
    {"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", 400, "", ""},
    {"GET / HTTP/1.1\r\nContent-Length: 5\r\n" HOST, 413, "", ""},
    {"GET / HTTP/1.1\r\nContent-Length: -1\r\n" HOST, 400, "", ""},
    {"GET / HTTP/1.1\r\nContent-Length: 1, 1\r\n" HOST, 400, "", ""},
    {"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST, 413, "", ""},
};

static void test_requests(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cel_http_request r;

        assert_int_equal(cel_http_parse(cel_slice_of(rows[i].text), &r), rows[i].status);
        if (rows[i].status == 200) {
            assert_true(cel_slice_is(r.path, rows[i].path));
            assert_true(cel_slice_is(r.query, rows[i].query));
            assert_false(r.head);
        }
    }
}

static void test_head(void **state)
{
    struct cel_http_request r;

    assert_int_equal(cel_http_parse(CEL_SLICE("HEAD /x HTTP/1.1\r\n" HOST), &r), 200);
    assert_true(r.head);
}

/* Whatever has been said of the first bytes is said of all of them. */
static void test_byte_by_byte(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cel_slice all = cel_slice_of(rows[i].text);
        struct cel_http_request r;
        int status = 0;

        for (size_t n = 0; n <= all.len && status == 0; n++) {
            status = cel_http_parse(cel_slice(all.data, n), &r);
        }
        assert_int_equal(status, rows[i].status);
    }
}

static void test_too_long(void **state)
{
    struct cel_http_request r;
    struct cel_buf b = {0};

    cel_buf_adds(&b, "GET /");
    while (b.len <= CEL_HTTP_HEAD_MAX) {
        assert_int_equal(cel_http_parse(cel_buf_slice(&b), &r), 0);
        cel_buf_addc(&b, 'a');
    }
    assert_int_equal(cel_http_parse(cel_buf_slice(&b), &r), 414);
    cel_buf_clear(&b);
    cel_buf_adds(&b, "GET / HTTP/1.1\r\n");
    while (b.len + 6 <= CEL_HTTP_HEAD_MAX) {
        cel_buf_adds(&b, "a: b\r\n");
        assert_int_equal(cel_http_parse(cel_buf_slice(&b), &r), 0);
    }
    cel_buf_adds(&b, "a: b\r\n\r\n");
    assert_int_equal(cel_http_parse(cel_buf_slice(&b), &r), 431);
    cel_buf_fini(&b);
}

static void test_head_of_answer(void **state)
{
    struct cel_buf b = {0};

    cel_http_write_head(&b, 405, "text/plain", 7);
    assert_string_equal(cel_buf_cstr(&b),
                        "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain\r\n"
                        "Content-Length: 7\r\nCache-Control: no-store\r\n"
                        "X-Content-Type-Options: nosniff\r\nAllow: GET, HEAD\r\n"
                        "Connection: close\r\n\r\n");
    cel_buf_fini(&b);
    assert_string_equal(cel_http_reason(999), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),       cmocka_unit_test(test_head),
        cmocka_unit_test(test_byte_by_byte),   cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_head_of_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
