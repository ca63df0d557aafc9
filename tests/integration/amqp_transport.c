/* SPDX-License-Identifier: BSD-3-Clause */
/* What only AMQP has: delays, copies that hold a message, channels and queues that go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "rabbit_server.h"
#include "transport/transport.h"

#include <stdio.h>
#include <stdlib.h>

enum { PATIENCE = 20, MAX_GOT = 64 };

static struct cel_loop *loop;
static struct rabbit_server *server;
static struct cel_url *url;
static int n_names;

struct side {
    struct cel_transport *t;
    struct cel_delivery got[MAX_GOT];
    size_t n_got, n_taken;
    uint64_t taken;
    int lost;
};

struct answer {
    bool done;
    celery_status status;
    int64_t value;
    char text[240];
};

static void on_done(void *ctx, const celery_error *err, int64_t value)
{
    struct answer *a = ctx;

    assert_false(a->done);
    *a = (struct answer){true, err ? err->status : CELERY_OK, value, {0}};
    snprintf(a->text, sizeof a->text, "%s", err ? err->message : "");
}

static struct cel_done to(struct answer *a)
{
    *a = (struct answer){0};
    return (struct cel_done){on_done, a};
}

static void on_delivered(void *ctx, struct cel_delivery *d)
{
    struct side *s = ctx;

    assert_true(s->n_got < MAX_GOT);
    s->got[s->n_got++] = *d;
}

static void on_lost(void *ctx, const celery_error *why)
{
    ((struct side *)ctx)->lost++;
    print_message("lost: %s\n", why->message);
}

static void on_taken(void *ctx, uint64_t tag)
{
    struct side *s = ctx;

    s->n_taken++;
    s->taken = tag;
}

static const struct cel_transport_events events = {
    .delivered = on_delivered, .lost = on_lost, .taken = on_taken};

static void settle_down(double seconds)
{
    for (double end = cel_clock_mono() + seconds; cel_clock_mono() < end;) {
        cel_loop_pass(loop, 0.02);
    }
}

static void await(const struct answer *a)
{
    for (double end = cel_clock_mono() + PATIENCE; !a->done;) {
        assert_true(cel_clock_mono() < end);
        cel_loop_pass(loop, 0.05);
    }
}

static int64_t done_well(const struct answer *a)
{
    await(a);
    if (a->status != CELERY_OK) {
        fail_msg("%s", a->text);
    }
    return a->value;
}

static void await_got(const struct side *s, size_t n)
{
    for (double end = cel_clock_mono() + PATIENCE; s->n_got < n;) {
        assert_true(cel_clock_mono() < end);
        cel_loop_pass(loop, 0.05);
    }
}

/* timeout: the option consumer_timeout, milliseconds. */
static struct side *new_side(int64_t timeout)
{
    struct side *s = calloc(1, sizeof *s);
    struct cel_arena arena = {0};
    struct cel_node *options = cel_node_new(&arena, CELERY_KIND_OBJECT);
    struct answer a;

    cel_node_put(&arena, options, CEL_SLICE("consumer_timeout"),
                 cel_node_new_int(&arena, timeout));
    assert_int_equal(cel_transport_new(loop, &url, 1, options, &events, s, &s->t, NULL),
                     0);
    cel_arena_fini(&arena);
    s->t->ops->connect(s->t, 0, to(&a));
    done_well(&a);
    return s;
}

static void free_side(struct side *s)
{
    cel_transport_free(s->t);
    for (size_t i = 0; i < s->n_got; i++) {
        cel_envelope_free(s->got[i].envelope);
    }
    free(s);
}

static void declare_with(struct side *s, const char *queue,
                         const struct cel_node *arguments)
{
    const struct cel_queue q = {.name = queue,
                                .exchange = "",
                                .exchange_type = "direct",
                                .routing_key = queue,
                                .arguments = arguments,
                                .durable = true};
    struct answer a;

    s->t->ops->declare(s->t, &q, to(&a));
    done_well(&a);
}

static void publish(struct side *s, const char *queue, const char *body)
{
    struct cel_envelope *env = cel_envelope_new();
    struct answer a;

    env->body = cel_slice_of(body);
    env->delivery_mode = 2;
    s->t->ops->publish(s->t, "", queue, env, to(&a));
    done_well(&a);
    cel_envelope_free(env);
}

/* A queue with one message, which we hold. */
static const char *hold_one(struct side *s)
{
    static char name[40];

    snprintf(name, sizeof name, "held%d", n_names++);
    declare_with(s, name, NULL);
    publish(s, name, "m");
    s->t->ops->set_prefetch(s->t, 8);
    assert_int_equal(s->t->ops->consume(s->t, name, NULL), 0);
    await_got(s, 1);
    return name;
}

static int64_t ack(struct side *s, uint64_t tag)
{
    struct answer a;

    s->t->ops->ack(s->t, tag, to(&a));
    return done_well(&a);
}

/* Ready and unacknowledged ones of a queue and of those whose names begin with it. */
static void assert_left(const char *queue, long wanted)
{
    long n = -2;

    for (double end = cel_clock_mono() + PATIENCE; n != wanted;) {
        if (cel_clock_mono() > end) {
            fail_msg("%ld messages in %s, not %ld", n, queue, wanted);
        }
        settle_down(0.1);
        n = rabbit_server_count(server, "messages", queue);
    }
}

/* ---- delays ---- */

static void test_what_is_deferred_comes_back_in_time(void **state)
{
    struct side *s = new_side(0);
    const char *queue = hold_one(s);
    double start = cel_clock_mono(), until = cel_clock_wall() + 2.5;
    struct answer a;

    s->t->ops->defer(s->t, s->got[0].tag, until, to(&a));
    assert_int_equal(done_well(&a), 1);
    assert_int_equal(ack(s, s->got[0].tag), 0);
    await_got(s, 2);
    assert_true(cel_clock_mono() - start > 1.5 && cel_clock_wall() < until);
    assert_false(s->got[1].redelivered);
    assert_int_equal(ack(s, s->got[1].tag), 1);
    assert_left(queue, 0);
    free_side(s);
}

/* ---- copies that become the message ---- */

static void test_a_message_is_held_beyond_the_time_out(void **state)
{
    struct side *s = new_side(1000); /* the broker's own is three seconds */
    const char *queue = hold_one(s);

    settle_down(5);
    assert_int_equal(s->n_got, 1);
    assert_int_equal(s->n_taken, 0);
    assert_int_equal(s->lost, 0);
    assert_int_equal(rabbit_server_count(server, "messages", queue), 0);
    assert_int_equal(ack(s, s->got[0].tag), 1);
    settle_down(2.5);
    assert_int_equal(s->n_got, 1);
    assert_left(queue, 0);
    free_side(s);
}

static void test_without_us_it_is_in_its_queue_again(void **state)
{
    struct side *s = new_side(1000), *other = new_side(0);
    const char *queue = hold_one(s);

    settle_down(1.5);
    assert_int_equal(rabbit_server_count(server, "messages", queue), 0);
    free_side(s);
    other->t->ops->consume(other->t, queue, NULL);
    await_got(other, 1);
    assert_true(other->got[0].redelivered);
    assert_int_equal(ack(other, other->got[0].tag), 1);
    free_side(other);
}

static void test_settlements_wait_for_the_copy(void **state)
{
    struct side *s = new_side(0);
    const char *queue = hold_one(s);
    struct answer counted, acked;

    s->t->ops->count_start(s->t, s->got[0].tag, 3, to(&counted));
    s->t->ops->ack(s->t, s->got[0].tag, to(&acked));
    assert_false(acked.done);
    assert_int_equal(done_well(&counted), 0);
    assert_int_equal(done_well(&acked), 1);
    settle_down(2.5);
    assert_int_equal(s->n_got, 1);
    assert_left(queue, 0);
    free_side(s);
}

static void test_close_ends_a_copy_on_its_way(void **state)
{
    struct side *s = new_side(0), *other = new_side(0);
    const char *queue = hold_one(s);
    struct answer counted, acked;

    s->t->ops->count_start(s->t, s->got[0].tag, 3, to(&counted));
    s->t->ops->ack(s->t, s->got[0].tag, to(&acked));
    s->t->ops->close(s->t);
    assert_true(counted.done && acked.done);
    assert_int_equal(acked.status, CELERY_ECLOSED);
    other->t->ops->consume(other->t, queue, NULL);
    await_got(other, 1);
    free_side(s);
    free_side(other);
}

static void test_a_copy_is_dead_lettered_as_its_original(void **state)
{
    struct side *s = new_side(0);
    struct cel_arena arena = {0};
    struct cel_node *arguments = cel_node_new(&arena, CELERY_KIND_OBJECT);
    struct answer a;

    cel_node_put(&arena, arguments, CEL_SLICE("x-dead-letter-exchange"),
                 cel_node_new_string(&arena, CEL_SLICE("")));
    cel_node_put(&arena, arguments, CEL_SLICE("x-dead-letter-routing-key"),
                 cel_node_new_string(&arena, CEL_SLICE("away")));
    declare_with(s, "away", NULL);
    declare_with(s, "letters", arguments);
    publish(s, "letters", "m");
    s->t->ops->consume(s->t, "letters", NULL);
    await_got(s, 1);
    s->t->ops->count_start(s->t, s->got[0].tag, 3, to(&a));
    assert_int_equal(done_well(&a), 0);
    s->t->ops->reject(s->t, s->got[0].tag, false, false, NULL, 0, to(&a));
    assert_int_equal(done_well(&a), 1);
    assert_left("away", 1);
    assert_left("letters", 0);
    cel_arena_fini(&arena);
    free_side(s);
}

/* ---- the prefetch count, dealt out ---- */

/* For channels to come; a copy in place of a message would make room for another one. */
static int patient(void **state)
{
    rabbit_server_tell(server,
                       "eval application:set_env(rabbit, consumer_timeout, 600000)");
    return 0;
}

static int impatient(void **state)
{
    rabbit_server_tell(server,
                       "eval application:set_env(rabbit, consumer_timeout, 3000)");
    return 0;
}

/* So many queues, the first one with so many messages, the others with others. */
static void consume_from(struct side *s, size_t n, int first, int others)
{
    char names[8][40];

    for (size_t q = 0; q < n; q++) {
        snprintf(names[q], sizeof names[q], "shared%d", n_names++);
        declare_with(s, names[q], NULL);
        for (int i = 0; i < (q == 0 ? first : others); i++) {
            publish(s, names[q], "m");
        }
    }
    for (size_t q = 0; q < n; q++) {
        assert_int_equal(s->t->ops->consume(s->t, names[q], NULL), 0);
    }
}

/* So many come, and no more. */
static void assert_got(struct side *s, size_t n)
{
    await_got(s, n);
    settle_down(2.5);
    assert_int_equal(s->n_got, n);
}

static void test_queues_share_the_prefetch_count(void **state)
{
    struct side *s = new_side(0);

    s->t->ops->set_prefetch(s->t, 12);
    consume_from(s, 3, 20, 20);
    assert_got(s, 12);
    for (size_t i = 0; i < 12; i++) {
        ack(s, s->got[i].tag);
    }
    assert_got(s, 24);
    free_side(s);
}

static void test_what_lies_idle_goes_to_the_busy(void **state)
{
    struct side *s = new_side(0);

    s->t->ops->set_prefetch(s->t, 12);
    consume_from(s, 4, 30, 0);
    await_got(s, 3);
    assert_got(s, 9); /* and one for each of the others */
    free_side(s);
}

static void test_each_queue_has_one_at_least(void **state)
{
    struct side *s = new_side(0);

    s->t->ops->set_prefetch(s->t, 2);
    consume_from(s, 4, 3, 3);
    assert_got(s, 4);
    free_side(s);
}

static void test_another_prefetch_count_is_not_added_to_the_old_one(void **state)
{
    struct side *s = new_side(0);
    size_t held;

    s->t->ops->set_prefetch(s->t, 4);
    consume_from(s, 1, 60, 0);
    assert_got(s, 4);
    s->t->ops->set_prefetch(s->t, 10);
    assert_got(s, 10);
    s->t->ops->set_prefetch(s->t, 3);
    settle_down(2.5);
    assert_in_range(s->n_got, 10, 11); /* one, that there be a consumer */
    for (size_t i = 0; i < 10; i++) {
        ack(s, s->got[i].tag);
    }
    held = s->n_got - 10;
    settle_down(4);
    assert_int_equal(s->n_got - 10, 3);
    assert_true(held <= 3);
    free_side(s);
}

/* ---- what the broker does ---- */

static void test_a_closed_channel_is_opened_again(void **state)
{
    struct side *s = new_side(0); /* nothing renews: three seconds are too long */
    const char *queue = hold_one(s);

    await_got(s, 2);
    assert_int_equal(s->n_taken, 1);
    assert_true(s->taken == s->got[0].tag);
    assert_true(s->got[1].redelivered);
    assert_int_equal(ack(s, s->got[0].tag), 0);
    assert_int_equal(ack(s, s->got[1].tag), 1);
    assert_int_equal(s->lost, 0);
    publish(s, queue, "next");
    await_got(s, 3);
    assert_int_equal(ack(s, s->got[2].tag), 1);
    assert_left(queue, 0);
    free_side(s);
}

static void test_a_deleted_queue_is_there_again(void **state)
{
    struct side *s = new_side(0);
    const char *queue = hold_one(s);
    double start;
    struct answer a;

    publish(s, queue, "second");
    await_got(s, 2);
    assert_non_null(rabbit_server_tell(server, "delete_queue %s", queue));
    start = cel_clock_mono();
    settle_down(0.5);
    publish(s, queue, "third");
    await_got(s, 3);
    assert_true(cel_clock_mono() - start < 5);
    /* What we have of the old one is done, or goes into the new one. */
    assert_int_equal(ack(s, s->got[0].tag), 1);
    s->t->ops->reject(s->t, s->got[1].tag, true, true, NULL, 0, to(&a));
    assert_int_equal(done_well(&a), 1);
    await_got(s, 4);
    assert_true(cel_slice_is(s->got[3].envelope->body, "second"));
    assert_int_equal(ack(s, s->got[2].tag), 1);
    assert_int_equal(ack(s, s->got[3].tag), 1);
    assert_int_equal(s->lost, 0);
    assert_int_equal(s->n_taken, 0);
    assert_left(queue, 0);
    free_side(s);
}

static void test_publishing_makes_a_deleted_queue_again(void **state)
{
    struct side *s = new_side(0);

    declare_with(s, "again", NULL);
    assert_non_null(rabbit_server_tell(server, "delete_queue again"));
    publish(s, "again", "m");
    assert_left("again", 1);
    free_side(s);
}

static void test_publishes_wait_for_the_end_of_an_alarm(void **state)
{
    struct side *s = new_side(0);
    struct cel_envelope *env = cel_envelope_new();
    struct answer first, second;

    declare_with(s, "alarm", NULL);
    assert_non_null(rabbit_server_tell(server, "alarm on"));
    env->body = CEL_SLICE("m");
    s->t->ops->publish(s->t, "", "alarm", env, to(&first));
    settle_down(0.5);
    s->t->ops->publish(s->t, "", "alarm", env, to(&second));
    settle_down(0.5);
    assert_false(second.done);
    assert_non_null(rabbit_server_tell(server, "alarm off"));
    done_well(&first);
    done_well(&second);
    assert_int_equal(s->lost, 0);
    assert_left("alarm", 2);
    cel_envelope_free(env);
    free_side(s);
}

static void test_a_closed_connection_is_lost_once(void **state)
{
    struct side *s = new_side(0);
    const char *queue = hold_one(s);
    struct answer a;

    assert_non_null(rabbit_server_tell(server, "close testing"));
    for (double end = cel_clock_mono() + PATIENCE; s->lost == 0;) {
        assert_true(cel_clock_mono() < end);
        cel_loop_pass(loop, 0.05);
    }
    s->t->ops->connect(s->t, 0, to(&a));
    done_well(&a);
    s->t->ops->consume(s->t, queue, NULL);
    await_got(s, 2);
    assert_true(s->got[1].redelivered);
    assert_int_equal(ack(s, s->got[0].tag), 0);
    assert_int_equal(ack(s, s->got[1].tag), 1);
    assert_int_equal(s->lost, 1);
    free_side(s);
}

static void test_a_refused_declaration_says_what_to_change(void **state)
{
    struct side *s = new_side(0);
    struct cel_arena arena = {0};
    struct cel_node *arguments = cel_node_new(&arena, CELERY_KIND_OBJECT);
    const struct cel_queue q = {.name = "refused",
                                .exchange = "",
                                .exchange_type = "direct",
                                .routing_key = "refused",
                                .arguments = arguments,
                                .durable = true};
    struct answer a;

    cel_node_put(&arena, arguments, CEL_SLICE("x-max-priority"),
                 cel_node_new_int(&arena, 5));
    declare_with(s, "refused", NULL);
    s->t->ops->declare(s->t, &q, to(&a));
    await(&a);
    assert_int_equal(a.status, CELERY_ECONFIG);
    assert_non_null(strstr(a.text, "refused"));
    assert_non_null(strstr(a.text, "x-max-priority"));
    assert_non_null(strstr(a.text, "task_queue_max_priority"));
    publish(s, "refused", "m"); /* and the connection goes on */
    assert_int_equal(s->lost, 0);
    cel_arena_fini(&arena);
    free_side(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_deferred_comes_back_in_time),
        cmocka_unit_test(test_a_message_is_held_beyond_the_time_out),
        cmocka_unit_test(test_without_us_it_is_in_its_queue_again),
        cmocka_unit_test(test_settlements_wait_for_the_copy),
        cmocka_unit_test(test_close_ends_a_copy_on_its_way),
        cmocka_unit_test(test_a_copy_is_dead_lettered_as_its_original),
        cmocka_unit_test_setup_teardown(test_queues_share_the_prefetch_count, patient,
                                        impatient),
        cmocka_unit_test_setup_teardown(test_what_lies_idle_goes_to_the_busy, patient,
                                        impatient),
        cmocka_unit_test_setup_teardown(test_each_queue_has_one_at_least, patient,
                                        impatient),
        cmocka_unit_test_setup_teardown(
            test_another_prefetch_count_is_not_added_to_the_old_one, patient, impatient),
        cmocka_unit_test(test_a_closed_channel_is_opened_again),
        cmocka_unit_test(test_a_deleted_queue_is_there_again),
        cmocka_unit_test(test_publishing_makes_a_deleted_queue_again),
        cmocka_unit_test(test_publishes_wait_for_the_end_of_an_alarm),
        cmocka_unit_test(test_a_closed_connection_is_lost_once),
        cmocka_unit_test(test_a_refused_declaration_says_what_to_change),
    };
    const struct rabbit_server_options options = {
        .settings = (const char *[]){"{consumer_timeout, 3000}",
                                     "{channel_tick_interval, 300}", NULL}};
    int failed;

    if (!rabbit_server_installed()) {
        return TEST_SKIPPED;
    }
    server = rabbit_server_start(&options);
    if (!server || cel_url_parse(rabbit_server_url(server), &url, NULL) < 0 ||
        cel_loop_new(&loop, NULL) < 0) {
        return 1;
    }
    failed = cmocka_run_group_tests_name("amqp_transport", tests, NULL, NULL);
    cel_loop_free(loop);
    cel_url_free(url);
    rabbit_server_stop(server);
    return failed;
}
