/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/clock.h"
#include "message/control.h"

#include <string.h>

/* ---- patterns; what is expected is what Python's fnmatch and re say ---- */

static void glob_is(const char *pattern, const char *text, bool want)
{
    assert_int_equal(cel_glob_match(cel_slice_of(pattern), cel_slice_of(text)), want);
}

static void test_glob(void **state)
{
    (void)state;
    glob_is("*", "w1@host", true);
    glob_is("w*@host", "w1@host", true);
    glob_is("w?@host", "w1@host", true);
    glob_is("w?@host", "w@host", false);
    glob_is("[a-z]1*", "w1@host", true);
    glob_is("[!a-v]1*", "w1@host", true);
    glob_is("[!w]1*", "w1@host", false);
    glob_is("[]x]a", "]a", true);
    glob_is("[x", "[x", true);
    glob_is("w1", "w1@host", false);
    glob_is("", "", true);
    glob_is("", "x", false);
    glob_is("\\*", "*", false);
    glob_is("?", "\xc3\xa9", true);
    glob_is("a*b*c", "aXbXbXc", true);
    glob_is("a*b*c", "aXbXbXd", false);
}

static void regex_is(const char *pattern, const char *text, bool want)
{
    bool got = !want;
    celery_error err = {0};

    if (cel_regex_match(cel_slice_of(pattern), cel_slice_of(text), &got, &err) < 0) {
        fail_msg("%s: %s", pattern, err.message);
    }
    if (got != want) {
        fail_msg("%s with %s", pattern, text);
    }
}

static void test_regex(void **state)
{
    (void)state;
    regex_is("", "w1@host", true);
    regex_is("w1", "w1@host", true);
    regex_is("1", "w1@host", false);
    regex_is("w1$", "w1@host", false);
    regex_is("^w1@host$", "w1@host", true);
    regex_is("w1@host\\Z", "w1@host\n", false);
    regex_is("w1@host$", "w1@host\n", true);
    regex_is(".*host", "w1@host", true);
    regex_is("a|w", "w1@host", true);
    regex_is("(a|b|w)\\d@", "w1@host", true);
    regex_is("(?:w[0-9])+@", "w1w2@host", true);
    regex_is("(?P<n>w)2?1", "w1@host", true);
    regex_is("w{2}", "w1", false);
    regex_is("w{1,3}1", "ww1", true);
    regex_is("w{,2}1", "www1", false);
    regex_is("w{2,}1", "wwww1", true);
    regex_is("w{x", "w{x", true);
    regex_is("w{}", "w{}", true);
    regex_is("[^a-v]", "w", true);
    regex_is("[]x]", "]", true);
    regex_is("[\\w.-]+@[\\w.-]+$", "my-w.1@host.example", true);
    regex_is("\\w+?@\\S*", "w1@host", true);
    regex_is("\\bw1\\b@", "w1@host", true);
    regex_is("w\\B1", "w1", true);
    regex_is("w1\\.", "w1@", false);
    regex_is("\\x77\\u0031", "w1", true);
    regex_is("()*x", "x", true);
    regex_is("(a*)*b", "aaab", true);
    regex_is("(|a)+b", "aab", true);
    regex_is(".", "\n", false);
    regex_is(".", "\xc3\xa9", true);
    regex_is("(a|b)(c|d){2}$", "acd", true);
    regex_is("(ab|c){0}d", "d", true);
}

static void test_regex_that_is_wrong(void **state)
{
    static const char *const patterns[] = {
        "(",       ")",          "a)",    "[",     "[a",
        "*",       "a**",        "a|*",   "\\1",   "(?=a)",
        "(?i)a",   "\\",         "\\q",   "[z-a]", "a{3,2}",
        "(?P<n",   "\\xg1",      "[\\q]", "a*+",   "(a{1000}){9}",
        "a{1001}", "[\\d-z]\\y",
    };
    bool got;

    (void)state;
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        celery_error err = {0};

        if (cel_regex_match(cel_slice_of(patterns[i]), CEL_SLICE("w1@host"), &got,
                            &err) != CELERY_EMESSAGE) {
            fail_msg("%s was taken", patterns[i]);
        }
        assert_memory_equal(err.message, "pattern: ", 9);
    }
}

static void test_regex_takes_no_time(void **state)
{
    char pattern[400] = "", text[256];
    double began = cel_clock_mono();
    bool got = true;

    (void)state;
    for (int i = 0; i < 60; i++) {
        memcpy(pattern + strlen(pattern), "(a*)*", 6);
    }
    memcpy(pattern + strlen(pattern), "$", 2);
    memset(text, 'a', 255);
    text[254] = 'b';
    text[255] = '\0';
    assert_int_equal(
        cel_regex_match(cel_slice_of(pattern), cel_slice_of(text), &got, NULL),
        CELERY_OK);
    assert_false(got);
    assert_true(cel_clock_mono() - began < 2);
}

/* ---- commands and replies ---- */

static struct cel_envelope *envelope(const char *body)
{
    struct cel_envelope *env = cel_envelope_new();

    assert_non_null(env);
    env->content_type = CEL_SLICE("application/json");
    env->content_encoding = CEL_SLICE("utf-8");
    env->body = cel_slice_of(body);
    return env;
}

static const char *const accept[] = {"json", NULL};

static celery_status read_body(struct cel_envelope *env, struct cel_command *ret)
{
    const struct cel_call_limits limits = {.accept = accept};
    celery_error err = {0};

    return cel_command_read(env, &limits, ret, &err);
}

static void test_command(void **state)
{
    struct cel_command c;
    struct cel_envelope *env = envelope(
        "{\"method\": \"revoke\", \"arguments\": {\"task_id\": \"x\"}, "
        "\"destination\": null, \"pattern\": null, \"matcher\": null, \"ticket\": \"t1\", "
        "\"reply_to\": {\"exchange\": \"reply.celery.pidbox\", \"routing_key\": \"k\"}}");
    bool ours = false;

    (void)state;
    assert_int_equal(read_body(env, &c), CELERY_OK);
    assert_true(cel_slice_is(c.method, "revoke"));
    assert_int_equal(c.arguments->size, 1);
    assert_true(c.wants_reply);
    assert_true(cel_slice_is(c.reply_key, "k"));
    assert_int_equal(cel_command_is_for(&c, "w1@host", &ours, NULL), CELERY_OK);
    assert_true(ours);

    struct cel_envelope *reply = NULL;
    struct cel_arena arena = {0};
    struct cel_node *value = cel_node_new_int(&arena, 7);
    assert_int_equal(
        cel_command_reply(&c, "w1@host", value, 3, &cel_codec_json, &reply, NULL),
        CELERY_OK);
    assert_true(cel_slice_is(reply->body, "{\"w1@host\": 7}"));
    assert_true(cel_slice_is(reply->exchange, "reply.celery.pidbox"));
    assert_int_equal(reply->delivery_mode, 1);
    assert_true(reply->optional);
    assert_true(cel_slice_is(
        cel_node_text(cel_envelope_header(reply, CEL_SLICE("ticket"))), "t1"));
    assert_int_equal(cel_node_int(cel_envelope_header(reply, CEL_SLICE("clock")), 0), 3);
    cel_envelope_free(reply);
    cel_arena_fini(&arena);
    cel_envelope_free(env);
}

static void test_commands_that_are_none(void **state)
{
    static const char *const bodies[] = {
        "",
        "[]",
        "null",
        "{}",
        "{\"method\": null}",
        "{\"method\": 1}",
        "{\"method\": \"\"}",
        "{\"method\": \"x\", \"arguments\": [1]}",
        "{\"method\": \"x\", \"destination\": \"y\"}",
        "{\"method\": \"x\", \"pattern\": 1, \"matcher\": \"glob\"}",
        "{\"method\": \"x\", \"reply_to\": {\"exchange\": \"e\"}}",
        "{\"method\": \"x\", \"reply_to\": \"e\"}",
        "{\"method\": \"a\\u0000b\"}",
        "{\"method\": \"\\ud800\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct cel_envelope *env = envelope(bodies[i]);
        struct cel_command c;

        if (read_body(env, &c) != CELERY_EMESSAGE) {
            fail_msg("%s was taken", bodies[i]);
        }
        cel_envelope_free(env);
    }
}

static void is_for(const char *body, const char *node, bool want)
{
    struct cel_envelope *env = envelope(body);
    struct cel_command c;
    bool ours = !want;

    assert_int_equal(read_body(env, &c), CELERY_OK);
    assert_int_equal(cel_command_is_for(&c, node, &ours, NULL), CELERY_OK);
    assert_int_equal(ours, want);
    cel_envelope_free(env);
}

static void test_whom_it_is_for(void **state)
{
    (void)state;
    is_for("{\"method\": \"x\", \"destination\": [\"a@h\", \"b@h\"]}", "b@h", true);
    is_for("{\"method\": \"x\", \"destination\": [\"a@h\", 1]}", "b@h", false);
    is_for("{\"method\": \"x\", \"destination\": []}", "b@h", true);
    is_for("{\"method\": \"x\", \"pattern\": \"a*\", \"matcher\": \"glob\"}", "b@h",
           false);
    is_for("{\"method\": \"x\", \"pattern\": \"[ab]@\", \"matcher\": \"pcre\"}", "b@h",
           true);
    is_for("{\"method\": \"x\", \"pattern\": \"a*\"}", "b@h", true);
    is_for("{\"method\": \"x\", \"destination\": [\"b@h\"], \"pattern\": \"a*\", "
           "\"matcher\": \"glob\"}",
           "b@h", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_glob),
        cmocka_unit_test(test_regex),
        cmocka_unit_test(test_regex_that_is_wrong),
        cmocka_unit_test(test_regex_takes_no_time),
        cmocka_unit_test(test_command),
        cmocka_unit_test(test_commands_that_are_none),
        cmocka_unit_test(test_whom_it_is_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
