/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Canvases recorded from real Celery (record_canvas.py): built, applied, read back from their
 * dict form and applied again; then every step of the flows, see flow.c.
 */
#include <dirent.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/clock.h"
#include "case.h"
#include "flow.h"
#include "same.h"
#include <stdio.h>
#include <stdlib.h>

#define HERE "gen1@here"

static const char *root;
static int uuids;

static void count_uuid(char id[37])
{
    snprintf(id, 37, "id-%d", ++uuids);
}

static double fixed_time(void)
{
    return RECIPE_NOW;
}

static void set_up(struct flow *f, const char *file)
{
    *f = (struct flow){0};
    f->recorded = case_json(&f->r.a, root, file);
    f->recipe = case_get(f->recorded, "recipe");
    f->app = recipe_app(&f->r.err);
    const struct cel_node *running = recipe_get(f->recipe, "running");

    if (!f->app || (case_get(f->recorded, "steps") && flow_register(f) < 0) ||
        cel_app_freeze(f->app, &f->r.err) < 0 ||
        cel_router_new(f->app->config, &f->router, &f->r.err) < 0) {
        fail_msg("%s", f->r.err.message);
    }
    f->canvas = (struct cel_canvas){
        .app = f->app,
        .config = f->app->config,
        .router = f->router,
        .reply_to = CEL_SLICE("oid"),
        .origin = CEL_SLICE(HERE),
        .running_id = cel_node_text(recipe_get(running, "id")),
        .running_root = cel_node_text(recipe_get(running, "root_id")),
        .backend_counts = cel_node_truth(recipe_get(f->recipe, "counts")),
        .uuid = count_uuid,
    };
    uuids = 0;
}

static void tear_down(struct flow *f)
{
    cel_router_free(f->router);
    celery_app_free(f->app);
    cel_arena_fini(&f->r.a);
}

static void same_effects(struct flow *f, const struct cel_node *want,
                         const struct cel_effects *effects)
{
    struct cel_slice rest = cel_buf_slice(&effects->bytes);
    struct cel_effect e;

    assert_int_equal(want->size, effects->n);
    for (const struct cel_node *k = cel_node_first(want); k; k = k->next) {
        assert_true(cel_effects_next(&rest, &e, NULL));
        same_effect(&f->r.a, k, &e, HERE);
    }
}

static const struct cel_node *expected(const struct flow *f, const struct cel_node *again,
                                       const char *key)
{
    const struct cel_node *other = case_get(again, key);

    return other ? other : case_get(f->recorded, key);
}

/* again: what the dict form gives where that is something else. */
static void apply(struct flow *f, struct cel_sig *sig, const struct cel_node *again)
{
    struct cel_effects effects = {0};
    struct cel_node *frozen = NULL, *result = NULL;

    uuids = 0;
    if (recipe_get(f->recipe, "freeze")) {
        assert_int_equal(cel_sig_freeze(&f->canvas, &f->r.a, sig, &frozen, &f->r.err),
                         CELERY_OK);
        same_doc("frozen", expected(f, again, "frozen"), frozen);
    }
    if (cel_sig_apply(&f->canvas, &f->r.a, sig, recipe_get(f->recipe, "args"),
                      recipe_get(f->recipe, "kwargs"), recipe_get(f->recipe, "options"),
                      &effects, &result, &f->r.err) < 0) {
        fail_msg("%s", f->r.err.message);
    }
    same_effects(f, expected(f, again, "effects"), &effects);
    same_doc("result", expected(f, again, "result"), result);
    cel_effects_fini(&effects);
}

static struct cel_sig *read_back(struct flow *f, struct cel_slice doc)
{
    struct cel_node *node = NULL;
    struct cel_sig *sig = NULL;

    if (cel_json_parse(&f->r.a, doc, NULL, &node, &f->r.err) < 0 ||
        cel_canvas_read(&f->r.a, node, "sig", &sig, &f->r.err) < 0) {
        fail_msg("%s", f->r.err.message);
    }
    return sig;
}

static void test_case(void **state)
{
    struct flow f;
    struct cel_buf doc = {0};

    set_up(&f, *state);
    struct cel_slice want = cel_node_text(case_get(f.recorded, "doc"));
    struct cel_sig *sig = recipe_build(&f.r, case_get(f.recipe, "sig"));

    assert_non_null(sig);
    assert_int_equal(cel_json_write(&doc, cel_canvas_doc(&f.r.a, sig)), CELERY_OK);
    if (!cel_slice_eq(want, cel_buf_slice(&doc))) {
        fail_msg("recorded %.*s\nmade     %s", (int)want.len, want.data,
                 cel_buf_cstr(&doc));
    }
    cel_buf_fini(&doc);
    apply(&f, sig, NULL);
    if (case_get(f.recorded, "steps")) {
        flow_run(&f);
    } else {
        apply(&f, read_back(&f, want), case_get(f.recorded, "again"));
    }
    tear_down(&f);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct CMUnitTest *)a)->name,
                  ((const struct CMUnitTest *)b)->name);
}

/* usage: test_canvas FOLDER [START OF NAMES] */
int main(int argc, char **argv)
{
    static struct CMUnitTest tests[500];
    const char *start = argc > 2 ? argv[2] : "";
    size_t n = 0;
    DIR *dir = argc > 1 ? opendir(argv[1]) : NULL;

    if (!dir) {
        return 2;
    }
    root = argv[1];
    for (struct dirent *e; (e = readdir(dir)) && n < 500;) {
        if (strstr(e->d_name, ".json") && strncmp(e->d_name, start, strlen(start)) == 0) {
            char *name = strdup(e->d_name);
            tests[n++] = (struct CMUnitTest){
                .name = name, .test_func = test_case, .initial_state = name};
        }
    }
    (void)closedir(dir);
    qsort(tests, n, sizeof tests[0], by_name);
    cel_clock_set(&(struct cel_clock_ops){.wall = fixed_time, .mono = fixed_time});
    int failed = n > 0 ? _cmocka_run_group_tests("canvas", tests, n, NULL, NULL) : 2;
    for (size_t i = 0; i < n; i++) {
        free((char *)tests[i].initial_state);
    }
    return failed;
}
