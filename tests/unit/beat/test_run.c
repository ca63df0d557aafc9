/* SPDX-License-Identifier: BSD-3-Clause */
/* What is due is written down before it is sent; clocks that jump; locks that are lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "beat/beat.h"
#include <celery/log.h>
#include <string.h>

#define START 1790000000.0 /* a Monday in 2026 */

static double wall, mono;

static double fake_wall(void)
{
    return wall;
}

static double fake_mono(void)
{
    return mono;
}

static void pass_time(double seconds)
{
    wall += seconds;
    mono += seconds;
}

/* A lock that keeps what it is given and answers when it is told to. */
static struct {
    char text[4096];
    int n;
    struct cel_done done;
} kept;

static void keep(struct cel_beat_lock *lock, struct cel_slice text, struct cel_done done)
{
    (void)lock;
    assert_true(text.len < sizeof kept.text);
    memcpy(kept.text, text.data, text.len);
    kept.text[text.len] = '\0';
    kept.n++;
    kept.done = done;
}

static void set_aside(struct cel_beat_lock *lock, char *text, size_t size)
{
    (void)lock;
    *text = '\0';
}

static const struct cel_beat_lock_ops fake_ops = {
    .name = "fake", .save = keep, .set_aside = set_aside};

struct bed {
    celery_beat beat;
    celery_client client;
    struct cel_beat_lock lock;
};

static void set_up(struct bed *t, const char *schedule)
{
    static const struct cel_clock_ops clock = {fake_mono, fake_wall};
    struct cel_arena a = {0};
    struct cel_node *doc = NULL;
    celery_error err = {0};

    wall = START;
    mono = 1000;
    cel_clock_set(&clock);
    memset(&kept, 0, sizeof kept);
    *t = (struct bed){.lock = {.ops = &fake_ops, .held = true}};
    t->beat.client = &t->client;
    t->beat.lock = &t->lock;
    t->beat.deadline = -1;
    t->beat.max_interval = 300;
    t->beat.sync_every = 180;
    t->beat.settings.enable_utc = true;
    assert_int_equal(cel_loop_new(&t->client.loop, &err), CELERY_OK);
    assert_int_equal(cel_zone_open(NULL, &t->beat.zone, &err), CELERY_OK);
    assert_int_equal(cel_json_parse(&a, cel_slice_of(schedule), NULL, &doc, &err),
                     CELERY_OK);
    if (cel_plan_read(&t->beat.plan, doc, 0, cel_clock_wall_us(), &err) < 0) {
        fail_msg("%s", err.message);
    }
    cel_arena_fini(&a);
    cel_beat_lock_events.gained(&t->beat, (struct cel_slice){0});
}

static void tear_down(struct bed *t)
{
    cel_plan_fini(&t->beat.plan);
    cel_zone_free(t->beat.zone);
    cel_loop_free(t->client.loop);
    cel_clock_set(NULL);
}

/* A pass of the loop moves its own time; what it waits for is not waited for here. */
static double tick(struct bed *t)
{
    cel_loop_pass(t->client.loop, 0);
    return cel_beat_tick(&t->beat);
}

static struct cel_entry *entry(struct bed *t, const char *name)
{
    struct cel_entry *e = cel_plan_find(&t->beat.plan, cel_slice_of(name));

    assert_non_null(e);
    return e;
}

static const char every[] = "{\"e\": {\"task\": \"t\", \"schedule\": 10}}";

/* The writing at the beginning is over. */
static void settle(struct bed *t)
{
    tick(t);
    assert_int_equal(kept.n, 1);
    cel_done(kept.done, NULL, 0);
}

static void test_due_run_is_written_down_before_it_may_be_sent(void **state)
{
    struct bed t;

    set_up(&t, every);
    settle(&t);
    pass_time(9.99);
    tick(&t);
    assert_int_equal(entry(&t, "e")->state, CEL_RUN_NONE);
    pass_time(0.02);
    tick(&t);
    assert_int_equal(entry(&t, "e")->state, CEL_RUN_SAVING);
    assert_int_equal(entry(&t, "e")->total_run_count, 1);
    assert_int_equal(kept.n, 2);
    assert_non_null(strstr(kept.text, entry(&t, "e")->id));
    cel_done(kept.done, NULL, 0);
    assert_int_equal(entry(&t, "e")->state, CEL_RUN_READY);
    tear_down(&t);
}

static void test_run_that_could_not_be_written_waits(void **state)
{
    struct bed t;
    celery_error why = {CELERY_ECLOSED, 0, "not connected"};

    celery_log_set_level(CELERY_LOG_OFF);
    set_up(&t, every);
    settle(&t);
    pass_time(11);
    tick(&t);
    cel_done(kept.done, &why, 0);
    assert_int_equal(entry(&t, "e")->state, CEL_RUN_RESERVED);
    tick(&t);
    assert_int_equal(kept.n, 2); /* not at once again */
    pass_time(1);
    tick(&t);
    assert_int_equal(kept.n, 3);
    assert_int_equal(entry(&t, "e")->total_run_count, 1);
    tear_down(&t);
}

static void test_clock_that_jumps_forward_makes_due_once(void **state)
{
    struct bed t;

    set_up(&t, every);
    settle(&t);
    wall += 86400;
    tick(&t);
    assert_int_equal(entry(&t, "e")->total_run_count, 1);
    cel_done(kept.done, NULL, 0);
    entry(&t, "e")->state = CEL_RUN_NONE; /* it was sent */
    t.beat.n_ready = 0;
    pass_time(1);
    tick(&t);
    assert_int_equal(entry(&t, "e")->total_run_count, 1);
    tear_down(&t);
}

static void test_clock_that_jumps_back_delays(void **state)
{
    struct bed t;

    set_up(&t, every);
    settle(&t);
    wall -= 3600;
    pass_time(11);
    tick(&t);
    assert_int_equal(entry(&t, "e")->total_run_count, 0);
    wall += 3600;
    tick(&t);
    assert_int_equal(entry(&t, "e")->total_run_count, 1);
    tear_down(&t);
}

static void test_unwritten_run_of_a_lost_lock_is_still_due(void **state)
{
    struct bed t;
    celery_error why = {CELERY_ECLOSED, 0, "lost"};

    celery_log_set_level(CELERY_LOG_OFF);
    set_up(&t, every);
    settle(&t);
    int64_t before = entry(&t, "e")->last_run_at;

    pass_time(11);
    tick(&t);
    t.lock.held = false;
    cel_beat_lock_events.lost(&t.beat, &why);
    assert_int_equal(entry(&t, "e")->state, CEL_RUN_NONE);
    assert_int_equal(entry(&t, "e")->last_run_at, before);
    assert_int_equal(entry(&t, "e")->total_run_count, 0);
    pass_time(100);
    tick(&t);
    assert_int_equal(entry(&t, "e")->total_run_count, 0); /* not ours */
    tear_down(&t);
}

static void test_next_leader_sends_what_is_pending_under_its_id(void **state)
{
    static const char left[] =
        "{\"celery-c beat\": 1, \"timezone\": null, \"enable_utc\": true, \"entries\": "
        "{\"e\": {\"last_run_at\": \"2026-09-21T13:00:00+00:00\", \"total_run_count\": 5, "
        "\"pending\": \"some-id\"}, \"gone\": {\"last_run_at\": "
        "\"2026-09-21T13:00:00+00:00\", \"total_run_count\": 1}}}";
    struct bed t;

    set_up(&t, every);
    cel_beat_lock_events.gained(&t.beat, cel_slice_of(left));
    assert_int_equal(entry(&t, "e")->state, CEL_RUN_READY);
    assert_string_equal(entry(&t, "e")->id, "some-id");
    assert_int_equal(entry(&t, "e")->total_run_count, 5);
    assert_int_equal(t.beat.n_ready, 1);
    tear_down(&t);
}

static void test_state_of_another_zone_counts_for_nothing(void **state)
{
    struct bed t;
    struct cel_buf text = {0};
    struct cel_plan_zone berlin = {.timezone = "Europe/Berlin", .enable_utc = true};
    celery_error err = {0};

    set_up(&t, every);
    entry(&t, "e")->total_run_count = 3;
    assert_int_equal(cel_plan_write_state(&text, &t.beat.plan, &berlin), CELERY_OK);
    entry(&t, "e")->total_run_count = 0;
    assert_int_equal(
        cel_plan_read_state(&t.beat.plan, cel_buf_slice(&text), &t.beat.settings, &err),
        CELERY_NONE);
    assert_non_null(strstr(err.message, "Timezone changed"));
    assert_int_equal(entry(&t, "e")->total_run_count, 0);
    assert_int_equal(
        cel_plan_read_state(&t.beat.plan, cel_buf_slice(&text), &berlin, &err),
        CELERY_OK);
    assert_int_equal(entry(&t, "e")->total_run_count, 3);
    for (size_t len = 0; len + 2 < text.len; len++) {
        assert_int_equal(
            cel_plan_read_state(&t.beat.plan, cel_slice(text.data, len), &berlin, &err),
            CELERY_EMESSAGE);
    }
    cel_buf_fini(&text);
    tear_down(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_due_run_is_written_down_before_it_may_be_sent),
        cmocka_unit_test(test_run_that_could_not_be_written_waits),
        cmocka_unit_test(test_clock_that_jumps_forward_makes_due_once),
        cmocka_unit_test(test_clock_that_jumps_back_delays),
        cmocka_unit_test(test_unwritten_run_of_a_lost_lock_is_still_due),
        cmocka_unit_test(test_next_leader_sends_what_is_pending_under_its_id),
        cmocka_unit_test(test_state_of_another_zone_counts_for_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
