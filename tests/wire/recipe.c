/* SPDX-License-Identifier: BSD-3-Clause */
#include "recipe.h"

const struct cel_node *recipe_get(const struct cel_node *object, const char *key)
{
    const struct cel_node *n = cel_node_get(object, cel_slice_of(key));
    return cel_node_is_null(n) ? NULL : n;
}

static struct cel_node *taken(struct recipes *t, const struct cel_node *n)
{
    return n ? cel_node_copy(&t->a, n) : NULL;
}

static struct cel_sig **build_all(struct recipes *t, const struct cel_node *list)
{
    struct cel_sig **all = cel_arena_alloc(&t->a, (list->size + 1) * sizeof *all);
    size_t n = 0;

    for (const struct cel_node *r = cel_node_first(list); r; r = r->next) {
        all[n++] = recipe_build(t, r);
    }
    return all;
}

static struct cel_sig *build_json(struct recipes *t, const struct cel_node *r)
{
    struct cel_sig *sig = recipe_build(t, recipe_get(r, "sig"));
    struct cel_node *doc = sig ? cel_canvas_doc(&t->a, sig) : NULL;
    struct cel_sig *read = NULL;

    return doc && cel_canvas_read(&t->a, doc, "sig", &read, &t->err) == CELERY_OK ? read
                                                                                  : NULL;
}

static struct cel_sig *build_plain(struct recipes *t, const struct cel_node *r)
{
    struct cel_slice op = cel_node_text(recipe_get(r, "op"));
    const struct cel_node *tasks = recipe_get(r, "tasks");

    if (cel_slice_is(op, "task")) {
        return cel_sig_task(
            &t->a, cel_node_text(recipe_get(r, "task")), taken(t, recipe_get(r, "args")),
            taken(t, recipe_get(r, "kwargs")), taken(t, recipe_get(r, "options")), false);
    }
    if (cel_slice_is(op, "chain")) {
        return cel_sig_chain(&t->a, build_all(t, tasks), tasks->size);
    }
    if (cel_slice_is(op, "group")) {
        return cel_sig_group(&t->a, build_all(t, tasks), tasks->size);
    }
    if (cel_slice_is(op, "chord")) {
        struct cel_sig *header = cel_sig_group(
            &t->a, build_all(t, recipe_get(r, "header")), recipe_get(r, "header")->size);
        return cel_sig_chord(&t->a, header, recipe_build(t, recipe_get(r, "body")));
    }
    if (cel_slice_is(op, "map")) {
        return cel_sig_map(
            &t->a, recipe_build(t, recipe_get(r, "sig")), taken(t, recipe_get(r, "it")),
            cel_node_truth(recipe_get(r, "star")), cel_node_int(recipe_get(r, "n"), 0));
    }
    return build_json(t, r);
}

static void set_options(struct recipes *t, struct cel_sig *sig,
                        const struct cel_node *set)
{
    for (const struct cel_node *k = cel_node_first(set); k; k = k->next->next) {
        char *name = cel_arena_strndup(&t->a, k->text, k->size);
        cel_sig_set_option(&t->a, sig, name, taken(t, k->next));
    }
}

static celery_status add_links(struct recipes *t, struct cel_sig *sig,
                               const struct cel_node *r)
{
    celery_status st = CELERY_OK;
    const struct cel_node *n;

    for (n = cel_node_first(recipe_get(r, "link")); n && st == CELERY_OK; n = n->next) {
        st = cel_sig_link(&t->a, sig, recipe_build(t, n));
    }
    for (n = cel_node_first(recipe_get(r, "link_error")); n && st == CELERY_OK;
         n = n->next) {
        st = cel_sig_link_error(&t->a, sig, recipe_build(t, n));
    }
    return st;
}

struct cel_sig *recipe_build(struct recipes *t, const struct cel_node *r)
{
    struct cel_sig *sig = build_plain(t, r);
    const struct cel_node *clone = recipe_get(r, "clone");

    if (!sig) {
        return NULL;
    }
    set_options(t, sig, recipe_get(r, "set"));
    if (recipe_get(r, "immutable")) {
        cel_sig_set_immutable(sig, cel_node_truth(recipe_get(r, "immutable")));
    }
    if (add_links(t, sig, r) < 0) {
        return NULL;
    }
    if (cel_node_truth(recipe_get(r, "stamp")) &&
        cel_sig_stamp(&t->a, sig, taken(t, recipe_get(r, "stamp"))) < 0) {
        return NULL;
    }
    return cel_node_truth(clone) ? cel_sig_clone(&t->a, sig, recipe_get(clone, "args"),
                                                 recipe_get(clone, "kwargs"))
                                 : sig;
}

static celery_outcome nothing(celery_task *task)
{
    return CELERY_SUCCEEDED;
}

celery_app *recipe_app(celery_error *err)
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
