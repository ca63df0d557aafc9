/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pool/pool.h"

static void test_pools_have_celerys_names(void **state)
{
    assert_ptr_equal(cel_pool_find("prefork", NULL), &cel_pool_prefork);
    assert_ptr_equal(cel_pool_find("processes", NULL), &cel_pool_prefork);
    assert_ptr_equal(cel_pool_find("threads", NULL), &cel_pool_threads);
    assert_ptr_equal(cel_pool_find("solo", NULL), &cel_pool_solo);
}

static void test_others_say_what_to_do(void **state)
{
    celery_error err = {0};
    assert_null(cel_pool_find("gevent", &err));
    assert_int_equal(err.status, CELERY_ECONFIG);
    assert_non_null(strstr(err.message, "use prefork or threads"));
    assert_null(cel_pool_find("preforc", &err));
    assert_non_null(strstr(err.message, "prefork, threads and solo"));
}

static void test_a_pool_of_nothing_is_refused(void **state)
{
    struct cel_pool_options options = {.slots = 0};
    struct cel_pool *p = NULL;
    celery_error err = {0};
    assert_int_equal(cel_pool_new(&cel_pool_solo, &options, NULL, NULL, &p, &err),
                     CELERY_ECONFIG);
    assert_null(p);
    assert_null(cel_pool_free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pools_have_celerys_names),
        cmocka_unit_test(test_others_say_what_to_do),
        cmocka_unit_test(test_a_pool_of_nothing_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
