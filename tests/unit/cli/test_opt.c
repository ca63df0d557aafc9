/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/opt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct args {
    bool flag, all;
    const char *text;
    const char *format;
    int64_t number;
    double seconds;
    double any;
    struct opt_many many;
};

#define FIELD(member) offsetof(struct args, member)

static const struct opt options[] = {
    {'f', "flag", OPT_SWITCH, FIELD(flag), NULL, "A flag.", NULL},
    {'a', "all", OPT_SWITCH, FIELD(all), NULL, "All.", NULL},
    {'A', "text", OPT_TEXT, FIELD(text), "TEXT", "Its letter is a global one, too.",
     NULL},
    {0, "format", OPT_CHOICE, FIELD(format), "json|yaml", "A choice.", NULL},
    {'n', "number", OPT_INT, FIELD(number), "N", "A number.", "Other Options"},
    {'t', "seconds", OPT_SECONDS, FIELD(seconds), "SECONDS", "Some time.", NULL},
    {0, "any", OPT_NUMBER, FIELD(any), "X", "Any number.", NULL},
    {'H', "header", OPT_MANY, FIELD(many), "K=V", "Several.", NULL},
    {0, NULL, 0, 0, NULL, NULL, NULL},
};

static const struct verb verbs[] = {{"list", NULL, "Lists."}, {NULL, NULL, NULL}};

static const struct command command = {
    .name = "try",
    .group = "Tests",
    .summary = "Try it.",
    .words = "NAME [OTHER]",
    .verbs = verbs,
    .options = options,
};

/* Parses "celery-c <words>" with standard error in a file; its last line in said. */
static char said[2048];

static int parse(struct args *a, struct line *line, const char *words)
{
    static char text[1024];
    static char *argv[32];
    int argc = 1, keep = dup(STDERR_FILENO);
    FILE *file = tmpfile();
    char *rest = NULL;

    *a = (struct args){.format = "none", .number = -7};
    argv[0] = (char *)"/usr/bin/celery-c";
    snprintf(text, sizeof text, "%s", words);
    for (char *w = strtok_r(text, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
        argv[argc++] = w;
    }
    argv[argc] = NULL;
    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    int code = opt_parse(&command, argc, argv, a, line);
    fflush(stderr);
    dup2(keep, STDERR_FILENO);
    close(keep);
    rewind(file);
    said[fread(said, 1, sizeof said - 1, file)] = 0;
    fclose(file);
    return code;
}

static void test_all_kinds(void **state)
{
    struct args a;
    struct line line;

    assert_int_equal(parse(&a, &line,
                           "-b redis://x -C try one -fa -Atwo --format=yaml -n -5 -t0.5 "
                           "--any -1e3 -Ha=1 -H b=2 --config c.json -- -x"),
                     OPT_GO);
    assert_string_equal(said, "");
    assert_string_equal(line.program, "celery-c");
    assert_string_equal(line.globals.broker, "redis://x");
    assert_string_equal(line.globals.config, "c.json");
    assert_true(line.globals.no_color);
    assert_null(line.globals.app); /* behind the name, -A is the command's */
    assert_string_equal(a.text, "two");
    assert_true(a.flag && a.all);
    assert_string_equal(a.format, "yaml");
    assert_int_equal(a.number, -5);
    assert_true(a.seconds == 0.5 && a.any == -1000);
    assert_int_equal(a.many.n, 2);
    assert_string_equal(a.many.values[1], "b=2");
    assert_int_equal(line.n_words, 2);
    assert_string_equal(line.words[0], "one");
    assert_string_equal(line.words[1], "-x");
}

static void test_before_the_name_letters_are_global(void **state)
{
    struct args a;
    struct line line;

    assert_int_equal(parse(&a, &line, "-A app try one"), OPT_GO);
    assert_string_equal(line.globals.app, "app");
    assert_null(a.text);
    assert_string_equal(a.format, "none"); /* what was not given stays */
    assert_int_equal(a.number, -7);
}

static void test_errors(void **state)
{
    static const struct {
        const char *words;
        const char *error;
    } cases[] = {
        {"try one --fromat x", "No such option: --fromat Did you mean --format?"},
        {"try one --zzz", "No such option: --zzz"},
        {"try one -z", "No such option: -z"},
        {"try one -fz", "No such option: -z"},
        {"try one --flag=1", "Option '--flag' does not take a value."},
        {"try one -n", "Option '--number' requires an argument."},
        {"try one -n 1x",
         "Invalid value for '-n' / '--number': '1x' is not a valid integer."},
        {"try one -n 99999999999999999999",
         "Invalid value for '-n' / '--number': '99999999999999999999' is not a valid integer."},
        {"try one --any nan", "Invalid value for '--any': 'nan' is not a valid float."},
        {"try one -t -1", "Invalid value for '-t' / '--seconds': -1 is less than 0."},
        {"try one --format xml",
         "Invalid value for '--format': 'xml' is not one of 'json', 'yaml'."},
        {"try one --broker=", "Invalid value for '-b' / '--broker': it is empty."},
        {"try", "Missing argument 'NAME'."},
        {"try a b c", "Got unexpected extra argument (c)"},
        {"try a b c d", "Got unexpected extra arguments (c ...)"},
        {"try a b \033[31m", "Got unexpected extra argument (\\x1b[31m)"},
        {"--flag try a", "No such option: --flag"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct args a;
        struct line line;
        char want[1024];

        assert_int_equal(parse(&a, &line, cases[i].words), EXIT_USAGE);
        snprintf(want, sizeof want,
                 "Usage: celery-c try [OPTIONS] NAME [OTHER]\n"
                 "Try 'celery-c try --help' for help.\n\nError: %s\n",
                 cases[i].error);
        assert_string_equal(said, want);
    }
}

static void test_too_many_of_one_option(void **state)
{
    char words[1024] = "try one";
    struct args a;
    struct line line;

    for (size_t i = 0; i < 28; i++) {
        strncat(words, " -Ha=1", sizeof words - strlen(words) - 1);
    }
    assert_int_equal(parse(&a, &line, words), OPT_GO);
    assert_int_equal(a.many.n, 28);

    static char *argv[80] = {(char *)"celery-c", (char *)"try", (char *)"one"};
    for (size_t i = 3; i < 3 + 64; i++) {
        argv[i] = (char *)"-Ha";
    }
    a.many.n = 0;
    assert_int_equal(opt_parse(&command, 3 + 64, argv, &a, &line), OPT_GO);
    assert_int_equal(a.many.n, 64);
    argv[1] = (char *)"try", argv[2] = (char *)"one";
    for (size_t i = 3; i < 3 + 65; i++) {
        argv[i] = (char *)"-Ha";
    }
    a.many.n = 0;
    assert_int_equal(opt_parse(&command, 3 + 65, argv, &a, &line), EXIT_USAGE);
}

static void test_finding_the_command(void **state)
{
    char *argv[] = {(char *)"celery-c",   (char *)"-A",    (char *)"app",
                    (char *)"--broker=x", (char *)"-Capp", (char *)"--config",
                    (char *)"--strange",  (char *)"name",  (char *)"--help"};

    assert_int_equal(opt_command(9, argv), 7);
    assert_string_equal(opt_global(9, argv, "app"), "app");
    assert_string_equal(opt_global(9, argv, "broker"), "x");
    assert_non_null(opt_global(9, argv, "help"));
    assert_null(opt_global(9, argv, "workdir"));
    assert_int_equal(opt_command(4, argv), 0);
}

static const char *name_of(const void *ctx, size_t i)
{
    return ((const char *const *)ctx)[i];
}

/* The figures are those of Python's difflib.get_close_matches(). */
static void test_nearest(void **state)
{
    static const char *const names[] = {"queue", "queues", "exclude-queues",
                                        "quiet", "force",  NULL};
    char text[64];

    assert_int_equal(opt_nearest("queus", name_of, names, "--", text, sizeof text), 3);
    assert_string_equal(text, "--queues, --queue, --quiet");
    assert_int_equal(opt_nearest("zzz", name_of, names, "--", text, sizeof text), 0);
    assert_string_equal(text, "");
    assert_int_equal(opt_nearest("", name_of, names, "--", text, sizeof text), 0);
    assert_int_equal(opt_nearest("queus", name_of, names, "--", text, 8), 3);
    assert_int_equal(strlen(text), 7);
}

static void test_lists(void **state)
{
    const char *rest = " a, b c ,,d,", *word;
    size_t len;

    assert_true(opt_next_word(&rest, &word, &len) && len == 1 && *word == 'a');
    assert_true(opt_next_word(&rest, &word, &len) && len == 3);
    assert_memory_equal(word, "b c", 3);
    assert_true(opt_next_word(&rest, &word, &len) && len == 1 && *word == 'd');
    assert_false(opt_next_word(&rest, &word, &len));
    assert_non_null(opt_verb(&command, "list"));
    assert_null(opt_verb(&command, "lis"));
    assert_null(opt_verb(&command, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_kinds),
        cmocka_unit_test(test_before_the_name_letters_are_global),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_too_many_of_one_option),
        cmocka_unit_test(test_finding_the_command),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
