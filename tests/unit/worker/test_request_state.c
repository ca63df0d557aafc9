/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/request_state.h"

/* Rows: states; columns: events in the order of the enum; '-' is impossible. */
static const char *const expected[CEL_REQ_STATES] = {
    /* DUE SLOT ACC REC FIN LOST REV CAN RET CONN REP UNREP SETTLED */
    [CEL_REQ_WAITING] = "R-----PSSD---",   [CEL_REQ_READY] = "-U----PSSD---",
    [CEL_REQ_SUBMITTED] = "--NR-PTT-U---", [CEL_REQ_RUNNING] = "----PPTT-N---",
    [CEL_REQ_STOPPING] = "--TPPPTT-T---",  [CEL_REQ_REPORTING] = "------PP-PSS-",
    [CEL_REQ_SETTLING] = "------SS-S--D",  [CEL_REQ_DONE] = "-------------",
};

static char letter(enum cel_request_state state)
{
    return "WRUNTPSD"[state];
}

static void test_every_state_and_event(void **unused)
{
    for (int s = 0; s < CEL_REQ_STATES; s++) {
        for (int e = 0; e < CEL_REQ_EVENTS; e++) {
            struct cel_request_step step;
            bool possible = cel_request_next(s, e, &step);
            char want = expected[s][e];

            if (possible != (want != '-') || (possible && letter(step.next) != want)) {
                fail_msg("%s on %s: %c, expected %c", cel_request_state_name(s),
                         cel_request_event_name(e), possible ? letter(step.next) : '-',
                         want);
            }
        }
    }
}

static void test_acknowledgement_follows_the_stored_result(void **unused)
{
    for (int s = 0; s < CEL_REQ_STATES; s++) {
        for (int e = 0; e < CEL_REQ_EVENTS; e++) {
            struct cel_request_step step;

            if (cel_request_next(s, e, &step) && (step.actions & CEL_DO_SETTLE)) {
                assert_int_equal(s, CEL_REQ_REPORTING);
                assert_int_equal(e, CEL_REQ_REPORTED);
            }
        }
    }
}

static void test_every_state_is_reachable_and_can_end(void **unused)
{
    bool reached[CEL_REQ_STATES] = {[CEL_REQ_WAITING] = true, [CEL_REQ_READY] = true};
    bool ends[CEL_REQ_STATES] = {[CEL_REQ_DONE] = true};

    for (int round = 0; round < CEL_REQ_STATES; round++) {
        for (int s = 0; s < CEL_REQ_STATES; s++) {
            for (int e = 0; e < CEL_REQ_EVENTS; e++) {
                struct cel_request_step step;

                if (cel_request_next(s, e, &step)) {
                    reached[step.next] |= reached[s];
                    ends[s] |= ends[step.next];
                }
            }
        }
    }
    for (int s = 0; s < CEL_REQ_STATES; s++) {
        assert_true(reached[s]);
        assert_true(ends[s]);
    }
}

static void test_settlement(void **unused)
{
    static const struct {
        const char *label;
        enum cel_outcome_kind kind;
        struct cel_ack_policy policy;
        enum cel_settlement expected;
    } cases[] = {
        {"success", CEL_OUTCOME_SUCCESS, {.late = true}, CEL_SETTLE_ACK},
        {"retry", CEL_OUTCOME_RETRY, {.late = true}, CEL_SETTLE_ACK},
        {"ignore", CEL_OUTCOME_IGNORE, {.late = true}, CEL_SETTLE_ACK},
        {"revoked", CEL_OUTCOME_REVOKED, {.late = true}, CEL_SETTLE_ACK},
        {"reject", CEL_OUTCOME_REJECT, {.late = true}, CEL_SETTLE_DROP},
        {"requeue", CEL_OUTCOME_REQUEUE, {.late = true}, CEL_SETTLE_REQUEUE},
        {"malformed", CEL_OUTCOME_MALFORMED, {.late = true}, CEL_SETTLE_PARK},
        {"failure", CEL_OUTCOME_FAILURE, {.on_failure = true}, CEL_SETTLE_ACK},
        {"failure, flag off", CEL_OUTCOME_FAILURE, {.late = true}, CEL_SETTLE_DROP},
        {"timeout", CEL_OUTCOME_TIMEOUT, {.on_timeout = true}, CEL_SETTLE_ACK},
        {"timeout, flag off", CEL_OUTCOME_TIMEOUT, {.late = true}, CEL_SETTLE_REQUEUE},
        {"lost", CEL_OUTCOME_LOST, {.on_failure = true}, CEL_SETTLE_ACK},
        {"lost, rejecting",
         CEL_OUTCOME_LOST,
         {.reject_on_worker_lost = true, .crash_budget = 3, .crashes = 1},
         CEL_SETTLE_REQUEUE},
        {"lost for the third time",
         CEL_OUTCOME_LOST,
         {.reject_on_worker_lost = true, .crash_budget = 3, .crashes = 2},
         CEL_SETTLE_PARK},
        {"lost, no budget",
         CEL_OUTCOME_LOST,
         {.reject_on_worker_lost = true, .crash_budget = 0, .crashes = 99},
         CEL_SETTLE_REQUEUE},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (cel_request_settle(cases[i].kind, &cases[i].policy) != cases[i].expected) {
            fail_msg("%s", cases[i].label);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_state_and_event),
        cmocka_unit_test(test_acknowledgement_follows_the_stored_result),
        cmocka_unit_test(test_every_state_is_reachable_and_can_end),
        cmocka_unit_test(test_settlement),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
