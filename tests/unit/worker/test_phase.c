/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/phase.h"

#include <string.h>

enum { KINDS = CEL_OUTCOME_LOST + 1 };

/* The phases that follow SENT, by their first letters; E: errbacks, H: chords. */
static const char *const plans[KINDS] = {
    [CEL_OUTCOME_SUCCESS] = "FSPCEH",  [CEL_OUTCOME_FAILURE] = "SPCEH",
    [CEL_OUTCOME_LOST] = "SPCEH",      [CEL_OUTCOME_TIMEOUT] = "SPCEH",
    [CEL_OUTCOME_MALFORMED] = "SPCEH", [CEL_OUTCOME_REVOKED] = "SPCEH",
    [CEL_OUTCOME_RETRY] = "FS",        [CEL_OUTCOME_IGNORE] = "F",
    [CEL_OUTCOME_REJECT] = "FSPCEH",   [CEL_OUTCOME_REQUEUE] = "F",
};

static char letter(enum cel_phase phase)
{
    return ".FSPCEH!-"[phase];
}

static void test_every_outcome_has_its_order(void **state)
{
    for (int kind = 0; kind < KINDS; kind++) {
        enum cel_phase phase = CEL_PHASE_FIRST;
        char seen[CEL_PHASES + 1] = "";

        for (int n = 0; n < CEL_PHASES; n++) {
            phase = cel_phase_next(kind, phase, CEL_PHASE_DONE);
            if (phase == CEL_PHASE_REPORTED) {
                break;
            }
            seen[n] = letter(phase);
        }
        assert_int_equal(phase, CEL_PHASE_REPORTED);
        assert_string_equal(seen, plans[kind]);
    }
}

static void test_a_failed_phase_ends_the_report(void **state)
{
    for (int kind = 0; kind < KINDS; kind++) {
        for (int phase = 0; phase < CEL_PHASE_REPORTED; phase++) {
            assert_int_equal(cel_phase_next(kind, phase, CEL_PHASE_FAILED),
                             CEL_PHASE_UNREPORTED);
        }
    }
}

/* A success that cannot be told is made a failure, which is told from the start. */
static void test_only_what_is_not_stored_can_become_a_failure(void **state)
{
    for (int phase = 0; phase < CEL_PHASE_REPORTED; phase++) {
        enum cel_phase next =
            cel_phase_next(CEL_OUTCOME_FAILURE, phase, CEL_PHASE_REFUSED);
        assert_int_equal(next, phase <= CEL_PHASE_STORE ? CEL_PHASE_STORE
                                                        : CEL_PHASE_UNREPORTED);
        for (int kind = 0; kind < KINDS; kind++) {
            if (kind != CEL_OUTCOME_FAILURE) {
                assert_int_equal(cel_phase_next(kind, phase, CEL_PHASE_REFUSED),
                                 CEL_PHASE_UNREPORTED);
            }
        }
    }
}

static void test_the_end_is_the_end(void **state)
{
    for (int event = 0; event < CEL_PHASE_EVENTS; event++) {
        assert_int_equal(cel_phase_next(CEL_OUTCOME_SUCCESS, CEL_PHASE_REPORTED, event),
                         CEL_PHASE_REPORTED);
        assert_int_equal(cel_phase_next(CEL_OUTCOME_SUCCESS, CEL_PHASE_UNREPORTED, event),
                         CEL_PHASE_UNREPORTED);
        assert_int_equal(
            cel_phase_next((enum cel_outcome_kind)KINDS, CEL_PHASE_SENT, event),
            CEL_PHASE_SENT);
    }
}

static void test_every_phase_has_a_name(void **state)
{
    for (int phase = 0; phase < CEL_PHASES; phase++) {
        assert_true(strlen(cel_phase_name(phase)) > 1);
    }
    assert_string_equal(cel_phase_name(CEL_PHASES), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_outcome_has_its_order),
        cmocka_unit_test(test_a_failed_phase_ends_the_report),
        cmocka_unit_test(test_only_what_is_not_stored_can_become_a_failure),
        cmocka_unit_test(test_the_end_is_the_end),
        cmocka_unit_test(test_every_phase_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
