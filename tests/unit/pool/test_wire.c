/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "pool/wire.h"

static struct cel_task_def def = {.name = (char *)"t", .index = 0};
static struct cel_task_def *defs[] = {&def};
static celery_app app = {.tasks = defs, .n_tasks = 1};

static struct cel_job sample_job(void)
{
    return (struct cel_job){
        .task = &def,
        .call =
            {
                .id = CEL_SLICE("an-id"),
                .root_id = CEL_SLICE("root"),
                .eta = CEL_SLICE("2026-11-22T13:02:13+00:00"),
                .retries = 3,
                .group_index = -1,
                .protocol = 2,
            },
        .headers = CEL_SLICE("{\"a\": 1}"),
        .body = CEL_SLICE("[[], {}, null]"),
        .content_type = CEL_SLICE("application/json"),
        .exchange = CEL_SLICE(""),
        .routing_key = CEL_SLICE("celery"),
        .priority = 7,
        .redelivered = true,
        .want_repr = true,
        .soft_limit = 1.5,
        .hard_limit = 2.5,
        .number = 99,
    };
}

static void test_a_job_arrives_as_it_was(void **state)
{
    struct cel_buf out = {0};
    struct cel_job job = sample_job();
    assert_int_equal(cel_wire_write_job(&out, 5, 17, true, &job), CELERY_OK);
    struct cel_slice rest = cel_buf_slice(&out);
    struct cel_frame frame;
    assert_int_equal(cel_frame_next(&rest, &frame), CELERY_OK);
    assert_int_equal(frame.type, CEL_FRAME_JOB);
    assert_int_equal(frame.number, 5);
    assert_int_equal(rest.len, 0);

    struct cel_wire_job got;
    assert_true(cel_wire_read_job(&app, frame.payload, &got));
    assert_int_equal(got.seq, 17);
    assert_true(got.brief);
    assert_ptr_equal(got.job.task, &def);
    assert_true(cel_slice_is(got.job.call.id, "an-id"));
    assert_true(cel_slice_is(got.job.call.root_id, "root"));
    assert_null(got.job.call.parent_id.data);
    assert_true(cel_slice_is(got.job.call.eta, "2026-11-22T13:02:13+00:00"));
    assert_int_equal(got.job.call.retries, 3);
    assert_int_equal(got.job.call.group_index, -1);
    assert_true(cel_slice_is(got.job.headers, "{\"a\": 1}"));
    assert_true(cel_slice_is(got.job.body, "[[], {}, null]"));
    assert_non_null(got.job.exchange.data);
    assert_int_equal(got.job.exchange.len, 0);
    assert_int_equal(got.job.priority, 7);
    assert_true(got.job.redelivered && got.job.want_repr && !got.job.extended);
    assert_true(got.job.soft_limit == 1.5 && got.job.hard_limit == 2.5);
    assert_int_equal(got.job.number, 99);
    cel_buf_fini(&out);
}

static struct cel_outcome sample_outcome(void)
{
    return (struct cel_outcome){
        .kind = CEL_OUTCOME_RETRY,
        .exc_type = CEL_SLICE("ValueError"),
        .exc_module = CEL_SLICE("builtins"),
        .exc_args = CEL_SLICE("[\"x\"]"),
        .traceback = CEL_SLICE("Traceback"),
        .countdown = 12.5,
        .runtime = 0.25,
        .max_rss_kib = 4711,
    };
}

static void test_an_outcome_arrives_as_it_was(void **state)
{
    struct cel_buf out = {0};
    struct cel_outcome o = sample_outcome(), got;
    uint32_t seq = 0;
    assert_int_equal(cel_wire_write_done(&out, 1, 4, &o), CELERY_OK);
    struct cel_slice rest = cel_buf_slice(&out);
    struct cel_frame frame;
    assert_int_equal(cel_frame_next(&rest, &frame), CELERY_OK);
    assert_true(cel_wire_read_done(frame.payload, &seq, &got));
    assert_int_equal(seq, 4);
    assert_int_equal(got.kind, CEL_OUTCOME_RETRY);
    assert_true(cel_slice_is(got.exc_type, "ValueError"));
    assert_true(cel_slice_is(got.exc_args, "[\"x\"]"));
    assert_null(got.result_json.data);
    assert_true(got.countdown == 12.5 && got.runtime == 0.25);
    assert_int_equal(got.max_rss_kib, 4711);
    cel_buf_fini(&out);
}

static void test_a_state_arrives_as_it_was(void **state)
{
    struct cel_buf out = {0};
    struct cel_wire_state s = {9, CEL_SLICE("PROGRESS"), CEL_SLICE("{}")}, got;
    assert_int_equal(cel_wire_write_state(&out, 1, &s), CELERY_OK);
    struct cel_slice rest = cel_buf_slice(&out);
    struct cel_frame frame;
    assert_int_equal(cel_frame_next(&rest, &frame), CELERY_OK);
    assert_true(cel_wire_read_state(frame.payload, &got));
    assert_int_equal(got.seq, 9);
    assert_true(cel_slice_is(got.state, "PROGRESS"));
    cel_buf_fini(&out);
}

static void test_effects_arrive_as_they_were(void **state)
{
    struct cel_buf out = {0};
    struct cel_frame frame;
    struct cel_slice got;
    uint32_t seq;
    assert_int_equal(cel_wire_write_effects(&out, 1, 7, CEL_SLICE("a\0b")), CELERY_OK);
    struct cel_slice rest = cel_buf_slice(&out);
    assert_int_equal(cel_frame_next(&rest, &frame), CELERY_OK);
    assert_int_equal(frame.type, CEL_FRAME_EFFECTS);
    assert_true(cel_wire_read_effects(frame.payload, &seq, &got));
    assert_int_equal(seq, 7);
    assert_true(cel_slice_eq(got, CEL_SLICE("a\0b")));
    cel_buf_fini(&out);
}

static void test_frames_are_cut_wherever_they_are_torn(void **state)
{
    struct cel_buf out = {0};
    struct cel_job job = sample_job();
    struct cel_outcome o = sample_outcome();
    cel_wire_write_up(&out, 1);
    cel_wire_write_job(&out, 2, 1, false, &job);
    cel_wire_write_done(&out, 3, 1, &o);
    for (size_t len = 0; len <= out.len; len++) {
        struct cel_slice rest = cel_slice(out.data, len);
        struct cel_frame frame;
        unsigned n = 0;
        celery_status status;
        while ((status = cel_frame_next(&rest, &frame)) == CELERY_OK) {
            assert_int_equal(frame.number, ++n);
        }
        assert_int_equal(status, CELERY_NONE);
        assert_int_equal(n == 3, len == out.len);
    }
    cel_buf_fini(&out);
}

/* Whatever the bytes are, a reader stays inside them; the sanitizer is the judge. */
static void test_readers_are_total(void **state)
{
    struct cel_buf out = {0};
    struct cel_job job = sample_job();
    struct cel_outcome o = sample_outcome();
    cel_wire_write_job(&out, 2, 1, false, &job);
    cel_wire_write_done(&out, 3, 1, &o);
    char *copy = cel_alloc(out.len);
    for (size_t at = 0; at < out.len; at++) {
        static const unsigned char values[] = {0, 1, 0x7f, 0x80, 0xff};
        for (size_t v = 0; v < sizeof values; v++) {
            memcpy(copy, out.data, out.len);
            copy[at] = (char)values[v];
            struct cel_slice rest = cel_slice(copy, out.len);
            struct cel_frame frame;
            while (cel_frame_next(&rest, &frame) == CELERY_OK) {
                struct cel_wire_job got_job;
                struct cel_wire_state got_state;
                struct cel_outcome got_outcome;
                struct cel_slice got_effects;
                uint32_t seq;
                cel_wire_read_job(&app, frame.payload, &got_job);
                cel_wire_read_state(frame.payload, &got_state);
                cel_wire_read_done(frame.payload, &seq, &got_outcome);
                cel_wire_read_effects(frame.payload, &seq, &got_effects);
            }
        }
    }
    cel_free(copy);
    cel_buf_fini(&out);
}

static void test_nonsense_is_refused(void **state)
{
    char bytes[64];
    memset(bytes, 0xff, sizeof bytes);
    struct cel_slice rest = cel_slice(bytes, sizeof bytes);
    struct cel_frame frame;
    assert_int_equal(cel_frame_next(&rest, &frame), CELERY_EPROTO);
}

static void test_a_task_of_another_build_is_refused(void **state)
{
    struct cel_buf out = {0};
    struct cel_job job = sample_job();
    struct cel_task_def unknown = {.index = 1};
    job.task = &unknown;
    cel_wire_write_job(&out, 1, 1, false, &job);
    struct cel_slice rest = cel_buf_slice(&out);
    struct cel_frame frame;
    struct cel_wire_job got;
    assert_int_equal(cel_frame_next(&rest, &frame), CELERY_OK);
    assert_false(cel_wire_read_job(&app, frame.payload, &got));
    cel_buf_fini(&out);
}

static void test_no_memory_leaves_the_buffer_as_it_was(void **state)
{
    struct cel_buf out = {0};
    struct cel_job job = sample_job();
    cel_alloc_fail_at(1, 0);
    assert_int_equal(cel_wire_write_job(&out, 1, 1, false, &job), CELERY_ENOMEM);
    cel_alloc_fail_at(0, 0);
    assert_int_equal(out.len, 0);
    cel_buf_clear(&out);
    assert_int_equal(cel_wire_write_job(&out, 1, 1, false, &job), CELERY_OK);
    cel_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_arrives_as_it_was),
        cmocka_unit_test(test_an_outcome_arrives_as_it_was),
        cmocka_unit_test(test_a_state_arrives_as_it_was),
        cmocka_unit_test(test_effects_arrive_as_they_were),
        cmocka_unit_test(test_frames_are_cut_wherever_they_are_torn),
        cmocka_unit_test(test_readers_are_total),
        cmocka_unit_test(test_nonsense_is_refused),
        cmocka_unit_test(test_a_task_of_another_build_is_refused),
        cmocka_unit_test(test_no_memory_leaves_the_buffer_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
