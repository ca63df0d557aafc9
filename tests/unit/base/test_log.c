/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char got[4][5000];
static int n_got;

static void collect(void *ctx, celery_log_level level, const char *message)
{
    snprintf(got[n_got++ % 4], sizeof got[0], "%d %s", level, message);
}

static void test_own_function_gets_finished_lines(void **state)
{
    n_got = 0;
    celery_log_set(collect, NULL, CELERY_LOG_INFO);
    assert_false(cel_log_on(CELERY_LOG_DEBUG));
    cel_log(CELERY_LOG_DEBUG, "no");
    cel_log(CELERY_LOG_INFO, "%s %d", "yes", 1);
    celery_log(CELERY_LOG_ERROR, "forged\n[x]");
    cel_log_text(CELERY_LOG_ERROR, CEL_SLICE("a\nb\n"));
    assert_int_equal(n_got, 4);
    assert_string_equal(got[0], "20 yes 1");
    assert_string_equal(got[1], "40 forged\\x0a[x]");
    assert_string_equal(got[2], "40 a");
    assert_string_equal(got[3], "40 b");
    celery_log_set(NULL, NULL, CELERY_LOG_WARNING);
}

static void test_long_message_is_cut(void **state)
{
    static char text[6000];
    memset(text, 'x', sizeof text - 1);
    n_got = 0;
    celery_log_set(collect, NULL, CELERY_LOG_INFO);
    cel_log(CELERY_LOG_INFO, "%s", text);
    assert_int_equal(strlen(got[0]), 4096 + 3);
    assert_string_equal(got[0] + strlen(got[0]) - 4, "x...");
    celery_log_set(NULL, NULL, CELERY_LOG_WARNING);
}

static void test_safe_escapes_and_keeps_eight(void **state)
{
    const char *first = cel_log_safe(CEL_SLICE("a\nb"));
    for (int i = 0; i < 7; i++) {
        cel_log_safe(CEL_SLICE("other"));
    }
    assert_string_equal(first, "a\\x0ab");
    char text[600];
    memset(text, 'y', sizeof text);
    const char *cut = cel_log_safe(cel_slice(text, sizeof text));
    assert_int_equal(strlen(cut), 256);
    assert_string_equal(cut + 252, "y...");
}

static void test_level_names(void **state)
{
    celery_log_level level;
    assert_true(cel_log_level_parse("warn", &level));
    assert_int_equal(level, CELERY_LOG_WARNING);
    assert_true(cel_log_level_parse("INFO", &level));
    assert_false(cel_log_level_parse("loud", &level));
    assert_string_equal(cel_log_level_name(CELERY_LOG_CRITICAL), "CRITICAL");
}

static void assert_file(const char *path, const char *pattern)
{
    char text[2000];
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    assert_true(n >= 0);
    text[n] = '\0';
    close(fd);
    regex_t re;
    assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&re, text, 0, NULL, 0) != 0) {
        fail_msg("%s", text);
    }
    regfree(&re);
}

#define UTC  "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"
#define TIME "[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2},[0-9]{3}"

static void test_file_in_the_formats(void **state)
{
    char path[] = "/tmp/cel-log-XXXXXX";
    char moved[sizeof path + 2];
    snprintf(moved, sizeof moved, "%s.1", path);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    celery_log_set_level(CELERY_LOG_INFO);
    assert_int_equal(cel_log_set_file(path, NULL), CELERY_OK);
    cel_log(CELERY_LOG_INFO, "hello");
    assert_file(path, "^\\[" TIME ": INFO/MainProcess\\] hello\n$");

    snprintf(moved, sizeof moved, "%s.1", path);
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(cel_log_reopen(NULL), CELERY_OK);
    cel_log_set_process("ForkPoolWorker-1");
    cel_log_set_color(1);
    cel_log(CELERY_LOG_ERROR, "red");
    assert_file(path,
                "^\033\\[1;31m\\[" TIME ": ERROR/ForkPoolWorker-1\\] red\033\\[0m\n$");

    assert_int_equal(truncate(path, 0), 0);
    cel_log_set_json(true);
    cel_log_text(CELERY_LOG_WARNING, CEL_SLICE("say \"x\"\n\001\377"));
    assert_file(path, "^\\{\"time\": \"" UTC "\", \"level\": \"WARNING\", \"logger\": "
                      "\"celery.worker\", \"process\": "
                      "\"ForkPoolWorker-1\", \"pid\": [0-9]+, \"message\": \"say "
                      "\\\\\"x\\\\\"\\\\n\\\\u0001\\\\ufffd\"\\}\n$");

    assert_int_equal(truncate(path, 0), 0);
    cel_log_about(CEL_SLICE("t.add"), CEL_SLICE("\"\n"));
    cel_log_speak_for("ForkPoolWorker-7", 4321);
    cel_log(CELERY_LOG_INFO, "done");
    cel_log_about(CEL_SLICE_NULL, CEL_SLICE_NULL);
    cel_log_speak_for(NULL, 0);
    assert_file(path, "^\\{\"time\": \"" UTC "\", \"level\": \"INFO\", \"logger\": "
                      "\"celery.task\", \"process\": "
                      "\"ForkPoolWorker-7\", \"pid\": 4321, \"task_name\": \"t.add\", "
                      "\"task_id\": \"\\\\\"\\\\n\", \"message\": \"done\"\\}\n$");
    cel_log_set_json(false);
    cel_log_set_color(0);
    assert_int_equal(truncate(path, 0), 0);
    cel_log_speak_for("ForkPoolWorker-7", 4321);
    cel_log(CELERY_LOG_INFO, "done");
    cel_log_speak_for(NULL, 0);
    assert_file(path, "^\\[" TIME ": INFO/ForkPoolWorker-7\\] done\n$");
    assert_int_equal(truncate(path, 0), 0);
    cel_log(CELERY_LOG_INFO, "mine");
    assert_file(path, "^\\[" TIME ": INFO/ForkPoolWorker-1\\] mine\n$");
    assert_int_equal(cel_log_set_file(NULL, NULL), CELERY_OK);
    celery_error err = {0};
    assert_int_equal(cel_log_set_file("/nonexistent/x", &err), CELERY_ESYSTEM);
    assert_non_null(strstr(err.message, "/nonexistent/x"));
    unlink(path);
    unlink(moved);
}

static void test_dates_as_asked_for(void **state)
{
    char path[] = "/tmp/cel-log-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    celery_log_set_level(CELERY_LOG_INFO);
    cel_log_set_process("MainProcess");
    assert_int_equal(cel_log_set_file(path, NULL), CELERY_OK);
    cel_log_set_dates("%d/%m %H:%M", "T%S");
    cel_log(CELERY_LOG_INFO, "all");
    cel_log_task_text(CELERY_LOG_INFO, CEL_SLICE("task"));
    cel_log(CELERY_LOG_INFO, "all");
    assert_file(path,
                "^\\[[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}: INFO/MainProcess\\] all\n"
                "\\[T[0-9]{2}: INFO/MainProcess\\] task\n"
                "\\[[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}: INFO/MainProcess\\] all\n$");
    assert_int_equal(truncate(path, 0), 0);
    cel_log_set_dates("", "T%S"); /* one of them alone */
    cel_log(CELERY_LOG_INFO, "all");
    cel_log_task_text(CELERY_LOG_INFO, CEL_SLICE("task"));
    assert_file(path, "^\\[" TIME ": INFO/MainProcess\\] all\n"
                      "\\[T[0-9]{2}: INFO/MainProcess\\] task\n$");
    cel_log_set_dates(NULL, NULL);
    assert_int_equal(cel_log_set_file(NULL, NULL), CELERY_OK);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_function_gets_finished_lines),
        cmocka_unit_test(test_long_message_is_cut),
        cmocka_unit_test(test_safe_escapes_and_keeps_eight),
        cmocka_unit_test(test_level_names),
        cmocka_unit_test(test_file_in_the_formats),
        cmocka_unit_test(test_dates_as_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
