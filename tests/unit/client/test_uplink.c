/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "client/uplink.h"

static double fake_now;

static double fake_mono(void)
{
    return fake_now;
}

struct peer {
    struct cel_uplink link;
    struct cel_done pending;
    size_t url_index;
    int connects, ups;
};

static void on_connect(void *ctx, size_t url_index, struct cel_done done)
{
    struct peer *p = ctx;
    p->connects++;
    p->url_index = url_index;
    p->pending = done;
}

static void on_up(void *ctx)
{
    ((struct peer *)ctx)->ups++;
}

static void start(struct peer *p, struct cel_loop **loop, size_t n_urls)
{
    static const struct cel_clock_ops fake = {.mono = fake_mono};
    fake_now = 1000;
    cel_clock_set(&fake);
    assert_int_equal(cel_loop_new(loop, NULL), CELERY_OK);
    *p = (struct peer){.link = {.loop = *loop,
                                .n_urls = n_urls,
                                .connect = on_connect,
                                .up = on_up,
                                .ctx = p}};
    assert_int_equal(cel_uplink_start(&p->link, NULL), CELERY_OK);
}

static void stop(struct peer *p, struct cel_loop *loop)
{
    cel_uplink_stop(&p->link);
    cel_loop_free(loop);
    cel_clock_set(NULL);
}

static void refuse(struct peer *p)
{
    celery_error err = {.status = CELERY_ECONNECT, .message = "refused"};
    cel_done(p->pending, &err, 0);
}

static void test_url_after_url_then_a_rest(void **state)
{
    struct peer p;
    struct cel_loop *loop;
    start(&p, &loop, 2);
    assert_int_equal(p.connects, 1);
    refuse(&p);
    cel_loop_pass(loop, 0);
    assert_int_equal(p.connects, 2);
    assert_int_equal(p.url_index, 1);
    assert_int_equal(p.link.rounds, 0);
    refuse(&p);
    assert_int_equal(p.link.rounds, 1);
    cel_loop_pass(loop, 0);
    assert_int_equal(p.connects, 2); /* at least 10 ms */
    assert_string_equal(p.link.last.message, "refused");
    fake_now += 6;
    cel_loop_pass(loop, 0);
    assert_int_equal(p.connects, 3);
    assert_int_equal(p.url_index, 0);
    cel_done(p.pending, NULL, 0);
    assert_int_equal(p.link.state, CEL_UPLINK_UP);
    assert_int_equal(p.ups, 1);
    stop(&p, loop);
}

static void test_a_lost_link_comes_back(void **state)
{
    struct peer p;
    struct cel_loop *loop;
    celery_error err = {.status = CELERY_ECLOSED};
    start(&p, &loop, 1);
    cel_done(p.pending, NULL, 0);
    cel_uplink_lost(&p.link, &err);
    cel_uplink_lost(&p.link, &err);
    assert_int_equal(p.link.state, CEL_UPLINK_DOWN);
    fake_now += 6;
    cel_loop_pass(loop, 0);
    assert_int_equal(p.connects, 2);
    cel_done(p.pending, NULL, 0);
    assert_int_equal(p.ups, 2);
    stop(&p, loop);
}

static void test_hurry_does_not_wait(void **state)
{
    struct peer p;
    struct cel_loop *loop;
    start(&p, &loop, 1);
    refuse(&p);
    cel_uplink_hurry(&p.link);
    cel_loop_pass(loop, 0);
    assert_int_equal(p.connects, 2);
    cel_uplink_hurry(&p.link); /* while connecting: harmless */
    cel_loop_pass(loop, 0);
    assert_int_equal(p.connects, 2);
    stop(&p, loop);
}

static void test_stopped_it_ignores_the_answer(void **state)
{
    struct peer p;
    struct cel_loop *loop;
    start(&p, &loop, 1);
    cel_uplink_stop(&p.link);
    cel_done(p.pending, NULL, 0);
    assert_int_equal(p.ups, 0);
    assert_int_equal(p.link.state, CEL_UPLINK_OFF);
    stop(&p, loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url_after_url_then_a_rest),
        cmocka_unit_test(test_a_lost_link_comes_back),
        cmocka_unit_test(test_hurry_does_not_wait),
        cmocka_unit_test(test_stopped_it_ignores_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
