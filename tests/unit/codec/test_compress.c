/* SPDX-License-Identifier: BSD-3-Clause */
/* Each compression of the build: zlib.c, bzip2.c, lzma.c, zstd.c, brotli.c, sink.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "codec/codec.h"

/* Calls check for each compression, with bytes of size packed by it. */
static void for_each(size_t size, void (*check)(const struct cel_compression *c,
                                                struct cel_slice packed, size_t size))
{
    char *plain = test_calloc(size + 1, 1);
    for (size_t i = 0; i < size; i++) {
        plain[i] = (char)(i * i >> 7);
    }
    for (const char *const *name = cel_compression_names(); *name; name++) {
        const struct cel_compression *c = cel_compression_find(cel_slice_of(*name));
        struct cel_buf packed = {0};
        celery_error err = {0};
        if (c->compress(&packed, cel_slice(plain, size), &err) < 0) {
            fail_msg("%s: %s", *name, err.message);
        }
        check(c, cel_buf_slice(&packed), size);
        cel_buf_fini(&packed);
    }
    test_free(plain);
}

static void check_back(const struct cel_compression *c, struct cel_slice packed,
                       size_t size)
{
    struct cel_buf out = {0};
    cel_buf_adds(&out, "head"); /* what is there stays */
    assert_int_equal(c->decompress(&out, packed, NULL), CELERY_OK);
    assert_int_equal(out.len, size + 4);
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(out.data[i + 4], (char)(i * i >> 7));
    }
    cel_buf_fini(&out);
}

static void test_what_is_compressed_comes_back(void **state)
{
    for_each(0, check_back);
    for_each(1, check_back);
    for_each(100000, check_back);
}

static void check_ceiling(const struct cel_compression *c, struct cel_slice packed,
                          size_t size)
{
    for (int more = -1; more <= 1; more++) {
        struct cel_buf out;
        celery_error err = {0};
        cel_buf_init(&out, size + (size_t)(more + 1) - 1);
        assert_int_equal(c->decompress(&out, packed, &err), more < 0 ? CELERY_ELIMIT : 0);
        assert_true(out.len <= out.max);
        assert_int_equal(err.message[0] != '\0', more < 0);
        cel_buf_fini(&out);
    }
}

static void test_output_stops_at_the_ceiling(void **state)
{
    for_each(10000, check_ceiling);
    for_each(4097, check_ceiling);
}

static void check_damage(const struct cel_compression *c, struct cel_slice packed,
                         size_t size)
{
    char copy[4096];
    assert_true(packed.len <= sizeof copy);
    for (size_t cut = 0; cut < packed.len; cut++) {
        struct cel_buf out = {0};
        memcpy(copy, packed.data, packed.len);
        celery_status status = c->decompress(&out, cel_slice(copy, cut), NULL);
        bool nothing_is_whole =
            cut == 0 && strcmp(c->content_type, "application/x-bz2") == 0;
        assert_int_equal(status, nothing_is_whole ? CELERY_OK : CELERY_EMESSAGE);
        cel_buf_clear(&out);
        copy[cut] = (char)~copy[cut];
        status = c->decompress(&out, cel_slice(copy, packed.len), NULL);
        assert_true(status == CELERY_OK || status == CELERY_EMESSAGE ||
                    status == CELERY_ELIMIT);
        cel_buf_fini(&out);
    }
}

static void test_damaged_and_cut_streams_are_refused(void **state)
{
    for_each(300, check_damage);
}

static void check_no_memory(const struct cel_compression *c, struct cel_slice packed,
                            size_t size)
{
    for (unsigned long nth = 1; nth < 50; nth++) {
        struct cel_buf out = {0};
        struct cel_buf again = {0};
        cel_alloc_fail_at(nth, 0);
        celery_status status = c->decompress(&out, packed, NULL);
        if (status == CELERY_OK) {
            status = c->compress(&again, cel_buf_slice(&out), NULL);
        }
        bool failed = cel_alloc_count() >= nth;
        cel_alloc_fail_at(0, 0);
        cel_buf_fini(&out);
        cel_buf_fini(&again);
        assert_true(status == CELERY_OK || status == CELERY_ENOMEM);
        if (!failed) {
            return;
        }
    }
}

static void test_each_allocation_may_fail(void **state)
{
    for_each(300, check_no_memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_compressed_comes_back),
        cmocka_unit_test(test_output_stops_at_the_ceiling),
        cmocka_unit_test(test_damaged_and_cut_streams_are_refused),
        cmocka_unit_test(test_each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
