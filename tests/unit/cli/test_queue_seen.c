/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/queue_seen.h"
#include <stdio.h>
#include <string.h>

static struct sight see(struct seen *seen, const char *id, const char *text)
{
    return seen_message(seen, id, text, strlen(text));
}

static void test_a_lower_number_is_late(void **state)
{
    static struct seen seen;

    assert_int_equal(see(&seen, "1", "A: Message 0").behind, -1);
    assert_int_equal(see(&seen, "2", "A: Message 12").behind, -1);
    assert_int_equal(see(&seen, "3", "A: Message 2").behind, 12);
    assert_int_equal(see(&seen, "4", "A: Message 13").behind, -1);
    /* Each sender has an order of its own, and other texts have none. */
    assert_int_equal(see(&seen, "5", "B: Message 1").behind, -1);
    assert_int_equal(see(&seen, "6", "hello 1").behind, -1);
    assert_int_equal(see(&seen, "7", "").behind, -1);
    assert_int_equal(see(&seen, "8", "Message 99999999999999999999").behind, -1);
    assert_int_equal(seen.n_received, 8);
    assert_int_equal(seen.n_late, 1);
    assert_int_equal(seen.n_again, 0);
}

static void test_the_same_id_is_a_duplicate(void **state)
{
    static struct seen seen;

    assert_false(see(&seen, "1", "A: Message 0").again);
    assert_false(see(&seen, "2", "A: Message 1").again);
    assert_true(see(&seen, "1", "A: Message 0").again);
    assert_int_equal(seen.n_again, 1);
    assert_int_equal(seen.n_late, 0);
}

static void test_a_number_again_is_the_next_run(void **state)
{
    static struct seen seen;

    see(&seen, "1", "A: Message 0");
    see(&seen, "2", "A: Message 1");
    assert_int_equal(see(&seen, "3", "A: Message 0").behind, -1);
    assert_int_equal(see(&seen, "4", "A: Message 1").behind, -1);
    assert_int_equal(seen.n_late, 0);
}

static void test_ids_and_senders_have_a_ceiling(void **state)
{
    static struct seen seen;
    char id[32], text[64];

    for (int i = 0; i < 3 * SEEN_IDS; i++) {
        snprintf(id, sizeof id, "%d", i);
        snprintf(text, sizeof text, "%d: Message 1", i);
        assert_false(see(&seen, id, text).again);
    }
    assert_true(see(&seen, id, text).again);
    assert_false(see(&seen, "0", text).again); /* forgotten */
    assert_int_equal(seen.n_senders, SEEN_SENDERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lower_number_is_late),
        cmocka_unit_test(test_the_same_id_is_a_duplicate),
        cmocka_unit_test(test_a_number_again_is_the_next_run),
        cmocka_unit_test(test_ids_and_senders_have_a_ceiling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
