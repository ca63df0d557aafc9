/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads the cases that record_serialization.py recorded; argv[1] is their folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "codec/codec.h"
#include "codec/unpack.h"
#include <stdio.h>

static const char *folder;
static struct cel_arena cases_arena;
static struct cel_arena arena; /* of one case */

/* ---- the case files ---- */

static struct cel_slice read_file(const char *topic)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.json", folder, topic);
    FILE *file = fopen(path, "rb");
    struct cel_buf all = {0};
    char part[65536];
    size_t n;
    while (file && (n = fread(part, 1, sizeof part, file)) > 0) {
        cel_buf_add(&all, part, n);
    }
    if (!file || !cel_buf_ok(&all)) {
        fail_msg("cannot read %s", path);
    }
    fclose(file);
    char *text = cel_arena_strndup(&cases_arena, all.data, all.len);
    struct cel_slice slice = cel_slice(text, all.len);
    cel_buf_fini(&all);
    return slice;
}

typedef void (*check_fn)(const struct cel_node *c);

static struct cel_slice text_of(const struct cel_node *c, const char *key)
{
    return cel_node_text(cel_node_get(c, cel_slice_of(key)));
}

static void check_cases(const char *topic, check_fn check)
{
    struct cel_node *root;
    celery_error err = {0};
    struct cel_slice text = read_file(topic);
    if (cel_json_parse(&cases_arena, text, NULL, &root, &err) < 0) {
        fail_msg("%s: %s", topic, err.message);
    }
    const struct cel_node *cases = cel_node_get(root, CEL_SLICE("cases"));
    assert_true(celery_value_size(cases) > 0);
    for (const struct cel_node *c = cel_node_first(cases); c; c = c->next) {
        check(c);
        cel_arena_reset(&arena);
    }
}

static void wrong(const struct cel_node *c, const char *what)
{
    struct cel_slice name = text_of(c, "name");
    fail_msg("%.*s: %s", (int)name.len, name.data, what);
}

static void expect(const struct cel_node *c, const char *what, struct cel_slice want,
                   struct cel_buf *got)
{
    if (!cel_slice_eq(want, cel_buf_slice(got))) {
        print_message("want %.*s\ngot  %s\n", (int)want.len, want.data,
                      cel_buf_cstr(got));
        wrong(c, what);
    }
    cel_buf_fini(got);
}

/* Exact copies in memory of their own, so that sanitizers see overruns. */
static struct cel_slice unhex(struct cel_slice hex)
{
    char *bytes = test_malloc(hex.len / 2 + 1);
    for (size_t i = 0; i < hex.len / 2; i++) {
        unsigned value;
        char digits[3] = {hex.data[2 * i], hex.data[2 * i + 1], '\0'};
        assert_int_equal(sscanf(digits, "%x", &value), 1);
        bytes[i] = (char)value;
    }
    return cel_slice(bytes, hex.len / 2);
}

static struct cel_slice copy(struct cel_slice text)
{
    char *bytes = test_malloc(text.len + 1);
    memcpy(bytes, text.data ? text.data : "", text.len);
    return cel_slice(bytes, text.len);
}

/* ---- topics ---- */

static void check_json(const struct cel_node *c)
{
    const struct cel_node *hex = cel_node_get(c, CEL_SLICE("hex"));
    struct cel_slice in = hex ? unhex(cel_node_text(hex)) : copy(text_of(c, "in"));
    struct cel_node *n;
    celery_error err = {0};
    celery_status status = cel_json_parse(&arena, in, NULL, &n, &err);
    const struct cel_node *out = cel_node_get(c, CEL_SLICE("out"));
    if (!out) {
        bool is_deep = cel_slice_is(text_of(c, "error"), "RecursionError");
        if (status != (is_deep ? CELERY_ELIMIT : CELERY_EMESSAGE)) {
            wrong(c, "not refused");
        }
    } else {
        if (status < 0) {
            wrong(c, err.message);
        }
        struct cel_buf got = {0};
        cel_json_write(&got, n);
        expect(c, "dumps", cel_node_text(out), &got);
    }
    test_free((void *)in.data);
}

static void test_json(void **state)
{
    check_cases("json", check_json);
}

static void check_typed(const struct cel_node *c)
{
    struct cel_node *n;
    celery_error err = {0};
    struct cel_slice in = copy(text_of(c, "in"));
    assert_int_equal(cel_json_parse(&arena, in, NULL, &n, &err), CELERY_OK);
    bool want = cel_node_bool(cel_node_get(c, CEL_SLICE("ok")), false);
    celery_status status = cel_json_check_types(n, &err);
    if (status != (want ? CELERY_OK : CELERY_EMESSAGE)) {
        wrong(c, want ? err.message : "not refused");
    }
    const struct cel_node *hex = cel_node_get(c, CEL_SLICE("bytes"));
    struct cel_slice bytes;
    if (want && cel_json_bytes(&arena, n, &bytes) != (hex != NULL)) {
        wrong(c, "bytes or not bytes");
    }
    if (hex) {
        struct cel_buf got = {0};
        cel_json_write(&got, cel_node_new_bytes(&arena, bytes));
        struct cel_slice expected = unhex(cel_node_text(hex));
        assert_true(cel_slice_eq(bytes, expected));
        test_free((void *)expected.data);
        expect(c, "dumps", text_of(c, "dumps"), &got);
    }
    test_free((void *)in.data);
}

static void test_typed_values(void **state)
{
    check_cases("typed", check_typed);
}

static void check_repr(const struct cel_node *c)
{
    struct cel_node *n;
    assert_int_equal(cel_json_parse(&arena, text_of(c, "in"), NULL, &n, NULL), CELERY_OK);
    struct cel_buf got = {0};
    cel_repr(&got, n, 0);
    expect(c, "repr", text_of(c, "repr"), &got);
    cel_saferepr(&got, n, 1024, 0, false);
    expect(c, "saferepr", text_of(c, "saferepr"), &got);
    if (n->kind == CELERY_KIND_ARRAY) {
        cel_saferepr(&got, n, 1024, 0, true);
        expect(c, "saferepr of a tuple", text_of(c, "tuple"), &got);
    }
}

static void test_repr(void **state)
{
    check_cases("repr", check_repr);
}

static celery_status unpack(const struct cel_node *c, struct cel_buf *why,
                            json_t **json_owner, ...)
{
    char fmt[128];
    struct cel_slice text = text_of(c, "format");
    snprintf(fmt, sizeof fmt, "%.*s", (int)text.len, text.data);
    va_list variables;
    va_start(variables, json_owner);
    celery_status status =
        cel_unpack(&arena, "create", cel_node_get(c, CEL_SLICE("args")),
                   cel_node_get(c, CEL_SLICE("kwargs")), why, json_owner, fmt, variables);
    va_end(variables);
    return status;
}

static void check_unpack(const struct cel_node *c)
{
    const celery_value *v[4] = {NULL};
    struct cel_buf why = {0};
    json_t *owner = NULL;
    celery_status status = unpack(c, &why, &owner, &v[0], &v[1], &v[2], &v[3]);
    const struct cel_node *error = cel_node_get(c, CEL_SLICE("error"));
    if (status != (error ? CELERY_ETASK : CELERY_OK)) {
        wrong(c, error ? "not refused" : cel_buf_cstr(&why));
    }
    expect(c, "TypeError", cel_node_text(error), &why);
}

static void test_unpack(void **state)
{
    check_cases("unpack", check_unpack);
}

static void check_codec(const struct cel_node *c, const char *name)
{
    const struct cel_codec *codec = cel_codec_find(cel_slice_of(name));
    const struct cel_node *hex = cel_node_get(c, cel_slice_of(name));
    if (!codec || !hex) {
        return;
    }
    struct cel_slice bytes = unhex(cel_node_text(hex));
    struct cel_node *n;
    celery_error err = {0};
    if (codec->decode(&arena, bytes, NULL, &n, &err) < 0) {
        wrong(c, err.message);
    }
    /* safe_dump() sorts keys, so the values are compared and not the text. */
    struct cel_node *want;
    assert_int_equal(cel_json_parse(&arena, text_of(c, "json"), NULL, &want, NULL), 0);
    if (!cel_node_equal(n, want)) {
        wrong(c, name);
    }
    struct cel_buf got = {0};
    assert_int_equal(codec->encode(&got, want, &err), CELERY_OK);
    if (strcmp(name, "msgpack") == 0) {
        expect(c, "packb", bytes, &got);
    } else {
        assert_int_equal(codec->decode(&arena, cel_buf_slice(&got), NULL, &n, &err), 0);
        assert_true(cel_node_equal(n, want));
        cel_buf_fini(&got);
    }
    test_free((void *)bytes.data);
}

static void check_serializers(const struct cel_node *c)
{
    check_codec(c, "msgpack");
    check_codec(c, "yaml");
}

static void test_serializers(void **state)
{
    check_cases("serializers", check_serializers);
}

/* One changed form of the packed bytes, and the size that Python makes of it, or null. */
static void check_packed(const struct cel_node *c, const struct cel_compression *method,
                         const char *what, struct cel_slice packed)
{
    const struct cel_node *want = cel_node_get(c, cel_slice_of(what));
    struct cel_buf got = {0};
    celery_error err = {0};
    celery_status status = method->decompress(&got, packed, &err);
    if (cel_node_is_null(want)
            ? status != CELERY_EMESSAGE
            : status < 0 || cel_node_int(want, -1) != (int64_t)got.len) {
        print_message("%s: %s, %zu bytes\n", celery_status_name(status), err.message,
                      got.len);
        wrong(c, what);
    }
    const struct cel_node *plain = cel_node_get(c, CEL_SLICE("plain"));
    if (plain && strcmp(what, "size") == 0) {
        assert_true(cel_slice_eq(cel_node_text(plain), cel_buf_slice(&got)));
    }
    cel_buf_fini(&got);
}

static void check_ceiling(const struct cel_node *c, const struct cel_compression *method,
                          struct cel_slice packed)
{
    size_t size = (size_t)cel_node_int(cel_node_get(c, CEL_SLICE("size")), 0);
    struct cel_buf got;
    cel_buf_init(&got, size > 1 ? size - 1 : 1);
    celery_status status = method->decompress(&got, packed, NULL);
    if (status != (size > 1 ? CELERY_ELIMIT : CELERY_OK) || got.len > got.max) {
        wrong(c, "ceiling below the size");
    }
    cel_buf_fini(&got);
    cel_buf_init(&got, size > 0 ? size : 1);
    if (method->decompress(&got, packed, NULL) < 0) {
        wrong(c, "ceiling of the size");
    }
    struct cel_buf again = {0};
    struct cel_buf back = {0};
    assert_int_equal(method->compress(&again, cel_buf_slice(&got), NULL), CELERY_OK);
    assert_int_equal(method->decompress(&back, cel_buf_slice(&again), NULL), CELERY_OK);
    assert_true(cel_slice_eq(cel_buf_slice(&back), cel_buf_slice(&got)));
    cel_buf_fini(&back);
    cel_buf_fini(&again);
    cel_buf_fini(&got);
}

static void check_compression(const struct cel_node *c)
{
    const struct cel_compression *method = cel_compression_find(text_of(c, "method"));
    if (!method) {
        return; /* not in this build */
    }
    assert_ptr_equal(method, cel_compression_find(text_of(c, "content_type")));
    struct cel_slice packed = unhex(text_of(c, "packed"));
    struct cel_buf changed = {0};
    check_packed(c, method, "size", packed);
    check_ceiling(c, method, packed);
    check_packed(c, method, "truncated", cel_slice(packed.data, packed.len - 1));
    check_packed(c, method, "halved", cel_slice(packed.data, packed.len / 2));
    check_packed(c, method, "none", CEL_SLICE(""));
    cel_buf_add_slice(&changed, packed);
    cel_buf_adds(&changed, "more");
    check_packed(c, method, "followed", cel_buf_slice(&changed));
    cel_buf_clear(&changed);
    cel_buf_add_slice(&changed, packed);
    cel_buf_add_slice(&changed, packed);
    check_packed(c, method, "twice", cel_buf_slice(&changed));
    cel_buf_fini(&changed);
    test_free((void *)packed.data);
}

static void test_compression(void **state)
{
    check_cases("compression", check_compression);
    check_cases("compression_more", check_compression);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),        cmocka_unit_test(test_typed_values),
        cmocka_unit_test(test_repr),        cmocka_unit_test(test_unpack),
        cmocka_unit_test(test_serializers), cmocka_unit_test(test_compression),
    };
    if (argc != 2) {
        fprintf(stderr, "usage: test_serialization FOLDER\n");
        return 2;
    }
    folder = argv[1];
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cel_arena_fini(&cases_arena);
    cel_arena_fini(&arena);
    return failed;
}
