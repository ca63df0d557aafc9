/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/md5.h"
#include <cmocka.h>

static void check(struct cel_slice bytes, const char *expected)
{
    char hex[CEL_MD5_HEX + 1] = {0};

    cel_md5_hex(bytes, hex);
    assert_string_equal(hex, expected);
}

/* RFC 1321, A.5. */
static void test_published_vectors(void **state)
{
    check(CEL_SLICE_NULL, "d41d8cd98f00b204e9800998ecf8427e");
    check(CEL_SLICE("a"), "0cc175b9c0f1b6a831c399e269772661");
    check(CEL_SLICE("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
    check(CEL_SLICE("abcdefghijklmnopqrstuvwxyz"), "c3fcd3d76192e4007dfb496cca67e13b");
    check(CEL_SLICE("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"),
          "d174ab98d277d9f5a5611c2c9f419d9f");
    check(CEL_SLICE("1234567890123456789012345678901234567890123456789012345678901234567"
                    "8901234567890"),
          "57edf4a22be3c955ac49da2e2107b67a");
}

/* Where the padding needs another block: hashlib.md5(b'x' * n). */
static void test_lengths_around_a_block(void **state)
{
    static const struct {
        size_t n;
        const char *hex;
    } rows[] = {
        {55, "04364420e25c512fd958a70738aa8f72"},
        {56, "668a72d5ba17f08e62dabcafad6db14b"},
        {63, "7dc2ca208106a2f703567bdff99d8981"},
        {64, "c1bb4f81d892b2d57947682aeb252456"},
        {65, "1bc932052302d074bdec39795fe00cf6"},
        {119, "ab347a5f68c8a443cfcddc633f12c24f"},
        {120, "fb98667f98096de92620b64f46e1c5b5"},
        {128, "d69cb61a6ee87200676eb0d4b90edbcb"},
    };
    char text[130];

    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check(cel_slice(text, rows[i].n), rows[i].hex);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_vectors),
        cmocka_unit_test(test_lengths_around_a_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
