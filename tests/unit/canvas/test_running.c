/* SPDX-License-Identifier: BSD-3-Clause */
/* Task.replace() and Task.add_to_chord(): what they send, and what they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "canvas/running.h"
#include "message/envelope_json.h"
#include <stdio.h>

static struct cel_arena arena;
static struct cel_config *config;
static struct cel_router *router;
static struct cel_canvas canvas;
static struct cel_effects effects;
static struct cel_task_call request;
static celery_error err;

static int set_up(void **state)
{
    (void)state;
    cel_arena_init(&arena, 0);
    config = cel_config_new();
    assert_int_equal(cel_router_new(config, &router, NULL), CELERY_OK);
    canvas = (struct cel_canvas){.config = config,
                                 .router = router,
                                 .running_id = CEL_SLICE("own"),
                                 .running_root = CEL_SLICE("root"),
                                 .backend_counts = true};
    cel_task_call_init(&request);
    request.id = CEL_SLICE("own");
    request.root_id = CEL_SLICE("root");
    request.replaced_task_nesting = 1;
    effects = (struct cel_effects){0};
    memset(&err, 0, sizeof err);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cel_effects_fini(&effects);
    cel_router_free(router);
    cel_config_free(config);
    cel_arena_fini(&arena);
    return 0;
}

static struct cel_node *node(const char *json)
{
    struct cel_node *n = NULL;
    assert_int_equal(cel_json_parse(&arena, cel_slice_of(json), NULL, &n, NULL),
                     CELERY_OK);
    return n;
}

static struct cel_sig *task(const char *name)
{
    return cel_sig_task(&arena, cel_slice_of(name), NULL, NULL, NULL, false);
}

#define ADD                                                                         \
    "{\"task\": \"add\", \"args\": [], \"kwargs\": {}, \"options\": {\"task_id\": " \
    "\"next\"}, \"subtask_type\": null, \"immutable\": false}"

/* The kinds of the effects, and the headers of the first message. */
static const char *kinds(void)
{
    static char out[40];
    struct cel_slice rest = cel_buf_slice(&effects.bytes);
    struct cel_effect e;
    size_t n = 0;
    while (cel_effects_next(&rest, &e, NULL) && n < sizeof out - 1) {
        out[n++] = "?PSVGC"[e.kind];
    }
    out[n] = '\0';
    return out;
}

static struct cel_envelope *first_message(struct cel_task_call *ret_call)
{
    static const char *const accept[] = {"json", NULL};
    struct cel_call_limits limits = {.accept = accept};
    struct cel_slice rest = cel_buf_slice(&effects.bytes);
    struct cel_effect e;
    struct cel_envelope *env = NULL;
    while (cel_effects_next(&rest, &e, NULL) && e.kind != CEL_EFFECT_PUBLISH) {
    }
    assert_int_equal(cel_envelope_read(e.json, &env, NULL), CELERY_OK);
    assert_int_equal(cel_task_call_read(env, &limits, ret_call, NULL), CEL_CALL_OK);
    assert_int_equal(cel_task_call_body(&env->arena, env->body, env->content_type,
                                        CEL_SLICE_NULL, &limits, ret_call, NULL),
                     CEL_CALL_OK);
    return env;
}

static celery_status replace(struct cel_sig *sig)
{
    return cel_sig_replace(&canvas, &arena, &request, sig, &effects, &err);
}

static void test_a_task_keeps_its_place(void **state)
{
    (void)state;
    struct cel_task_call sent;
    request.embed =
        node("{\"callbacks\": [" ADD "], \"errbacks\": null, \"chain\": null, "
             "\"chord\": " ADD "}");
    request.group = CEL_SLICE("g");
    request.group_index = 3;
    assert_int_equal(replace(task("mul")), CELERY_OK);
    assert_string_equal(kinds(), "PC");
    struct cel_envelope *env = first_message(&sent);
    assert_true(cel_slice_is(sent.id, "own"));
    assert_true(cel_slice_is(sent.task, "mul"));
    assert_true(cel_slice_is(sent.root_id, "root"));
    assert_true(cel_slice_is(sent.group, "g"));
    assert_int_equal(sent.group_index, 3);
    assert_int_equal(sent.replaced_task_nesting, 2);
    assert_int_equal(cel_node_get(sent.embed, CEL_SLICE("callbacks"))->size, 1);
    assert_true(cel_node_truth(cel_node_get(sent.embed, CEL_SLICE("chord"))));
    cel_envelope_free(env);
}

static void test_the_rest_of_the_chain_follows(void **state)
{
    (void)state;
    struct cel_task_call sent;
    request.embed = node("{\"chain\": [" ADD "]}");
    assert_int_equal(replace(task("mul")), CELERY_OK);
    struct cel_envelope *env = first_message(&sent);
    const struct cel_node *chain = cel_node_get(sent.embed, CEL_SLICE("chain"));
    assert_int_equal(chain->size, 1);
    const struct cel_node *options =
        cel_node_get(cel_node_first(chain), CEL_SLICE("options"));
    assert_true(
        cel_slice_is(cel_node_text(cel_node_get(options, CEL_SLICE("task_id"))), "next"));
    assert_int_equal(
        cel_node_int(cel_node_get(options, CEL_SLICE("replaced_task_nesting")), 0), 2);
    cel_envelope_free(env);
}

static void test_a_group_gets_an_end(void **state)
{
    (void)state;
    struct cel_sig *parts[] = {task("a"), task("b")};
    assert_int_equal(replace(cel_sig_group(&arena, parts, 2)), CELERY_OK);
    assert_string_equal(kinds(), "PSPC");
    struct cel_task_call sent;
    struct cel_envelope *env = first_message(&sent);
    const struct cel_node *chord = cel_node_get(sent.embed, CEL_SLICE("chord"));
    assert_true(cel_slice_is(cel_node_text(cel_node_get(chord, CEL_SLICE("task"))),
                             "celery.accumulate"));
    cel_envelope_free(env);
}

static void test_what_cannot_replace(void **state)
{
    (void)state;
    struct cel_sig *sig = task("a");
    cel_sig_set_option(&arena, sig, "chord", node(ADD));
    assert_int_equal(replace(sig), CELERY_EINVAL);
    assert_string_equal(err.message,
                        "A signature replacing a task must not be part of a chord");
    assert_int_equal(replace(cel_sig_chain(&arena, NULL, 0)), CELERY_EINVAL);
    assert_int_equal(effects.n, 0);
}

static void test_a_request_that_carries_no_signatures(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "{\"callbacks\": [5]}",
        "{\"errbacks\": [{\"task\": 5}]}",
        "{\"chain\": [[]]}",
        "{\"chord\": \"x\"}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        request.embed = node(wrong[i]);
        assert_int_equal(replace(task("a")), CELERY_EMESSAGE);
        assert_int_equal(effects.n, 0);
        assert_int_equal(effects.bytes.len, 0);
    }
}

static void test_a_chord_is_told_before_it_grows(void **state)
{
    (void)state;
    struct cel_node *result = NULL;
    struct cel_task_call sent;
    request.group = CEL_SLICE("g");
    request.group_index = 1;
    request.embed = node("{\"chord\": " ADD "}");
    assert_int_equal(cel_sig_add_to_chord(&canvas, &arena, &request, task("a"), &effects,
                                          &result, &err),
                     CELERY_OK);
    assert_string_equal(kinds(), "GPC");
    struct cel_envelope *env = first_message(&sent);
    assert_true(cel_slice_is(sent.group, "g"));
    assert_true(cel_node_truth(cel_node_get(sent.embed, CEL_SLICE("chord"))));
    assert_true(cel_slice_eq(
        sent.id, cel_node_text(celery_value_at(celery_value_at(result, 0), 0))));
    cel_envelope_free(env);
}

static void test_no_chord_to_grow(void **state)
{
    (void)state;
    assert_int_equal(
        cel_sig_add_to_chord(&canvas, &arena, &request, task("a"), &effects, NULL, &err),
        CELERY_EINVAL);
    assert_string_equal(err.message, "Current task is not member of any chord");
    assert_int_equal(effects.n, 0);
}

static void test_no_memory_adds_nothing(void **state)
{
    for (unsigned long nth = 1; nth < 60; nth++) {
        tear_down(state);
        set_up(state);
        request.group = CEL_SLICE("g");
        request.embed = node("{\"callbacks\": [" ADD "], \"errbacks\": [" ADD
                             "], \"chain\": [" ADD "], \"chord\": " ADD "}");
        struct cel_sig *parts[] = {task("a"), task("b")};
        struct cel_sig *group = cel_sig_group(&arena, parts, 2), *more = task("c");
        cel_alloc_fail_at(nth, 1);
        celery_status st = replace(group);
        celery_status grown =
            cel_sig_add_to_chord(&canvas, &arena, &request, more, &effects, NULL, NULL);
        cel_alloc_fail_at(0, 0);
        assert_true(st == CELERY_OK || st == CELERY_ENOMEM || st == CELERY_ELIMIT);
        assert_true(grown == CELERY_OK || grown == CELERY_ENOMEM ||
                    grown == CELERY_ELIMIT);
        assert_int_equal(effects.n == 0, st < 0 && grown < 0);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_a_task_keeps_its_place),
        T(test_the_rest_of_the_chain_follows),
        T(test_a_group_gets_an_end),
        T(test_what_cannot_replace),
        T(test_a_request_that_carries_no_signatures),
        T(test_a_chord_is_told_before_it_grows),
        T(test_no_chord_to_grow),
        T(test_no_memory_adds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
