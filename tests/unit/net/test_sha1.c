/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/sha1.h"

/* Made with sha1sum(1): n times the letter a. */
static void test_lengths_around_the_block_border(void **state)
{
    static const struct {
        size_t n;
        const char *hex;
    } rows[] = {
        {0, "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {1, "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"},
        {55, "c1c8bbdc22796e28c0e15163d20899b65621d65a"},
        {56, "c2db330f6083854c99d4b5bfb6e8f29f201be699"},
        {64, "0098ba824b5c16427bd7a1122a5a442a25ec644d"},
        {1000, "291e9a6c66994949b57ba5e650361e98fc36b1ba"},
    };
    char text[1000];
    char hex[41];

    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cel_sha1_hex(cel_slice(text, rows[i].n), hex);
        assert_string_equal(hex, rows[i].hex);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths_around_the_block_border),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
