/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "worker/cmdline.h"

#define MAX_WORDS 12

struct parsed {
    struct cel_cmdline line;
    struct cel_config *config;
    enum cel_cmdline_answer answer;
};

static struct parsed parse(const char *const *words)
{
    struct parsed p = {.config = cel_config_new()};
    char *argv[MAX_WORDS + 2] = {(char *)"celery-c"};
    int argc = 1;

    while (words[argc - 1]) {
        argv[argc] = (char *)words[argc - 1];
        argc++;
    }
    p.answer = cel_cmdline_parse(&p.line, p.config, argc, argv);
    return p;
}

static void test_settings_reach_the_configuration(void **unused)
{
    static const struct {
        const char *words[MAX_WORDS];
        const char *setting;
        const char *expected;
    } cases[] = {
        {{"worker", "-c", "4"}, "worker_concurrency", "4"},
        {{"worker", "-c4"}, "worker_concurrency", "4"},
        {{"worker", "--concurrency=4"}, "worker_concurrency", "4"},
        {{"-b", "redis://x", "worker"}, "broker_url", "redis://x"},
        {{"worker", "-Ec2"}, "worker_concurrency", "2"},
        {{"worker", "-P", "threads"}, "worker_pool", "threads"},
        {{"worker", "--prefetch-multiplier", "auto"},
         "worker_prefetch_multiplier",
         "auto"},
        {{"worker", "prefetch_multiplier=9"}, "worker_prefetch_multiplier", "9"},
        {{"worker", "task.acks_late=true"}, "task_acks_late", "true"},
        {{"worker", "--autoscale=2,8"}, "worker_autoscale", "2,8"},
        {{"worker", "--without-gossip", "-c", "3"}, "worker_concurrency", "3"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parsed p = parse(cases[i].words);
        const char *got = cel_config_text(p.config, cases[i].setting);

        if (p.answer != CEL_CMDLINE_RUN || !got || strcmp(got, cases[i].expected) != 0) {
            fail_msg("case %zu: %s is %s", i, cases[i].setting, got ? got : "unset");
        }
        cel_config_free(p.config);
    }
}

static void test_wrong_words_are_refused(void **unused)
{
    static const char *const cases[][MAX_WORDS] = {
        {"worker", "--concurency=4"},
        {"worker", "-c"},
        {"worker", "-c", "many"},
        {"worker", "-Z"},
        {"worker", "-l", "x"},
        {"worker", "--purge=1"},
        {"worker", "extra"},
        {"worker", "--pool=nosuch"},
        {"worker", "nosuch.setting=1"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parsed p = parse(cases[i]);

        if (p.answer != CEL_CMDLINE_USAGE) {
            fail_msg("case %zu was accepted", i);
        }
        cel_config_free(p.config);
    }
}

static void test_what_is_not_a_setting(void **unused)
{
    static const char *const words[] = {
        "--app",  "todo.tasks.ical", "worker", "--loglevel=info", "-q", "--pidfile",
        "/x.pid", "--purge",         NULL};
    struct parsed p = parse(words);

    assert_int_equal(p.answer, CEL_CMDLINE_RUN);
    assert_string_equal(p.line.app_name, "todo.tasks.ical");
    assert_int_equal(p.line.level, CELERY_LOG_INFO);
    assert_true(p.line.quiet && p.line.purge);
    assert_string_equal(p.line.pid_file, "/x.pid");
    cel_config_free(p.config);
}

static void test_help_and_version(void **unused)
{
    static const char *const help[] = {"worker", "--help", NULL};
    static const char *const version[] = {"--version", NULL};
    struct parsed a = parse(help);
    struct parsed b = parse(version);

    assert_int_equal(a.answer, CEL_CMDLINE_HELP);
    assert_int_equal(b.answer, CEL_CMDLINE_HELP);
    assert_true(b.line.version);
    cel_config_free(a.config);
    cel_config_free(b.config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings_reach_the_configuration),
        cmocka_unit_test(test_wrong_words_are_refused),
        cmocka_unit_test(test_what_is_not_a_setting),
        cmocka_unit_test(test_help_and_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
