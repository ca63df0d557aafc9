/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/client.h"
#include <stdlib.h>

struct fixture {
    celery_client *client;
    celery_error err;
};

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    f->client = celery_client_open("memory://results", "cache+memory://results", &f->err);
    if (!f->client) {
        fail_msg("%s", f->err.message);
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    celery_client_close(f->client);
    test_free(f);
    return 0;
}

static void store(struct fixture *f, const char *id, const char *status,
                  const char *result, const char *children)
{
    const struct cel_task_meta meta = {.task_id = cel_slice_of(id),
                                       .status = cel_slice_of(status),
                                       .result_json = cel_slice_of(result),
                                       .children_json = cel_slice_of(children)};
    f->client->backend->ops->store(f->client->backend, &meta, (struct cel_done){0});
}

static celery_result *load(struct fixture *f, const char *tuple)
{
    return celery_result_loads(f->client, tuple, strlen(tuple), &f->err);
}

static void assert_dumps(const celery_result *r, const char *want)
{
    char *text = celery_result_dumps(r, NULL);
    assert_non_null(text);
    assert_string_equal(text, want);
    free(text);
}

static void assert_json_value(json_t *value, const char *want)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    assert_non_null(text);
    assert_string_equal(text, want);
    free(text);
    json_decref(value);
}

/* The ids of a test are its own: the store outlives a client. */
static celery_result *group(struct fixture *f, const char *g, const char *a,
                            const char *b, const char *c)
{
    json_t *tuple = json_pack("[[s,n],[[[s,n],n],[[s,n],n],[[s,n],n]]]", g, a, b, c);
    char *text = json_dumps(tuple, 0);
    celery_result *r = load(f, text);
    free(text);
    json_decref(tuple);
    assert_non_null(r);
    return r;
}

static void test_a_group_is_joined_in_its_order(void **state)
{
    struct fixture *f = *state;
    celery_result *r = group(f, "g1", "a1", "b1", "c1");
    assert_true(celery_result_is_group(r));
    assert_int_equal(celery_result_n_children(r), 3);
    store(f, "c1", "SUCCESS", "3", NULL);
    store(f, "a1", "SUCCESS", "[1]", NULL);
    assert_null(celery_result_wait(r, 0, &f->err));
    assert_int_equal(f->err.status, CELERY_ETIMEOUT);
    assert_non_null(strstr(f->err.message, "2 of 3"));
    store(f, "b1", "SUCCESS", "2", NULL);
    assert_json_value(celery_result_wait(r, 5, &f->err), "[[1], 2, 3]");
    assert_string_equal(celery_result_state(r, &f->err), "SUCCESS");
    celery_result_free(r);
}

static void test_parts_are_given_as_they_end(void **state)
{
    struct fixture *f = *state;
    celery_result *r = group(f, "g2", "a2", "b2", "c2");
    store(f, "b2", "SUCCESS", "2", NULL);
    celery_result *part = celery_result_next(r, 5, &f->err);
    assert_string_equal(celery_result_id(part), "b2");
    assert_null(celery_result_next(r, 0, &f->err));
    assert_int_equal(f->err.status, CELERY_ETIMEOUT);
    f->err = (celery_error){0};
    store(f, "c2", "FAILURE", "{\"exc_type\": \"ValueError\", \"exc_message\": [\"no\"]}",
          NULL);
    part = celery_result_next(r, 5, &f->err);
    assert_string_equal(celery_result_id(part), "c2");
    assert_string_equal(celery_result_exc_type(part), "ValueError");
    store(f, "a2", "SUCCESS", "1", NULL);
    assert_string_equal(celery_result_id(celery_result_next(r, 5, &f->err)), "a2");
    assert_null(celery_result_next(r, 5, &f->err));
    assert_int_equal(f->err.status, CELERY_OK);
    celery_result_free(r);
}

static void test_a_failure_ends_the_wait_at_once(void **state)
{
    struct fixture *f = *state;
    celery_result *r = group(f, "g3", "a3", "b3", "c3");
    store(f, "b3", "FAILURE", "{\"exc_type\": \"KeyError\", \"exc_message\": [\"k\"]}",
          NULL);
    assert_null(celery_result_wait(r, 5, &f->err));
    assert_int_equal(f->err.status, CELERY_ETASK);
    assert_string_equal(f->err.message, "KeyError: 'k'");
    assert_string_equal(celery_result_id(celery_result_failed(r)), "b3");
    assert_string_equal(celery_result_state(r, &f->err), "FAILURE");
    f->err = (celery_error){0};
    assert_int_equal(celery_result_join(r, 0, &f->err), CELERY_ETIMEOUT);
    store(f, "a3", "REVOKED", "{\"exc_type\": \"TaskRevokedError\"}", NULL);
    store(f, "c3", "SUCCESS", "3", NULL);
    assert_int_equal(celery_result_join(r, 5, &f->err), CELERY_OK);
    celery_result_free(r);
}

static void test_counts(void **state)
{
    struct fixture *f = *state;
    celery_result *r = group(f, "g4", "a4", "b4", "c4");
    celery_result_counts counts;
    store(f, "a4", "SUCCESS", "1", NULL);
    store(f, "b4", "FAILURE", "{}", NULL);
    store(f, "c4", "STARTED", "{}", NULL);
    assert_int_equal(celery_result_count(r, &counts, &f->err), CELERY_OK);
    assert_int_equal(counts.total, 3);
    assert_int_equal(counts.ready, 2);
    assert_int_equal(counts.succeeded, 1);
    assert_int_equal(counts.failed, 1);
    assert_int_equal(counts.waiting, 1);
    /* What is forgotten has not ended. */
    assert_int_equal(celery_result_forget(r, &f->err), CELERY_OK);
    assert_int_equal(celery_result_count(r, &counts, &f->err), CELERY_OK);
    assert_int_equal(counts.waiting, 3);
    assert_null(celery_result_failed(r));
    store(f, "a4", "SUCCESS", "1", NULL);
    assert_int_equal(celery_result_count(celery_result_child(r, 0), &counts, &f->err),
                     CELERY_OK);
    assert_int_equal(counts.succeeded, 1);
    celery_result_free(r);
}

static void test_groups_in_groups(void **state)
{
    struct fixture *f = *state;
    const char *tuple = "[[\"g5\", [[\"p5\", null], null]], [[[\"a5\", null], null], "
                        "[[\"h5\", null], [[[\"b5\", null], null]]], "
                        "[[\"i5\", null], []]]]";
    celery_result *r = load(f, tuple);
    assert_dumps(r, tuple);
    assert_string_equal(celery_result_id(celery_result_parent(r)), "p5");
    assert_dumps(r, tuple);
    store(f, "b5", "SUCCESS", "2", NULL);
    store(f, "a5", "SUCCESS", "1", NULL);
    assert_json_value(celery_result_wait(r, 5, &f->err), "[1, [2], []]");
    celery_result_free(r);
}

static void test_a_step_before_fails_the_wait(void **state)
{
    struct fixture *f = *state;
    celery_result *r =
        load(f, "[[\"t6\", [[\"s6\", [[\"r6\", null], null]], null]], null]");
    store(f, "r6", "FAILURE",
          "{\"exc_type\": \"ValueError\", \"exc_message\": [\"early\"]}", NULL);
    assert_null(celery_result_wait(r, 10, &f->err));
    assert_string_equal(f->err.message, "ValueError: early");
    assert_string_equal(celery_result_id(celery_result_failed(r)), "r6");
    celery_result_free(r);
}

static void test_children_of_a_task(void **state)
{
    struct fixture *f = *state;
    celery_result *r = celery_result_new(f->client, "t7", &f->err);
    assert_int_equal(celery_result_n_children(r), 0);
    store(f, "t7", "SUCCESS", "1",
          "[[[\"k7\", null], null], [[\"g7\", null], [[[\"l7\", null], null]]]]");
    store(f, "k7", "SUCCESS", "2", NULL);
    assert_json_value(celery_result_wait(r, 5, &f->err), "1");
    assert_int_equal(celery_result_n_children(r), 2);
    assert_json_value(celery_result_wait(celery_result_child(r, 0), 5, &f->err), "2");
    assert_true(celery_result_is_group(celery_result_child(r, 1)));
    assert_null(celery_result_child(r, 2));
    celery_result_free(r);
}

static void test_wrong_tuples_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const wrong[] = {
        "",
        "1",
        "[]",
        "[[\"a\", null]]",
        "[[\"a\", null, null], null]",
        "[[1, null], null]",
        "[[\"\", null], null]",
        "[[\"a\\u0000b\", null], null]",
        "[[\"a\", null], 1]",
        "[[\"a\", null], [1]]",
        "[[\"a\", [[\"p\", [[1, null], null]], null]], null]",
        "[[\"a\", null], [[[\"b\", 5], null]]]",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        f->err = (celery_error){0};
        assert_null(load(f, wrong[i]));
        assert_int_equal(f->err.status, CELERY_EMESSAGE);
    }
    f->err = (celery_error){0};
    celery_result *r = load(f, "[\"old\", null]");
    assert_dumps(r, "[[\"old\", null], null]");
    celery_result_free(r);
}

static void test_a_group_is_saved_and_found_again(void **state)
{
    struct fixture *f = *state;
    celery_result *parts[2] = {celery_result_new(f->client, "a9", &f->err),
                               celery_result_new(f->client, "b9", &f->err)};
    celery_result *r = celery_result_group(f->client, "g9", parts, 2, &f->err);
    assert_null(celery_result_restore(f->client, "g9", &f->err));
    assert_int_equal(f->err.status, CELERY_NONE);
    f->err = (celery_error){0};
    assert_int_equal(celery_result_save(r, &f->err), CELERY_OK);
    celery_result *again = celery_result_restore(f->client, "g9", &f->err);
    assert_dumps(again,
                 "[[\"g9\", null], [[[\"a9\", null], null], [[\"b9\", null], null]]]");
    assert_int_equal(celery_result_delete(again, &f->err), CELERY_OK);
    celery_result_free(again);
    assert_null(celery_result_restore(f->client, "g9", &f->err));
    celery_result_free(r);
    celery_result *missing[2] = {celery_result_new(f->client, "a9", &f->err), NULL};
    assert_null(celery_result_group(f->client, NULL, missing, 2, &f->err));
}

static void test_a_group_outlives_the_client(void **state)
{
    struct fixture *f = *state;
    celery_result *r = group(f, "g10", "a10", "b10", "c10");
    celery_client_close(f->client);
    f->client = NULL;
    assert_null(celery_result_wait(r, 1, &f->err));
    assert_int_equal(f->err.status, CELERY_ECLOSED);
    assert_int_equal(celery_result_save(r, &f->err), CELERY_ECLOSED);
    assert_int_equal(celery_result_revoke(r, false, NULL, &f->err), CELERY_ECLOSED);
    celery_result_free(r);
}

#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CLIENT(test_a_group_is_joined_in_its_order),
        WITH_CLIENT(test_parts_are_given_as_they_end),
        WITH_CLIENT(test_a_failure_ends_the_wait_at_once),
        WITH_CLIENT(test_counts),
        WITH_CLIENT(test_groups_in_groups),
        WITH_CLIENT(test_a_step_before_fails_the_wait),
        WITH_CLIENT(test_children_of_a_task),
        WITH_CLIENT(test_wrong_tuples_are_refused),
        WITH_CLIENT(test_a_group_is_saved_and_found_again),
        WITH_CLIENT(test_a_group_outlives_the_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
