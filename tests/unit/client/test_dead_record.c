/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/dead.h"

#define HEAD "{\"reason\": \"why\", \"time\": 1795364925.5, \"queue\": \"q\"}\n"

static const char *const accept[] = {"json", NULL};
static struct cel_arena arena;
static struct cel_dead_record record;

static const celery_dead_entry *read_text(const char *text, size_t size)
{
    cel_arena_reset(&arena);
    assert_int_equal(
        cel_dead_record_read(&arena, cel_slice_of(text), size, "list", accept, &record),
        0);
    return &record.entry;
}

static const celery_dead_entry *read_all(const char *text)
{
    return read_text(text, strlen(text));
}

static void test_a_task_message_is_legible(void **state)
{
    const char *message =
        "{\"body\": \"W10=\", \"headers\": {\"id\": \"a\\nb\", \"task\": \"t.x\\u001b[31m\"}, "
        "\"properties\": {\"delivery_tag\": \"d\", \"priority\": 7, \"body_encoding\": "
        "\"base64\", \"delivery_info\": {\"exchange\": \"\", \"routing_key\": \"q\"}}}";
    char text[600] = HEAD;

    strncat(text, message, sizeof text - strlen(text) - 1);
    const celery_dead_entry *e = read_all(text);
    assert_string_equal(e->reason, "why");
    assert_string_equal(e->queue, "q");
    assert_true(e->time == 1795364925.5);
    assert_string_equal(e->task_id, "a\\x0ab");
    assert_string_equal(e->task, "t.x\\x1b[31m");
    assert_true(cel_slice_is(record.id, "a\nb"));
    assert_int_equal(record.priority, 7);
    assert_int_equal(record.head, strlen(HEAD));
    assert_int_equal(e->size, strlen(message));
    assert_memory_equal(e->message, message, e->size);
}

static void test_an_id_is_found_in_what_is_no_envelope(void **state)
{
    const celery_dead_entry *e =
        read_all(HEAD "{\"body\": \"\", \"headers\": {\"id\": \"i\", \"task\": \"t\"}}");

    assert_string_equal(e->task_id, "i");
    assert_string_equal(e->task, "t");
}

static void test_strangers_are_shown_whole(void **state)
{
    static const char *const texts[] = {"", "no head", "{\"x\": 1}\nrest", "\n", "7\n{}"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const celery_dead_entry *e = read_all(texts[i]);

        assert_string_equal(e->reason, "");
        assert_string_equal(e->queue, "list");
        assert_null(e->task_id);
        assert_null(e->task);
        assert_int_equal(record.head, 0);
        assert_int_equal(e->size, strlen(texts[i]));
        assert_memory_equal(e->message, texts[i], e->size);
    }
}

static void test_the_beginning_of_a_large_one(void **state)
{
    const celery_dead_entry *e = read_text(HEAD "{\"headers\": {\"id\": \"i", 1000);

    assert_string_equal(e->reason, "why");
    assert_int_equal(e->size, 1000 - strlen(HEAD));
    assert_int_equal(e->message_size, strlen("{\"headers\": {\"id\": \"i"));
    assert_null(e->task_id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_task_message_is_legible),
        cmocka_unit_test(test_an_id_is_found_in_what_is_no_envelope),
        cmocka_unit_test(test_strangers_are_shown_whole),
        cmocka_unit_test(test_the_beginning_of_a_large_one),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    cel_arena_fini(&arena);
    return failed;
}
