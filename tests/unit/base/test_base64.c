/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base64_cases.h"

static void test_decoding_is_that_of_python(void **state)
{
    for (size_t i = 0; i < sizeof base64_cases / sizeof base64_cases[0]; i++) {
        struct cel_slice text = cel_slice_of(base64_cases[i].text);
        char bytes[64];
        size_t len = 0;
        assert_true(text.len / 4 * 3 + 3 <= sizeof bytes);
        bool valid = cel_base64_decode(text, bytes, &len);
        if (valid != base64_cases[i].valid) {
            fail_msg("%s", base64_cases[i].text);
        }
        if (valid) {
            assert_int_equal(len, base64_cases[i].len);
            assert_memory_equal(bytes, base64_cases[i].bytes, len);
        }
    }
}

static void test_what_is_encoded_comes_back(void **state)
{
    unsigned char bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)(i * 131 + 7);
    }
    for (size_t len = 0; len <= sizeof bytes; len++) {
        struct cel_buf out = {0};
        char back[305];
        size_t n = 0;
        assert_int_equal(cel_base64_append(&out, bytes, len), CELERY_OK);
        assert_int_equal(out.len, CEL_BASE64_LEN(len));
        assert_true(cel_base64_decode(cel_buf_slice(&out), back, &n));
        assert_int_equal(n, len);
        assert_memory_equal(back, bytes, len);
        cel_buf_fini(&out);
    }
}

/* Each value of a byte at each place of a text that is read in large pieces. */
static void test_every_character_at_every_place(void **state)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    enum { LEN = 48 };

    for (int c = 0; c < 256; c++) {
        for (size_t at = 0; at < LEN && c != '='; at++) {
            char text[LEN + 4], back[64], again[64];
            size_t n = 0, m = 0;

            memcpy(text, alphabet, LEN);
            if (c > 0 && strchr(alphabet, c)) { /* it is read as what it stands for */
                text[at] = (char)c;
                assert_true(cel_base64_decode(cel_slice(text, LEN), back, &n));
                cel_base64_encode(back, n, again);
                assert_int_equal(CEL_BASE64_LEN(n), LEN);
                assert_memory_equal(again, text, LEN);
            } else { /* it is passed over */
                memmove(text + at + 1, text + at, LEN - at);
                text[at] = (char)c;
                assert_true(cel_base64_decode(cel_slice(text, LEN + 1), back, &n));
                assert_true(cel_base64_decode(cel_slice(alphabet, LEN), again, &m));
                assert_int_equal(n, m);
                assert_memory_equal(back, again, n);
            }
        }
    }
}

static void test_known_texts(void **state)
{
    struct cel_buf out = {0};
    cel_base64_append(&out, "foobar", 6);
    cel_base64_append(&out, "fooba", 5);
    cel_base64_append(&out, "foob", 4);
    cel_base64_append(&out, "\377\376\373", 3);
    assert_string_equal(cel_buf_cstr(&out), "Zm9vYmFyZm9vYmE=Zm9vYg==//77");
    cel_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decoding_is_that_of_python),
        cmocka_unit_test(test_what_is_encoded_comes_back),
        cmocka_unit_test(test_every_character_at_every_place),
        cmocka_unit_test(test_known_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
