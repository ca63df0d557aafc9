/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "loop/loop.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static double fake_now;

static double fake_mono(void)
{
    return fake_now;
}

static const struct cel_clock_ops fake = {.mono = fake_mono};

struct fixture {
    struct cel_loop *loop;
    int pipe[2];
    struct cel_source *a, *b, *c;
    int calls_a, calls_b, calls_c;
    unsigned ready;
    int number, wait_status;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    fake_now = 1000;
    cel_clock_set(&fake);
    if (!f || cel_loop_new(&f->loop, NULL) < 0 ||
        pipe2(f->pipe, O_NONBLOCK | O_CLOEXEC)) {
        return -1;
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cel_loop_free(f->loop);
    close(f->pipe[0]);
    close(f->pipe[1]);
    cel_clock_set(NULL);
    free(f);
    return 0;
}

static void on_io(void *ctx, int fd, unsigned ready)
{
    struct fixture *f = ctx;
    f->calls_a++;
    f->ready = ready;
    f->number = fd;
}

static void test_io_is_reported_while_it_is_ready(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(cel_loop_add_io(f->loop, &f->a, f->pipe[0], CEL_READ, on_io, f), 0);
    cel_loop_pass(f->loop, 0);
    assert_int_equal(f->calls_a, 0);
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    cel_loop_pass(f->loop, 1);
    cel_loop_pass(f->loop, 1);
    assert_int_equal(f->calls_a, 2);
    assert_int_equal(f->ready, CEL_READ);
    assert_int_equal(f->number, f->pipe[0]);
    cel_source_io(f->a, 0);
    cel_loop_pass(f->loop, 0);
    assert_int_equal(f->calls_a, 2);
    cel_source_io(f->a, CEL_READ);
    cel_loop_pass(f->loop, 0);
    assert_int_equal(f->calls_a, 3);
}

static void test_hangup_comes_with_what_was_wanted(void **state)
{
    struct fixture *f = *state;
    cel_loop_add_io(f->loop, &f->a, f->pipe[0], CEL_READ, on_io, f);
    close(f->pipe[1]);
    cel_loop_pass(f->loop, 1);
    assert_int_equal(f->ready, CEL_READ | CEL_HANGUP);
    cel_source_io(f->a, 0);
    cel_loop_pass(f->loop, 0);
    assert_int_equal(f->calls_a, 1);
    f->pipe[1] = dup(f->pipe[0]);
}

static void on_io_free_both(void *ctx, int fd, unsigned ready)
{
    struct fixture *f = ctx;
    f->calls_a++;
    f->a = cel_source_free(f->a);
    f->b = cel_source_free(f->b);
}

static void test_a_source_freed_in_the_pass_is_not_called(void **state)
{
    struct fixture *f = *state;
    int other = dup(f->pipe[0]);
    cel_loop_add_io(f->loop, &f->a, f->pipe[0], CEL_READ, on_io_free_both, f);
    cel_loop_add_io(f->loop, &f->b, other, CEL_READ, on_io_free_both, f);
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    cel_loop_pass(f->loop, 1);
    assert_int_equal(f->calls_a, 1);
    close(other);
}

static void count_a(void *ctx)
{
    ((struct fixture *)ctx)->calls_a++;
}

static void test_timer_fires_once_at_its_time(void **state)
{
    struct fixture *f = *state;
    cel_loop_add_timer(f->loop, &f->a, 1005, count_a, f);
    cel_loop_pass(f->loop, 0);
    assert_int_equal(f->calls_a, 0);
    fake_now = 1005;
    cel_loop_pass(f->loop, -1);
    cel_loop_pass(f->loop, 0);
    assert_int_equal(f->calls_a, 1);
    cel_source_rearm(f->a, 1000);
    cel_loop_pass(f->loop, -1);
    assert_int_equal(f->calls_a, 2);
    cel_source_rearm(f->a, 1006);
    cel_source_disarm(f->a);
    fake_now = 1010;
    cel_loop_pass(f->loop, 0);
    assert_int_equal(f->calls_a, 2);
}

static void rearm_now(void *ctx)
{
    struct fixture *f = ctx;
    f->calls_a++;
    cel_source_rearm(f->a, 0);
}

static void test_timer_armed_for_now_waits_for_the_next_pass(void **state)
{
    struct fixture *f = *state;
    cel_loop_add_timer(f->loop, &f->a, 0, rearm_now, f);
    cel_loop_pass(f->loop, -1);
    assert_int_equal(f->calls_a, 1);
    cel_loop_pass(f->loop, -1);
    assert_int_equal(f->calls_a, 2);
}

static void free_b(void *ctx)
{
    struct fixture *f = ctx;
    f->calls_a++;
    f->b = cel_source_free(f->b);
}

static void count_b(void *ctx)
{
    ((struct fixture *)ctx)->calls_b++;
}

static void test_timer_freed_by_another_does_not_fire(void **state)
{
    struct fixture *f = *state;
    cel_loop_add_timer(f->loop, &f->a, 1, free_b, f);
    cel_loop_add_timer(f->loop, &f->b, 2, count_b, f);
    cel_loop_pass(f->loop, -1);
    assert_int_equal(f->calls_a, 1);
    assert_int_equal(f->calls_b, 0);
}

static void test_timers_fire_in_order_of_time(void **state)
{
    struct fixture *f = *state;
    struct cel_source *timers[100];
    for (int i = 0; i < 100; i++) {
        cel_loop_add_timer(f->loop, &timers[i], 1000 + (i * 37 % 100), count_a, f);
    }
    for (int i = 0; i < 100; i++) {
        fake_now = 1000 + i;
        cel_loop_pass(f->loop, 0);
        assert_int_equal(f->calls_a, i + 1);
    }
}

static void hook_b_schedules_a(void *ctx)
{
    struct fixture *f = ctx;
    f->calls_b++;
    cel_source_schedule(f->a);
}

static void test_hook_runs_only_when_scheduled_and_others_in_the_same_pass(void **state)
{
    struct fixture *f = *state;
    cel_loop_add_hook(f->loop, &f->a, count_a, f);
    cel_loop_add_hook(f->loop, &f->b, hook_b_schedules_a, f);
    cel_loop_pass(f->loop, 0);
    assert_int_equal(f->calls_a + f->calls_b, 0);
    cel_source_schedule(f->b);
    cel_source_schedule(f->b);
    cel_loop_pass(f->loop, -1); /* does not wait: there was something to do */
    assert_int_equal(f->calls_b, 1);
    assert_int_equal(f->calls_a, 1);
    cel_source_schedule(f->a);
    f->a = cel_source_free(f->a);
    cel_loop_pass(f->loop, 0);
    assert_int_equal(f->calls_a, 1);
}

static void test_hook_that_schedules_itself_does_not_hold_the_pass(void **state)
{
    struct fixture *f = *state;
    cel_loop_add_hook(f->loop, &f->a, hook_b_schedules_a, f);
    cel_source_schedule(f->a);
    cel_loop_pass(f->loop, -1);
    int first = f->calls_b;
    cel_loop_pass(f->loop, -1);
    assert_true(f->calls_b > first);
}

static void test_wakes_become_one(void **state)
{
    struct fixture *f = *state;
    cel_loop_add_wake(f->loop, &f->a, count_a, f);
    cel_loop_wake(f->loop);
    cel_loop_wake(f->loop);
    cel_loop_pass(f->loop, -1);
    cel_loop_pass(f->loop, 0);
    assert_int_equal(f->calls_a, 1);
    cel_loop_wake(f->loop);
    cel_loop_pass(f->loop, -1);
    assert_int_equal(f->calls_a, 2);
}

static void on_signal(void *ctx, int signo)
{
    struct fixture *f = ctx;
    f->calls_a++;
    f->number = signo;
}

static void test_signal_is_counted_and_its_handler_restored(void **state)
{
    struct fixture *f = *state;
    struct sigaction before;
    struct sigaction after;
    sigaction(SIGUSR1, NULL, &before);
    assert_int_equal(cel_loop_add_signal(f->loop, &f->a, SIGUSR1, on_signal, f), 0);
    raise(SIGUSR1);
    raise(SIGUSR1);
    cel_loop_pass(f->loop, -1);
    assert_int_equal(f->calls_a, 2);
    assert_int_equal(f->number, SIGUSR1);
    struct cel_loop *other;
    assert_int_equal(cel_loop_new(&other, NULL), 0);
    struct cel_source *refused = NULL;
    assert_int_equal(cel_loop_add_signal(other, &refused, SIGUSR1, on_signal, f),
                     CELERY_EINVAL);
    cel_loop_free(other);
    f->a = cel_source_free(f->a);
    sigaction(SIGUSR1, NULL, &after);
    assert_true(before.sa_handler == after.sa_handler);
}

static void on_child(void *ctx, int pid, int wait_status)
{
    struct fixture *f = ctx;
    f->calls_c++;
    f->number = pid;
    f->wait_status = wait_status;
    f->c = cel_source_free(f->c);
}

static void test_child_exit_is_reported_with_its_status(void **state)
{
    struct fixture *f = *state;
    cel_clock_set(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(7);
    }
    assert_int_equal(cel_loop_add_child(f->loop, &f->c, pid, on_child, f), 0);
    for (int i = 0; i < 100 && f->calls_c == 0; i++) {
        cel_loop_pass(f->loop, 1);
    }
    assert_int_equal(f->calls_c, 1);
    assert_int_equal(f->number, pid);
    assert_true(WIFEXITED(f->wait_status) && WEXITSTATUS(f->wait_status) == 7);
}

static void test_child_reaped_by_somebody_else_is_reported(void **state)
{
    struct fixture *f = *state;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    assert_int_equal(cel_loop_add_child(f->loop, &f->c, pid, on_child, f), 0);
    cel_loop_pass(f->loop, 1);
    assert_int_equal(f->calls_c, 1);
    assert_int_equal(f->wait_status, -1);
}

static bool readable(int fd, int timeout)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout) == 1;
}

static void test_descriptor_shows_what_is_due(void **state)
{
    struct fixture *f = *state;
    int fd = cel_loop_fd(f->loop);
    assert_true(fd >= 0);
    assert_false(readable(fd, 0));
    cel_loop_add_timer(f->loop, &f->a, 1000, count_a, f);
    assert_true(readable(fd, 1000));
    cel_loop_pass(f->loop, 0);
    assert_int_equal(f->calls_a, 1);
    assert_false(readable(fd, 0));
    cel_loop_add_hook(f->loop, &f->b, count_b, f);
    cel_source_schedule(f->b);
    assert_true(readable(fd, 1000));
    cel_loop_pass(f->loop, 0);
    assert_false(readable(fd, 0));
    cel_loop_wake(f->loop);
    assert_true(readable(fd, 1000));
}

static void stop(void *ctx)
{
    struct fixture *f = ctx;
    f->calls_a++;
    cel_loop_stop(f->loop);
    assert_int_equal(cel_loop_pass(f->loop, 0), CELERY_EINVAL);
}

static void test_run_ends_with_stop(void **state)
{
    struct fixture *f = *state;
    cel_loop_add_timer(f->loop, &f->a, 0, stop, f);
    assert_int_equal(cel_loop_run(f->loop), CELERY_OK);
    assert_int_equal(f->calls_a, 1);
}

static void test_free_of_nothing_is_harmless(void **state)
{
    assert_null(cel_loop_free(NULL));
    assert_null(cel_source_free(NULL));
}

#define LOOP_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_io_is_reported_while_it_is_ready),
        LOOP_TEST(test_hangup_comes_with_what_was_wanted),
        LOOP_TEST(test_a_source_freed_in_the_pass_is_not_called),
        LOOP_TEST(test_timer_fires_once_at_its_time),
        LOOP_TEST(test_timer_armed_for_now_waits_for_the_next_pass),
        LOOP_TEST(test_timer_freed_by_another_does_not_fire),
        LOOP_TEST(test_timers_fire_in_order_of_time),
        LOOP_TEST(test_hook_runs_only_when_scheduled_and_others_in_the_same_pass),
        LOOP_TEST(test_hook_that_schedules_itself_does_not_hold_the_pass),
        LOOP_TEST(test_wakes_become_one),
        LOOP_TEST(test_signal_is_counted_and_its_handler_restored),
        LOOP_TEST(test_child_exit_is_reported_with_its_status),
        LOOP_TEST(test_child_reaped_by_somebody_else_is_reported),
        LOOP_TEST(test_descriptor_shows_what_is_due),
        LOOP_TEST(test_run_ends_with_stop),
        cmocka_unit_test(test_free_of_nothing_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
