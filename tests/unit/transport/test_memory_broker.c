/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "transport/memory_broker.h"

static struct cel_memory_message *message(const char *text, unsigned priority)
{
    struct cel_memory_message *m = cel_memory_message(cel_slice_of(text), priority);

    assert_non_null(m);
    return m;
}

static void assert_next(struct cel_memory_queue *q, const char *text)
{
    struct cel_memory_message *m = cel_memory_take(q);

    assert_non_null(m);
    assert_true(cel_slice_is(cel_slice(m->raw, m->len), text));
    cel_free(m);
}

static void test_a_name_is_one_broker(void **state)
{
    struct cel_memory_broker *a = cel_memory_broker_open("a");

    assert_ptr_equal(a, cel_memory_broker_open("a"));
    assert_ptr_not_equal(a, cel_memory_broker_open("b"));
    assert_ptr_equal(cel_memory_queue(a, CEL_SLICE("q")),
                     cel_memory_queue(a, CEL_SLICE("q")));
}

static void test_order_priority_and_front(void **state)
{
    struct cel_memory_broker *b = cel_memory_broker_open("order");
    struct cel_memory_queue *q = cel_memory_queue(b, CEL_SLICE("q"));

    cel_memory_put(q, message("late", 99), false);
    cel_memory_put(q, message("one", 0), false);
    cel_memory_put(q, message("two", 0), false);
    cel_memory_put(q, message("first", 0), true);
    assert_int_equal(q->count, 4);
    assert_next(q, "first");
    assert_next(q, "one");
    assert_next(q, "two");
    assert_next(q, "late");
    assert_null(cel_memory_take(q));
}

static void test_purge_says_how_many(void **state)
{
    struct cel_memory_broker *b = cel_memory_broker_open("purge");
    struct cel_memory_queue *q = cel_memory_queue(b, CEL_SLICE("q"));

    cel_memory_put(q, message("a", 0), false);
    cel_memory_put(q, message("b", 5), false);
    assert_int_equal(cel_memory_purge(q), 2);
    assert_int_equal(q->count, 0);
}

static void test_parked_messages_are_bounded(void **state)
{
    struct cel_memory_broker *b = cel_memory_broker_open("parked");
    struct cel_memory_queue *q = cel_memory_queue(b, CEL_SLICE("q"));
    struct cel_memory_message *newest;

    for (int i = 0; i < 5; i++) {
        cel_memory_park(q, message(i == 4 ? "new" : "old", 0), 2);
    }
    assert_int_equal(q->n_parked, 2);
    newest =
        cel_container_of(cel_list_first(&q->parked), struct cel_memory_message, node);
    assert_true(cel_slice_is(cel_slice(newest->raw, newest->len), "new"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_is_one_broker),
        cmocka_unit_test(test_order_priority_and_front),
        cmocka_unit_test(test_purge_says_how_many),
        cmocka_unit_test(test_parked_messages_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
