/* SPDX-License-Identifier: BSD-3-Clause */
/* Over a Unix socket of the test's own: no network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/http_server.h"
#include "net/listen.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static double now = 1000;
static char folder[] = "/tmp/celery-http-XXXXXX";
static char path[64];
static char address[80];

static double test_clock(void)
{
    return now;
}

static const struct cel_clock_ops clock_ops = {test_clock, test_clock};

struct fixture {
    struct cel_loop *loop;
    struct cel_http_server *server;
    size_t body; /* bytes that are answered */
    int calls;
};

static void on_request(void *ctx, const struct cel_http_request *request,
                       struct cel_http_reply *reply)
{
    struct fixture *f = ctx;

    f->calls++;
    if (cel_slice_is(request->path, "/known")) {
        reply->status = 200;
        for (size_t i = 0; i < f->body; i++) {
            cel_buf_addc(&reply->body, 'x');
        }
    }
}

static void passes(struct fixture *f)
{
    for (int i = 0; i < 5; i++) {
        assert_int_equal(cel_loop_pass(f->loop, 0), CELERY_OK);
    }
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    cel_clock_set(&clock_ops);
    f->body = 3;
    assert_int_equal(cel_loop_new(&f->loop, NULL), CELERY_OK);
    assert_int_equal(
        cel_http_server_new(f->loop, address, on_request, f, &f->server, NULL),
        CELERY_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    cel_http_server_free(f->server);
    assert_int_equal(access(path, F_OK), -1);
    cel_loop_free(f->loop);
    cel_clock_set(NULL);
    free(f);
    return 0;
}

static int dial(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memcpy(name.sun_path, path, strlen(path) + 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What has come; *ret_over: and nothing more will. */
static size_t hear(struct fixture *f, int fd, char *text, size_t size, bool *ret_over)
{
    size_t len = 0;

    *ret_over = false;
    for (int i = 0; i < 200 && !*ret_over; i++) {
        ssize_t n = recv(fd, text + len, size - 1 - len, 0);

        *ret_over = n == 0 || (n < 0 && errno != EAGAIN);
        len += n > 0 ? (size_t)n : 0;
        passes(f);
    }
    text[len] = '\0';
    return len;
}

static void expect(struct fixture *f, const char *request, const char *begin,
                   const char *end)
{
    char text[4096];
    bool over;
    int fd = dial();

    say(fd, request);
    size_t len = hear(f, fd, text, sizeof text, &over);
    assert_true(over);
    assert_memory_equal(text, begin, strlen(begin));
    assert_true(len >= strlen(end));
    assert_string_equal(text + len - strlen(end), end);
    close(fd);
    passes(f);
    assert_int_equal(cel_http_server_clients(f->server), 0);
}

static void test_answers(void **state)
{
    expect(*state, "GET /known HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\nxxx");
    expect(*state, "HEAD /known HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n",
           "close\r\n\r\n");
    expect(*state, "GET /other HTTP/1.0\r\n\r\n", "HTTP/1.1 404", "404 Not Found\n");
    expect(*state, "nonsense\r\n\r\n", "HTTP/1.1 400", "400 Bad Request\n");
    expect(*state, "POST /known HTTP/1.1\r\n", "HTTP/1.1 405",
           "405 Method Not Allowed\n");
}

/* The answer arrives although more was sent than anybody reads. */
static void test_more_than_asked(void **state)
{
    char request[3000] = "GET /known HTTP/1.0\r\n\r\n";

    memset(request + strlen(request), 'y', sizeof request - strlen(request) - 1);
    expect(*state, request, "HTTP/1.1 200 OK\r\n", "xxx");
}

static void test_a_large_answer_goes_out_in_parts(void **state)
{
    struct fixture *f = *state;
    static char text[4 << 20];
    bool over;

    f->body = 3 << 20;
    int fd = dial();
    say(fd, "GET /known HTTP/1.0\r\n\r\n");
    assert_true(hear(f, fd, text, sizeof text, &over) > f->body);
    assert_true(over);
    close(fd);
}

static void test_slow_clients_are_dropped(void **state)
{
    struct fixture *f = *state;
    char text[64];
    bool over;
    int fd = dial();

    say(fd, "GET /kn");
    passes(f);
    assert_int_equal(cel_http_server_clients(f->server), 1);
    now += CEL_HTTP_DEADLINE - 0.5;
    say(fd, "ow");
    passes(f);
    assert_int_equal(cel_http_server_clients(f->server), 1);
    now += 1;
    passes(f);
    assert_int_equal(cel_http_server_clients(f->server), 0);
    assert_int_equal(hear(f, fd, text, sizeof text, &over), 0);
    assert_true(over);
    close(fd);
    assert_int_equal(f->calls, 0);
}

/* Whoever holds all places does not keep others out. */
static void test_the_oldest_gives_way(void **state)
{
    struct fixture *f = *state;
    int idle[CEL_HTTP_CLIENTS_MAX * 2];
    size_t n = sizeof idle / sizeof idle[0];

    for (size_t i = 0; i < n; i++) {
        idle[i] = dial();
        passes(f);
        assert_true(cel_http_server_clients(f->server) <= CEL_HTTP_CLIENTS_MAX);
    }
    char text[4096];
    bool over;
    int fd = dial();
    say(fd, "GET /known HTTP/1.0\r\n\r\n");
    assert_true(hear(f, fd, text, sizeof text, &over) > 0);
    assert_int_equal(strncmp(text, "HTTP/1.1 200", 12), 0);
    close(fd);
    for (size_t i = 0; i < n; i++) {
        close(idle[i]);
    }
}

static void test_addresses(void **state)
{
    static const char *const bad[] = {"",      "x",       "1.2.3.4",     "1.2.3.4:",
                                      "a.b:1", "::1:80",  "[::1:80",     "1.2.3.4:70000",
                                      "unix:", "1.2.3:x", "127.0.0.1:-1"};
    struct cel_listener l;
    celery_error err = {0};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(cel_listen(bad[i], &l, &err), CELERY_EINVAL);
        assert_non_null(strstr(err.message, "not an address"));
        assert_int_equal(l.fd, -1);
    }
    assert_int_equal(cel_listen("127.0.0.1:0", &l, &err), CELERY_OK);
    cel_listener_close(&l);
    cel_listener_close(&l);
}

/* In use: refused.  Left by a dead process: replaced.  Not a socket: left alone. */
static void test_socket_files(void **state)
{
    struct cel_listener first;
    struct cel_listener second;

    assert_int_equal(cel_listen(address, &first, NULL), CELERY_OK);
    assert_int_equal(cel_listen(address, &second, NULL), CELERY_ESYSTEM);
    close(first.fd);
    assert_int_equal(cel_listen(address, &second, NULL), CELERY_OK);
    cel_listener_close(&second);
    assert_int_equal(access(path, F_OK), -1);

    int file = open(path, O_CREAT | O_WRONLY, 0600);
    close(file);
    assert_int_equal(cel_listen(address, &second, NULL), CELERY_ESYSTEM);
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_more_than_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_large_answer_goes_out_in_parts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_slow_clients_are_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_oldest_gives_way, set_up, tear_down),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_socket_files),
    };

    if (!mkdtemp(folder)) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/s", folder);
    snprintf(address, sizeof address, "unix:%s", path);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
