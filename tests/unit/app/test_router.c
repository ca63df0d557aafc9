/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "app/app.h"

static struct cel_config *config;
static struct cel_router *router;

static int setup(void **state)
{
    (void)state;
    config = cel_config_new();
    return config ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    router = cel_router_free(router);
    config = cel_config_free(config);
    return 0;
}

static void set(const char *name, const char *value)
{
    celery_error err = {0};
    if (cel_config_set(config, name, value, CEL_FROM_API, &err) != CELERY_OK) {
        fail_msg("%s", err.message);
    }
}

static void open_router(void)
{
    celery_error err = {0};
    if (cel_router_new(config, &router, &err) != CELERY_OK) {
        fail_msg("%s", err.message);
    }
}

static void is_queue(size_t i, const char *name, const char *exchange, const char *type,
                     const char *key)
{
    const struct cel_queue *q = cel_router_at(router, i);
    assert_non_null(q);
    assert_string_equal(q->name, name);
    assert_string_equal(q->exchange, exchange);
    assert_string_equal(q->exchange_type, type);
    assert_string_equal(q->routing_key, key);
}

static int64_t argument(size_t i, const char *name)
{
    return cel_node_int(
        cel_node_get(cel_router_at(router, i)->arguments, cel_slice_of(name)), -1);
}

static void goes_to(const char *task, const char *queue, const char *name,
                    const char *exchange, const char *key, int priority)
{
    celery_error err = {0};
    struct cel_route route;
    celery_status st = cel_router_route(router, cel_slice_of(task), queue, &route, &err);
    assert_int_equal(st, CELERY_OK);
    assert_string_equal(route.queue->name, name);
    assert_true(cel_slice_is(route.exchange, exchange));
    assert_true(cel_slice_is(route.routing_key, key));
    assert_int_equal(route.priority, priority);
}

static void test_default_queue(void **state)
{
    (void)state;
    open_router();
    assert_int_equal(cel_router_count(router), 1);
    is_queue(0, "celery", "celery", "direct", "celery");
    assert_null(cel_router_at(router, 1));
    goes_to("a", NULL, "celery", "", "celery", -1);
    goes_to("a", "mail", "mail", "", "mail", -1);
    assert_int_equal(cel_router_count(router), 1);
}

static void test_default_queue_of_the_settings(void **state)
{
    (void)state;
    set("task_default_queue", "main");
    set("task_default_exchange", "tasks");
    set("task_default_exchange_type", "topic");
    set("task_default_routing_key", "task.default");
    open_router();
    is_queue(0, "main", "tasks", "topic", "task.default");
    goes_to("a", NULL, "main", "tasks", "task.default", -1);
}

static void test_queues_as_a_list(void **state)
{
    (void)state;
    set("task_queues",
        "[{\"name\": \"feed\", \"exchange\": \"news\", \"exchange_type\": \"topic\", "
        "\"routing_key\": \"feed.#\", \"queue_arguments\": {\"x-max-priority\": 3}, "
        "\"max_priority\": 3},"
        " {\"name\": \"bare\"}, \"plain\","
        " {\"name\": \"m\", \"exchange\": {\"name\": \"e\", \"type\": \"fanout\"}}]");
    open_router();
    assert_int_equal(cel_router_count(router), 4);
    is_queue(0, "feed", "news", "topic", "feed.#");
    assert_int_equal(argument(0, "x-max-priority"), 3);
    assert_non_null(cel_router_at(router, 0)->arguments);
    is_queue(1, "bare", "celery", "direct", "celery");
    is_queue(2, "plain", "plain", "direct", "plain");
    is_queue(3, "m", "e", "fanout", "celery");
    goes_to("a", "feed", "feed", "news", "feed.#", -1);
    goes_to("a", "bare", "bare", "", "bare", -1);
}

static void test_queues_as_a_map_or_names(void **state)
{
    (void)state;
    set("task_queues", "{\"a\": {\"exchange\": \"x\"}, \"b\": {\"binding_key\": \"k\"}, "
                       "\"c\": null}");
    open_router();
    is_queue(0, "a", "x", "direct", "a");
    is_queue(1, "b", "celery", "direct", "k");
    is_queue(2, "c", "celery", "direct", "c");
    router = cel_router_free(router);
    set("task_queues", "one, two,");
    open_router();
    assert_int_equal(cel_router_count(router), 2);
    is_queue(1, "two", "two", "direct", "two");
}

static void test_wrong_queues_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "[7]",
        "[{}]",
        "[{\"name\": \"\"}]",
        "{\"a\": 7}",
        "{\"\": {}}",
        "[{\"name\": \"a\", \"exchange\": 7}]",
        "[{\"name\": \"a\", \"routing_key\": [1]}]",
        "[{\"name\": \"a\", \"max_priority\": 256}]",
        "[{\"name\": \"a\", \"queue_arguments\": []}]",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        celery_error err = {0};
        set("task_queues", cases[i]);
        if (cel_router_new(config, &router, &err) != CELERY_ECONFIG ||
            !strstr(err.message, "task_queues")) {
            fail_msg("%s: %s", cases[i], err.message);
        }
    }
}

static void test_select_and_exclude(void **state)
{
    (void)state;
    celery_error err = {0};
    const char *const two[] = {"b", "new", "b", NULL};
    const char *const one[] = {"b", NULL};
    set("task_queues", "a,b,c");
    open_router();
    assert_int_equal(cel_router_select(router, two, NULL, &err), CELERY_OK);
    assert_int_equal(cel_router_count(router), 2);
    is_queue(0, "b", "b", "direct", "b");
    is_queue(1, "new", "new", "direct", "new");
    assert_int_equal(cel_router_select(router, two, one, &err), CELERY_OK);
    assert_int_equal(cel_router_count(router), 1);
    is_queue(0, "new", "new", "direct", "new");
    assert_int_equal(cel_router_select(router, NULL, one, &err), CELERY_OK);
    is_queue(0, "a", "a", "direct", "a");
    is_queue(1, "c", "c", "direct", "c");
}

static void test_missing_queues_may_be_forbidden(void **state)
{
    (void)state;
    celery_error err = {0};
    struct cel_route route;
    const char *const other[] = {"other", NULL};
    set("task_create_missing_queues", "false");
    open_router();
    assert_int_equal(cel_router_select(router, other, NULL, &err), CELERY_ECONFIG);
    assert_non_null(strstr(err.message, "queue other is not in task_queues"));
    assert_int_equal(cel_router_route(router, CEL_SLICE("t"), "other", &route, &err),
                     CELERY_ECONFIG);
}

static void test_routes(void **state)
{
    (void)state;
    set("task_queues", "{\"t\": {\"exchange\": \"x\", \"exchange_type\": \"topic\"}}");
    set("task_routes",
        "{\"feed.*\": \"feeds\", \"feed.tasks.one\": {\"queue\": \"one\", "
        "\"priority\": 5}, \"topic\": {\"queue\": \"t\", \"routing_key\": "
        "\"a.b\"}, \"far\": {\"exchange\": \"e\", \"routing_key\": \"k\"}}");
    open_router();
    goes_to("feed.tasks.two", NULL, "feeds", "", "feeds", -1);
    goes_to("feed.tasks.one", NULL, "one", "", "one", 5);
    goes_to("feed.tasks.one", "mine", "mine", "", "mine", 5);
    goes_to("topic", NULL, "t", "x", "a.b", -1);
    goes_to("far", NULL, "celery", "e", "k", -1);
    goes_to("other", NULL, "celery", "", "celery", -1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_default_queue),
        T(test_default_queue_of_the_settings),
        T(test_queues_as_a_list),
        T(test_queues_as_a_map_or_names),
        T(test_wrong_queues_are_refused),
        T(test_select_and_exclude),
        T(test_missing_queues_may_be_forbidden),
        T(test_routes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
