/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/error.h"
#include "client/events.h"
#include "message/control.h"
#include "message/event.h"
#include "transport/memory.h"
#include <celery/log.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the side that sends ---- */

static struct cel_loop *loop;
static struct cel_transport *sender;
static struct cel_url *url;
static char broker[64];
static unsigned commands;
static char method[64];

static void on_delivered(void *ctx, struct cel_delivery *d)
{
    cel_envelope_free(d->envelope);
}

static void on_lost(void *ctx, const celery_error *why)
{
}

static void on_broadcast(void *ctx, const char *exchange, struct cel_slice routing_key,
                         struct cel_envelope *env)
{
    const struct cel_call_limits limits = {.accept = (const char *[]){"json", NULL}};
    struct cel_command c;

    assert_string_equal(exchange, "celery.pidbox");
    assert_int_equal(cel_command_read(env, &limits, &c, NULL), CELERY_OK);
    snprintf(method, sizeof method, "%.*s", (int)c.method.len, c.method.data);
    assert_false(c.wants_reply);
    commands++;
    cel_envelope_free(env);
}

static const struct cel_transport_events sender_events = {
    .delivered = on_delivered, .lost = on_lost, .broadcast = on_broadcast};

static int set_up(void **state)
{
    static int number;
    const struct cel_queue mailbox = {.name = "w1.celery.pidbox",
                                      .exchange = "celery.pidbox",
                                      .exchange_type = "fanout",
                                      .routing_key = "",
                                      .no_ack = true};

    snprintf(broker, sizeof broker, "memory://events%d", number++);
    assert_int_equal(cel_loop_new(&loop, NULL), CELERY_OK);
    assert_int_equal(cel_url_parse(broker, &url, NULL), CELERY_OK);
    assert_int_equal(
        cel_transport_new(loop, &url, 1, NULL, &sender_events, NULL, &sender, NULL),
        CELERY_OK);
    sender->ops->connect(sender, 0, (struct cel_done){0});
    sender->ops->declare(sender, &mailbox, (struct cel_done){0});
    assert_int_equal(sender->ops->consume(sender, mailbox.name, NULL), CELERY_OK);
    commands = 0;
    return 0;
}

static int tear_down(void **state)
{
    cel_transport_free(sender);
    cel_url_free(url);
    cel_loop_free(loop);
    return 0;
}

static void send_as(const char *key, const char *body, const char *content_type)
{
    struct cel_envelope *env = cel_envelope_new();

    assert_non_null(env);
    env->content_type = cel_slice_of(content_type);
    env->content_encoding = CEL_SLICE("utf-8");
    env->body = cel_slice_of(body);
    sender->ops->publish(sender, "celeryev", key, env, (struct cel_done){0});
    cel_envelope_free(env);
}

static void send(const char *key, const char *body)
{
    send_as(key, body, "application/json");
}

/* ---- the side that receives ---- */

struct seen {
    size_t n;
    celery_event last;
    char type[8][64];
    char text[1024]; /* the last one's fields */
    char last_uuid[64];
    unsigned ups, downs;
    celery_events *stop;
};

static void on_event(void *ctx, const celery_event *event)
{
    struct seen *s = ctx;
    char *text = celery_value_dumps(event->fields, NULL);

    assert_non_null(text);
    snprintf(s->text, sizeof s->text, "%s", text);
    free(text);
    s->last = *event;
    snprintf(s->last_uuid, sizeof s->last_uuid, "%s", event->uuid ? event->uuid : "");
    snprintf(s->type[s->n++ % 8], sizeof s->type[0], "%.63s", event->type);
    celery_events_stop(s->stop);
}

static void on_link(void *ctx, const celery_error *err, double wait)
{
    struct seen *s = ctx;

    s->ups += err == NULL;
    s->downs += err != NULL;
}

static celery_events *open_seen(struct seen *s, const char *const *keys)
{
    const celery_events_options options = {.routing_keys = keys, .link = on_link};
    celery_error err = {0};
    celery_events *ev = celery_events_open_url(broker, &options, on_event, s, &err);

    assert_non_null(ev);
    assert_int_equal(s->ups, 1);
    return ev;
}

static void pass(celery_events *ev)
{
    for (int i = 0; i < 4; i++) {
        assert_int_equal(celery_events_step(ev, 0, NULL), CELERY_OK);
        assert_int_equal(cel_loop_pass(loop, 0), CELERY_OK);
    }
}

static void test_a_map_and_a_list(void **state)
{
    struct seen s = {0};
    celery_events *ev = open_seen(&s, NULL);

    send("worker.online", "{\"hostname\": \"w1@h\", \"utcoffset\": 0, \"pid\": 7, "
                          "\"clock\": 5, \"timestamp\": 1000.5, "
                          "\"type\": \"worker-online\"}");
    send("task.multi", "[{\"type\": \"task-received\", \"uuid\": \"u1\", \"clock\": 6},"
                       " {\"type\": \"task-started\", \"uuid\": \"u2\", \"clock\": 7}]");
    pass(ev);
    assert_int_equal(s.n, 3);
    assert_string_equal(s.type[0], "worker-online");
    assert_string_equal(s.type[1], "task-received");
    assert_string_equal(s.type[2], "task-started");
    assert_string_equal(s.last_uuid, "u2");
    assert_null(s.last.hostname);
    celery_events_close(ev);
}

static void test_fields_are_those_of_handlers(void **state)
{
    struct seen s = {0};
    celery_events *ev = open_seen(&s, NULL);
    int here = cel_event_utcoffset();
    char text[300], expected[300];

    snprintf(text, sizeof text,
             "{\"hostname\": \"w1@h\", \"utcoffset\": %d, \"clock\": 90, "
             "\"timestamp\": 10000000.0, \"type\": \"worker-heartbeat\", \"x\": [1]}",
             here + 2);
    send("worker.heartbeat", text);
    pass(ev);
    assert_int_equal(s.n, 1);
    assert_true(s.last.timestamp == 10000000.0 - 7200);
    assert_int_equal(s.last.clock, 90);
    snprintf(expected, sizeof expected,
             "{\"hostname\": \"w1@h\", \"utcoffset\": %d, \"clock\": 90, "
             "\"timestamp\": 9992800.0, \"type\": \"worker-heartbeat\", \"x\": [1], "
             "\"local_received\": ",
             here + 2);
    assert_memory_equal(s.text, expected, strlen(expected));
    celery_events_close(ev);
}

/* receiver.py event_from_message(). */
static void test_clocks(void **state)
{
    struct seen s = {0};
    celery_events *ev = open_seen(&s, NULL);

    send("worker.x", "{\"type\": \"worker-x\", \"clock\": 100}");
    pass(ev);
    assert_int_equal(s.last.clock, 100);
    send("task.sent", "{\"type\": \"task-sent\", \"uuid\": \"u\", \"clock\": 1000000}");
    pass(ev);
    assert_in_range(s.last.clock, 100, 102);
    send("worker.x", "{\"type\": \"worker-x\"}");
    pass(ev);
    assert_in_range(s.last.clock, 102, 105);
    int64_t mine = s.last.clock;
    send("worker.x", "{\"type\": \"worker-x\", \"clock\": 9223372036854775807}");
    pass(ev);
    assert_int_equal(s.last.clock, mine + 1);
    send("worker.x", "{\"type\": \"worker-x\", \"clock\": -5}");
    pass(ev);
    assert_int_equal(s.last.clock, mine + 2);
    celery_events_close(ev);
}

static void test_routing_keys(void **state)
{
    static const char *const keys[] = {"worker.#", "*.online", "task.multi", NULL};
    struct seen s = {0};
    celery_events *ev = open_seen(&s, keys);

    send("worker.online",
         "{\"type\": \"worker-online\"}"); /* matches twice, comes once */
    send("other.thing", "{\"type\": \"other-thing\"}");
    send("task.sent", "{\"type\": \"task-sent\"}");
    send("task.multi", "[{\"type\": \"task-received\"}]");
    pass(ev);
    assert_int_equal(s.n, 2);
    assert_string_equal(s.type[0], "worker-online");
    assert_string_equal(s.type[1], "task-received");
    celery_events_close(ev);
}

static void test_wrong_routing_keys(void **state)
{
    static const char *const none[] = {NULL};
    static const char *const empty[] = {"worker.#", "", NULL};
    const char *many[CEL_EVENTS_KEYS + 2] = {NULL};
    struct seen s = {0};

    for (int i = 0; i <= CEL_EVENTS_KEYS; i++) {
        many[i] = "worker.#";
    }
    const char *const *const wrong[] = {none, empty, many};
    for (size_t i = 0; i < 3; i++) {
        const celery_events_options options = {.routing_keys = wrong[i]};
        celery_error err = {0};

        assert_null(celery_events_open_url(broker, &options, on_event, &s, &err));
        assert_int_equal(err.status, CELERY_EINVAL);
    }
}

static void test_workers_are_woken_up(void **state)
{
    const celery_events_options quiet = {.no_wakeup = true};
    struct seen s = {0};
    celery_events *ev = open_seen(&s, NULL);

    pass(ev);
    assert_int_equal(commands, 1);
    assert_string_equal(method, "heartbeat");
    assert_int_equal(celery_events_wakeup(ev, NULL), CELERY_OK);
    pass(ev);
    assert_int_equal(commands, 2);
    celery_events_close(ev);
    ev = celery_events_open_url(broker, &quiet, on_event, &s, NULL);
    pass(ev);
    assert_int_equal(commands, 2);
    celery_events_close(ev);
}

static unsigned lines;

static void on_line(void *ctx, celery_log_level level, const char *message)
{
    assert_null(strchr(message, '\n'));
    assert_null(strchr(message, '\x1b'));
    lines++;
}

static void test_malformed_is_one_line(void **state)
{
    static const char *const bodies[] = {
        "",
        "{",
        "[]",
        "null",
        "7",
        "\"worker-online\"",
        "{}",
        "[[]]",
        "[1, null, {}]",
        "{\"type\": null}",
        "{\"type\": \"\"}",
        "{\"type\": [\"worker-online\"]}",
        "{\"type\": {\"type\": \"worker-online\"}}",
        "{\"type\": \"a\\u0000b\"}",
        "{\"type\": \"\x1b[31m\n\", \"x\"}",
        "\xff\xfe",
    };
    struct seen s = {0};
    celery_events *ev = open_seen(&s, NULL);
    celery_events_counts counts;
    char *deep = malloc(200001);

    assert_non_null(deep);
    memset(deep, '[', 200000);
    deep[200000] = 0;
    lines = 0;
    celery_log_set(on_line, NULL, CELERY_LOG_WARNING);
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        send("worker.online", bodies[i]);
    }
    send("worker.online", deep);
    send_as("worker.online", "{\"type\": \"worker-online\"}", "application/x-python");
    pass(ev);
    assert_int_equal(s.n, 0);
    assert_in_range(lines, 1, 2);
    celery_events_count(ev, &counts);
    /* An empty list is no event and nothing else; one list has three things in it. */
    assert_int_equal(counts.malformed, sizeof bodies / sizeof bodies[0] - 1 + 2 + 2);
    send("worker.online", "{\"type\": \"worker-online\"}");
    pass(ev);
    assert_int_equal(s.n, 1);
    celery_log_set(NULL, NULL, CELERY_LOG_WARNING);
    celery_events_close(ev);
    free(deep);
}

/* Wrong members are as if they were not there. */
static void test_wrong_members(void **state)
{
    static const char *const bodies[] = {
        "{\"type\": \"worker-x\", \"hostname\": 1, \"uuid\": [], \"clock\": \"x\", "
        "\"timestamp\": \"now\", \"utcoffset\": {}, \"pid\": \"p\"}",
        "{\"type\": \"worker-x\", \"timestamp\": NaN, \"clock\": NaN}",
        "{\"type\": \"worker-x\", \"timestamp\": 1e308, \"utcoffset\": "
        "9223372036854775807}",
        "{\"type\": \"worker-x\", \"timestamp\": -Infinity, \"hostname\": \"a\\u0000b\"}",
        "{\"type\": \"worker-x\", \"clock\": 1e300}",
    };
    struct seen s = {0};
    celery_events *ev = open_seen(&s, NULL);

    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        send("worker.x", bodies[i]);
        pass(ev);
        assert_int_equal(s.n, i + 1);
        assert_null(s.last.hostname);
        assert_null(s.last.uuid);
        assert_true(s.last.timestamp == 0);
        assert_true(s.last.clock > 0);
    }
    celery_events_close(ev);
}

static void test_run_stops(void **state)
{
    struct seen s = {0};
    celery_events *ev = open_seen(&s, NULL);

    assert_int_equal(celery_events_run(ev, 0, NULL), CELERY_NONE);
    send("worker.online", "{\"type\": \"worker-online\"}");
    assert_int_equal(celery_events_run(ev, 0, NULL), CELERY_NONE);
    assert_int_equal(s.n, 1);
    s.stop = ev;
    send("worker.online", "{\"type\": \"worker-online\"}");
    assert_int_equal(celery_events_run(ev, 5, NULL), CELERY_OK);
    assert_int_equal(s.n, 2);
    celery_events_stop(ev);
    assert_int_equal(celery_events_run(ev, -1, NULL), CELERY_OK);
    assert_true(celery_events_fd(ev) >= 0);
    celery_events_close(ev);
}

static void test_no_handle(void **state)
{
    celery_error err = {0};
    celery_events_counts counts = {.events = 7};

    celery_events_close(NULL);
    celery_events_stop(NULL);
    celery_events_count(NULL, &counts);
    assert_int_equal(counts.events, 0);
    assert_int_equal(celery_events_fd(NULL), -1);
    assert_int_equal(celery_events_step(NULL, 0, &err), CELERY_EINVAL);
    assert_int_equal(celery_events_run(NULL, 0, &err), CELERY_EINVAL);
    assert_int_equal(celery_events_wakeup(NULL, &err), CELERY_EINVAL);
    assert_null(celery_events_open(NULL, NULL, on_event, NULL, &err));
    assert_int_equal(err.status, CELERY_OK);
    assert_null(celery_events_open_url(broker, NULL, NULL, NULL, &err));
    assert_int_equal(err.status, CELERY_EINVAL);
}

static void test_settings_that_contradict(void **state)
{
    celery_app *app = celery_app_new("t");
    celery_error err = {0};
    struct seen s = {0};

    assert_non_null(app);
    celery_app_set(app, "broker_url", broker, NULL);
    celery_app_set(app, "event_queue_durable", "true", NULL);
    celery_app_set(app, "event_queue_exclusive", "true", NULL);
    assert_null(celery_events_open(app, NULL, on_event, &s, &err));
    assert_int_equal(err.status, CELERY_ECONFIG);
    celery_app_free(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_map_and_a_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fields_are_those_of_handlers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_clocks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_routing_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wrong_routing_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_workers_are_woken_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_malformed_is_one_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wrong_members, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_run_stops, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_handle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_settings_that_contradict, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
