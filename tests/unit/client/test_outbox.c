/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include "client/client.h"
#include "message/envelope_json.h"
#include <stdio.h>

/* A broker and a store that answer when the test says so. */
enum { MAX = 64 };
static struct {
    struct cel_done publish[MAX];
    char text[MAX][32];
    int priority[MAX];
    size_t n;
    struct cel_done note[MAX];
    size_t n_notes;
    size_t n_declared, n_delayed;
    celery_status delayed; /* the answer */
} seen;

static void fake_publish(struct cel_transport *t, const char *exchange,
                         const char *routing_key, const struct cel_envelope *envelope,
                         struct cel_done done)
{
    struct cel_buf text = {0};
    assert_true(seen.n < MAX);
    assert_int_equal(cel_envelope_write(&text, envelope), CELERY_OK);
    snprintf(seen.text[seen.n], sizeof seen.text[0], "%s/%s/%s", exchange, routing_key,
             cel_buf_cstr(&text));
    seen.priority[seen.n] = envelope->priority;
    seen.publish[seen.n++] = done;
    cel_buf_fini(&text);
}

static void fake_declare(struct cel_transport *t, const struct cel_queue *q,
                         struct cel_done done)
{
    seen.n_declared++;
    cel_done(done, NULL, 0);
}

static void fake_declare_delayed(struct cel_transport *t, const char *queue_type,
                                 const struct cel_queue *queues, size_t n,
                                 struct cel_done done)
{
    celery_error err = {0};
    cel_error_set(&err, seen.delayed, "as told");
    assert_string_equal(queue_type, "quorum");
    assert_int_equal(n, 1);
    assert_string_equal(queues[0].name, "q");
    assert_int_equal(seen.n_declared, 1);
    seen.n_delayed++;
    cel_done(done, seen.delayed < 0 ? &err : NULL, 0);
}

static void fake_note(struct cel_backend *b, const struct cel_group_note *note,
                      struct cel_done done)
{
    assert_true(seen.n_notes < MAX);
    seen.note[seen.n_notes++] = done;
}

struct fixture {
    celery_client *client;
    const struct cel_transport_ops *transport_ops;
    const struct cel_backend_ops *backend_ops;
    struct cel_transport_ops transport;
    struct cel_backend_ops backend;
    int ended;
    celery_error err;
    int64_t confirmed;
};

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    seen.n = seen.n_notes = seen.n_declared = seen.n_delayed = 0;
    seen.delayed = CELERY_OK;
    f->client = celery_client_open("memory://outbox", "cache+memory://", &f->err);
    if (!f->client) {
        fail_msg("%s", f->err.message);
    }
    f->transport_ops = f->client->transport->ops;
    f->transport = *f->transport_ops;
    f->transport.publish = fake_publish;
    f->transport.declare = fake_declare;
    f->transport.declare_delayed = fake_declare_delayed;
    f->client->transport->ops = &f->transport;
    f->backend_ops = f->client->backend->ops;
    f->backend = *f->backend_ops;
    f->backend.note = fake_note;
    f->client->backend->ops = &f->backend;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    f->client->transport->ops = f->transport_ops;
    f->client->backend->ops = f->backend_ops;
    celery_client_close(f->client);
    test_free(f);
    return 0;
}

static void on_end(void *ctx, const celery_error *err, int64_t answer)
{
    struct fixture *f = ctx;
    f->ended++;
    f->confirmed = answer;
    f->err = err ? *err : (celery_error){0};
}

static void add_message_to(struct cel_effects *list, const char *exchange,
                           const char *text)
{
    const struct cel_effect e = {.kind = CEL_EFFECT_PUBLISH,
                                 .id = CEL_SLICE("an-id"),
                                 .number = 3,
                                 .json = cel_slice_of(text),
                                 .queue = CEL_SLICE("q"),
                                 .exchange = cel_slice_of(exchange),
                                 .routing_key = CEL_SLICE("key")};
    assert_int_equal(cel_effects_add(list, &e), CELERY_OK);
}

static void add_message(struct cel_effects *list, const char *text)
{
    add_message_to(list, "ex", text);
}

static void add_batch(struct fixture *f, struct cel_effects *list)
{
    assert_non_null(
        cel_outbox_add(&f->client->outbox, list, (struct cel_done){on_end, f}, &f->err));
}

static void step(struct fixture *f)
{
    assert_int_equal(celery_client_step(f->client, 0, &f->err), CELERY_OK);
}

static void answer(size_t i, celery_status status)
{
    celery_error err = {0};
    cel_error_set(&err, status, "as told");
    cel_done(seen.publish[i], status < 0 ? &err : NULL, 0);
}

static void test_messages_are_in_flight_together_and_in_order(void **state)
{
    struct fixture *f = *state;
    struct cel_effects list = {0};
    add_message(&list, "one");
    add_message(&list, "two");
    add_message(&list, "three");
    add_batch(f, &list);
    assert_int_equal(seen.n, 0);
    step(f);
    assert_int_equal(seen.n, 3);
    assert_int_equal(seen.n_declared, 1);
    assert_string_equal(seen.text[0], "ex/key/one");
    assert_string_equal(seen.text[2], "ex/key/three");
    assert_int_equal(seen.priority[0], 3);
    answer(2, CELERY_OK);
    answer(0, CELERY_OK);
    assert_int_equal(f->ended, 0);
    answer(1, CELERY_OK);
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->confirmed, 3);
    assert_int_equal(f->err.status, CELERY_OK);
    assert_int_equal(f->client->outbox.bytes, 0);
}

static void test_only_what_surely_did_not_happen_is_tried_again(void **state)
{
    struct fixture *f = *state;
    struct cel_effects list = {0};
    f->client->outbox.policy = (struct cel_retry_policy){.max_retries = 2};
    add_message(&list, "one");
    add_batch(f, &list);
    for (size_t i = 0; i < 3; i++) {
        step(f);
        assert_int_equal(seen.n, i + 1);
        assert_int_equal(f->ended, 0);
        answer(i, CELERY_ECLOSED);
    }
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->err.status, CELERY_ECLOSED);
    add_message(&list, "two");
    add_batch(f, &list);
    step(f);
    answer(3, CELERY_EUNCERTAIN);
    assert_int_equal(f->ended, 2);
    assert_int_equal(f->err.status, CELERY_EUNCERTAIN);
    assert_string_equal(f->err.message, "task id an-id: as told");
    step(f);
    assert_int_equal(seen.n, 4);
}

static void test_a_failed_batch_ends_when_nothing_is_in_flight(void **state)
{
    struct fixture *f = *state;
    struct cel_effects list = {0};
    add_message(&list, "one");
    add_message(&list, "two");
    add_batch(f, &list);
    step(f);
    answer(0, CELERY_EAUTH);
    assert_int_equal(f->ended, 0);
    answer(1, CELERY_OK);
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->err.status, CELERY_EAUTH);
    assert_int_equal(f->confirmed, 1);
}

static void test_bytes_in_flight_have_a_ceiling(void **state)
{
    struct fixture *f = *state;
    struct cel_effects list = {0};
    static char large[(3 << 20) + 1];
    memset(large, 'x', sizeof large - 1);
    for (int i = 0; i < 3; i++) {
        add_message(&list, large);
    }
    add_batch(f, &list);
    step(f);
    assert_int_equal(seen.n, 2);
    answer(0, CELERY_OK);
    step(f);
    assert_int_equal(seen.n, 3);
    answer(1, CELERY_OK);
    answer(2, CELERY_OK);
    assert_int_equal(f->ended, 1);
}

static void test_notes_are_confirmed_before_the_first_message(void **state)
{
    struct fixture *f = *state;
    struct cel_effects list = {0};
    const struct cel_effect size = {
        .kind = CEL_EFFECT_CHORD_SIZE, .id = CEL_SLICE("gid"), .number = 2};
    add_message(&list, "one");
    assert_int_equal(cel_effects_add(&list, &size), CELERY_OK);
    add_batch(f, &list);
    step(f);
    step(f);
    assert_int_equal(seen.n_notes, 1);
    assert_int_equal(seen.n, 0);
    celery_error why = {0};
    cel_error_set(&why, CELERY_EUNCERTAIN, "in doubt");
    cel_done(seen.note[0], &why, 0); /* it may be noted twice */
    step(f);
    assert_int_equal(seen.n_notes, 2);
    cel_done(seen.note[1], NULL, 0);
    step(f);
    assert_int_equal(seen.n, 1);
    answer(0, CELERY_OK);
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->err.status, CELERY_OK);
}

static void test_a_refused_note_fails_the_batch(void **state)
{
    struct fixture *f = *state;
    struct cel_effects list = {0};
    const struct cel_effect size = {
        .kind = CEL_EFFECT_CHORD_SIZE, .id = CEL_SLICE("gid"), .number = 2};
    assert_int_equal(cel_effects_add(&list, &size), CELERY_OK);
    add_message(&list, "one");
    add_batch(f, &list);
    step(f);
    celery_error why = {0};
    cel_error_set(&why, CELERY_EAUTH, "no");
    cel_done(seen.note[0], &why, 0);
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->err.status, CELERY_EAUTH);
    step(f);
    assert_int_equal(seen.n, 0);
}

static void test_notes_need_a_backend(void **state)
{
    struct fixture *f = *state;
    struct cel_effects list = {0};
    const struct cel_effect size = {
        .kind = CEL_EFFECT_CHORD_SIZE, .id = CEL_SLICE("gid"), .number = 2};
    struct cel_backend *backend = f->client->backend;
    f->client->backend = NULL;
    add_message(&list, "one");
    assert_int_equal(cel_effects_add(&list, &size), CELERY_OK);
    assert_null(
        cel_outbox_add(&f->client->outbox, &list, (struct cel_done){on_end, f}, &f->err));
    assert_int_equal(f->err.status, CELERY_ECONFIG);
    f->client->backend = backend;
    step(f);
    assert_int_equal(seen.n, 0);
}

/* A result that finds no queue of replies is lost. */
static void test_messages_wait_for_the_queue_of_their_replies(void **state)
{
    struct fixture *f = *state;
    struct cel_effects list = {0};
    celery_error why = {0};

    f->backend.flags |= CEL_BACKEND_REPLIES;
    cel_error_set(&why, CELERY_ECLOSED, "cut");
    cel_uplink_lost(&f->client->results, &why);
    add_message(&list, "one");
    add_batch(f, &list);
    f->client->results.state = CEL_UPLINK_CONNECTING; /* the answer does not come yet */
    step(f);
    step(f);
    assert_int_equal(seen.n, 0);
    assert_int_equal(f->ended, 0);
    f->client->results.state = CEL_UPLINK_UP;
    cel_outbox_poke(&f->client->outbox);
    step(f);
    assert_int_equal(seen.n, 1);
    answer(0, CELERY_OK);
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->err.status, CELERY_OK);
}

static void test_messages_end_when_there_is_no_such_queue(void **state)
{
    struct fixture *f = *state;
    struct cel_effects list = {0};
    celery_error why = {0};

    f->backend.flags |= CEL_BACKEND_REPLIES;
    cel_error_set(&why, CELERY_EAUTH, "not you");
    cel_uplink_lost(&f->client->results, &why);
    add_message(&list, "one");
    add_batch(f, &list);
    f->client->results.timer = cel_source_free(f->client->results.timer);
    step(f);
    assert_int_equal(seen.n, 0);
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->err.status, CELERY_EAUTH);
}

static void test_closing_ends_every_batch(void **state)
{
    struct fixture *f = *state;
    struct cel_effects list = {0};
    add_message(&list, "one");
    add_batch(f, &list);
    f->client->broker.state = CEL_UPLINK_DOWN;
    cel_outbox_fini(&f->client->outbox);
    assert_int_equal(f->ended, 1);
    assert_int_equal(f->err.status, CELERY_ECLOSED);
    add_message(&list, "two");
    assert_null(
        cel_outbox_add(&f->client->outbox, &list, (struct cel_done){on_end, f}, &f->err));
    assert_null(list.bytes.data);
}

#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* Once, behind the queue, before the first message that waits. */
static void test_delayed_delivery_is_declared_when_it_is_needed(void **state)
{
    struct fixture *f = *state;
    struct cel_effects list = {0}, more = {0};
    add_message(&list, "one");
    add_batch(f, &list);
    step(f);
    assert_int_equal(seen.n_declared, 1);
    assert_int_equal(seen.n_delayed, 0);
    add_message_to(&more, "celery_delayed_27", "two");
    add_message_to(&more, "celery_delayed_27", "three");
    add_batch(f, &more);
    step(f);
    assert_int_equal(seen.n, 3);
    assert_int_equal(seen.n_declared, 1);
    assert_int_equal(seen.n_delayed, 1);
    for (size_t i = 0; i < 3; i++) {
        answer(i, CELERY_OK);
    }
    step(f);
    assert_int_equal(f->ended, 2);
}

static void test_who_may_not_declare_delayed_delivery_sends_all_the_same(void **state)
{
    struct fixture *f = *state;
    struct cel_effects list = {0};
    seen.delayed = CELERY_EAUTH;
    add_message_to(&list, "celery_delayed_27", "one");
    add_batch(f, &list);
    step(f);
    assert_int_equal(seen.n_delayed, 1);
    assert_int_equal(seen.n, 1);
    answer(0, CELERY_OK);
    step(f);
    assert_int_equal(f->err.status, CELERY_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CLIENT(test_messages_are_in_flight_together_and_in_order),
        WITH_CLIENT(test_only_what_surely_did_not_happen_is_tried_again),
        WITH_CLIENT(test_a_failed_batch_ends_when_nothing_is_in_flight),
        WITH_CLIENT(test_bytes_in_flight_have_a_ceiling),
        WITH_CLIENT(test_notes_are_confirmed_before_the_first_message),
        WITH_CLIENT(test_a_refused_note_fails_the_batch),
        WITH_CLIENT(test_notes_need_a_backend),
        WITH_CLIENT(test_messages_wait_for_the_queue_of_their_replies),
        WITH_CLIENT(test_messages_end_when_there_is_no_such_queue),
        WITH_CLIENT(test_closing_ends_every_batch),
        cmocka_unit_test_setup_teardown(
            test_delayed_delivery_is_declared_when_it_is_needed, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_who_may_not_declare_delayed_delivery_sends_all_the_same, setup,
            teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
