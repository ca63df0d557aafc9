/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of this folder share: an arena, settings, counted ids, JSON in and out. */
#ifndef TESTS_UNIT_CANVAS_FIXTURE_H
#define TESTS_UNIT_CANVAS_FIXTURE_H

#include "base/error.h"
#include "canvas/canvas.h"
#include "message/envelope_json.h"
#include "message/task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

struct fixture {
    struct cel_arena a;
    struct cel_config *config;
    struct cel_router *router;
    struct cel_canvas canvas;
    struct cel_effects effects;
    celery_error err;
};

static int uuids;

static void count_uuid(char id[37])
{
    snprintf(id, 37, "u%d", ++uuids);
}

static inline int set_up(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);

    uuids = 0;
    f->config = cel_config_new();
    assert_int_equal(cel_router_new(f->config, &f->router, &f->err), CELERY_OK);
    f->canvas = (struct cel_canvas){
        .config = f->config,
        .router = f->router,
        .reply_to = CEL_SLICE("oid"),
        .origin = CEL_SLICE("gen1@here"),
        .backend_counts = true,
        .uuid = count_uuid,
    };
    *state = f;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;

    cel_effects_fini(&f->effects);
    cel_router_free(f->router);
    cel_config_free(f->config);
    cel_arena_fini(&f->a);
    test_free(f);
    return 0;
}

static inline struct cel_node *json(struct fixture *f, const char *text)
{
    struct cel_node *n = NULL;

    if (cel_json_parse(&f->a, cel_slice_of(text), NULL, &n, &f->err) < 0) {
        fail_msg("%s: %s", text, f->err.message);
    }
    return n;
}

static inline const char *text_of(struct fixture *f, const struct cel_node *n)
{
    struct cel_buf out = {0};

    assert_int_equal(cel_json_write(&out, n), CELERY_OK);
    const char *text = cel_arena_strndup(&f->a, out.data, out.len);
    cel_buf_fini(&out);
    return text;
}

/* add(args), as JSON of the arguments. */
static inline struct cel_sig *task(struct fixture *f, const char *name, const char *args)
{
    return cel_sig_task(&f->a, cel_slice_of(name), json(f, args), NULL, NULL, false);
}

static inline const char *doc_of(struct fixture *f, const struct cel_sig *sig)
{
    assert_non_null(sig);
    return text_of(f, cel_canvas_doc(&f->a, sig));
}

/* The n-th effect; fails when there is none. */
static inline struct cel_effect effect_at(struct fixture *f, size_t n)
{
    struct cel_slice rest = cel_buf_slice(&f->effects.bytes);
    struct cel_effect e = {0};

    for (size_t i = 0; i <= n; i++) {
        assert_true(cel_effects_next(&rest, &e, NULL));
    }
    return e;
}

/* The message of the n-th effect as a call with its body. */
static inline struct cel_task_call call_at(struct fixture *f, size_t n)
{
    struct cel_effect e = effect_at(f, n);
    struct cel_task_call call;
    static const char *const accept[] = {"json", NULL};
    const struct cel_call_limits limits = {.accept = accept};
    struct cel_envelope *env = NULL;

    assert_int_equal(e.kind, CEL_EFFECT_PUBLISH);
    char *copy = cel_arena_strndup(&f->a, e.json.data, e.json.len);
    assert_int_equal(cel_envelope_read(cel_slice(copy, e.json.len), &env, &f->err),
                     CELERY_OK);
    assert_int_equal(cel_task_call_read(env, &limits, &call, &f->err), CEL_CALL_OK);
    char *body = cel_arena_strndup(&f->a, env->body.data, env->body.len);
    assert_int_equal(cel_task_call_body(&f->a, cel_slice(body, env->body.len),
                                        CEL_SLICE("application/json"), CEL_SLICE_NULL,
                                        &limits, &call, &f->err),
                     CEL_CALL_OK);
    struct cel_slice *texts[] = {&call.id,        &call.task,      &call.root_id,
                                 &call.parent_id, &call.group,     &call.shadow,
                                 &call.argsrepr,  &call.kwargsrepr};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        texts[i]->data = cel_arena_strndup(&f->a, texts[i]->data, texts[i]->len);
    }
    cel_envelope_free(env);
    return call;
}

static inline const char *apply(struct fixture *f, const struct cel_sig *sig)
{
    struct cel_node *result = NULL;

    assert_non_null(sig);
    if (cel_sig_apply(&f->canvas, &f->a, sig, NULL, NULL, NULL, &f->effects, &result,
                      &f->err) < 0) {
        fail_msg("%s", f->err.message);
    }
    return text_of(f, result);
}

#endif
