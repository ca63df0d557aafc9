/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "transport/sqs_name.h"

static void check(const char *prefix, const char *name, const char *wanted)
{
    char *got = cel_sqs_name(prefix, name);

    assert_string_equal(got, wanted);
    cel_free(got);
}

/* What kombu's Channel.canonical_queue_name answers. */
static void test_names(void **state)
{
    check("", "ical", "ical");
    check("", "my.queue", "my-queue");
    check("stage.", "my.queue", "stage-my-queue");
    check("", "a:b/c d-e_f", "a_b_c d-e_f");
    check("", "orders.fifo", "orders.fifo");
    check("p.", "a.b.fifo", "p-a-b.fifo");
    check("", ".fifo", ".fifo");
    check("", "fifo", "fifo");
    check("", "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~", "_____________________________");
}

static void check_dead(const char *name, const char *wanted)
{
    char *got = cel_sqs_name_of_dead(name);

    assert_string_equal(got, wanted);
    cel_free(got);
}

static void test_dead_letters(void **state)
{
    check_dead("celery", "celery.celery-c.dead");
    check_dead("orders.fifo", "orders.celery-c.dead.fifo");
}

static void test_fifo(void **state)
{
    assert_true(cel_sqs_name_is_fifo("https://sqs.x/1/a.fifo"));
    assert_false(cel_sqs_name_is_fifo("a.fifo2"));
    assert_false(cel_sqs_name_is_fifo(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_dead_letters),
        cmocka_unit_test(test_fifo),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
