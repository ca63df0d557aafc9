/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/sigv4.h"

#include "sigv4_vectors.h"

static void check(const char *id, struct cel_buf *got, const char *wanted)
{
    if (strcmp(cel_buf_cstr(got), wanted) != 0) {
        print_error("%s\n", id);
    }
    assert_string_equal(cel_buf_cstr(got), wanted);
    cel_buf_clear(got);
}

static void test_botocore(void **state)
{
    struct cel_sigv4_key kept = {0};

    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const struct vector *v = &vectors[i];
        struct cel_sigv4_header headers[CEL_SIGV4_HEADERS];
        struct cel_sigv4 s = {
            .access_key = cel_slice_of(v->access),
            .secret_key = cel_slice_of(v->secret),
            .region = cel_slice_of(v->region),
            .service = cel_slice_of(v->service),
            .date = cel_slice_of(v->date),
            .method = cel_slice_of(v->method),
            .path = cel_slice_of(v->path),
            .query = cel_slice_of(v->query),
            .headers = headers,
            .body = v->body,
        };
        struct cel_buf out = {0};

        for (; v->headers[s.n_headers].name; s.n_headers++) {
            headers[s.n_headers] =
                (struct cel_sigv4_header){cel_slice_of(v->headers[s.n_headers].name),
                                          cel_slice_of(v->headers[s.n_headers].value)};
        }
        assert_int_equal(cel_sigv4_canonical(&s, &out), CELERY_OK);
        check(v->id, &out, v->canonical);
        assert_int_equal(cel_sigv4_string(&s, &out), CELERY_OK);
        check(v->id, &out, v->string);
        assert_int_equal(cel_sigv4_authorization(&s, NULL, &out), CELERY_OK);
        check(v->id, &out, v->authorization);
        /* The kept key is taken only where it is the same one. */
        assert_int_equal(cel_sigv4_authorization(&s, &kept, &out), CELERY_OK);
        check(v->id, &out, v->authorization);
        assert_int_equal(cel_sigv4_authorization(&s, &kept, &out), CELERY_OK);
        check(v->id, &out, v->authorization);
        cel_buf_fini(&out);
    }
}

/* The rules that AWS's own suite is about: paths, queries, headers. */
static const struct {
    const char *path;
    const char *query;
    const char *canonical_path;
    const char *canonical_query;
} places[] = {
    {"", "", "/", ""},
    {"/", "", "/", ""},
    {"//", "", "/", ""},
    {"/./", "", "/", ""},
    {"/example/..", "", "/", ""},
    {"/example1/example2/../..", "", "/", ""},
    {"/../..", "", "/", ""},
    {"//example//", "", "/example/", ""},
    {"/./example", "", "/example", ""},
    {"/example%20space/", "", "/example%2520space/", ""},
    {"/-._~0123456789Az", "", "/-._~0123456789Az", ""},
    {"/", "Param2=value2&Param1=value1", "/", "Param1=value1&Param2=value2"},
    {"/", "Param1=value2&Param1=Value1", "/", "Param1=Value1&Param1=value2"},
    {"/", "Param10=a&Param1=b", "/", "Param1=b&Param10=a"},
    {"/", "acl", "/", "acl="},
    {"/", "a=b=c", "/", "a=b=c"},
};

static void canonical_of(struct cel_sigv4 *s, struct cel_buf *out)
{
    s->date = CEL_SLICE("20150830T123600Z");
    s->method = CEL_SLICE("GET");
    cel_buf_clear(out);
    assert_int_equal(cel_sigv4_canonical(s, out), CELERY_OK);
}

static void test_places(void **state)
{
    struct cel_buf out = {0};
    struct cel_buf wanted = {0};

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct cel_sigv4 s = {.path = cel_slice_of(places[i].path),
                              .query = cel_slice_of(places[i].query)};

        canonical_of(&s, &out);
        cel_buf_clear(&wanted);
        cel_buf_addf(&wanted,
                     "GET\n%s\n%s\n\n\n\n"
                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                     places[i].canonical_path, places[i].canonical_query);
        assert_string_equal(cel_buf_cstr(&out), cel_buf_cstr(&wanted));
    }
    cel_buf_fini(&out);
    cel_buf_fini(&wanted);
}

static void test_headers(void **state)
{
    const struct cel_sigv4_header headers[] = {
        {CEL_SLICE("my-header1"), CEL_SLICE("value4")},
        {CEL_SLICE("x-amz-date"), CEL_SLICE("20150830T123600Z")},
        {CEL_SLICE("my-header1"), CEL_SLICE("  value1 \t  x ")},
        {CEL_SLICE("host"), CEL_SLICE("example.amazonaws.com")},
        {CEL_SLICE("my-header1"), CEL_SLICE("")},
        {CEL_SLICE("my-header"), CEL_SLICE("b")},
    };
    struct cel_sigv4 s = {.headers = headers, .n_headers = 6};
    struct cel_buf out = {0};

    canonical_of(&s, &out);
    assert_non_null(strstr(cel_buf_cstr(&out),
                           "\nhost:example.amazonaws.com\nmy-header:b\n"
                           "my-header1:value4,value1 x,\n"
                           "x-amz-date:20150830T123600Z\n\n"
                           "host;my-header;my-header1;x-amz-date\n"));
    s.n_headers = CEL_SIGV4_HEADERS + 1;
    assert_int_equal(cel_sigv4_canonical(&s, &out), CELERY_EINVAL);
    cel_buf_fini(&out);
}

/* The request of AWS's documentation ("get-vanilla" of its suite). */
static void test_vanilla(void **state)
{
    const struct cel_sigv4_header headers[] = {
        {CEL_SLICE("host"), CEL_SLICE("example.amazonaws.com")},
        {CEL_SLICE("x-amz-date"), CEL_SLICE("20150830T123600Z")},
    };
    struct cel_sigv4 s = {
        .access_key = CEL_SLICE("AKIDEXAMPLE"),
        .secret_key = CEL_SLICE("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        .region = CEL_SLICE("us-east-1"),
        .service = CEL_SLICE("service"),
        .date = CEL_SLICE("20150830T123600Z"),
        .method = CEL_SLICE("GET"),
        .path = CEL_SLICE("/"),
        .headers = headers,
        .n_headers = 2,
    };
    struct cel_buf out = {0};

    assert_int_equal(cel_sigv4_authorization(&s, NULL, &out), CELERY_OK);
    assert_string_equal(
        cel_buf_cstr(&out),
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature="
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
    cel_buf_fini(&out);
}

static void test_date(void **state)
{
    char date[CEL_SIGV4_DATE + 1];

    cel_sigv4_date(1776135845123456, date);
    assert_string_equal(date, "20260414T030405Z");
    cel_sigv4_date(0, date);
    assert_string_equal(date, "19700101T000000Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_botocore), cmocka_unit_test(test_places),
        cmocka_unit_test(test_headers),  cmocka_unit_test(test_vanilla),
        cmocka_unit_test(test_date),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
