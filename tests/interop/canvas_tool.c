/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * canvas_tool: reads one recipe of a canvas a line, builds and applies it, and prints what
 * would be sent as one line of JSON.  test_canvas_messages.py does the same with Celery.
 */
#include "../wire/recipe.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

struct tool {
    struct recipes r;
    celery_app *app;
    struct cel_config *strict;
    struct cel_router *router;
};

static int uuids;

static void count_uuid(char id[37])
{
    snprintf(id, 37, "id-%d", ++uuids);
}

static double fixed_time(void)
{
    return RECIPE_NOW;
}

/* ---- output ---- */

static void print_text(struct cel_buf *out, const char *key, struct cel_slice text)
{
    cel_buf_addf(out, ", \"%s\": ", key);
    cel_json_write_string(out, text);
}

static void print_effects(struct cel_buf *out, const struct cel_effects *effects)
{
    static const char *const kinds[] = {"", "publish", "size", "save", "grow", "child"};
    struct cel_slice rest = cel_buf_slice(&effects->bytes);
    struct cel_effect e;

    cel_buf_adds(out, "[");
    for (size_t i = 0; cel_effects_next(&rest, &e, NULL); i++) {
        cel_buf_addf(out, "%s{\"kind\": \"%s\"", i ? ", " : "", kinds[e.kind]);
        print_text(out, "id", e.id);
        if (e.kind == CEL_EFFECT_CHORD_SIZE) {
            cel_buf_addf(out, ", \"number\": %lld", (long long)e.number);
        }
        if (e.json.len) {
            cel_buf_adds(out, ", \"json\": ");
            cel_buf_add_slice(out, e.json);
        }
        if (e.kind == CEL_EFFECT_PUBLISH) {
            print_text(out, "queue", e.queue);
            print_text(out, "exchange", e.exchange);
            print_text(out, "routing_key", e.routing_key);
        }
        cel_buf_adds(out, "}");
    }
    cel_buf_adds(out, "]");
}

static celery_status run(struct tool *t, const struct cel_node *recipe,
                         struct cel_buf *out)
{
    const struct cel_node *running = recipe_get(recipe, "running");
    struct cel_canvas c = {
        .app = t->app,
        .config =
            cel_node_truth(recipe_get(recipe, "strict")) ? t->strict : t->app->config,
        .router = t->router,
        .reply_to = CEL_SLICE("oid"),
        .origin = CEL_SLICE("gen1@here"),
        .running_id = cel_node_text(recipe_get(running, "id")),
        .running_root = cel_node_text(recipe_get(running, "root_id")),
        .backend_counts = cel_node_truth(recipe_get(recipe, "counts")),
        .uuid = count_uuid,
    };
    struct cel_effects effects = {0};
    struct cel_node *result = NULL, *frozen = NULL;
    struct cel_sig *sig = recipe_build(&t->r, recipe_get(recipe, "sig"));
    celery_status st = sig ? CELERY_OK : CELERY_EINVAL;

    if (st == CELERY_OK) {
        struct cel_buf doc = {0};
        cel_json_write(&doc, cel_canvas_doc(&t->r.a, sig));
        cel_buf_adds(out, "{\"doc\": ");
        cel_json_write_string(out, cel_buf_slice(&doc));
        cel_buf_fini(&doc);
    }
    if (st == CELERY_OK && recipe_get(recipe, "freeze")) {
        st = cel_sig_freeze(&c, &t->r.a, sig, &frozen, &t->r.err);
    }
    if (st == CELERY_OK) {
        st = cel_sig_apply(&c, &t->r.a, sig, recipe_get(recipe, "args"),
                           recipe_get(recipe, "kwargs"), recipe_get(recipe, "options"),
                           &effects, &result, &t->r.err);
    }
    if (st == CELERY_OK) {
        cel_buf_adds(out, ", \"result\": ");
        cel_json_write(out, result);
        cel_buf_adds(out, ", \"effects\": ");
        print_effects(out, &effects);
        if (frozen) {
            cel_buf_adds(out, ", \"frozen\": ");
            cel_json_write(out, frozen);
        }
        cel_buf_adds(out, "}");
    }
    cel_effects_fini(&effects);
    return st;
}

static void one_line(struct tool *t, struct cel_slice line)
{
    struct cel_buf out = {0};
    struct cel_node *recipe = NULL;

    uuids = 0;
    t->r.err = (celery_error){0};
    celery_status st = cel_json_parse(&t->r.a, line, NULL, &recipe, &t->r.err);
    if (st == CELERY_OK) {
        st = run(t, recipe, &out);
    }
    if (st < 0) {
        cel_buf_clear(&out);
        cel_buf_adds(&out, "{\"error\": ");
        cel_json_write_string(&out, cel_slice_of(t->r.err.message));
        cel_buf_adds(&out, "}");
    }
    puts(cel_buf_cstr(&out));
    cel_buf_fini(&out);
    cel_arena_fini(&t->r.a);
}

int main(void)
{
    struct tool t = {0};
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;

    t.app = recipe_app(&t.r.err);
    if (!t.app || cel_app_freeze(t.app, &t.r.err) < 0 ||
        cel_router_new(t.app->config, &t.router, &t.r.err) < 0) {
        fprintf(stderr, "canvas_tool: %s\n", t.r.err.message);
        return 1;
    }
    t.strict = cel_config_new();
    cel_config_set(t.strict, "task_allow_error_cb_on_chord_header", "true", CEL_FROM_API,
                   &t.r.err);
    cel_clock_set(&(struct cel_clock_ops){.wall = fixed_time, .mono = fixed_time});
    while ((len = getline(&line, &cap, stdin)) > 0) {
        one_line(&t, cel_slice(line, (size_t)len));
    }
    free(line);
    cel_router_free(t.router);
    cel_config_free(t.strict);
    celery_app_free(t.app);
    return 0;
}
