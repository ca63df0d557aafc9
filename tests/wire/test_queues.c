/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues, delays and ways as recorded from real Celery (record_queues.py). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "app/app.h"
#include "base/clock.h"
#include "base/iso8601.h"
#include "canvas/message.h"
#include "case.h"
#include "message/delayed.h"
#include "message/envelope_json.h"
#include "message/task.h"
#include <stdio.h>

static const char *root;

struct fixture {
    struct cel_arena a;
    struct cel_config *config;
    struct cel_router *router;
};

static struct fixture *set_up(const struct cel_node *settings)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    celery_error err = {0};
    f->config = cel_config_new();
    for (const struct cel_node *k = cel_node_first(settings), *v; k; k = v->next) {
        struct cel_buf text = {0};
        v = k->next;
        if (cel_node_is_string(v)) {
            cel_buf_add(&text, cel_node_text(v).data, cel_node_text(v).len);
        } else {
            assert_int_equal(cel_json_write(&text, v), CELERY_OK);
        }
        char *value = cel_arena_strndup(&f->a, text.data, text.len);
        char *name =
            cel_arena_strndup(&f->a, cel_node_text(k).data, cel_node_text(k).len);
        if (cel_config_set(f->config, name, value, CEL_FROM_API, &err) < 0) {
            fail_msg("%s", err.message);
        }
        cel_buf_fini(&text);
    }
    if (cel_router_new(f->config, &f->router, &err) < 0) {
        fail_msg("%s", err.message);
    }
    return f;
}

static void tear_down(struct fixture *f)
{
    cel_router_free(f->router);
    cel_config_free(f->config);
    cel_arena_fini(&f->a);
    test_free(f);
}

/* ---- steps, in the form of the recordings ---- */

static struct cel_node *object(struct cel_arena *a)
{
    return cel_node_new(a, CELERY_KIND_OBJECT);
}

static void put(struct cel_arena *a, struct cel_node *map, const char *key,
                struct cel_node *value)
{
    assert_int_equal(cel_node_put(a, map, cel_slice_of(key), value), CELERY_OK);
}

static void put_text(struct cel_arena *a, struct cel_node *map, const char *key,
                     const char *value)
{
    put(a, map, key, cel_node_new_string(a, cel_slice_of(value)));
}

static void put_bool(struct cel_arena *a, struct cel_node *map, const char *key,
                     bool value)
{
    put(a, map, key, cel_node_new_bool(a, value));
}

static struct cel_node *doc_of(struct cel_arena *a, const struct cel_queue_step *s)
{
    static const char *const kinds[] = {"exchange", "queue", "bind queue",
                                        "bind exchange"};
    struct cel_node *map = object(a);
    put_text(a, map, "kind", kinds[s->kind]);
    put_text(a, map, "name", s->name);
    if (s->kind == CEL_DECLARE_EXCHANGE) {
        put_text(a, map, "type", s->type);
    }
    if (s->kind == CEL_DECLARE_EXCHANGE || s->kind == CEL_DECLARE_QUEUE) {
        put_bool(a, map, "durable", s->durable);
        if (s->kind == CEL_DECLARE_QUEUE) {
            put_bool(a, map, "exclusive", s->exclusive);
        }
        put_bool(a, map, "auto_delete", s->auto_delete);
        put_bool(a, map, "passive", s->passive);
    } else {
        put_text(a, map, "source", s->source);
        put_text(a, map, "routing_key", s->routing_key);
    }
    put(a, map, "arguments", s->arguments ? cel_node_copy(a, s->arguments) : object(a));
    return map;
}

/* Byte for byte: also the order of arguments, and which numbers are integers. */
static void same(struct cel_arena *a, const struct cel_node *want,
                 const struct cel_queue_step *got, const char *name)
{
    struct cel_buf text[2] = {{0}};
    assert_int_equal(cel_json_write(&text[0], want), CELERY_OK);
    assert_int_equal(cel_json_write(&text[1], doc_of(a, got)), CELERY_OK);
    if (text[0].len != text[1].len || memcmp(text[0].data, text[1].data, text[0].len)) {
        fail_msg("%s:\nexpected %.*s\ngot      %.*s", name, (int)text[0].len,
                 text[0].data, (int)text[1].len, text[1].data);
    }
    cel_buf_fini(&text[0]);
    cel_buf_fini(&text[1]);
}

static void same_steps(struct cel_arena *a, const struct cel_node *calls,
                       const struct cel_queue_step *steps, size_t n, const char *name)
{
    size_t i = 0;
    assert_int_equal(calls->size, n);
    for (const struct cel_node *c = cel_node_first(calls); c; c = c->next, i++) {
        same(a, c, &steps[i], name);
    }
}

/* ---- declared.json ---- */

static void same_queue(struct cel_arena *a, const struct cel_node *want,
                       const struct cel_queue *q)
{
    struct cel_queue_step step;
    size_t i = 0;
    const struct cel_node *consumer = case_get(want, "consumer_arguments");
    assert_true(cel_slice_is(cel_node_text(case_get(want, "name")), q->name));
    for (const struct cel_node *c = cel_node_first(case_get(want, "calls")); c;
         c = c->next, i++) {
        if (!cel_queue_step(q, i, &step)) {
            fail_msg("%s: %zu steps are not enough", q->name, i);
        }
        same(a, c, &step, q->name);
    }
    assert_false(cel_queue_step(q, i, &step));
    assert_int_equal(cel_node_int(case_get(want, "delivery_mode"), 0), q->delivery_mode);
    assert_true(cel_node_is_null(consumer)
                    ? !q->consumer_arguments
                    : cel_node_equal(consumer, q->consumer_arguments));
}

static void select_queues(struct fixture *f, const struct cel_node *names, bool direct)
{
    const char *chosen[16] = {0};
    size_t n = 0;
    celery_error err = {0};
    for (const struct cel_node *c = cel_node_first(names); c; c = c->next) {
        chosen[n++] =
            cel_arena_strndup(&f->a, cel_node_text(c).data, cel_node_text(c).len);
    }
    if (cel_router_select(f->router, n ? chosen : NULL, NULL, &err) < 0 ||
        (direct && cel_router_add_direct(f->router, "w1@host", &err) < 0)) {
        fail_msg("%s", err.message);
    }
}

static void test_declared(void **state)
{
    struct cel_arena a = {0};
    const struct cel_node *cases = case_json(&a, root, "declared.json");
    (void)state;
    assert_true(cases->size > 10);
    for (const struct cel_node *c = cel_node_first(cases); c; c = c->next) {
        const struct cel_node *settings = case_get(c, "settings");
        const struct cel_node *queues = case_get(c, "queues");
        struct fixture *f = set_up(settings);
        size_t i = 0;
        print_message("%.*s\n", (int)cel_node_text(case_get(c, "name")).len,
                      cel_node_text(case_get(c, "name")).data);
        select_queues(f, case_get(c, "select"),
                      cel_node_truth(case_get(settings, "worker_direct")));
        assert_int_equal(cel_router_count(f->router), queues->size);
        for (const struct cel_node *q = cel_node_first(queues); q; q = q->next, i++) {
            same_queue(&f->a, q, cel_router_at(f->router, i));
        }
        tear_down(f);
    }
    cel_arena_fini(&a);
}

/* ---- delayed.json ---- */

static void test_levels(void **state)
{
    struct cel_arena a = {0};
    const struct cel_node *levels =
        case_get(case_json(&a, root, "delayed.json"), "levels");
    (void)state;
    for (const struct cel_node *k = cel_node_first(levels); k; k = k->next->next) {
        struct cel_queue_step *steps;
        size_t n;
        celery_error err = {0};
        char *type = cel_arena_strndup(&a, cel_node_text(k).data, cel_node_text(k).len);
        assert_int_equal(cel_delayed_steps(&a, type, &steps, &n, &err), CELERY_OK);
        same_steps(&a, k->next, steps, n, type);
    }
    cel_arena_fini(&a);
}

static void test_bound(void **state)
{
    struct cel_arena a = {0};
    const struct cel_node *cases = case_get(case_json(&a, root, "delayed.json"), "bound");
    (void)state;
    for (const struct cel_node *c = cel_node_first(cases); c; c = c->next) {
        struct cel_node *settings = object(&a),
                        *list = cel_node_new(&a, CELERY_KIND_ARRAY);
        cel_node_append(list, cel_node_copy(&a, case_get(c, "queue")));
        put(&a, settings, "task_queues", list);
        struct fixture *f = set_up(settings);
        struct cel_queue_step *steps;
        size_t n;
        const char *direct;
        celery_error err = {0};
        assert_int_equal(cel_delayed_bind_steps(&f->a, cel_router_at(f->router, 0),
                                                &steps, &n, &direct, &err),
                         CELERY_OK);
        same_steps(&f->a, case_get(c, "calls"), steps, n, "bound");
        const struct cel_node *warnings = case_get(c, "warnings");
        assert_int_equal(warnings->size, direct ? 1 : 0);
        if (direct) {
            char text[300];
            cel_delayed_direct_text(direct, text, sizeof text);
            assert_true(cel_slice_is(cel_node_text(warnings->first), text));
        }
        tear_down(f);
    }
    cel_arena_fini(&a);
}

static void test_keys(void **state)
{
    struct cel_arena a = {0};
    const struct cel_node *cases = case_get(case_json(&a, root, "delayed.json"), "keys");
    (void)state;
    for (const struct cel_node *c = cel_node_first(cases); c; c = c->next) {
        char *key = NULL;
        celery_error err = {0};
        assert_int_equal(cel_delayed_key(&a, cel_node_double(case_get(c, "countdown"), 0),
                                         cel_node_text(case_get(c, "key")), &key, &err),
                         CELERY_OK);
        assert_true(cel_slice_is(cel_node_text(case_get(c, "delayed")), key));
    }
    cel_arena_fini(&a);
}

/* ---- sent.json ---- */

/* "eta" is so many seconds from now. */
static struct cel_node *options_of(struct cel_arena *a, const struct cel_node *given)
{
    struct cel_node *options = cel_node_copy(a, given);
    const struct cel_node *eta = cel_node_get(given, CEL_SLICE("eta"));
    if (eta) {
        char text[CEL_ISO8601_SIZE];
        int64_t us = cel_clock_wall_us() + (int64_t)(cel_node_double(eta, 0) * 1e6);
        size_t len = cel_iso8601_format(us, CEL_ISO_OFFSET, text);
        put(a, options, "eta", cel_node_new_string(a, cel_slice(text, len)));
    }
    return options;
}

static void same_way(struct fixture *f, const struct cel_node *want,
                     const struct cel_message *got)
{
    const struct cel_node *key = case_get(want, "routing_key");
    assert_true(cel_slice_is(cel_node_text(case_get(want, "exchange")), got->exchange));
    if (!cel_slice_is(cel_node_text(key), got->routing_key)) {
        fail_msg("routing key %s", got->routing_key);
    }
    assert_int_equal(cel_node_int(case_get(want, "delivery_mode"), 0),
                     got->envelope->delivery_mode);
    const struct cel_node *eta = cel_node_get(got->envelope->headers, CEL_SLICE("eta"));
    assert_int_equal(cel_node_truth(case_get(want, "eta")), !cel_node_is_null(eta));
    (void)f;
}

static void test_sent(void **state)
{
    struct cel_arena a = {0};
    const struct cel_node *cases = case_json(&a, root, "sent.json");
    (void)state;
    assert_true(cases->size > 10);
    for (const struct cel_node *c = cel_node_first(cases); c; c = c->next) {
        struct fixture *f = set_up(case_get(c, "settings"));
        struct cel_canvas canvas = {.config = f->config, .router = f->router};
        struct cel_message m = {0};
        celery_error err = {0};
        print_message("%.*s\n", (int)cel_node_text(case_get(c, "name")).len,
                      cel_node_text(case_get(c, "name")).data);
        if (cel_message_make(&canvas, &f->a, CEL_SLICE("t"), NULL, NULL,
                             options_of(&f->a, case_get(c, "options")), &m, &err) < 0) {
            fail_msg("%s", err.message);
        }
        same_way(f, c, &m);
        cel_envelope_free(m.envelope);
        tear_down(f);
    }
    cel_arena_fini(&a);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_declared), cmocka_unit_test(test_levels),
        cmocka_unit_test(test_bound),    cmocka_unit_test(test_keys),
        cmocka_unit_test(test_sent),
    };
    root = argc > 1 ? argv[1] : "queues";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
