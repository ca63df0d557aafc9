/* SPDX-License-Identifier: BSD-3-Clause */
/* Result documents and exceptions recorded from real Celery. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "case.h"
#include "message/meta.h"
#include <stdlib.h>

static const char *root;

/* JSON text of a member; empty for null. */
static struct cel_slice json_of(struct cel_arena *a, const struct cel_node *map,
                                const char *key)
{
    const struct cel_node *n = case_get(map, key);
    struct cel_buf out = {0};
    if (cel_node_is_null(n)) {
        return CEL_SLICE_NULL;
    }
    assert_int_equal(cel_json_write(&out, n), CELERY_OK);
    struct cel_slice text = cel_slice(cel_arena_strndup(a, out.data, out.len), out.len);
    cel_buf_fini(&out);
    return text;
}

static struct cel_task_meta given(struct cel_arena *a, const struct cel_node *g)
{
    return (struct cel_task_meta){
        .task_id = cel_node_text(case_get(g, "task_id")),
        .status = cel_node_text(case_get(g, "status")),
        .result_json = json_of(a, g, "result"),
        .traceback = cel_node_text(case_get(g, "traceback")),
        .children_json = json_of(a, g, "children"),
        .date_done_us = cel_node_int(case_get(g, "date_done"), INT64_MIN),
        .group_id = cel_node_text(case_get(g, "group_id")),
        .parent_id = cel_node_text(case_get(g, "parent_id")),
        .extended = cel_node_bool(case_get(g, "extended"), false),
        .name = cel_node_text(case_get(g, "name")),
        .args_json = json_of(a, g, "args"),
        .kwargs_json = json_of(a, g, "kwargs"),
        .worker = cel_node_text(case_get(g, "worker")),
        .retries = cel_node_int(case_get(g, "retries"), 0),
        .queue = cel_node_text(case_get(g, "queue")),
        .stamped_headers = case_get(g, "stamped_headers"),
        .stamps = case_get(g, "stamps"),
    };
}

static void test_document(void **state)
{
    const char *folder = *state;
    struct cel_arena a = {0};
    const struct cel_node *g = case_json(&a, folder, "given.json");
    const struct cel_node *document = case_json(&a, folder, "document.json");
    struct cel_slice text = case_read(&a, folder, "document.json");
    struct cel_task_meta meta = given(&a, g);
    struct cel_buf out = {0};
    assert_true(cel_slice_eq(cel_meta_status(document), meta.status));
    assert_int_equal(cel_state_is_ready(meta.status), meta.date_done_us != INT64_MIN);
    if (cel_node_bool(case_get(g, "encode"), false)) {
        assert_int_equal(cel_meta_write(&out, &meta, NULL, NULL), CELERY_OK);
        assert_string_equal(cel_buf_cstr(&out), text.data);
    }
    cel_buf_fini(&out);
    cel_arena_fini(&a);
}

static void same(const struct cel_node *row, const char *key, struct cel_buf *got)
{
    struct cel_slice want = cel_node_text(case_get(row, key));
    if (!cel_slice_eq(want, cel_buf_slice(got))) {
        fail_msg("expected %.*s, got %s", (int)want.len, want.data, cel_buf_cstr(got));
    }
    cel_buf_clear(got);
}

static void test_exceptions(void **state)
{
    (void)state;
    struct cel_arena a = {0};
    struct cel_buf out = {0};
    const struct cel_node *rows = case_json(&a, root, "exceptions.json");
    assert_true(rows->size > 20);
    for (const struct cel_node *row = cel_node_first(rows); row; row = row->next) {
        struct cel_slice type = cel_node_text(case_get(row, "type"));
        struct cel_slice args = json_of(&a, row, "args");
        struct cel_slice module = cel_node_text(case_get(row, "module"));
        assert_int_equal(cel_exception_repr(&out, type, args), CELERY_OK);
        same(row, "repr", &out);
        assert_int_equal(cel_exception_line(&out, type, args), CELERY_OK);
        same(row, "line", &out);
        assert_int_equal(cel_exception_write(&out, type, args, module), CELERY_OK);
        same(row, "stored", &out);
    }
    cel_buf_fini(&out);
    cel_arena_fini(&a);
}

/* usage: test_results FOLDER */
int main(int argc, char **argv)
{
    size_t n;
    if (argc != 2) {
        return 2;
    }
    root = argv[1];
    char **folders = case_find(root, "document.json", &n);
    struct CMUnitTest *tests = calloc(n + 1, sizeof *tests);
    for (size_t i = 0; i < n; i++) {
        tests[i] = (struct CMUnitTest){.name = folders[i] + strlen(root) + 1,
                                       .test_func = test_document,
                                       .initial_state = folders[i]};
    }
    tests[n] = (struct CMUnitTest){.name = "exceptions", .test_func = test_exceptions};
    int failed = _cmocka_run_group_tests("results", tests, n + 1, NULL, NULL);
    for (size_t i = 0; i < n; i++) {
        free(folders[i]);
    }
    free(folders);
    free(tests);
    return failed;
}
