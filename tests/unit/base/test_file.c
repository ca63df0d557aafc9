/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder {
    char path[64];
    char file[96];
    char new_file[96];
};

static int set_up(void **state)
{
    struct folder *f = calloc(1, sizeof *f);

    snprintf(f->path, sizeof f->path, "/tmp/test_file.XXXXXX");
    assert_non_null(mkdtemp(f->path));
    snprintf(f->file, sizeof f->file, "%s/it", f->path);
    snprintf(f->new_file, sizeof f->new_file, "%s/it.new", f->path);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct folder *f = *state;

    unlink(f->file);
    rmdir(f->new_file);
    rmdir(f->path);
    free(f);
    return 0;
}

static void replace(const struct folder *f, const char *text, enum cel_file_sync sync)
{
    celery_error err = {0};

    assert_int_equal(
        cel_file_replace(f->file, f->new_file, cel_slice_of(text), sync, &err),
        CELERY_OK);
    assert_int_equal(access(f->new_file, F_OK), -1);
}

static void expect(const struct folder *f, const char *text)
{
    struct cel_buf out = {0};
    celery_error err = {0};

    assert_int_equal(cel_file_read(f->file, &out, &err), CELERY_OK);
    assert_int_equal(out.len, strlen(text));
    assert_memory_equal(out.data, text, out.len);
    cel_buf_fini(&out);
}

static void test_replaced_and_read(void **state)
{
    const struct folder *f = *state;
    struct stat info;

    replace(f, "the first, which is longer", CEL_FILE_WHOLE);
    expect(f, "the first, which is longer");
    replace(f, "second", CEL_FILE_ON_DISK);
    expect(f, "second");
    assert_int_equal(stat(f->file, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void test_nothing_to_read(void **state)
{
    const struct folder *f = *state;
    struct cel_buf out = {0};
    celery_error err = {0};

    assert_int_equal(cel_file_read(f->file, &out, &err), CELERY_NONE);
    assert_int_equal(cel_file_read(f->path, &out, &err), CELERY_ECONFIG);
    assert_non_null(strstr(err.message, "is no file"));
    assert_int_equal(out.len, 0);
    cel_buf_fini(&out);
}

static void test_over_the_ceiling(void **state)
{
    const struct folder *f = *state;
    struct cel_buf out;
    celery_error err = {0};

    replace(f, "text", CEL_FILE_WHOLE);
    cel_buf_init(&out, 100); /* less than a piece */
    assert_int_equal(cel_file_read(f->file, &out, &err), CELERY_ELIMIT);
    cel_buf_fini(&out);
}

static void test_a_failure_leaves_the_old_one(void **state)
{
    const struct folder *f = *state;
    celery_error err = {0};

    replace(f, "old", CEL_FILE_WHOLE);
    assert_int_equal(mkdir(f->new_file, 0700), 0);
    assert_int_equal(
        cel_file_replace(f->file, f->new_file, CEL_SLICE("new"), CEL_FILE_WHOLE, &err),
        CELERY_ESYSTEM);
    assert_non_null(strstr(err.message, f->new_file));
    expect(f, "old");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replaced_and_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_to_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_over_the_ceiling, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_failure_leaves_the_old_one, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
