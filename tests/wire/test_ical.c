/* SPDX-License-Identifier: BSD-3-Clause */
/* The recorded cases of tests/wire/ical against the task, for every profile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/doc.h"
#include "codec/unpack.h"
#include "create.h"
#include "pool/run_task.h"
#include "register.h"

static const struct profile {
    const char *name;
    enum ical_class output;
    bool old_indices;
} profiles[] = {
    {"deb12", ICAL_A, false},      {"course2024", ICAL_B1, true},
    {"course2025", ICAL_B2, true}, {"course2026", ICAL_B2, false},
    {"latest", ICAL_C, false},
};

static const struct {
    const char *name;
    enum ical_dates dates;
    enum ical_missing missing;
    enum ical_null null_description;
} variants[] = {
    {"iso", ICAL_DATES_ISO, ICAL_MISSING_ERROR, ICAL_NULL_NONE},
    {"skip-missing", ICAL_DATES_ISO, ICAL_MISSING_SKIP, ICAL_NULL_EMPTY},
    {"optional", ICAL_DATES_OPTIONAL, ICAL_MISSING_NO_DTSTART, ICAL_NULL_NONE},
};

static struct cel_node *read_json(struct cel_arena *a, const char *name)
{
    char path[1024];
    celery_error err = {0};
    struct cel_node *doc = NULL;

    snprintf(path, sizeof path, "%s/%s", ICAL_VECTORS, name);
    FILE *f = fopen(path, "rb");

    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    char *text = cel_arena_alloc(a, (size_t)size);

    assert_int_equal(fread(text, 1, (size_t)size, f), size);
    fclose(f);
    assert_int_equal(cel_json_parse(a, cel_slice(text, (size_t)size), NULL, &doc, &err),
                     CELERY_OK);
    return doc;
}

static const struct cel_node *get(const struct cel_node *n, const char *key)
{
    return cel_node_get(n, cel_slice_of(key));
}

static celery_status unpack(struct cel_arena *a, const struct cel_node *v,
                            struct cel_buf *why, const char *fmt, ...)
{
    json_t *owner = NULL;
    va_list ap;

    va_start(ap, fmt);
    celery_status status = cel_unpack(a, "create_ical", get(v, "args"), get(v, "kwargs"),
                                      why, &owner, fmt, ap);
    va_end(ap);
    json_decref(owner);
    return status;
}

/* As the task does it: the arguments, then the calendar. */
static bool run(struct cel_arena *a, const struct ical_options *o,
                const struct cel_node *v, struct ical_writer *w)
{
    const celery_value *tasks = NULL;
    struct cel_buf why = {0};
    bool ok = unpack(a, v, &why, "tasks:v", &tasks) == CELERY_OK;

    if (ok) {
        ok = ical_create(o, tasks, w);
    } else {
        exception_raise(&w->exception, "TypeError", cel_buf_cstr(&why));
    }
    cel_buf_fini(&why);
    return ok;
}

static bool last_line_is(const struct exception *e, const struct cel_node *expected)
{
    struct text t = {0};
    struct cel_slice line = cel_node_text(expected);

    exception_traceback(e, &t);
    bool same =
        !expected || (t.len > line.len && t.data[t.len - 1] == '\n' &&
                      memcmp(t.data + t.len - 1 - line.len, line.data, line.len) == 0);

    text_free(&t);
    return same;
}

static bool failed_as(struct cel_arena *a, const struct exception *e,
                      const struct cel_node *expect)
{
    struct text args = {0};
    struct cel_node *given = NULL;

    if (!e->type || !cel_slice_is(cel_node_text(get(expect, "exc_type")), e->type)) {
        return false;
    }
    exception_args(e, &args);
    const char *copy = cel_arena_strndup(a, args.data, args.len);
    celery_status status =
        cel_json_parse(a, cel_slice(copy, args.len), NULL, &given, NULL);

    text_free(&args);
    return status == CELERY_OK && cel_node_equal(given, get(expect, "exc_message")) &&
           last_line_is(e, get(expect, "traceback_last_line"));
}

static bool holds(struct cel_arena *a, const struct ical_options *o,
                  const struct cel_node *vector, const struct cel_node *expect,
                  const char *label)
{
    struct ical_writer w = {0};
    bool success = cel_slice_is(cel_node_text(get(expect, "status")), "SUCCESS");
    bool done = run(a, o, vector, &w);
    bool same =
        done == success && (done ? cel_slice_eq(cel_slice(w.out.data, w.out.len),
                                                cel_node_text(get(expect, "result")))
                                 : failed_as(a, &w.exception, expect));

    if (!same) {
        struct cel_slice id = cel_node_text(get(vector, "id"));

        print_error("%s %.*s: %s %.*s\n", label, (int)id.len, id.data,
                    done ? "SUCCESS" : w.exception.type,
                    (int)(done ? w.out.len : w.exception.message.len),
                    done ? w.out.data : w.exception.message.data);
    }
    ical_free(&w);
    return same;
}

static void test_every_vector_in_every_profile(void **state)
{
    struct cel_arena a = {0};
    const struct cel_node *vectors = get(read_json(&a, "vectors.json"), "vectors");
    int bad = 0, count = 0;

    for (const struct cel_node *v = cel_node_first(vectors); v; v = v->next) {
        for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++) {
            const struct profile *p = &profiles[i];
            const struct cel_node *expect = get(get(v, "differs"), p->name);
            struct ical_options o;

            ical_options_init(&o);
            o.output = p->output;
            o.old_indices = p->old_indices;
            bad += !holds(&a, &o, v, expect ? expect : get(v, "expect"), p->name);
            count++;
        }
    }
    cel_arena_fini(&a);
    assert_int_equal(count, 270 * 5);
    assert_int_equal(bad, 0);
}

/* ---- through the task function, as a pool runs it ---- */

static bool outcome_is(struct cel_arena *a, const struct cel_outcome *out,
                       const struct cel_node *expect)
{
    struct cel_node *given = NULL;
    bool success = cel_slice_is(cel_node_text(get(expect, "status")), "SUCCESS");
    struct cel_slice json = success ? out->result_json : out->exc_args;
    const char *copy = cel_arena_strndup(a, json.data, json.len);

    if (out->kind != (success ? CEL_OUTCOME_SUCCESS : CEL_OUTCOME_FAILURE) ||
        cel_json_parse(a, cel_slice(copy, json.len), NULL, &given, NULL) < 0) {
        return false;
    }
    if (success) {
        return cel_node_equal(given, get(expect, "result"));
    }
    struct cel_slice line = cel_node_text(get(expect, "traceback_last_line"));
    struct cel_slice end = cel_slice_trim(out->traceback);

    return cel_slice_eq(out->exc_type, cel_node_text(get(expect, "exc_type"))) &&
           cel_slice_eq(out->exc_module, cel_node_text(get(expect, "exc_module"))) &&
           cel_node_equal(given, get(expect, "exc_message")) &&
           cel_slice_ends(end, cel_slice_trim(line));
}

static void test_every_vector_through_the_task(void **state)
{
    static const char *const accept[] = {"json", NULL};
    static struct ical_options options;
    const struct cel_call_limits limits = {.accept = accept};
    struct cel_arena a = {0};
    struct cel_buf body = {0};
    celery_app *app = celery_app_new("todo.tasks.ical");
    const struct cel_node *vectors = get(read_json(&a, "vectors.json"), "vectors");
    int bad = 0;

    ical_options_init(&options);
    assert_int_equal(ical_register(app, &options, NULL), CELERY_OK);
    assert_string_equal(celery_app_get(app, "task_default_queue"), "ical");
    assert_int_equal(cel_app_freeze(app, NULL), CELERY_OK);
    struct cel_runner *runner = cel_runner_new(app, "celery@test", &limits, NULL);

    for (const struct cel_node *v = cel_node_first(vectors); v; v = v->next) {
        struct cel_job job = {.task = cel_app_find_task(app, CEL_SLICE("ical")),
                              .content_type = CEL_SLICE("application/json")};
        struct cel_outcome out = {0};

        cel_buf_clear(&body);
        cel_buf_adds(&body, "[");
        cel_json_write(&body, get(v, "args"));
        cel_buf_adds(&body, ", ");
        cel_json_write(&body, get(v, "kwargs"));
        cel_buf_adds(&body, ", {}]");
        cel_task_call_init(&job.call);
        job.call.protocol = 2;
        job.body = cel_buf_slice(&body);
        cel_runner_run(runner, &job, &out);
        if (!outcome_is(&a, &out, get(v, "expect"))) {
            struct cel_slice id = cel_node_text(get(v, "id"));

            print_error("%.*s: outcome %d %.*s %.*s\n%.*s\n", (int)id.len, id.data,
                        out.kind, (int)out.exc_type.len, out.exc_type.data,
                        (int)out.exc_args.len, out.exc_args.data, (int)out.traceback.len,
                        out.traceback.data);
            bad++;
        }
    }
    cel_runner_free(runner);
    celery_app_free(app);
    cel_buf_fini(&body);
    cel_arena_fini(&a);
    assert_int_equal(bad, 0);
}

/* {"args": [[task]]} of a lenient case, which has a whole task or its deadline. */
static struct cel_node *lenient_vector(struct cel_arena *a, const struct cel_node *v)
{
    static const char *const names[] = {"id", "title", "description"};
    static const char *const values[] = {NULL, "t", "d"};
    struct cel_node *task = cel_node_copy(a, get(v, "task"));
    struct cel_node *args = cel_node_new(a, CELERY_KIND_ARRAY);
    struct cel_node *list = cel_node_new(a, CELERY_KIND_ARRAY);
    struct cel_node *vector = cel_node_new(a, CELERY_KIND_OBJECT);

    if (!get(v, "task")) {
        task = cel_node_new(a, CELERY_KIND_OBJECT);
        for (size_t i = 0; i < 3; i++) {
            cel_node_put(a, task, cel_slice_of(names[i]),
                         values[i] ? cel_node_new_string(a, cel_slice_of(values[i]))
                                   : cel_node_new_int(a, 1));
        }
        cel_node_put(a, task, CEL_SLICE("deadline_at"),
                     cel_node_copy(a, get(v, "deadline_at")));
    }
    assert_int_equal(cel_node_append(list, task), CELERY_OK);
    assert_int_equal(cel_node_append(args, list), CELERY_OK);
    assert_int_equal(cel_node_put(a, vector, CEL_SLICE("args"), args), CELERY_OK);
    return vector;
}

static void test_every_lenient_vector(void **state)
{
    struct cel_arena a = {0};
    const struct cel_node *all = get(read_json(&a, "lenient.json"), "variants");
    int bad = 0, count = 0;

    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        const struct cel_node *v = cel_node_first(get(all, variants[i].name));
        struct ical_options o;

        ical_options_init(&o);
        o.dates = variants[i].dates;
        o.missing = variants[i].missing;
        o.null_description = variants[i].null_description;
        for (; v; v = v->next) {
            bad +=
                !holds(&a, &o, lenient_vector(&a, v), get(v, "expect"), variants[i].name);
            count++;
        }
    }
    cel_arena_fini(&a);
    assert_int_equal(count, 117);
    assert_int_equal(bad, 0);
}

static void test_offsets_can_be_converted_to_utc(void **state)
{
    struct exception e = {0};
    struct datetime d;

    assert_int_equal(date_fromisoformat("2024-03-01T04:59:59+10:30", 25, &d, &e),
                     DATE_OK);
    assert_int_equal(date_to_utc(&d, &e), DATE_OK);
    assert_int_equal(d.month, 2);
    assert_int_equal(d.day, 29);
    assert_int_equal(d.hour * 3600 + d.minute * 60 + d.second, 18 * 3600 + 29 * 60 + 59);
    assert_int_equal(date_fromisoformat("9999-12-31T23:00:00-02:00", 25, &d, &e),
                     DATE_OK);
    assert_int_equal(date_to_utc(&d, &e), DATE_RAISED);
    assert_string_equal(e.type, "OverflowError");
    exception_clear(&e);
}

static void test_options_are_taken_out_of_argv(void **state)
{
    const char *argv[] = {"ical-worker",
                          "-c",
                          "2",
                          "--missing-deadline",
                          "no-dtstart",
                          "worker",
                          "--preset=lenient",
                          "--delay",
                          "0.5",
                          "-l",
                          "info",
                          NULL};
    int argc = 11;
    struct ical_options o;
    char why[240] = "";

    ical_options_init(&o);
    assert_true(ical_options_argv(&o, &argc, (char **)argv, why, sizeof why));
    assert_int_equal(argc, 6);
    assert_string_equal(argv[3], "worker");
    assert_string_equal(argv[5], "info");
    assert_null(argv[6]);
    assert_int_equal(o.missing, ICAL_MISSING_NO_DTSTART); /* wins over the preset */
    assert_int_equal(o.dates, ICAL_DATES_ISO);
    assert_true(o.delay > 0.4 && o.delay < 0.6);
}

static void test_a_wrong_option_is_explained(void **state)
{
    const char *argv[] = {"ical-worker", "--dates", "maybe", NULL};
    int argc = 3;
    struct ical_options o;
    char why[240] = "";

    ical_options_init(&o);
    assert_false(ical_options_argv(&o, &argc, (char **)argv, why, sizeof why));
    assert_string_equal(
        why, "--dates: invalid value 'maybe'; choose from strict, iso, optional");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_vector_in_every_profile),
        cmocka_unit_test(test_every_lenient_vector),
        cmocka_unit_test(test_every_vector_through_the_task),
        cmocka_unit_test(test_offsets_can_be_converted_to_utc),
        cmocka_unit_test(test_options_are_taken_out_of_argv),
        cmocka_unit_test(test_a_wrong_option_is_explained),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
