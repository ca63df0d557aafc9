/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "worker/election.h"

#include <stdio.h>

static celery_status stand(struct cel_election *e, int64_t clock, const char *name)
{
    return cel_election_stand(e, clock, cel_slice_of(name), CEL_SLICE("task"),
                              CEL_SLICE("{}"));
}

static void test_the_lowest_clock_wins_then_the_first_name(void **state)
{
    struct cel_elections all;

    cel_elections_init(&all);
    struct cel_election *e = cel_election_get(&all, CEL_SLICE("id"), true, 0);
    assert_non_null(e);
    assert_int_equal(stand(e, 9, "b@h.2"), 0);
    assert_string_equal(e->best, "b@h.2");
    assert_int_equal(stand(e, 10, "a@h.1"), 0);
    assert_string_equal(e->best, "b@h.2");
    assert_int_equal(stand(e, 9, "b@h.10"), 0);
    assert_string_equal(e->best, "b@h.10");
    assert_int_equal(stand(e, 3, "z@h.7"), 0);
    assert_string_equal(e->best, "z@h.7");
    assert_int_equal(e->candidates, 4);
    cel_elections_fini(&all);
}

static void test_decided_when_all_stood_or_time_is_over(void **state)
{
    struct cel_elections all;

    cel_elections_init(&all);
    struct cel_election *e = cel_election_get(&all, CEL_SLICE("id"), true, 5);
    stand(e, 1, "a.1");
    e->acks = 1;
    assert_false(cel_election_decided(e, 0, 5)); /* not ours */
    e->ours = true;
    assert_true(cel_election_decided(e, 0, 5));
    assert_false(cel_election_decided(e, 1, 5));
    assert_true(cel_election_decided(e, 1, 5 + CEL_ELECTION_WAIT));
    stand(e, 2, "b.1");
    assert_true(cel_election_decided(e, 1, 5));
    e->acks = 0;
    assert_false(cel_election_decided(e, 1, 5));
    e->acks = 1;
    e->over = true;
    assert_false(cel_election_decided(e, 1, 5));
    assert_null(cel_election_due(&all, 1, 5));
    assert_int_equal(all.n, 1);
    assert_null(cel_election_due(&all, 1, 5 + CEL_ELECTION_AGE));
    assert_int_equal(all.n, 0); /* forgotten */
    cel_elections_fini(&all);
}

static void test_bounded(void **state)
{
    static char large[CEL_ELECTION_ACTION_MAX + 1];
    struct cel_elections all;
    char id[32];

    cel_elections_init(&all);
    for (int i = 0; i < CEL_ELECTIONS_MAX + 10; i++) {
        snprintf(id, sizeof id, "%d", i);
        assert_non_null(cel_election_get(&all, cel_slice_of(id), true, i));
    }
    assert_int_equal(all.n, CEL_ELECTIONS_MAX);
    assert_null(cel_election_get(&all, CEL_SLICE("9"), false, 0)); /* made room */
    struct cel_election *e = cel_election_get(&all, CEL_SLICE("10"), false, 0);
    assert_non_null(e);
    assert_int_equal(cel_election_stand(e, 1, CEL_SLICE("a"), CEL_SLICE("task"),
                                        cel_slice(large, sizeof large)),
                     CELERY_ELIMIT);
    assert_int_equal(e->candidates, 0);
    cel_elections_fini(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_lowest_clock_wins_then_the_first_name),
        cmocka_unit_test(test_decided_when_all_stood_or_time_is_over),
        cmocka_unit_test(test_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
