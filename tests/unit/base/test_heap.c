/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/heap.h"
#include "base/list.h"

static struct cel_heap_node nodes[500];

static void test_nodes_come_in_order(void **state)
{
    struct cel_heap h = {0};
    for (int i = 0; i < 500; i++) {
        assert_int_equal(cel_heap_add(&h, &nodes[i], i * 7919 % 500), CELERY_OK);
    }
    for (int i = 0; i < 500; i += 3) {
        cel_heap_move(&h, &nodes[i], 500 - nodes[i].key);
    }
    for (int i = 0; i < 500; i += 5) {
        cel_heap_remove(&h, &nodes[i]);
        cel_heap_remove(&h, &nodes[i]);
    }
    double last = -1;
    size_t n = 0;
    for (; cel_heap_first(&h); n++) {
        struct cel_heap_node *first = cel_heap_first(&h);
        assert_true(first->key >= last);
        last = first->key;
        cel_heap_remove(&h, first);
        assert_int_equal(first->index, 0);
    }
    assert_int_equal(n, 400);
    cel_heap_fini(&h);
}

static void test_list_walk_survives_removal(void **state)
{
    struct cel_list head;
    struct cel_list items[5];
    cel_list_init(&head);
    for (int i = 0; i < 5; i++) {
        cel_list_append(&head, &items[i]);
    }
    struct cel_list *it;
    struct cel_list *tmp;
    int n = 0;
    cel_list_foreach(it, tmp, &head) {
        cel_list_remove(it);
        cel_list_remove(it);
        n++;
    }
    assert_int_equal(n, 5);
    assert_true(cel_list_empty(&head));
    assert_null(cel_list_first(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes_come_in_order),
        cmocka_unit_test(test_list_walk_survives_removal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
