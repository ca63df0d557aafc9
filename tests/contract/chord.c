/* SPDX-License-Identifier: BSD-3-Clause */
/* What every result backend promises about groups and chords: on memory and on Redis. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "base/clock.h"
#include "net/redis_conn.h"
#include "redis_server.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char url_text[300];
static struct redis_server *server;

struct fixture {
    struct cel_loop *loop;
    struct cel_url *url;
    struct cel_config *config;
    struct cel_backend *b;
    int answers, errors;
    int64_t sum;
    enum cel_chord_answer chord;
    char parts[4000]; /* JSON of the last claim */
    char group[400];
    char tuple[400];
    char id[32]; /* of the group of this test */
};

static void add_json(char *text, size_t size, const struct cel_node *n)
{
    struct cel_buf out = {0};
    if (n) {
        cel_json_write(&out, n);
    }
    snprintf(text, size, "%.*s", (int)out.len, out.data ? out.data : "");
    cel_buf_fini(&out);
}

static void on_group(void *ctx, struct cel_slice group_id, const struct cel_node *tuple)
{
    struct fixture *f = ctx;
    assert_true(cel_slice_is(group_id, f->id));
    add_json(f->tuple, sizeof f->tuple, tuple);
}

static const struct cel_backend_events events = {.group = on_group};

static void on_done(void *ctx, const celery_error *err, int64_t answer)
{
    struct fixture *f = ctx;
    f->answers++;
    f->errors += err != NULL;
    f->sum += answer;
}

static void on_part(void *ctx, const celery_error *err, enum cel_chord_answer answer,
                    const struct cel_chord_parts *parts)
{
    struct fixture *f = ctx;
    f->answers++;
    f->errors += err != NULL;
    f->chord = answer;
    f->parts[0] = f->group[0] = '\0';
    if (!err && answer == CEL_CHORD_CLAIMED) {
        add_json(f->parts, sizeof f->parts, parts->parts);
        add_json(f->group, sizeof f->group, parts->group);
    }
}

static void run_until(struct fixture *f, int want)
{
    double deadline = cel_clock_mono() + 10;
    while (f->answers < want && cel_clock_mono() < deadline) {
        cel_loop_pass(f->loop, 0.5);
    }
    assert_int_equal(f->answers, want);
    assert_int_equal(f->errors, 0);
    f->answers = 0;
}

static struct cel_done done(struct fixture *f)
{
    f->sum = 0;
    return (struct cel_done){on_done, f};
}

static void open_with(struct fixture *f, const char *options)
{
    celery_error err = {0};
    f->config = cel_config_new();
    if (options) {
        assert_int_equal(cel_config_set(f->config, "result_backend_transport_options",
                                        options, CEL_FROM_API, NULL),
                         CELERY_OK);
    }
    if (cel_backend_new(f->loop, &f->url, 1, f->config, &events, f, &f->b, &err) < 0) {
        fail_msg("%s", err.message);
    }
    f->b->ops->connect(f->b, 0, done(f));
    run_until(f, 1);
}

static int setup(void **state)
{
    static int count;
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    snprintf(f->id, sizeof f->id, "group-%d-%d", (int)getpid(), ++count);
    assert_int_equal(cel_loop_new(&f->loop, NULL), CELERY_OK);
    assert_int_equal(cel_url_parse(url_text, &f->url, NULL), CELERY_OK);
    *state = f;
    return 0;
}

static int setup_open(void **state)
{
    setup(state);
    open_with(*state, NULL);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cel_backend_free(f->b);
    cel_config_free(f->config);
    cel_url_free(f->url);
    cel_loop_free(f->loop);
    free(f);
    return 0;
}

static void note(struct fixture *f, int kind, int64_t number, const char *json)
{
    const struct cel_group_note n = {
        .kind = kind,
        .group_id = cel_slice_of(f->id),
        .number = number,
        .json = cel_slice_of(json),
    };
    f->b->ops->note(f->b, &n, done(f));
    run_until(f, 1);
}

static void size(struct fixture *f, int64_t number)
{
    note(f, CEL_NOTE_CHORD_SIZE, number, "");
}

static bool fresh; /* what send_part() sends never came before */

static void send_part(struct fixture *f, const char *id, int64_t index, const char *state,
                      const char *json, const char *token, int seconds)
{
    const struct cel_chord_part part = {
        .group_id = cel_slice_of(f->id),
        .task_id = cel_slice_of(id),
        .group_index = index,
        .state = cel_slice_of(state),
        .result_json = cel_slice_of(json),
        .token = cel_slice_of(token),
        .claim_seconds = seconds,
        .fresh = fresh,
    };
    f->b->ops->add_chord_part(f->b, &part, (struct cel_chord_done){on_part, f});
}

static enum cel_chord_answer part(struct fixture *f, const char *id, int64_t index,
                                  const char *json, const char *token)
{
    send_part(f, id, index, "SUCCESS", json, token, 30);
    run_until(f, 1);
    return f->chord;
}

static int64_t end_chord(struct fixture *f, const char *token, bool failed)
{
    f->b->ops->end_chord(f->b, cel_slice_of(f->id), cel_slice_of(token), failed, done(f));
    run_until(f, 1);
    return f->sum;
}

static int64_t keep(struct fixture *f, const char *token)
{
    f->b->ops->keep_chord(f->b, cel_slice_of(f->id), cel_slice_of(token), 30, done(f));
    run_until(f, 1);
    return f->sum;
}

static void test_the_last_part_gets_all_in_order(void **state)
{
    struct fixture *f = *state;
    size(f, 3);
    assert_int_equal(part(f, "c", 2, "\"z\"", "t1"), CEL_CHORD_OPEN);
    assert_int_equal(part(f, "a", 0, "{\"x\": 1.50}", "t2"), CEL_CHORD_OPEN);
    assert_int_equal(part(f, "b", 1, "null", "t3"), CEL_CHORD_CLAIMED);
    assert_string_equal(f->parts, "[[1, \"a\", \"SUCCESS\", {\"x\": 1.5}], "
                                  "[1, \"b\", \"SUCCESS\", null], "
                                  "[1, \"c\", \"SUCCESS\", \"z\"]]");
    assert_string_equal(f->group, "");
}

static void test_a_part_counts_once(void **state)
{
    struct fixture *f = *state;
    size(f, 2);
    for (int i = 0; i < 5; i++) {
        char json[8];
        snprintf(json, sizeof json, "%d", i); /* another run, another result */
        assert_int_equal(part(f, "a", 0, json, "t1"), CEL_CHORD_OPEN);
    }
    assert_int_equal(part(f, "b", 1, "7", "t2"), CEL_CHORD_CLAIMED);
    assert_string_equal(f->parts,
                        "[[1, \"a\", \"SUCCESS\", 0], [1, \"b\", \"SUCCESS\", 7]]");
}

/* A frozen signature can stand in a header twice. */
static void test_one_id_at_two_places_counts_twice(void **state)
{
    struct fixture *f = *state;
    size(f, 2);
    assert_int_equal(part(f, "a", 0, "1", "t1"), CEL_CHORD_OPEN);
    assert_int_equal(part(f, "a", 1, "2", "t2"), CEL_CHORD_CLAIMED);
}

static void test_parts_may_come_before_the_size(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(part(f, "a", 0, "1", "t1"), CEL_CHORD_OPEN);
    size(f, 2);
    assert_int_equal(part(f, "b", 1, "2", "t2"), CEL_CHORD_CLAIMED);
}

static void test_one_claim_at_a_time(void **state)
{
    struct fixture *f = *state;
    size(f, 1);
    assert_int_equal(part(f, "a", 0, "1", "t1"), CEL_CHORD_CLAIMED);
    assert_int_equal(part(f, "a", 0, "1", "t2"), CEL_CHORD_BUSY);
    /* The answer to the first was lost: it asks again. */
    assert_int_equal(part(f, "a", 0, "1", "t1"), CEL_CHORD_CLAIMED);
    assert_int_equal(keep(f, "t2"), 0);
    assert_int_equal(end_chord(f, "t2", false), 0);
    assert_int_equal(keep(f, "t1"), 1);
    assert_int_equal(end_chord(f, "t1", false), 1);
}

/* Whoever has claimed a chord may die: its claim ends, and another part finds it free. */
static void test_a_claim_runs_out(void **state)
{
    struct fixture *f = *state;
    size(f, 1);
    send_part(f, "a", 0, "SUCCESS", "1", "t1", 1);
    run_until(f, 1);
    assert_int_equal(f->chord, CEL_CHORD_CLAIMED);
    double deadline = cel_clock_mono() + 10;
    do {
        usleep(100000);
        part(f, "a", 0, "1", "t2");
    } while (f->chord == CEL_CHORD_BUSY && cel_clock_mono() < deadline);
    assert_int_equal(f->chord, CEL_CHORD_CLAIMED);
    assert_int_equal(keep(f, "t1"), 0);
    assert_int_equal(keep(f, "t2"), 1);
}

static void test_after_the_end_nothing_counts(void **state)
{
    struct fixture *f = *state;
    size(f, 1);
    assert_int_equal(part(f, "a", 0, "1", "t1"), CEL_CHORD_CLAIMED);
    assert_int_equal(end_chord(f, "t1", false), 1);
    assert_int_equal(part(f, "a", 0, "1", "t2"), CEL_CHORD_OPEN);
    assert_int_equal(part(f, "b", 1, "1", "t2"), CEL_CHORD_OPEN);
    assert_int_equal(keep(f, "t1"), 0);
}

static void test_a_failed_chord_fails_once(void **state)
{
    struct fixture *f = *state;
    size(f, 2);
    send_part(f, "a", 0, "FAILURE", "{\"exc_type\": \"E\"}", "t1", 30);
    run_until(f, 1);
    assert_int_equal(part(f, "b", 1, "2", "t2"), CEL_CHORD_CLAIMED);
    assert_string_equal(f->parts, "[[1, \"a\", \"FAILURE\", {\"exc_type\": \"E\"}], "
                                  "[1, \"b\", \"SUCCESS\", 2]]");
    assert_int_equal(end_chord(f, "t2", true), 1);
    assert_int_equal(part(f, "b", 1, "2", "t3"), CEL_CHORD_OPEN);
}

/* The same frozen chord once more (set_chord_size deletes the mark of the end). */
static void test_a_chord_can_be_applied_again(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        size(f, 1);
        assert_int_equal(part(f, "a", 0, "1", "t1"), CEL_CHORD_CLAIMED);
        assert_int_equal(end_chord(f, "t1", false), 1);
    }
}

/* The sender notes the size with the last part: the first may be through before. */
static void test_a_part_of_the_next_run_may_come_before_its_size(void **state)
{
    struct fixture *f = *state;
    size(f, 2);
    part(f, "a", 0, "1", "t1");
    assert_int_equal(part(f, "b", 1, "2", "t1"), CEL_CHORD_CLAIMED);
    assert_int_equal(end_chord(f, "t1", false), 1);
    assert_int_equal(part(f, "b", 1, "2", "t2"), CEL_CHORD_OPEN); /* redelivered */
    fresh = true;
    assert_int_equal(part(f, "a", 0, "1", "t3"), CEL_CHORD_OPEN);
    size(f, 2);
    assert_int_equal(part(f, "b", 1, "2", "t4"), CEL_CHORD_CLAIMED);
    fresh = false;
}

static void test_a_chord_grows_once_for_each_note(void **state)
{
    struct fixture *f = *state;
    size(f, 1);
    note(f, CEL_NOTE_CHORD_GROW, 0, "one");
    note(f, CEL_NOTE_CHORD_GROW, 0, "one");
    note(f, CEL_NOTE_CHORD_GROW, 0, "two");
    assert_int_equal(part(f, "a", 0, "1", "t1"), CEL_CHORD_OPEN);
    assert_int_equal(part(f, "b", 1, "1", "t1"), CEL_CHORD_OPEN);
    assert_int_equal(part(f, "c", 2, "1", "t1"), CEL_CHORD_CLAIMED);
}

static void test_a_group_is_saved_and_comes_with_the_claim(void **state)
{
    struct fixture *f = *state;
    const char *tuple = "[[\"g\", null], [[[\"a\", null], null]]]";
    f->b->ops->load_group(f->b, cel_slice_of(f->id), done(f));
    run_until(f, 1);
    assert_int_equal(f->sum, 0);
    assert_string_equal(f->tuple, "");
    note(f, CEL_NOTE_SAVE_GROUP, 0, tuple);
    f->b->ops->load_group(f->b, cel_slice_of(f->id), done(f));
    run_until(f, 1);
    assert_int_equal(f->sum, 1);
    assert_string_equal(f->tuple, tuple);
    size(f, 1);
    assert_int_equal(part(f, "a", 0, "1", "t1"), CEL_CHORD_CLAIMED);
    assert_string_equal(f->group, tuple);
    f->b->ops->forget_group(f->b, cel_slice_of(f->id), done(f));
    f->b->ops->forget_group(f->b, cel_slice_of(f->id), done(f));
    f->answers--; /* both are one more than this waits for */
    run_until(f, 1);
    assert_int_equal(f->sum, 1);
}

static void test_many_parts_in_a_pass(void **state)
{
    struct fixture *f = *state;
    int claimed = 0;
    size(f, 500);
    for (int i = 0; i < 500; i++) {
        char id[16];
        snprintf(id, sizeof id, "p%d", i);
        send_part(f, id, i, "SUCCESS", "1", id, 30);
    }
    double deadline = cel_clock_mono() + 10;
    while (f->answers < 500 && cel_clock_mono() < deadline) {
        int before = f->answers;
        cel_loop_pass(f->loop, 0.5);
        claimed += f->answers > before && f->chord == CEL_CHORD_CLAIMED;
    }
    assert_int_equal(f->answers, 500);
    assert_int_equal(claimed, 1);
    assert_int_equal(f->errors, 0);
}

static void test_closed_refuses(void **state)
{
    struct fixture *f = *state;
    struct cel_slice id = cel_slice_of(f->id);
    const struct cel_group_note n = {.kind = CEL_NOTE_CHORD_SIZE, .group_id = id};
    f->b->ops->note(f->b, &n, done(f));
    f->b->ops->close(f->b);
    assert_int_equal(f->answers, 1);
    assert_int_equal(f->errors, 1);
    f->b->ops->note(f->b, &n, done(f));
    send_part(f, "a", 0, "SUCCESS", "1", "t", 30);
    f->b->ops->keep_chord(f->b, id, id, 1, done(f));
    f->b->ops->end_chord(f->b, id, id, false, done(f));
    f->b->ops->load_group(f->b, id, done(f));
    f->b->ops->forget_group(f->b, id, done(f));
    assert_int_equal(f->answers, 7);
    assert_int_equal(f->errors, 7);
}

/* result_chord_ordered False: a list, in the order in which parts came. */
static void test_redis_parts_in_a_list(void **state)
{
    struct fixture *f = *state;
    open_with(f, "{\"result_chord_ordered\": false}");
    size(f, 2);
    assert_int_equal(part(f, "b", 1, "2", "t1"), CEL_CHORD_OPEN);
    assert_int_equal(part(f, "b", 1, "2", "t1"), CEL_CHORD_OPEN);
    assert_int_equal(part(f, "a", 0, "1", "t2"), CEL_CHORD_CLAIMED);
    assert_string_equal(f->parts,
                        "[[1, \"b\", \"SUCCESS\", 2], [1, \"a\", \"SUCCESS\", 1]]");
}

/* Parts are written with the serializer of results. */
static void test_redis_parts_of_another_serializer(void **state)
{
    struct fixture *f = *state;
    open_with(f, NULL);
    size(f, 1);
    f->config = cel_config_free(f->config);
    cel_backend_free(f->b);
    f->b = NULL;
    f->config = cel_config_new();
    celery_error err = {0};
    assert_int_equal(
        cel_config_set(f->config, "result_serializer", "msgpack", CEL_FROM_API, NULL),
        CELERY_OK);
    if (cel_backend_new(f->loop, &f->url, 1, f->config, &events, f, &f->b, &err) < 0) {
        fail_msg("%s", err.message);
    }
    f->b->ops->connect(f->b, 0, done(f));
    run_until(f, 1);
    assert_int_equal(part(f, "a", 0, "[1, \"\\u00e4\"]", "t1"), CEL_CHORD_CLAIMED);
    assert_string_equal(f->parts, "[[1, \"a\", \"SUCCESS\", [1, \"\\u00e4\"]]]");
}

static void on_reply(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct fixture *f = ctx;
    f->answers++;
    f->errors += err != NULL;
    f->sum = cel_resp_int(reply);
}

static void on_opened(void *ctx)
{
    ((struct fixture *)ctx)->answers++;
}

static void on_closed(void *ctx, const celery_error *why)
{
}

static int64_t ask(struct fixture *f, struct cel_redis *redis, const char *command)
{
    assert_int_equal(cel_redis_commandf(redis, on_reply, f, command), CELERY_OK);
    run_until(f, 1);
    return f->sum;
}

static int64_t push(struct fixture *f, const char *token, const char *key,
                    const char *other, int errors)
{
    const struct cel_chord_push pushes[] = {
        {cel_slice_of(key), CEL_SLICE("one")},
        {cel_slice_of(other), CEL_SLICE("two")},
    };
    f->b->ops->end_chord_with(f->b, cel_slice_of(f->id), cel_slice_of(token), 5, pushes,
                              2, done(f));
    double deadline = cel_clock_mono() + 10;
    while (f->answers < 1 && cel_clock_mono() < deadline) {
        cel_loop_pass(f->loop, 0.5);
    }
    assert_int_equal(f->answers, 1);
    assert_int_equal(f->errors, errors);
    f->answers = f->errors = 0;
    return f->sum;
}

/* The body's messages and the end of the chord in one step, in two databases. */
static void test_redis_the_body_goes_with_the_end(void **state)
{
    struct fixture *f = *state;
    static const struct cel_redis_options options = {0};
    static const struct cel_redis_events redis_events = {.opened = on_opened,
                                                         .closed = on_closed};
    struct cel_redis *redis = NULL;
    open_with(f, NULL);
    assert_int_equal(
        cel_redis_open(f->loop, &f->url, 1, &options, &redis_events, f, &redis, NULL),
        CELERY_OK);
    run_until(f, 1);
    ask(f, redis, "SELECT 5");
    ask(f, redis, "SET wrong text");
    size(f, 1);
    assert_int_equal(part(f, "a", 0, "1", "t1"), CEL_CHORD_CLAIMED);
    push(f, "t1", "queue", "wrong", 1); /* refused: as if nothing had been tried */
    assert_int_equal(ask(f, redis, "LLEN queue"), 0);
    assert_int_equal(push(f, "t2", "queue", "queue", 0), 0); /* not its claim */
    assert_int_equal(ask(f, redis, "LLEN queue"), 0);
    assert_int_equal(push(f, "t1", "queue", "queue", 0), 1);
    assert_int_equal(push(f, "t1", "queue", "queue", 0), 0); /* asked again: it is over */
    assert_int_equal(ask(f, redis, "LLEN queue"), 2);
    assert_int_equal(part(f, "a", 0, "1", "t3"), CEL_CHORD_OPEN);
    cel_redis_free(redis);
}

#define OPEN(fn)   cmocka_unit_test_setup_teardown(fn, setup_open, teardown)
#define CLOSED(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        OPEN(test_the_last_part_gets_all_in_order),
        OPEN(test_a_part_counts_once),
        OPEN(test_one_id_at_two_places_counts_twice),
        OPEN(test_parts_may_come_before_the_size),
        OPEN(test_one_claim_at_a_time),
        OPEN(test_a_claim_runs_out),
        OPEN(test_after_the_end_nothing_counts),
        OPEN(test_a_failed_chord_fails_once),
        OPEN(test_a_chord_can_be_applied_again),
        OPEN(test_a_part_of_the_next_run_may_come_before_its_size),
        OPEN(test_a_chord_grows_once_for_each_note),
        OPEN(test_a_group_is_saved_and_comes_with_the_claim),
        OPEN(test_many_parts_in_a_pass),
        OPEN(test_closed_refuses),
    };
    const struct CMUnitTest redis_tests[] = {
        CLOSED(test_redis_parts_in_a_list),
        CLOSED(test_redis_the_body_goes_with_the_end),
        CLOSED(test_redis_parts_of_another_serializer),
    };
    if (argc > 1 && strcmp(argv[1], "memory") == 0) {
        snprintf(url_text, sizeof url_text, "memory://");
        return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
    }
    int failed = redis_server_begin(&server, url_text, sizeof url_text);
    if (failed) {
        return failed;
    }
    failed = cmocka_run_group_tests_name("redis", tests, NULL, NULL);
    failed += cmocka_run_group_tests_name("redis alone", redis_tests, NULL, NULL);
    server = redis_server_stop(server);
    return failed;
}
