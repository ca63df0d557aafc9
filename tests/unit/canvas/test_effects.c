/* SPDX-License-Identifier: BSD-3-Clause */
#include "canvas/effects.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

static void fill(struct cel_effects *list)
{
    const struct cel_effect size = {
        .kind = CEL_EFFECT_CHORD_SIZE, .id = CEL_SLICE("gid"), .number = 1000};
    const struct cel_effect message = {.kind = CEL_EFFECT_PUBLISH,
                                       .id = CEL_SLICE("tid"),
                                       .json = CEL_SLICE("{\"body\": \"\"}"),
                                       .queue = CEL_SLICE("celery"),
                                       .routing_key = CEL_SLICE("celery")};

    assert_int_equal(cel_effects_add(list, &size), CELERY_OK);
    assert_int_equal(cel_effects_add(list, &message), CELERY_OK);
}

static void what_goes_in_comes_out_in_order(void **state)
{
    struct cel_effects list = {0};
    struct cel_effect e;
    bool bad = true;

    fill(&list);
    assert_int_equal(list.n, 2);
    struct cel_slice rest = cel_buf_slice(&list.bytes);
    assert_true(cel_effects_next(&rest, &e, &bad));
    assert_int_equal(e.kind, CEL_EFFECT_CHORD_SIZE);
    assert_int_equal(e.number, 1000);
    assert_true(cel_slice_is(e.id, "gid"));
    assert_true(cel_effects_next(&rest, &e, NULL));
    assert_int_equal(e.kind, CEL_EFFECT_PUBLISH);
    assert_true(cel_slice_is(e.id, "tid"));
    assert_true(cel_slice_is(e.json, "{\"body\": \"\"}"));
    assert_true(cel_slice_is(e.queue, "celery"));
    assert_int_equal(e.exchange.len, 0);
    assert_true(cel_slice_is(e.routing_key, "celery"));
    assert_false(cel_effects_next(&rest, &e, &bad));
    assert_false(bad);
    cel_effects_fini(&list);
}

static void a_cut_list_is_refused_at_every_length(void **state)
{
    struct cel_effects list = {0};
    struct cel_effect e;
    size_t whole = 0;

    fill(&list);
    for (size_t len = 1; len < list.bytes.len; len++) {
        struct cel_slice rest = cel_slice(list.bytes.data, len);
        bool bad = false;
        size_t n = 0;

        while (cel_effects_next(&rest, &e, &bad)) {
            n++;
        }
        assert_true(n < 2);
        whole += !bad; /* the cut between the two entries */
    }
    assert_int_equal(whole, 1);
    cel_effects_fini(&list);
}

static void the_ceiling_is_kept(void **state)
{
    struct cel_effects list = {.bytes = {.max = 64}};
    const struct cel_effect child = {
        .kind = CEL_EFFECT_CHILD,
        .json =
            CEL_SLICE("[[\"0123456789012345678901234567890123456789\", null], null]")};

    assert_true(cel_effects_add(&list, &child) < 0);
    assert_int_equal(list.n, 0);
    cel_effects_fini(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out_in_order),
        cmocka_unit_test(a_cut_list_is_refused_at_every_length),
        cmocka_unit_test(the_ceiling_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
