/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that ends anywhere: a clear failure, nothing half done, nothing leaked. */
#include "base/alloc.h"
#include "fixture.h"

static const char text[] =
    "{\"task\": \"celery.chain\", \"subtask_type\": \"chain\", \"options\": {\"link\": "
    "[{\"task\": \"cb\"}], \"link_error\": [{\"task\": \"eb\"}]}, \"kwargs\": {\"tasks\": "
    "[{\"task\": \"a\", \"args\": [1], \"kwargs\": {\"k\": 1}, \"options\": {\"s\": [1], "
    "\"stamped_headers\": [\"s\"], \"link\": [{\"task\": \"l\"}]}}, "
    "{\"task\": \"celery.chord\", \"subtask_type\": \"chord\", \"kwargs\": {\"header\": "
    "[{\"task\": \"h\"}, {\"task\": \"celery.group\", \"subtask_type\": \"group\", "
    "\"kwargs\": {\"tasks\": [{\"task\": \"p\"}, {\"task\": \"q\"}]}}], \"body\": "
    "{\"task\": \"b\", \"options\": {\"link_error\": [{\"task\": \"e\"}]}}}}, "
    "{\"task\": \"m\", \"subtask_type\": \"chunks\", \"kwargs\": {\"task\": {\"task\": "
    "\"x\"}, \"it\": [1, 2, 3], \"n\": 2}}]}}";

/* A chain in front of which a group stands: sent at once, and as a chord. */
static const char *const texts[] = {
    text,
    "{\"task\": \"celery.chord\", \"subtask_type\": \"chord\", \"kwargs\": {\"header\": "
    "[{\"task\": \"h\", \"args\": [1]}, {\"task\": \"c\", \"subtask_type\": \"chain\", "
    "\"kwargs\": {\"tasks\": [{\"task\": \"p\"}, {\"task\": \"g\", \"subtask_type\": "
    "\"group\", \"kwargs\": {\"tasks\": [{\"task\": \"q\"}, {\"task\": \"r\"}]}}]}}], "
    "\"body\": {\"task\": \"c\", \"subtask_type\": \"chain\", \"kwargs\": {\"tasks\": "
    "[{\"task\": \"b\"}, {\"task\": \"d\"}]}}}, \"options\": {\"link\": [{\"task\": "
    "\"l\"}], \"link_error\": [{\"task\": \"e\"}]}}",
};

/* Everything that this layer does, with the memory of b. */
static celery_status everything(struct fixture *f, struct cel_arena *b,
                                const struct cel_node *doc, const struct cel_node *stamps)
{
    struct cel_sig *sig = NULL;
    struct cel_node *result = NULL;
    celery_status st = cel_canvas_read(b, doc, "", &sig, &f->err);

    if (st == CELERY_OK) {
        st = cel_sig_stamp(b, sig, stamps);
    }
    if (st == CELERY_OK) {
        sig = cel_sig_clone(b, sig, NULL, NULL);
        st = sig && cel_canvas_doc(b, sig) ? CELERY_OK : CELERY_ENOMEM;
    }
    if (st == CELERY_OK) {
        struct cel_sig *two[] = {sig, sig};
        sig = cel_sig_chain(b, two, 2);
        st = sig ? CELERY_OK : CELERY_ENOMEM;
    }
    if (st == CELERY_OK) {
        st = cel_sig_apply(&f->canvas, b, sig, stamps, NULL, NULL, &f->effects, &result,
                           &f->err);
    }
    if (st < 0) {
        assert_int_equal(f->effects.n, 0);
        assert_int_equal(f->effects.bytes.len, 0);
    }
    return st;
}

static void wherever_the_arena_ends(void **state)
{
    struct fixture *f = *state;
    const struct cel_node *stamps = json(f, "{\"t\": [2]}");

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const struct cel_node *doc = json(f, texts[i]);
        celery_status st = CELERY_ENOMEM;
        for (size_t max = 64; st < 0 && max < 1 << 20; max += 208) {
            struct cel_arena b = {.max = max};
            st = everything(f, &b, doc, stamps);
            assert_true(st == CELERY_OK || st == CELERY_ENOMEM || st == CELERY_ELIMIT);
            cel_arena_fini(&b);
        }
        assert_int_equal(st, CELERY_OK);
        cel_effects_clear(&f->effects);
    }
}

static void whichever_allocation_fails(void **state)
{
    struct fixture *f = *state;
    const struct cel_node *stamps = json(f, "{\"t\": [2]}");

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const struct cel_node *doc = json(f, texts[i]);
        celery_status st = CELERY_ENOMEM;
        for (unsigned long nth = 1; st < 0 && nth < 10000; nth++) {
            struct cel_arena b = {0};
            cel_effects_fini(&f->effects);
            f->effects = (struct cel_effects){0};
            cel_alloc_fail_at(nth, 0);
            st = everything(f, &b, doc, stamps);
            cel_alloc_fail_at(0, 0);
            assert_true(st == CELERY_OK || st == CELERY_ENOMEM || st == CELERY_ELIMIT);
            cel_arena_fini(&b);
        }
        assert_int_equal(st, CELERY_OK);
        cel_effects_clear(&f->effects);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(wherever_the_arena_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whichever_allocation_fails, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
