/* SPDX-License-Identifier: BSD-3-Clause */
/* A chain that is passed on as text gives the messages that a parsed one gives. */
#include "app/app.h"
#include "canvas/chain_text.h"
#include "canvas/continue.h"
#include "canvas/running.h"
#include "codec/json_raw.h"
#include "fixture.h"

#define STEP(args, options)                                                            \
    "{\"task\": \"t.add\", \"args\": " args ", \"kwargs\": {}, \"options\": {" options \
    "}, \"subtask_type\": null, \"immutable\": false}"
#define ID "\"task_id\": \"5e9a1d3c-8a37-4b55-9c5a-3b8c7e0f2a11\", \"reply_to\": \"r\""
#define GROUP                                                                               \
    "{\"task\": \"celery.group\", \"args\": [], \"kwargs\": {\"tasks\": []}, \"options\": " \
    "{}, \"subtask_type\": \"group\", \"immutable\": false}"

enum { STEPS = 30 };

static const char *const accept_json[] = {"json", NULL};
static const struct cel_call_limits limits = {.accept = accept_json};

/* A body whose chain has STEPS plain steps, and an odd one at a place. */
static struct cel_slice body_with(struct fixture *f, const char *odd, int place)
{
    struct cel_buf out = {0};

    cel_buf_adds(&out, "[[1], {\"k\": \"v\"}, {\"callbacks\": null, \"errbacks\": null, "
                       "\"chain\": [");
    for (int i = 0; i < STEPS; i++) {
        cel_buf_adds(&out, i ? ", " : "");
        cel_buf_adds(&out, i == place ? odd : STEP("[{\"x\": [1, \"\\u00e9\"]}]", ID));
    }
    cel_buf_adds(&out, "], \"chord\": null}]");
    char *copy = cel_arena_strndup(&f->a, out.data, out.len);
    struct cel_slice body = cel_slice(copy, out.len);
    cel_buf_fini(&out);
    return body;
}

static struct cel_task_call read_with(
    struct fixture *f, struct cel_slice body,
    enum cel_call_fault (*read)(struct cel_arena *, struct cel_slice, struct cel_slice,
                                struct cel_slice, const struct cel_call_limits *,
                                struct cel_task_call *, celery_error *))
{
    struct cel_task_call call;

    cel_task_call_init(&call);
    call.id = CEL_SLICE("me");
    call.task = CEL_SLICE("t");
    assert_int_equal(read(&f->a, body, CEL_SLICE("application/json"), CEL_SLICE_NULL,
                          &limits, &call, &f->err),
                     CEL_CALL_OK);
    return call;
}

/* As the first chain that comes. */
static enum cel_call_fault read_text(struct cel_arena *a, struct cel_slice body,
                                     struct cel_slice content_type,
                                     struct cel_slice compression,
                                     const struct cel_call_limits *l,
                                     struct cel_task_call *call, celery_error *err)
{
    struct cel_chain_seen seen = {0};
    enum cel_call_fault fault =
        cel_chain_text_body(&seen, a, body, content_type, compression, l, call, err);

    cel_chain_seen_fini(&seen);
    return fault;
}

static bool is_text(const struct cel_task_call *call)
{
    return cel_node_get(call->embed, CEL_SLICE("chain"))->kind == CEL_KIND_RAW;
}

/* The messages that a task's success sends, but for the tag that is drawn for each. */
static const char *sent(struct fixture *f, const struct cel_task_call *call)
{
    struct cel_buf out = {0};
    struct cel_slice rest;
    struct cel_effect e;

    uuids = 0;
    cel_effects_clear(&f->effects);
    assert_int_equal(cel_continue_success(&f->canvas, &f->a, call, json(f, "7"), -1,
                                          &f->effects, &f->err),
                     CELERY_OK);
    rest = cel_buf_slice(&f->effects.bytes);
    while (cel_effects_next(&rest, &e, NULL)) {
        const char *tag = memmem(e.json.data, e.json.len, "\"delivery_tag\"", 14);

        cel_buf_add(&out, e.json.data, tag ? (size_t)(tag - e.json.data) : e.json.len);
        cel_buf_addc(&out, '\n');
    }
    const char *text = cel_arena_strndup(&f->a, out.data, out.len);
    cel_buf_fini(&out);
    return text;
}

static void test_text_and_nodes_send_the_same(void **state)
{
    struct fixture *f = *state;
    static const char *const lasts[] = {
        STEP("[]", ID),
        STEP("[2, {\"y\": \"\\ud83d\\ude00\"}]", "\"queue\": \"other\""),
    };

    for (size_t i = 0; i < sizeof lasts / sizeof *lasts; i++) {
        struct cel_slice body = body_with(f, lasts[i], STEPS - 1);
        struct cel_task_call text = read_with(f, body, read_text);
        struct cel_task_call nodes = read_with(f, body, cel_task_call_body);

        assert_true(is_text(&text));
        assert_false(is_text(&nodes));
        assert_true(cel_continue_needed(&text));
        assert_string_equal(text_of(f, text.embed), text_of(f, nodes.embed));
        assert_string_equal(text_of(f, text.args), "[1]");
        assert_string_equal(text_of(f, text.kwargs), "{\"k\": \"v\"}");
        assert_string_equal(sent(f, &text), sent(f, &nodes));
        assert_non_null(strstr(sent(f, &text), "\"body\""));
    }
}

static void test_the_text_gets_shorter_until_nothing_is_left(void **state)
{
    struct fixture *f = *state;
    struct cel_slice body = body_with(f, STEP("[]", ID), STEPS - 1);
    struct cel_task_call call = read_with(f, body, read_text);

    for (uint32_t left = STEPS; left > 0; left--) {
        const struct cel_node *whole = cel_json_whole(&f->a, call.embed, &f->err);

        assert_int_equal(cel_node_get(whole, CEL_SLICE("chain"))->size, left);
        (void)sent(f, &call);
        call = call_at(f, 0);
    }
    assert_false(cel_continue_needed(&call));
}

static void test_what_is_not_plain_is_parsed(void **state)
{
    struct fixture *f = *state;
    static const char *const odd[] = {
        GROUP,
        STEP("[1.0]", ID),
        STEP("[]", "\"countdown\": 1"),
        STEP("[]", "\"queue\": null"),
        STEP("[]", "\"link\": []"),
        STEP("[{\"__type__\": \"bytes\", \"__value__\": \"x\"}]", ID),
        STEP("[1,2]", ID),
        STEP("[{\"a\": 1, \"a\": 2}]", ID),
        STEP("[]", ID ", " ID),
        "{\"task\": \"\", \"args\": [\"\"]}",
        "{\"task\": \"t\", \"args\": {}}",
        "{\"task\": \"t\", \"task\": \"t\"}",
        "{\"args\": []}",
        "{\"task\": \"t\", \"subtask_type\": \"\"}",
        "{}",
        "5",
    };

    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        for (int place = 0; place < STEPS; place += STEPS - 1) {
            struct cel_slice body = body_with(f, odd[i], place);
            struct cel_task_call call = read_with(f, body, read_text);
            struct cel_task_call nodes = read_with(f, body, cel_task_call_body);

            if (is_text(&call)) {
                fail_msg("passed on: %s", odd[i]);
            }
            assert_string_equal(text_of(f, call.embed), text_of(f, nodes.embed));
        }
    }
}

static void test_the_faults_of_the_rest_stay(void **state)
{
    struct fixture *f = *state;
    struct cel_slice body = body_with(f, STEP("[]", ID), 0);
    struct cel_task_call call;
    char *text = (char *)body.data;

    for (size_t i = 0; i < 3; i++) {
        static const struct {
            size_t at;
            char c;
        } wrong[] = {{1, '{'}, {4, ';'}, {0, ' '}};
        char was = text[wrong[i].at];

        cel_task_call_init(&call);
        text[wrong[i].at] = wrong[i].c;
        assert_int_not_equal(read_text(&f->a, body, CEL_SLICE("application/json"),
                                       CEL_SLICE_NULL, &limits, &call, &f->err),
                             CEL_CALL_OK);
        text[wrong[i].at] = was;
    }
    const struct cel_call_limits few = {.accept = accept_json, .json = {.elements = 20}};

    cel_task_call_init(&call);
    assert_int_equal(read_text(&f->a, body, CEL_SLICE("application/json"), CEL_SLICE_NULL,
                               &few, &call, &f->err),
                     CEL_CALL_DECODE);
}

/* The body with so many bytes of the chain's text, which end a step or do not. */
static struct cel_slice cut_at(struct fixture *f, struct cel_slice body, const char *end)
{
    static const char behind[] = "], \"chord\": null}]";
    struct cel_buf out = {0};

    cel_buf_add(&out, body.data, (size_t)(end - body.data));
    cel_buf_adds(&out, behind);
    char *copy = cel_arena_strndup(&f->a, out.data, out.len);
    struct cel_slice cut = cel_slice(copy, out.len);
    cel_buf_fini(&out);
    return cut;
}

static void test_a_known_chain_is_read_as_a_new_one(void **state)
{
    struct fixture *f = *state;
    struct cel_chain_seen seen = {0};
    struct cel_slice body = body_with(f, STEP("[3]", ID), STEPS - 2);
    const char *end = body.data + body.len - strlen("], \"chord\": null}]");
    size_t known = 0;

    for (const char *at = end; at > body.data + body.len / 4; at--) {
        struct cel_slice cut = cut_at(f, body, at);
        struct cel_task_call call, fresh;
        celery_error why = {0};
        enum cel_call_fault fault, want;

        if (at < end && at[-1] != '}' && at[-1] != ']') {
            continue;
        }
        cel_task_call_init(&call);
        cel_task_call_init(&fresh);
        want = read_text(&f->a, cut, CEL_SLICE("application/json"), CEL_SLICE_NULL,
                         &limits, &fresh, &why);
        fault = cel_chain_text_body(&seen, &f->a, cut, CEL_SLICE("application/json"),
                                    CEL_SLICE_NULL, &limits, &call, &why);
        assert_int_equal(fault, want);
        if (fault != CEL_CALL_OK) { /* forgotten: what follows is new */
            assert_int_equal(cel_chain_text_body(&seen, &f->a, body,
                                                 CEL_SLICE("application/json"),
                                                 CEL_SLICE_NULL, &limits, &call, &why),
                             CEL_CALL_OK);
            continue;
        }
        assert_int_equal(call.chain_last, fresh.chain_last);
        assert_string_equal(text_of(f, call.embed), text_of(f, fresh.embed));
        known += is_text(&call);
    }
    assert_true(known > STEPS / 2);
    cel_chain_seen_fini(&seen);
}

static void test_a_replacement_takes_all_steps_over(void **state)
{
    struct fixture *f = *state;
    struct cel_slice body = body_with(f, STEP("[]", ID), STEPS - 1);
    struct cel_task_call call = read_with(f, body, read_text);

    assert_int_equal(cel_sig_replace(&f->canvas, &f->a, &call, task(f, "r", "[]"),
                                     &f->effects, &f->err),
                     CELERY_OK);
    struct cel_task_call first = call_at(f, 0);

    assert_int_equal(cel_node_get(first.embed, CEL_SLICE("chain"))->size, STEPS);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_text_and_nodes_send_the_same),
        T(test_the_text_gets_shorter_until_nothing_is_left),
        T(test_what_is_not_plain_is_parsed),
        T(test_the_faults_of_the_rest_stay),
        T(test_a_known_chain_is_read_as_a_new_one),
        T(test_a_replacement_takes_all_steps_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
