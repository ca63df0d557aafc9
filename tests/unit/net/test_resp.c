/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "net/resp.h"

#define MAX_BULK 1000

/* Writes a reply the way a test can compare: s:text e:text i:1 b:text nil [a,b]. */
static void describe(struct cel_buf *out, const struct cel_resp *r)
{
    static const char letters[] = {
        [CEL_RESP_STATUS] = 's', [CEL_RESP_ERROR] = 'e', [CEL_RESP_STRING] = 'b'};

    switch (cel_resp_kind(r)) {
    case CEL_RESP_NIL:
        cel_buf_adds(out, "nil");
        break;
    case CEL_RESP_INT:
        cel_buf_adds(out, "i:");
        cel_buf_add_int(out, cel_resp_int(r));
        break;
    case CEL_RESP_ARRAY:
        cel_buf_addc(out, '[');
        for (size_t i = 0; i < cel_resp_size(r); i++) {
            cel_buf_adds(out, i ? "," : "");
            describe(out, cel_resp_at(r, i));
        }
        cel_buf_addc(out, ']');
        break;
    default:
        cel_buf_addc(out, letters[cel_resp_kind(r)]);
        cel_buf_addc(out, ':');
        cel_buf_add_slice(out, cel_resp_text(r));
    }
}

static const struct {
    const char *wire;
    const char *expected;
} rows[] = {
    {"+OK\r\n", "s:OK;"},
    {"-ERR no\r\n", "e:ERR no;"},
    {":-42\r\n", "i:-42;"},
    {"$5\r\nhe\r\no\r\n", "b:he\r\no;"},
    {"$0\r\n\r\n", "b:;"},
    {"$-1\r\n", "nil;"},
    {"*-1\r\n", "nil;"},
    {"*0\r\n", "[];"},
    {"*3\r\n:1\r\n$1\r\nx\r\n*1\r\n+y\r\n", "[i:1,b:x,[s:y]];"},
    {"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\nk\r\n",
     "[b:message,b:__redis__:invalidate,[b:k]];"},
    {"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*-1\r\n",
     "[b:message,b:__redis__:invalidate,nil];"},
    {"+a\r\n+b\r\n:3\r\n", "s:a;s:b;i:3;"},
};

/* All replies that are complete. */
static celery_status take(struct cel_resp_reader *reader, struct cel_buf *out)
{
    celery_error err = {0};
    struct cel_resp *reply = NULL;
    celery_status status;

    while ((status = cel_resp_next(reader, &reply, &err)) == CELERY_OK) {
        describe(out, reply);
        cel_buf_addc(out, ';');
        cel_resp_free(reply);
    }
    assert_true(status == CELERY_NONE || (status < 0 && err.message[0]));
    return status;
}

static celery_status feed(struct cel_resp_reader *reader, struct cel_slice bytes,
                          size_t step, struct cel_buf *out)
{
    celery_status status = CELERY_NONE;

    for (size_t at = 0; at < bytes.len && status == CELERY_NONE; at += step) {
        size_t n = bytes.len - at < step ? bytes.len - at : step;
        assert_int_equal(cel_resp_feed(reader, cel_slice(bytes.data + at, n), NULL),
                         CELERY_OK);
        status = take(reader, out);
    }
    return status;
}

static void test_same_replies_however_the_bytes_are_split(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t step = 1; step <= strlen(rows[i].wire); step++) {
            struct cel_resp_reader *reader = cel_resp_reader_new(MAX_BULK);
            struct cel_buf out = {0};
            assert_int_equal(feed(reader, cel_slice_of(rows[i].wire), step, &out),
                             CELERY_NONE);
            assert_string_equal(cel_buf_cstr(&out), rows[i].expected);
            cel_buf_fini(&out);
            cel_resp_reader_free(reader);
        }
    }
}

/* A long stream in pieces of changing size: 20,000 replies. */
static void test_long_stream_in_uneven_pieces(void **state)
{
    struct cel_resp_reader *reader = cel_resp_reader_new(MAX_BULK);
    struct cel_buf wire = {0};
    struct cel_buf expected = {0};
    struct cel_buf out = {0};
    uint32_t seed = 1;

    for (int i = 0; i < 20000; i++) {
        size_t row = (size_t)i % (sizeof rows / sizeof rows[0]);
        cel_buf_adds(&wire, rows[row].wire);
        cel_buf_adds(&expected, rows[row].expected);
    }
    for (size_t at = 0; at < wire.len;) {
        seed = seed * 1664525 + 1013904223;
        size_t n = 1 + (seed >> 16) % 3000;
        n = wire.len - at < n ? wire.len - at : n;
        assert_int_equal(feed(reader, cel_slice(wire.data + at, n), n, &out),
                         CELERY_NONE);
        at += n;
    }
    assert_int_equal(out.len, expected.len);
    assert_memory_equal(out.data, expected.data, out.len);
    cel_buf_fini(&wire);
    cel_buf_fini(&expected);
    cel_buf_fini(&out);
    cel_resp_reader_free(reader);
}

static void assert_refused(const char *wire)
{
    struct cel_resp_reader *reader = cel_resp_reader_new(MAX_BULK);
    struct cel_buf out = {0};

    assert_int_equal(feed(reader, cel_slice_of(wire), strlen(wire), &out), CELERY_EPROTO);
    cel_buf_fini(&out);
    cel_resp_reader_free(reader);
}

static void test_refuses_what_is_not_resp2(void **state)
{
    assert_refused("HTTP/1.1 400 Bad Request\r\n");
    assert_refused("$-5\r\nx\r\n");
    assert_refused("\r\n");
    assert_refused("*x\r\n");
}

static void test_refuses_a_bulk_above_the_limit_when_it_is_announced(void **state)
{
    assert_refused("$1001\r\nabc");
    assert_refused("*2\r\n:1\r\n$9223372036854775807\r\n");
}

static void test_refuses_too_many_elements_before_allocating(void **state)
{
    assert_refused("*1000001\r\n");
    assert_refused("*2147483647\r\n");
    assert_refused("*2\r\n*999999\r\n");
}

static void test_refuses_deep_nesting(void **state)
{
    assert_refused("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n");
}

static void test_refuses_a_line_without_an_end(void **state)
{
    struct cel_resp_reader *reader = cel_resp_reader_new(MAX_BULK);
    struct cel_buf line = {0};
    struct cel_buf out = {0};

    cel_buf_addc(&line, '+');
    for (int i = 0; i < 70000; i++) {
        cel_buf_addc(&line, 'x');
    }
    assert_int_equal(feed(reader, cel_buf_slice(&line), 1000, &out), CELERY_EPROTO);
    cel_buf_fini(&line);
    cel_buf_fini(&out);
    cel_resp_reader_free(reader);
}

static void test_large_reply_then_small_ones(void **state)
{
    struct cel_resp_reader *reader = cel_resp_reader_new(4 << 20);
    struct cel_buf wire = {0};
    struct cel_buf out = {0};

    cel_buf_adds(&wire, "$3000000\r\n");
    for (int i = 0; i < 3000000; i++) {
        cel_buf_addc(&wire, 'x');
    }
    cel_buf_adds(&wire, "\r\n");
    assert_int_equal(feed(reader, cel_buf_slice(&wire), 65536, &out), CELERY_NONE);
    assert_int_equal(out.len, 3000000 + 3);
    cel_buf_clear(&out);
    assert_int_equal(feed(reader, CEL_SLICE(":1\r\n+OK\r\n"), 2, &out), CELERY_NONE);
    assert_string_equal(cel_buf_cstr(&out), "i:1;s:OK;");
    cel_buf_fini(&wire);
    cel_buf_fini(&out);
    cel_resp_reader_free(reader);
}

static void test_writes_commands(void **state)
{
    struct cel_buf out = {0};
    const struct cel_slice argv[] = {CEL_SLICE("SET"), CEL_SLICE("a\0b"), CEL_SLICE("")};

    assert_int_equal(cel_resp_command(&out, 3, argv), CELERY_OK);
    assert_int_equal(out.len, 28);
    assert_memory_equal(out.data, "*3\r\n$3\r\nSET\r\n$3\r\na\0b\r\n$0\r\n\r\n", 28);
    cel_buf_fini(&out);
}

static void test_command_that_does_not_fit_leaves_the_buffer_usable(void **state)
{
    struct cel_buf out;
    const struct cel_slice ping[] = {CEL_SLICE("PING")};
    char big[200] = {0};
    const struct cel_slice large[] = {CEL_SLICE("ECHO"), cel_slice(big, sizeof big)};

    cel_buf_init(&out, 100);
    assert_int_equal(cel_resp_command(&out, 2, large), CELERY_ELIMIT);
    assert_int_equal(out.len, 0);
    assert_int_equal(cel_resp_command(&out, 1, ping), CELERY_OK);
    assert_string_equal(cel_buf_cstr(&out), "*1\r\n$4\r\nPING\r\n");
    cel_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_replies_however_the_bytes_are_split),
        cmocka_unit_test(test_long_stream_in_uneven_pieces),
        cmocka_unit_test(test_refuses_what_is_not_resp2),
        cmocka_unit_test(test_refuses_a_bulk_above_the_limit_when_it_is_announced),
        cmocka_unit_test(test_refuses_too_many_elements_before_allocating),
        cmocka_unit_test(test_refuses_deep_nesting),
        cmocka_unit_test(test_refuses_a_line_without_an_end),
        cmocka_unit_test(test_large_reply_then_small_ones),
        cmocka_unit_test(test_writes_commands),
        cmocka_unit_test(test_command_that_does_not_fit_leaves_the_buffer_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
