/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "message/meta.h"

static void test_states(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool ready, exception;
    } cases[] = {
        {"SUCCESS", true, false},   {"FAILURE", true, true},   {"REVOKED", true, true},
        {"RETRY", false, true},     {"STARTED", false, false}, {"PENDING", false, false},
        {"PROGRESS", false, false}, {"", false, false},        {"success", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cel_slice s = cel_slice_of(cases[i].name);
        assert_int_equal(cel_state_is_ready(s), cases[i].ready);
        assert_int_equal(cel_state_is_exception(s), cases[i].exception);
    }
}

static void test_status_of_anything(void **state)
{
    (void)state;
    static const char *const none[] = {"null", "[]", "7", "{}", "{\"status\": 7}"};
    struct cel_arena a = {0};
    struct cel_json_limits limits = {0};
    struct cel_node *doc = NULL;
    assert_null(cel_meta_status(NULL).data);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_int_equal(cel_json_parse(&a, cel_slice_of(none[i]), &limits, &doc, NULL),
                         CELERY_OK);
        assert_null(cel_meta_status(doc).data);
    }
    cel_arena_fini(&a);
}

static void test_least_document(void **state)
{
    (void)state;
    struct cel_buf out = {0};
    struct cel_task_meta meta = {.task_id = CEL_SLICE("i"),
                                 .status = CEL_SLICE("STARTED"),
                                 .date_done_us = INT64_MIN};
    assert_int_equal(cel_meta_write(&out, &meta, NULL, NULL), CELERY_OK);
    assert_string_equal(
        cel_buf_cstr(&out),
        "{\"status\": \"STARTED\", \"result\": null, \"traceback\": null, "
        "\"children\": null, \"date_done\": null, \"task_id\": \"i\"}");
    cel_buf_fini(&out);
}

static void test_odd_texts_are_escaped(void **state)
{
    (void)state;
    struct cel_buf out = {0};
    struct cel_task_meta meta = {.task_id = CEL_SLICE("i\"\n"),
                                 .status = CEL_SLICE("SUCCESS"),
                                 .traceback = CEL_SLICE("\xed\xa0\x80"),
                                 .date_done_us = 0};
    assert_int_equal(cel_meta_write(&out, &meta, &cel_codec_json, NULL), CELERY_OK);
    assert_non_null(strstr(cel_buf_cstr(&out), "\"traceback\": \"\\ud800\""));
    assert_non_null(strstr(cel_buf_cstr(&out), "\"1970-01-01T00:00:00+00:00\""));
    assert_non_null(strstr(cel_buf_cstr(&out), "\"task_id\": \"i\\\"\\n\"}"));
    cel_buf_fini(&out);
}

/* A serializer of a test, which keeps the document's task_id alone. */
static celery_status encode_id(struct cel_buf *out, const struct cel_node *n,
                               celery_error *err)
{
    (void)err;
    return cel_json_write(out, cel_node_get(n, CEL_SLICE("task_id")));
}

static void test_other_serializers_get_the_same_document(void **state)
{
    (void)state;
    static const struct cel_codec other = {.name = "other", .encode = encode_id};
    struct cel_buf out = {0};
    struct cel_task_meta meta = {.task_id = CEL_SLICE("i"),
                                 .status = CEL_SLICE("SUCCESS"),
                                 .result_json = CEL_SLICE("[1]"),
                                 .date_done_us = 0};
    assert_int_equal(cel_meta_write(&out, &meta, &other, NULL), CELERY_OK);
    assert_string_equal(cel_buf_cstr(&out), "\"i\"");
    meta.result_json = CEL_SLICE("[");
    assert_int_equal(cel_meta_write(&out, &meta, &other, NULL), CELERY_EMESSAGE);
    cel_buf_fini(&out);
}

static void test_ceiling_is_told(void **state)
{
    (void)state;
    struct cel_buf out = {.max = 40};
    celery_error err = {0};
    struct cel_task_meta meta = {.task_id = CEL_SLICE("i"),
                                 .status = CEL_SLICE("SUCCESS")};
    assert_int_equal(cel_meta_write(&out, &meta, NULL, &err), CELERY_ELIMIT);
    assert_int_equal(err.status, CELERY_ELIMIT);
    cel_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_status_of_anything),
        cmocka_unit_test(test_least_document),
        cmocka_unit_test(test_odd_texts_are_escaped),
        cmocka_unit_test(test_other_serializers_get_the_same_document),
        cmocka_unit_test(test_ceiling_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
