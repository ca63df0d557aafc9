/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/codec.h"

static const char *const json_only[] = {"json", NULL};

static void test_find_takes_names_and_types(void **state)
{
    assert_ptr_equal(cel_codec_find(CEL_SLICE("json")), &cel_codec_json);
    assert_ptr_equal(cel_codec_find(CEL_SLICE("application/json")), &cel_codec_json);
    assert_string_equal(cel_codec_find(CEL_SLICE("application/x-msgpack"))->name,
                        "msgpack");
    assert_string_equal(cel_codec_find(CEL_SLICE("msgpack"))->encoding, "binary");
    assert_null(cel_codec_find(CEL_SLICE("pickle")));
    assert_null(cel_codec_find(CEL_SLICE("")));
    assert_null(cel_codec_find(CEL_SLICE_NULL));
    for (const char *const *name = cel_codec_names(); *name; name++) {
        assert_string_equal(cel_codec_find(cel_slice_of(*name))->name, *name);
    }
}

static void test_accept_lets_in_what_is_listed(void **state)
{
    static const char *const by_type[] = {"application/x-msgpack", NULL};
    const struct cel_codec *codec = NULL;
    celery_error err = {0};
    assert_int_equal(
        cel_codec_accept(CEL_SLICE("application/json"), json_only, &codec, &err),
        CELERY_OK);
    assert_ptr_equal(codec, &cel_codec_json);
    assert_int_equal(
        cel_codec_accept(CEL_SLICE("application/x-msgpack"), by_type, &codec, &err),
        CELERY_OK);
    assert_string_equal(codec->name, "msgpack");
}

static void test_refusals_say_what_to_change(void **state)
{
    static const struct {
        const char *type;
        const char *text;
    } cases[] = {
        {"application/x-msgpack",
         "content type 'application/x-msgpack' (msgpack) is not in accept_content: add "
         "'msgpack' there, or set task_serializer='json' at the sender"},
        {"application/x-python-serialize",
         "content type 'application/x-python-serialize' (pickle) is Python code and is "
         "never read: set task_serializer='json' at the sender"},
        {"", "content type 'application/data' is not a serialized task: set "
             "task_serializer='json' at the sender"},
        {"text/plain", "content type 'text/plain' is not a serialized task: set "
                       "task_serializer='json' at the sender"},
        {"x/y\n",
         "unknown content type 'x/y\\x0a': set task_serializer='json' at the sender"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct cel_codec *codec = NULL;
        celery_error err = {0};
        assert_int_equal(
            cel_codec_accept(cel_slice_of(cases[i].type), json_only, &codec, &err),
            CELERY_ECONTENT);
        assert_string_equal(err.message, cases[i].text);
        assert_null(codec);
    }
}

static void test_pickle_is_refused_even_when_accepted(void **state)
{
    static const char *const pickle[] = {"pickle", "application/x-python-serialize",
                                         NULL};
    const struct cel_codec *codec = NULL;
    assert_int_equal(cel_codec_accept(CEL_SLICE("application/x-python-serialize"), pickle,
                                      &codec, NULL),
                     CELERY_ECONTENT);
    assert_int_equal(
        cel_codec_accept(CEL_SLICE("application/json"), pickle, &codec, NULL),
        CELERY_ECONTENT);
    assert_int_equal(cel_codec_accept(CEL_SLICE("application/json"), NULL, &codec, NULL),
                     CELERY_ECONTENT);
}

static void test_json_codec_names_its_limits(void **state)
{
    struct cel_arena a = {0};
    struct cel_buf out;
    struct cel_node *n;
    celery_error err = {0};
    cel_buf_init(&out, 4);
    assert_int_equal(cel_codec_json.decode(&a, CEL_SLICE("[1, 2]"), NULL, &n, &err), 0);
    assert_int_equal(cel_codec_json.encode(&out, n, &err), CELERY_ELIMIT);
    assert_string_equal(err.message, "JSON of more than 4 bytes");
    cel_buf_fini(&out);
    cel_arena_fini(&a);
}

static void test_compressions_are_found_by_all_their_names(void **state)
{
    static const char *const zlib_names[] = {"gzip", "zlib", "application/x-gzip"};
    const struct cel_compression *zlib = cel_compression_find(CEL_SLICE("zlib"));
    for (size_t i = 0; i < 3; i++) {
        assert_ptr_equal(cel_compression_find(cel_slice_of(zlib_names[i])), zlib);
    }
    assert_null(cel_compression_find(CEL_SLICE("none")));
    for (const char *const *name = cel_compression_names(); *name; name++) {
        assert_non_null(cel_compression_find(cel_slice_of(*name)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_takes_names_and_types),
        cmocka_unit_test(test_accept_lets_in_what_is_listed),
        cmocka_unit_test(test_refusals_say_what_to_change),
        cmocka_unit_test(test_pickle_is_refused_even_when_accepted),
        cmocka_unit_test(test_json_codec_names_its_limits),
        cmocka_unit_test(test_compressions_are_found_by_all_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
