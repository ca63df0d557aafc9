/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * canvas_tool: reads one recipe of a canvas a line, builds and applies it, and prints what
 * would be sent as one line of JSON.  test_canvas_messages.py does the same with Celery.
 *
 * A recipe: {"sig": R, "args", "kwargs", "options", "freeze", "counts", "running", "strict"};
 * strict: applied with task_allow_error_cb_on_chord_header.
 * R: {"op": "task" | "chain" | "group" | "chord" | "map" | "json", ..., then what is done to
 * it: "set", "immutable", "link", "link_error", "stamp", "clone"}.
 */
#include "base/clock.h"
#include "canvas/canvas.h"

#include <celery/task.h>
#include <stdio.h>
#include <stdlib.h>

struct tool {
    struct cel_arena a;
    celery_app *app;
    struct cel_config *strict;
    struct cel_router *router;
    celery_error err;
};

static int uuids;

static void count_uuid(char id[37])
{
    snprintf(id, 37, "id-%d", ++uuids);
}

/* 2026-11-22 12:00:00 UTC */
static double fixed_time(void)
{
    return 1795348800.0;
}

static const struct cel_node *get(const struct cel_node *object, const char *key)
{
    const struct cel_node *n = cel_node_get(object, cel_slice_of(key));
    return cel_node_is_null(n) ? NULL : n;
}

static struct cel_node *taken(struct tool *t, const struct cel_node *n)
{
    return n ? cel_node_copy(&t->a, n) : NULL;
}

static struct cel_sig *build(struct tool *t, const struct cel_node *r);

static struct cel_sig **build_all(struct tool *t, const struct cel_node *list)
{
    struct cel_sig **all = cel_arena_alloc(&t->a, (list->size + 1) * sizeof *all);
    size_t n = 0;

    for (const struct cel_node *r = cel_node_first(list); r; r = r->next) {
        all[n++] = build(t, r);
    }
    return all;
}

static struct cel_sig *build_json(struct tool *t, const struct cel_node *r)
{
    struct cel_sig *sig = build(t, get(r, "sig"));
    struct cel_node *doc = sig ? cel_canvas_doc(&t->a, sig) : NULL;
    struct cel_sig *read = NULL;

    return doc && cel_canvas_read(&t->a, doc, "sig", &read, &t->err) == CELERY_OK ? read
                                                                                  : NULL;
}

static struct cel_sig *build_plain(struct tool *t, const struct cel_node *r)
{
    struct cel_slice op = cel_node_text(get(r, "op"));
    const struct cel_node *tasks = get(r, "tasks");

    if (cel_slice_is(op, "task")) {
        return cel_sig_task(&t->a, cel_node_text(get(r, "task")),
                            taken(t, get(r, "args")), taken(t, get(r, "kwargs")),
                            taken(t, get(r, "options")), false);
    }
    if (cel_slice_is(op, "chain")) {
        return cel_sig_chain(&t->a, build_all(t, tasks), tasks->size);
    }
    if (cel_slice_is(op, "group")) {
        return cel_sig_group(&t->a, build_all(t, tasks), tasks->size);
    }
    if (cel_slice_is(op, "chord")) {
        struct cel_sig *header =
            cel_sig_group(&t->a, build_all(t, get(r, "header")), get(r, "header")->size);
        return cel_sig_chord(&t->a, header, build(t, get(r, "body")));
    }
    if (cel_slice_is(op, "map")) {
        return cel_sig_map(&t->a, build(t, get(r, "sig")), taken(t, get(r, "it")),
                           cel_node_truth(get(r, "star")), cel_node_int(get(r, "n"), 0));
    }
    return build_json(t, r);
}

static void set_options(struct tool *t, struct cel_sig *sig, const struct cel_node *set)
{
    for (const struct cel_node *k = cel_node_first(set); k; k = k->next->next) {
        char *name = cel_arena_strndup(&t->a, k->text, k->size);
        cel_sig_set_option(&t->a, sig, name, taken(t, k->next));
    }
}

static celery_status add_links(struct tool *t, struct cel_sig *sig,
                               const struct cel_node *r)
{
    celery_status st = CELERY_OK;
    const struct cel_node *n;

    for (n = cel_node_first(get(r, "link")); n && st == CELERY_OK; n = n->next) {
        st = cel_sig_link(&t->a, sig, build(t, n));
    }
    for (n = cel_node_first(get(r, "link_error")); n && st == CELERY_OK; n = n->next) {
        st = cel_sig_link_error(&t->a, sig, build(t, n));
    }
    return st;
}

static struct cel_sig *build(struct tool *t, const struct cel_node *r)
{
    struct cel_sig *sig = build_plain(t, r);
    const struct cel_node *clone = get(r, "clone");

    if (!sig) {
        return NULL;
    }
    set_options(t, sig, get(r, "set"));
    if (get(r, "immutable")) {
        cel_sig_set_immutable(sig, cel_node_truth(get(r, "immutable")));
    }
    if (add_links(t, sig, r) < 0) {
        return NULL;
    }
    if (cel_node_truth(get(r, "stamp")) &&
        cel_sig_stamp(&t->a, sig, taken(t, get(r, "stamp"))) < 0) {
        return NULL;
    }
    return cel_node_truth(clone)
               ? cel_sig_clone(&t->a, sig, get(clone, "args"), get(clone, "kwargs"))
               : sig;
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
    const struct cel_node *running = get(recipe, "running");
    struct cel_canvas c = {
        .app = t->app,
        .config = cel_node_truth(get(recipe, "strict")) ? t->strict : t->app->config,
        .router = t->router,
        .reply_to = CEL_SLICE("oid"),
        .origin = CEL_SLICE("gen1@here"),
        .running_id = cel_node_text(get(running, "id")),
        .running_root = cel_node_text(get(running, "root_id")),
        .backend_counts = cel_node_truth(get(recipe, "counts")),
        .uuid = count_uuid,
    };
    struct cel_effects effects = {0};
    struct cel_node *result = NULL, *frozen = NULL;
    struct cel_sig *sig = build(t, get(recipe, "sig"));
    celery_status st = sig ? CELERY_OK : CELERY_EINVAL;

    if (st == CELERY_OK) {
        struct cel_buf doc = {0};
        cel_json_write(&doc, cel_canvas_doc(&t->a, sig));
        cel_buf_adds(out, "{\"doc\": ");
        cel_json_write_string(out, cel_buf_slice(&doc));
        cel_buf_fini(&doc);
    }
    if (st == CELERY_OK && get(recipe, "freeze")) {
        st = cel_sig_freeze(&c, &t->a, sig, &frozen, &t->err);
    }
    if (st == CELERY_OK) {
        st = cel_sig_apply(&c, &t->a, sig, get(recipe, "args"), get(recipe, "kwargs"),
                           get(recipe, "options"), &effects, &result, &t->err);
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
    t->err = (celery_error){0};
    celery_status st = cel_json_parse(&t->a, line, NULL, &recipe, &t->err);
    if (st == CELERY_OK) {
        st = run(t, recipe, &out);
    }
    if (st < 0) {
        cel_buf_clear(&out);
        cel_buf_adds(&out, "{\"error\": ");
        cel_json_write_string(&out, cel_slice_of(t->err.message));
        cel_buf_adds(&out, "}");
    }
    puts(cel_buf_cstr(&out));
    cel_buf_fini(&out);
    cel_arena_fini(&t->a);
}

static celery_outcome nothing(celery_task *task)
{
    return CELERY_SUCCEEDED;
}

/* As test_canvas_messages.py registers them. */
static celery_app *make_app(celery_error *err)
{
    static const char *const builtin[] = {"celery.map", "celery.starmap", "celery.chunks",
                                          "celery.chord_unlock"};
    celery_app *app = celery_app_new("canvas");

    for (size_t i = 0; i < sizeof builtin / sizeof builtin[0]; i++) {
        celery_app_task(app, builtin[i], nothing);
    }
    celery_app_task(app, "known", nothing);
    celery_app_task_set(app, "known", "queue", "known-queue", err);
    celery_app_task_set(app, "known", "priority", "3", err);
    celery_app_task_set(app, "known", "time_limit", "30", err);
    celery_app_set(
        app, "task_routes",
        "{\"routed.*\": {\"queue\": \"routed-queue\"}, \"add\": \"add-queue\"}", err);
    return err->status < 0 ? NULL : app;
}

int main(void)
{
    struct tool t = {0};
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;

    t.app = make_app(&t.err);
    if (!t.app || cel_app_freeze(t.app, &t.err) < 0 ||
        cel_router_new(t.app->config, &t.router, &t.err) < 0) {
        fprintf(stderr, "canvas_tool: %s\n", t.err.message);
        return 1;
    }
    t.strict = cel_config_new();
    cel_config_set(t.strict, "task_allow_error_cb_on_chord_header", "true", CEL_FROM_API,
                   &t.err);
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
