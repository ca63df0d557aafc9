/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Canvases built from recipes, which test_canvas_messages.py builds with Celery.
 *
 * A recipe: {"sig": R, "args", "kwargs", "options", "freeze", "counts", "running", "strict"};
 * strict: applied with task_allow_error_cb_on_chord_header.
 * R: {"op": "task" | "chain" | "group" | "chord" | "map" | "json", ..., then what is done to
 * it: "set", "immutable", "link", "link_error", "stamp", "clone"}.
 */
#ifndef TESTS_WIRE_RECIPE_H
#define TESTS_WIRE_RECIPE_H

#include "canvas/canvas.h"

#include <celery/task.h>

struct recipes {
    struct cel_arena a;
    celery_error err;
};

/* 2026-11-22 12:00:00 UTC, when everything happens. */
#define RECIPE_NOW 1795348800.0

/* A member; NULL when absent or null. */
const struct cel_node *recipe_get(const struct cel_node *object, const char *key);

/* What R says, in the arena; NULL: it cannot be built. */
struct cel_sig *recipe_build(struct recipes *t, const struct cel_node *r);

/* With the tasks that test_canvas_messages.py registers, and its routes; not frozen. */
celery_app *recipe_app(celery_error *err);

#endif
