/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "message/envelope_json.h"
#include "transport/amqp_codec.h"
#include "transport/amqp_wire.h"
#include <stdlib.h>

/* ---- help ---- */

/* A copy of exactly these bytes, so that a sanitizer sees a byte read behind them. */
static char *tight(struct cel_slice bytes)
{
    char *copy = malloc(bytes.len > 0 ? bytes.len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes.data, bytes.len);
    return copy;
}

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static void add_hex(struct cel_buf *out, const char *hex)
{
    for (; *hex; hex += 2) {
        (void)cel_buf_addc(out, (char)(digit(hex[0]) << 4 | digit(hex[1])));
    }
}

static void add32(struct cel_buf *out, size_t n)
{
    char bytes[4];
    cel_amqp_set32(bytes, (uint32_t)n);
    (void)cel_buf_add(out, bytes, 4);
}

/* A content header whose only property is a header table with these entries. */
static void add_header(struct cel_buf *out, struct cel_slice entries)
{
    add_hex(out, "003c0000000000000000000a2000");
    add32(out, entries.len);
    (void)cel_buf_add_slice(out, entries);
}

static celery_status read_header(struct cel_slice payload, struct cel_envelope **ret_env,
                                 celery_error *err)
{
    uint64_t size = 0;
    char *copy = tight(payload);
    *ret_env = cel_envelope_new();
    assert_non_null(*ret_env);
    celery_status st =
        cel_amqp_header_read(cel_slice(copy, payload.len), *ret_env, &size, err);
    free(copy); /* whatever was read has been copied */
    return st;
}

/* The headers with these entries as JSON; *ret_st what reading said. */
static char *headers_json(struct cel_slice entries, celery_status *ret_st)
{
    struct cel_buf header = {0}, json = {0};
    struct cel_envelope *env;
    add_header(&header, entries);
    *ret_st = read_header(cel_buf_slice(&header), &env, NULL);
    assert_int_equal(cel_json_write(&json, env->headers), CELERY_OK);
    cel_envelope_free(env);
    cel_buf_fini(&header);
    return cel_buf_steal(&json);
}

static void assert_slice(struct cel_slice got, const char *want)
{
    if (!cel_slice_is(got, want)) {
        fail_msg("\"%.*s\" is not \"%s\"", (int)got.len, got.data ? got.data : "", want);
    }
}

/* ---- frames ---- */

static void test_frames_come_back_from_a_stream_cut_at_any_byte(void **state)
{
    struct cel_buf out = {0};
    assert_int_equal(cel_amqp_put_heartbeat(&out), CELERY_OK);
    assert_int_equal(cel_amqp_put_body(&out, 7, CEL_SLICE("0123456789"), 12), CELERY_OK);
    static const struct {
        uint8_t type;
        uint16_t channel;
        const char *payload;
    } want[] = {{CEL_AMQP_HEARTBEAT, 0, ""},
                {CEL_AMQP_BODY, 7, "0123"},
                {CEL_AMQP_BODY, 7, "4567"},
                {CEL_AMQP_BODY, 7, "89"}};
    for (size_t len = 0; len <= out.len; len++) {
        char *copy = tight(cel_slice(out.data, len));
        struct cel_slice in = cel_slice(copy, len);
        size_t n = 0;
        for (;;) {
            struct cel_amqp_frame frame;
            ssize_t took = cel_amqp_frame_next(in, 12, &frame, NULL);
            assert_true(took >= 0);
            if (took == 0) {
                break;
            }
            assert_int_equal(frame.type, want[n].type);
            assert_int_equal(frame.channel, want[n].channel);
            assert_slice(frame.payload, want[n].payload);
            in = cel_slice(in.data + took, in.len - (size_t)took);
            n++;
        }
        assert_true(len < out.len ? n < 4 : n == 4 && in.len == 0);
        free(copy);
    }
    cel_buf_fini(&out);
}

static void test_an_empty_body_has_no_frame(void **state)
{
    struct cel_buf out = {0};
    assert_int_equal(cel_amqp_put_body(&out, 1, CEL_SLICE(""), 4096), CELERY_OK);
    assert_int_equal(out.len, 0);
    cel_buf_fini(&out);
}

static void test_a_body_without_frame_max_is_one_frame(void **state)
{
    struct cel_buf out = {0};
    assert_int_equal(cel_amqp_put_body(&out, 1, CEL_SLICE("abc"), 0), CELERY_OK);
    assert_int_equal(out.len, 3 + CEL_AMQP_FRAME_EXTRA);
    cel_buf_fini(&out);
}

static void test_what_is_no_frame_is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        uint32_t frame_max;
        ssize_t want;
        const char *why;
    } rows[] = {
        {"HTTP/1.1 400", 12, 0, CELERY_EPROTO, "begins with 0x48"},
        {"\x15\x03\x01\x00\x02", 5, 0, CELERY_EPROTO, "begins with 0x15"},
        {"AMQP\0\0\x09\x01", 8, 0, CELERY_EPROTO, "AMQP 0-9-1, not"},
        {"AMQP\x00\x01\x00\x00", 8, 0, CELERY_EPROTO, "AMQP 1-0-0, not"},
        {"AMQ", 3, 0, 0, ""},
        {"AMPQ", 4, 0, CELERY_EPROTO, "begins with A"},
        {"\x01\0\0\0\0\0\0\x00", 8, 0, CELERY_EPROTO, "end octet"},
        {"\x01\0\0\0\0\x0f\xf9", 7, 4096, CELERY_EPROTO,
         "4097 bytes, more than the 4096"},
        {"\x01\0\0\0\0\x0f\xf8", 7, 4096, 0, ""},
        {"\x01\0\0\xff\xff\xff\xff", 7, 0, CELERY_EPROTO, "4294967303 bytes"},
        {"\x01\0\0\0\0\0\0\xce", 8, 4, CELERY_EPROTO, "8 bytes, more than the 4"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cel_amqp_frame frame;
        celery_error err = {0};
        char *copy = tight(cel_slice(rows[i].bytes, rows[i].len));
        assert_int_equal(cel_amqp_frame_next(cel_slice(copy, rows[i].len),
                                             rows[i].frame_max, &frame, &err),
                         rows[i].want);
        assert_non_null(strstr(err.message, rows[i].why));
        free(copy);
    }
}

static void test_hello_is_the_protocol_header_of_0_9_1(void **state)
{
    struct cel_buf out = {0};
    assert_int_equal(cel_amqp_put_hello(&out), CELERY_OK);
    assert_int_equal(out.len, 8);
    assert_memory_equal(out.data, "AMQP\0\0\x09\x01", 8);
    cel_buf_fini(&out);
}

/* ---- methods ---- */

static const uint32_t ids[] = {
#define X(name, class_id, method_id) CEL_AMQP_##name,
    CEL_AMQP_METHODS(X)
#undef X
};
enum { N_IDS = sizeof ids / sizeof *ids };

/* Every field set; the next reading shows which of them the method has. */
static struct cel_amqp_method everything(uint32_t id, const struct cel_node *table)
{
    return (struct cel_amqp_method){
        .id = id,
        .bits = (1u << 12) - 1,
        .tag = UINT64_C(0x1122334455667788),
        .count = 4711,
        .consumers = 12,
        .code = 312,
        .class_id = 60,
        .method_id = 40,
        .channel_max = 2047,
        .heartbeat = 60,
        .frame_max = 131072,
        .text = CEL_SLICE("a text"),
        .queue = CEL_SLICE("a queue"),
        .exchange = CEL_SLICE("an exchange"),
        .source = CEL_SLICE("a source"),
        .type = CEL_SLICE("topic"),
        .routing_key = CEL_SLICE("a.key"),
        .consumer_tag = CEL_SLICE("None4"),
        .mechanism = CEL_SLICE("PLAIN"),
        .response = CEL_SLICE("\0guest\0guest"),
        .vhost = CEL_SLICE("/v"),
        .table = table,
    };
}

static struct cel_node *arguments(struct cel_arena *a)
{
    struct cel_node *table = cel_node_new(a, CELERY_KIND_OBJECT);
    assert_int_equal(
        cel_node_put(a, table, CEL_SLICE("x-expires"), cel_node_new_int(a, 86400000)),
        CELERY_OK);
    return table;
}

static void test_every_method_is_written_read_and_written_alike(void **state)
{
    for (size_t i = 0; i < N_IDS; i++) {
        struct cel_arena a = {0};
        struct cel_buf first = {0}, second = {0};
        struct cel_amqp_method m = everything(ids[i], arguments(&a)), again;
        struct cel_amqp_frame frame;
        celery_error err = {0};

        assert_int_equal(cel_amqp_method_put(&first, 3, &m, &err), CELERY_OK);
        char *copy = tight(cel_buf_slice(&first));
        assert_int_equal(
            cel_amqp_frame_next(cel_slice(copy, first.len), 4096, &frame, &err),
            first.len);
        assert_int_equal(frame.type, CEL_AMQP_METHOD);
        assert_int_equal(frame.channel, 3);
        assert_int_equal(cel_amqp_method_read(frame.payload, &a, &again, &err),
                         CELERY_OK);
        assert_int_equal(again.id, ids[i]);
        assert_int_equal(cel_amqp_method_put(&second, 3, &again, &err), CELERY_OK);
        assert_int_equal(first.len, second.len);
        assert_memory_equal(first.data, second.data, first.len);
        free(copy);
        cel_buf_fini(&first);
        cel_buf_fini(&second);
        cel_arena_fini(&a);
    }
}

/* Trailing bytes may be optional texts of another method; a shorter one never reads past. */
static void test_a_method_cut_at_any_byte_is_refused(void **state)
{
    for (size_t i = 0; i < N_IDS; i++) {
        struct cel_arena a = {0};
        struct cel_buf out = {0};
        struct cel_amqp_method m = everything(ids[i], arguments(&a)), again;

        assert_int_equal(cel_amqp_method_put(&out, 0, &m, NULL), CELERY_OK);
        size_t payload = out.len - CEL_AMQP_FRAME_EXTRA;
        for (size_t len = 0; len < payload; len++) {
            char *copy = tight(cel_slice(out.data + CEL_AMQP_FRAME_HEAD, len));
            assert_int_equal(cel_amqp_method_read(cel_slice(copy, len), &a, &again, NULL),
                             CELERY_EPROTO);
            free(copy);
        }
        cel_buf_fini(&out);
        cel_arena_fini(&a);
    }
}

static struct cel_amqp_method read_hex(struct cel_arena *a, const char *hex)
{
    struct cel_buf in = {0};
    struct cel_amqp_method m = {0};
    add_hex(&in, hex);
    char *copy = cel_arena_strndup(a, in.data, in.len);
    assert_int_equal(cel_amqp_method_read(cel_slice(copy, in.len), a, &m, NULL),
                     CELERY_OK);
    cel_buf_fini(&in);
    return m;
}

/* Bytes as RabbitMQ 3.10 sends them. */
static void test_methods_of_a_broker(void **state)
{
    struct cel_arena a = {0};
    struct cel_amqp_method m =
        read_hex(&a, "003c003c054e6f6e6534000000000000000701000663656c657279");
    assert_int_equal(m.id, CEL_AMQP_BASIC_DELIVER);
    assert_slice(m.consumer_tag, "None4");
    assert_int_equal(m.tag, 7);
    assert_int_equal(m.bits, CEL_AMQP_REDELIVERED);
    assert_slice(m.exchange, "");
    assert_slice(m.routing_key, "celery");

    m = read_hex(&a, "000a001e07ff00020000003c");
    assert_int_equal(m.channel_max, 2047);
    assert_int_equal(m.frame_max, 131072);
    assert_int_equal(m.heartbeat, 60);

    m = read_hex(&a, "00140028019404676f6e650032000a");
    assert_int_equal(m.code, 404);
    assert_slice(m.text, "gone");
    assert_int_equal(m.class_id, 50);
    assert_int_equal(m.method_id, 10);

    m = read_hex(&a, "0032000b01710000000500000002");
    assert_slice(m.queue, "q");
    assert_int_equal(m.count, 5);
    assert_int_equal(m.consumers, 2);
    cel_arena_fini(&a);
}

static void test_unknown_methods_are_refused(void **state)
{
    static const char *const rows[] = {"", "\0", "\0\x3c\0", "\0\x3c\0\xff",
                                       "\0\x5a\0\x0a"};
    static const size_t lens[] = {0, 1, 3, 4, 4};
    for (size_t i = 0; i < 5; i++) {
        struct cel_arena a = {0};
        struct cel_amqp_method m;
        char *copy = tight(cel_slice(rows[i], lens[i]));
        assert_int_equal(cel_amqp_method_read(cel_slice(copy, lens[i]), &a, &m, NULL),
                         CELERY_EPROTO);
        free(copy);
        cel_arena_fini(&a);
    }
}

static void test_names_over_255_bytes_are_refused(void **state)
{
    char name[256];
    struct cel_buf out = {0};
    celery_error err = {0};
    memset(name, 'q', sizeof name);
    struct cel_amqp_method m = {.id = CEL_AMQP_QUEUE_DECLARE,
                                .queue = {name, sizeof name}};
    assert_int_equal(cel_amqp_method_put(&out, 1, &m, &err), CELERY_EINVAL);
    assert_non_null(strstr(err.message, "queue.declare: the queue has 256 bytes"));
    assert_int_equal(out.len, 0);
    m.queue.len = 255;
    assert_int_equal(cel_amqp_method_put(&out, 1, &m, &err), CELERY_OK);
    cel_buf_fini(&out);
}

static void test_method_names(void **state)
{
    assert_string_equal(cel_amqp_method_name(CEL_AMQP_BASIC_GET_EMPTY),
                        "basic.get-empty");
    assert_string_equal(cel_amqp_method_name(CEL_AMQP_CONNECTION_TUNE_OK),
                        "connection.tune-ok");
    assert_string_equal(cel_amqp_method_name(4711), "?");
    for (size_t i = 0; i < N_IDS; i++) {
        assert_string_not_equal(cel_amqp_method_name(ids[i]), "?");
    }
}

/* ---- tables ---- */

/* Letters and sizes as RabbitMQ has them, see rabbit_binary_parser:parse_table/1. */
static void test_every_type_of_value_is_read(void **state)
{
    static const struct {
        const char *hex;
        const char *json;
    } rows[] = {
        {"7401", "true"},
        {"7400", "false"},
        {"7402", "true"},
        {"62ff", "-1"},
        {"42ff", "255"},
        {"73fffe", "-2"},
        {"55fffe", "-2"},
        {"75fffe", "65534"},
        {"49fffffffd", "-3"},
        {"69fffffffd", "4294967293"},
        {"6cfffffffffffffffc", "-4"},
        {"4cfffffffffffffffc", "-4"},
        {"4c7fffffffffffffff", "9223372036854775807"},
        {"663fc00000", "1.5"},
        {"643ff8000000000000", "1.5"},
        {"647ff8000000000000", "NaN"},
        {"4402ffffff83", "{\"__type__\": \"decimal\", \"__value__\": \"-1.25\"}"},
        {"44000000000f", "{\"__type__\": \"decimal\", \"__value__\": \"15\"}"},
        {"4404000005dc", "{\"__type__\": \"decimal\", \"__value__\": \"0.15\"}"},
        {"440a00000001", "{\"__type__\": \"decimal\", \"__value__\": \"1E-10\"}"},
        {"44ff80000000", "{\"__type__\": \"decimal\", \"__value__\": "
                         "\"-2.147483648E-246\"}"},
        {"440000000000", "{\"__type__\": \"decimal\", \"__value__\": \"0\"}"},
        {"5300000002c3a9", "\"\\u00e9\""},
        {"5300000000", "\"\""},
        {"5300000003eda080", "\"\\ud800\""},
        {"5300000002fffe", "{\"__type__\": \"base64\", \"__value__\": \"//4=\"}"},
        {"780000000161", "{\"__type__\": \"bytes\", \"__value__\": \"a\"}"},
        {"4100000000", "[]"},
        {"410000000456564900", NULL},
        {"4100000007565649000000ff", "[null, null, 255]"},
        {"54000000006b02e7d5",
         "{\"__type__\": \"datetime\", \"__value__\": \"2026-11-22T13:02:13\"}"},
        {"54ffffffffffffffff", "18446744073709551615"},
        {"4600000000", "{}"},
        {"4600000006016b5400", NULL},
        {"4600000003016b56", "{\"k\": null}"},
        {"46000000080161620101614202", "{\"a\": 2}"},
        {"56", "null"},
        {"7a00", NULL},
        {"53000000", NULL},
        {"5300000001", NULL},
        {"53ffffffff61", NULL},
        {"46ffffffff61", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cel_buf entries = {0}, want = {0};
        celery_status st;
        add_hex(&entries, "0161");
        add_hex(&entries, rows[i].hex);
        (void)cel_buf_addf(&want, rows[i].json ? "{\"a\": %s}" : "{}", rows[i].json);
        char *got = headers_json(cel_buf_slice(&entries), &st);
        assert_string_equal(got, cel_buf_cstr(&want));
        assert_int_equal(st, rows[i].json ? CELERY_OK : CELERY_EMESSAGE);
        free(got);
        cel_buf_fini(&entries);
        cel_buf_fini(&want);
    }
}

/* levels tables in each other, the table of headers being the first. */
static void add_nested(struct cel_buf *entries, size_t levels)
{
    for (size_t i = 1; i < levels; i++) {
        (void)cel_buf_add(entries, "\1kF", 3);
        add32(entries, (levels - i - 1) * 7);
    }
}

static void test_tables_are_read_32_deep_and_no_deeper(void **state)
{
    static const size_t levels[] = {31, 32, 33, 100, 18000, 100000};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        struct cel_buf entries = {0};
        celery_status st;
        add_nested(&entries, levels[i]);
        (void)cel_buf_add(&entries, "\2idS\0\0\0\3abc", 11);
        char *got = headers_json(cel_buf_slice(&entries), &st);
        assert_int_equal(st,
                         levels[i] > CEL_AMQP_MAX_DEPTH ? CELERY_EMESSAGE : CELERY_OK);
        /* What stands beside it is there all the same. */
        assert_non_null(strstr(got, "\"id\": \"abc\"}"));
        assert_int_equal(strstr(got, "\"k\"") != NULL, st == CELERY_OK);
        free(got);
        cel_buf_fini(&entries);
    }
}

static void test_arrays_count_as_depth(void **state)
{
    for (size_t levels = 31; levels <= 32; levels++) {
        struct cel_buf entries = {0};
        celery_status st;
        (void)cel_buf_add(&entries, "\1k", 2);
        for (size_t i = 0; i < levels; i++) {
            (void)cel_buf_addc(&entries, 'A');
            add32(&entries, (levels - i - 1) * 5);
        }
        free(headers_json(cel_buf_slice(&entries), &st));
        assert_int_equal(st, levels == 31 ? CELERY_OK : CELERY_EMESSAGE);
        cel_buf_fini(&entries);
    }
}

static void test_tables_have_a_ceiling_for_their_values(void **state)
{
    for (size_t n = 16383; n <= 16384; n++) {
        struct cel_buf entries = {0};
        celery_status st;
        (void)cel_buf_add(&entries, "\1kA", 3);
        add32(&entries, n);
        for (size_t i = 0; i < n; i++) {
            (void)cel_buf_addc(&entries, 'V');
        }
        free(headers_json(cel_buf_slice(&entries), &st));
        assert_int_equal(st, n == 16383 ? CELERY_OK : CELERY_EMESSAGE);
        cel_buf_fini(&entries);
    }
}

/* A value must end where its table ends, not later. */
static void test_lengths_stay_inside_of_what_they_stand_in(void **state)
{
    static const char *const rows[] = {
        "016146000000060162530000000161", /* the inner text ends behind its table */
        "0161410000000253000000",         /* an array that ends within a length */
        "0161460000000561",               /* a table longer than the frame */
        "016146000000010a",               /* a name longer than its table */
        "ff61",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cel_buf entries = {0};
        celery_status st;
        add_hex(&entries, rows[i]);
        char *got = headers_json(cel_buf_slice(&entries), &st);
        assert_int_equal(st, CELERY_EMESSAGE);
        free(got);
        cel_buf_fini(&entries);
    }
}

static void test_names_that_are_no_utf8_are_left_out(void **state)
{
    struct cel_buf entries = {0};
    celery_status st;
    add_hex(&entries, "02fffe4900000001016249000000020163460000000301ff56");
    char *got = headers_json(cel_buf_slice(&entries), &st);
    assert_int_equal(st, CELERY_EMESSAGE);
    assert_string_equal(got, "{\"b\": 2, \"c\": {}}");
    free(got);
    cel_buf_fini(&entries);
}

static void test_the_last_of_equal_names_counts(void **state)
{
    struct cel_buf entries = {0};
    celery_status st;
    add_hex(&entries, "0161560162560161490000000c");
    char *got = headers_json(cel_buf_slice(&entries), &st);
    assert_int_equal(st, CELERY_OK);
    assert_string_equal(got, "{\"a\": 12, \"b\": null}");
    free(got);
    cel_buf_fini(&entries);
}

/* ---- content headers ---- */

/* py-amqp 5.1.1: Message(...)._serialize_properties() with all properties but cluster_id. */
static const char recorded[] =
    "003c0000000000000000001efff8106170706c69636174696f6e2f6a736f6e057574662d38000000c7046c"
    "616e6753000000027079047461736b5300000005742e616464026964530000002462343539313861322d32"
    "3963642d343134332d613637312d33616132326261346136386206736861646f7756077265747269657349"
    "000000000974696d656c696d6974410000000256560d69676e6f72655f726573756c747400036269674c00"
    "000100000000000166643ff8000000000000047768656e54000000006b02e7d5036465634402ffffff8306"
    "7374616d7073460000000e016141000000075300000002c3a9020304623435390465363338043530303002"
    "6d31000000006b02e8de02747905677565737403617070";

static const char recorded_headers[] =
    "{\"lang\": \"py\", \"task\": \"t.add\", \"id\": \"b45918a2-29cd-4143-a671-3aa22ba4a68b\", "
    "\"shadow\": null, \"retries\": 0, \"timelimit\": [null, null], \"ignore_result\": false, "
    "\"big\": 1099511627776, \"f\": 1.5, "
    "\"when\": {\"__type__\": \"datetime\", \"__value__\": \"2026-11-22T13:02:13\"}, "
    "\"dec\": {\"__type__\": \"decimal\", \"__value__\": \"-1.25\"}, "
    "\"stamps\": {\"a\": [\"\\u00e9\"]}}";

static void check_recorded(const struct cel_envelope *env)
{
    struct cel_buf json = {0};
    assert_slice(env->content_type, "application/json");
    assert_slice(env->content_encoding, "utf-8");
    assert_slice(env->correlation_id, "b459");
    assert_slice(env->reply_to, "e638");
    assert_slice(env->expiration, "5000");
    assert_int_equal(env->delivery_mode, 2);
    assert_int_equal(env->priority, 3);
    assert_int_equal(cel_json_write(&json, env->headers), CELERY_OK);
    assert_string_equal(cel_buf_cstr(&json), recorded_headers);
    cel_buf_clear(&json);
    assert_int_equal(cel_json_write(&json, env->properties), CELERY_OK);
    assert_string_equal(
        cel_buf_cstr(&json),
        "{\"message_id\": \"m1\", \"type\": \"ty\", \"user_id\": \"guest\", "
        "\"app_id\": \"app\", \"timestamp\": 1795352798}");
    cel_buf_fini(&json);
}

static void test_a_header_of_py_amqp_is_read_and_written_alike(void **state)
{
    struct cel_buf in = {0}, out = {0};
    struct cel_envelope *env = cel_envelope_new();
    uint64_t size = 0;
    add_hex(&in, recorded);
    assert_int_equal(cel_amqp_header_read(cel_buf_slice(&in), env, &size, NULL),
                     CELERY_OK);
    assert_int_equal(size, 30);
    memset(in.data, 0, in.len); /* all of it was copied */
    check_recorded(env);
    assert_int_equal(cel_amqp_header_put(&out, 9, env, 30, 4096, NULL), CELERY_OK);
    cel_buf_clear(&in);
    add_hex(&in, recorded);
    struct cel_amqp_frame frame;
    assert_int_equal(cel_amqp_frame_next(cel_buf_slice(&out), 4096, &frame, NULL),
                     out.len);
    assert_int_equal(frame.type, CEL_AMQP_HEADER);
    assert_int_equal(frame.channel, 9);
    assert_int_equal(frame.payload.len, in.len);
    assert_memory_equal(frame.payload.data, in.data, in.len);
    cel_envelope_free(env);
    cel_buf_fini(&in);
    cel_buf_fini(&out);
}

static void test_a_header_cut_at_any_byte_is_refused(void **state)
{
    struct cel_buf in = {0};
    add_hex(&in, recorded);
    for (size_t len = 0; len < in.len; len++) {
        struct cel_envelope *env;
        celery_status st = read_header(cel_slice(in.data, len), &env, NULL);
        assert_int_equal(st, len < 12 ? CELERY_EPROTO : CELERY_EMESSAGE);
        cel_envelope_free(env);
    }
    cel_buf_fini(&in);
}

/* One wrong octet: read without a fault or refused, and never past the end. */
static void test_a_header_with_any_octet_changed_has_an_answer(void **state)
{
    struct cel_buf in = {0};
    add_hex(&in, recorded);
    for (size_t at = 0; at < in.len; at++) {
        char was = in.data[at];
        for (int value = 0; value < 256; value++) {
            struct cel_envelope *env;
            in.data[at] = (char)value;
            celery_status st = read_header(cel_buf_slice(&in), &env, NULL);
            assert_true(st == CELERY_OK || st == CELERY_EMESSAGE || st == CELERY_EPROTO);
            cel_envelope_free(env);
        }
        in.data[at] = was;
    }
    cel_buf_fini(&in);
}

static void test_other_classes_and_unknown_properties_are_refused(void **state)
{
    static const struct {
        const char *hex;
        celery_status want;
    } rows[] = {
        {"003c000000000000000000050000", CELERY_OK},
        {"0032000000000000000000050000", CELERY_EPROTO},
        {"003c000000000000000000050001", CELERY_EMESSAGE},
        {"003c000000000000000000050002", CELERY_EMESSAGE},
        {"003c00000000000000000005ffff", CELERY_EMESSAGE},
        {"003c00000000000000000005800002ff61", CELERY_EMESSAGE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cel_buf in = {0};
        struct cel_envelope *env;
        add_hex(&in, rows[i].hex);
        assert_int_equal(read_header(cel_buf_slice(&in), &env, NULL), rows[i].want);
        cel_envelope_free(env);
        cel_buf_fini(&in);
    }
}

/* The properties behind a bad table are still there, for whoever parks the message. */
static void test_a_bad_table_hides_nothing_else(void **state)
{
    struct cel_buf in = {0};
    struct cel_envelope *env;
    celery_error err = {0};
    add_hex(&in, "003c00000000000000000005b40003612f62");
    add_hex(&in, "0000000c0169490000000101627a0000"); /* i: 1, b: of type z */
    add_hex(&in, "02026964");
    assert_int_equal(read_header(cel_buf_slice(&in), &env, &err), CELERY_EMESSAGE);
    assert_non_null(strstr(err.message, "unknown type"));
    assert_slice(env->content_type, "a/b");
    assert_int_equal(cel_node_int(cel_envelope_header(env, CEL_SLICE("i")), 0), 1);
    assert_int_equal(env->headers->size, 1);
    assert_int_equal(env->delivery_mode, 2);
    assert_slice(env->correlation_id, "id");
    cel_envelope_free(env);
    cel_buf_fini(&in);
}

/* ---- what cannot be written ---- */

static celery_status put_headers(const char *json, uint32_t frame_max, celery_error *err)
{
    struct cel_envelope *env = cel_envelope_new();
    struct cel_buf out = {0};
    struct cel_node *headers;
    struct cel_json_limits limits = {0};
    assert_int_equal(
        cel_json_parse(&env->arena, cel_slice_of(json), &limits, &headers, NULL),
        CELERY_OK);
    env->headers = headers;
    celery_status st = cel_amqp_header_put(&out, 1, env, 0, frame_max, err);
    assert_true(st == CELERY_OK || out.len == 0);
    cel_buf_fini(&out);
    cel_envelope_free(env);
    return st;
}

static void test_what_amqp_has_no_form_for_is_refused(void **state)
{
    char name[300];
    celery_error err = {0};
    assert_int_equal(put_headers("{\"a\": 9223372036854775807}", 4096, &err), CELERY_OK);
    assert_int_equal(put_headers("{\"a\": -9223372036854775808}", 4096, &err), CELERY_OK);
    assert_int_equal(put_headers("{\"a\": 9223372036854775808}", 4096, &err),
                     CELERY_EINVAL);
    assert_non_null(strstr(err.message, "over 64 bits (9223372036854775808)"));
    (void)snprintf(name, sizeof name, "{\"%0255d\": 1}", 0);
    assert_int_equal(put_headers(name, 4096, &err), CELERY_OK);
    (void)snprintf(name, sizeof name, "{\"%0256d\": 1}", 0);
    assert_int_equal(put_headers(name, 4096, &err), CELERY_EINVAL);
    assert_non_null(strstr(err.message, "256 bytes"));
}

static void test_headers_must_fit_into_a_frame(void **state)
{
    char json[5000];
    celery_error err = {0};
    (void)snprintf(json, sizeof json, "{\"a\": \"%04000d\"}", 0);
    /* 8 for the frame, 12, flags 2, priority and mode 2, table 4, name 2, type and length 5 */
    assert_int_equal(put_headers(json, 4035, &err), CELERY_OK);
    assert_int_equal(put_headers(json, 4034, &err), CELERY_ELIMIT);
    assert_non_null(strstr(err.message, "4035 bytes"));
    assert_int_equal(put_headers(json, 0, &err), CELERY_OK);
}

static void test_headers_are_written_32_deep(void **state)
{
    for (size_t levels = 31; levels <= 33; levels++) {
        struct cel_buf json = {0};
        for (size_t i = 1; i < levels; i++) {
            (void)cel_buf_adds(&json, "{\"k\": ");
        }
        (void)cel_buf_adds(&json, "{}");
        for (size_t i = 1; i < levels; i++) {
            (void)cel_buf_adds(&json, "}");
        }
        assert_int_equal(put_headers(cel_buf_cstr(&json), 4096, NULL),
                         levels <= 32 ? CELERY_OK : CELERY_EINVAL);
        cel_buf_fini(&json);
    }
}

static void test_properties_over_255_bytes_are_refused(void **state)
{
    char id[256];
    celery_error err = {0};
    struct cel_envelope *env = cel_envelope_new();
    struct cel_buf out = {0};
    memset(id, 'i', sizeof id);
    env->correlation_id = cel_slice(id, sizeof id);
    assert_int_equal(cel_amqp_header_put(&out, 1, env, 0, 4096, &err), CELERY_EINVAL);
    assert_non_null(strstr(err.message, "correlation_id has 256 bytes"));
    env->correlation_id.len = 255;
    assert_int_equal(cel_amqp_header_put(&out, 1, env, 0, 4096, &err), CELERY_OK);
    cel_buf_fini(&out);
    cel_envelope_free(env);
}

/* ---- messages that stand there as JSON ---- */

static void test_kombus_json_becomes_an_envelope(void **state)
{
    static const char text[] =
        "{\"body\": \"W10=\", \"content-encoding\": \"utf-8\", \"content-type\": "
        "\"application/json\", \"headers\": {\"id\": \"i\"}, \"properties\": "
        "{\"correlation_id\": \"i\", \"reply_to\": \"r\", \"app_id\": \"us\", "
        "\"delivery_mode\": 1, \"delivery_info\": {\"exchange\": \"\", \"routing_key\": "
        "\"celery\"}, \"priority\": 0, \"body_encoding\": \"base64\", \"delivery_tag\": "
        "\"t\"}}";
    struct cel_envelope written = {
        .raw = {text, sizeof text - 1}, .written = true, .priority = 7, .optional = true};
    struct cel_envelope *plain = NULL, *again;
    struct cel_buf out = {0};
    assert_int_equal(cel_amqp_plain_envelope(&written, &plain, NULL), CELERY_OK);
    assert_slice(plain->body, "[]");
    assert_int_equal(plain->priority, 7);
    assert_true(plain->optional);
    assert_false(plain->written);
    assert_int_equal(cel_amqp_header_put(&out, 1, plain, 2, 4096, NULL), CELERY_OK);
    assert_int_equal(read_header(cel_slice(out.data + 7, out.len - 8), &again, NULL),
                     CELERY_OK);
    assert_slice(again->correlation_id, "i");
    assert_slice(again->reply_to, "r");
    assert_int_equal(again->delivery_mode, 1);
    assert_int_equal(again->priority, 7);
    assert_slice(cel_node_text(cel_envelope_header(again, CEL_SLICE("id"))), "i");
    assert_slice(cel_node_text(cel_node_get(again->properties, CEL_SLICE("app_id"))),
                 "us");
    assert_int_equal(again->properties->size, 1);
    cel_envelope_free(plain);
    cel_envelope_free(again);
    cel_buf_fini(&out);
    written.raw.len--;
    assert_int_equal(cel_amqp_plain_envelope(&written, &plain, NULL), CELERY_EMESSAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_come_back_from_a_stream_cut_at_any_byte),
        cmocka_unit_test(test_an_empty_body_has_no_frame),
        cmocka_unit_test(test_a_body_without_frame_max_is_one_frame),
        cmocka_unit_test(test_what_is_no_frame_is_refused),
        cmocka_unit_test(test_hello_is_the_protocol_header_of_0_9_1),
        cmocka_unit_test(test_every_method_is_written_read_and_written_alike),
        cmocka_unit_test(test_a_method_cut_at_any_byte_is_refused),
        cmocka_unit_test(test_methods_of_a_broker),
        cmocka_unit_test(test_unknown_methods_are_refused),
        cmocka_unit_test(test_names_over_255_bytes_are_refused),
        cmocka_unit_test(test_method_names),
        cmocka_unit_test(test_every_type_of_value_is_read),
        cmocka_unit_test(test_tables_are_read_32_deep_and_no_deeper),
        cmocka_unit_test(test_arrays_count_as_depth),
        cmocka_unit_test(test_tables_have_a_ceiling_for_their_values),
        cmocka_unit_test(test_lengths_stay_inside_of_what_they_stand_in),
        cmocka_unit_test(test_names_that_are_no_utf8_are_left_out),
        cmocka_unit_test(test_the_last_of_equal_names_counts),
        cmocka_unit_test(test_a_header_of_py_amqp_is_read_and_written_alike),
        cmocka_unit_test(test_a_header_cut_at_any_byte_is_refused),
        cmocka_unit_test(test_a_header_with_any_octet_changed_has_an_answer),
        cmocka_unit_test(test_other_classes_and_unknown_properties_are_refused),
        cmocka_unit_test(test_a_bad_table_hides_nothing_else),
        cmocka_unit_test(test_what_amqp_has_no_form_for_is_refused),
        cmocka_unit_test(test_headers_must_fit_into_a_frame),
        cmocka_unit_test(test_headers_are_written_32_deep),
        cmocka_unit_test(test_properties_over_255_bytes_are_refused),
        cmocka_unit_test(test_kombus_json_becomes_an_envelope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
