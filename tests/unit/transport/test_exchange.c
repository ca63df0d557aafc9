/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "transport/exchange.h"

static void test_types_are_those_of_virtual_transports(void **state)
{
    enum cel_exchange_type type;

    assert_true(cel_exchange_type_parse(NULL, &type));
    assert_int_equal(type, CEL_EXCHANGE_DIRECT);
    assert_true(cel_exchange_type_parse("topic", &type));
    assert_int_equal(type, CEL_EXCHANGE_TOPIC);
    assert_true(cel_exchange_type_parse("fanout", &type));
    assert_int_equal(type, CEL_EXCHANGE_FANOUT);
    assert_false(cel_exchange_type_parse("headers", &type));
}

/* Each row was put to kombu's own pattern: re.match(key_to_pattern(key), routing_key). */
static void test_topics_match_as_in_kombu(void **state)
{
    static const struct {
        const char *key;
        const char *routing_key;
        bool match;
    } rows[] = {
        {"a.b", "a.b", true},
        {"a.b", "a.c", false},
        {"a.b", "aXb", false},
        {"#", "", true},
        {"#", "a.b.c", true},
        {"a.#", "a", false},
        {"a.#", "a.", true},
        {"a.#", "a.b.c", true},
        {"*", "", false},
        {"*", "a", true},
        {"*", "a.b", true},
        {"*", "a.", false},
        {"*.b", "a.b", true},
        {"*.b", "x.a.b", true},
        {"*.b", ".b", false},
        {"#.b", ".b", true},
        {"#.b", "b", false},
        {"#.b", "a.c.b", true},
        {"a.*.c", "a.b.c", true},
        {"a.*.c", "a.b.d.c", true},
        {"a.*.c", "a..c", false},
        {"worker.#", "worker.heartbeat", true},
        {"stock.*.x", "stock.x", false},
        {"#.#", "a.b", true},
        {"*.*", "a", false},
        {"*.*", "a.b", true},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool match = cel_exchange_match(CEL_EXCHANGE_TOPIC, cel_slice_of(rows[i].key),
                                        cel_slice_of(rows[i].routing_key));
        if (match != rows[i].match) {
            fail_msg("%s against %s", rows[i].key, rows[i].routing_key);
        }
    }
}

/* kombu puts words into the pattern unescaped; here only whole "*" and "#" are special. */
static void test_other_words_are_plain_text(void **state)
{
    struct cel_slice odd = CEL_SLICE("a*.b");

    assert_true(cel_exchange_match(CEL_EXCHANGE_TOPIC, odd, odd));
    assert_false(cel_exchange_match(CEL_EXCHANGE_TOPIC, odd, CEL_SLICE("aa.b")));
}

static void test_a_hostile_pattern_takes_no_time(void **state)
{
    char key[400], text[2000];

    for (size_t i = 0; i < sizeof key; i += 2) {
        key[i] = '#';
        key[i + 1] = '.';
    }
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = i % 2 ? '.' : 'a';
    }
    text[sizeof text - 1] = 'b';
    assert_false(cel_exchange_match(CEL_EXCHANGE_TOPIC, cel_slice(key, sizeof key),
                                    cel_slice(text, sizeof text)));
}

static void test_pattern_is_what_kombu_stores(void **state)
{
    struct cel_buf out = {0};

    assert_int_equal(cel_exchange_topic_pattern(&out, CEL_SLICE("uk.*.#")), 0);
    assert_string_equal(cel_buf_cstr(&out), "^uk\\..*?[^\\.]\\..*?$");
    cel_buf_fini(&out);
}

static void test_direct_and_fanout(void **state)
{
    struct cel_slice a = CEL_SLICE("a"), b = CEL_SLICE("b");

    assert_true(cel_exchange_match(CEL_EXCHANGE_DIRECT, a, a));
    assert_false(cel_exchange_match(CEL_EXCHANGE_DIRECT, a, b));
    assert_true(cel_exchange_match(CEL_EXCHANGE_FANOUT, a, b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types_are_those_of_virtual_transports),
        cmocka_unit_test(test_topics_match_as_in_kombu),
        cmocka_unit_test(test_other_words_are_plain_text),
        cmocka_unit_test(test_a_hostile_pattern_takes_no_time),
        cmocka_unit_test(test_pattern_is_what_kombu_stores),
        cmocka_unit_test(test_direct_and_fanout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
