/* SPDX-License-Identifier: BSD-3-Clause */
/* What the C tests ask of a private RabbitMQ, asked once. */
#include "rabbit_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* Whether a broker greets there. */
static bool greets(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char reply[1] = {0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
              send(fd, "AMQP\0\0\t\1", 8, MSG_NOSIGNAL) == 8 &&
              recv(fd, reply, 1, 0) == 1;
    if (fd >= 0) {
        close(fd);
    }
    return ok && reply[0] == 1;
}

static void test_node_of_its_own(void **state)
{
    const struct rabbit_server_options options = {
        .tls = true, .settings = (const char *[]){"{consumer_timeout, 54321}", NULL}};
    struct rabbit_server *s = rabbit_server_start(&options);

    assert_non_null(s);
    assert_true(greets(rabbit_server_port(s)));
    assert_true(rabbit_server_tls_port(s) > 0);
    assert_string_equal(
        rabbit_server_tell(s, "eval application:get_env(rabbit, consumer_timeout)"),
        "{ok,54321}");
    assert_non_null(rabbit_server_tell(s, "alarm on"));
    assert_non_null(
        strstr(rabbit_server_tell(s, "eval rabbit_alarm:get_alarms()"), "memory"));
    assert_non_null(rabbit_server_tell(s, "alarm off"));
    assert_string_equal(rabbit_server_tell(s, "eval rabbit_alarm:get_alarms()"), "[]");
    assert_non_null(rabbit_server_tell(s, "stop_app"));
    assert_false(greets(rabbit_server_port(s)));
    assert_non_null(rabbit_server_tell(s, "start_app"));
    assert_true(greets(rabbit_server_port(s)));
    assert_non_null(rabbit_server_tell(s, "kill9"));
    assert_false(greets(rabbit_server_port(s)));
    assert_non_null(rabbit_server_tell(s, "start"));
    assert_true(greets(rabbit_server_port(s)));
    rabbit_server_stop(s);
}

static void test_shared_node(void **state)
{
    const struct rabbit_server_options options = {.shared = true};
    struct rabbit_server *a = rabbit_server_start(&options);
    struct rabbit_server *b = rabbit_server_start(&options);

    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(rabbit_server_port(a), rabbit_server_port(b));
    assert_string_not_equal(rabbit_server_url(a), rabbit_server_url(b));
    assert_int_equal(rabbit_server_count(a, "messages", "celery"), -1);
    assert_int_equal(rabbit_server_count(a, "connections", NULL), 0);
    assert_null(rabbit_server_tell(a, "delete_queue celery"));
    rabbit_server_stop(a);
    assert_string_equal(rabbit_server_tell(b, "queues"), "{}");
    rabbit_server_stop(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_of_its_own),
        cmocka_unit_test(test_shared_node),
    };

    if (!rabbit_server_installed()) {
        puts("skipped: rabbitmq-server is not installed");
        return TEST_SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
