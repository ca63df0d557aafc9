/* SPDX-License-Identifier: BSD-3-Clause */
#include "message/event.h"

#include "base/error.h"
#include "codec/json_string.h"

#include <math.h>
#include <time.h>

/* ---- the sender ---- */

double cel_event_utcoffset(void)
{
    time_t now = time(NULL);
    struct tm tm;

    if (!localtime_r(&now, &tm)) {
        return 0;
    }
    return (double)-tm.tm_gmtoff / 3600;
}

static celery_status write_prefix(struct cel_event_source *s)
{
    struct cel_buf *out = &s->prefix;

    cel_buf_clear(out);
    cel_buf_adds(out, "{\"hostname\": ");
    cel_json_write_string(out, cel_slice_of(s->hostname));
    cel_buf_adds(out, ", \"utcoffset\": ");
    if (fabs(fmod(s->utcoffset, 1)) > 0) {
        cel_json_write_double(out, s->utcoffset);
    } else { /* a whole number, as up to 5.6 */
        cel_buf_add_int(out, (int64_t)s->utcoffset);
    }
    cel_buf_addf(out, ", \"pid\": %d, \"clock\": ", s->pid);
    return cel_buf_ok(out) ? CELERY_OK : CELERY_ENOMEM;
}

celery_status cel_event_source_init(struct cel_event_source *s, const char *hostname,
                                    int pid)
{
    *s = (struct cel_event_source){
        .hostname = hostname, .pid = pid, .utcoffset = cel_event_utcoffset()};
    return write_prefix(s);
}

void cel_event_source_fini(struct cel_event_source *s)
{
    cel_buf_fini(&s->prefix);
}

void cel_event_source_refresh(struct cel_event_source *s)
{
    double offset = cel_event_utcoffset();

    if (offset < s->utcoffset || offset > s->utcoffset) {
        s->utcoffset = offset;
        write_prefix(s); /* never longer by more than it has room for */
    }
}

/* ---- one event ---- */

/* Room for so much, or NULL; what is written there is added to len. */
static inline char *room(struct cel_buf *out, size_t size)
{
    return cel_event_room(out, size);
}

static inline char *put(char *at, struct cel_slice text)
{
    memcpy(at, text.data, text.len);
    return at + text.len;
}

/* , "name": */
static char *put_name(char *at, const char *name, size_t n)
{
    memcpy(at, ", \"", 3);
    memcpy(at + 3, name, n);
    memcpy(at + 3 + n, "\": ", 3);
    return at + n + 6;
}

/* Decimal digits of value, at least one. */
static char *put_digits(char *at, uint64_t value)
{
    char digits[20];
    size_t first = sizeof digits;

    do {
        digits[--first] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    memcpy(at, digits + first, sizeof digits - first);
    return at + (sizeof digits - first);
}

void cel_event_begin(struct cel_buf *out, const struct cel_event_source *s,
                     uint64_t clock)
{
    struct cel_slice prefix = cel_buf_slice(&s->prefix);
    char *at = room(out, prefix.len + 24);

    if (!at) {
        return;
    }
    at = put(at, prefix);
    if (clock > 0) {
        at = put_digits(at, clock);
    } else {
        memcpy(at, "null", 4);
        at += 4;
    }
    out->len = (size_t)(at - out->data);
}

void cel_event_put_raw(struct cel_buf *out, const char *name, size_t n,
                       struct cel_slice json)
{
    char *at = room(out, n + 6 + json.len);

    if (at) {
        at = put(put_name(at, name, n), json);
        out->len = (size_t)(at - out->data);
    }
}

void cel_event_put_text(struct cel_buf *out, const char *name, size_t n,
                        struct cel_slice wtf8)
{
    char *at = room(out, n + 6);

    if (at) {
        out->len = (size_t)(put_name(at, name, n) - out->data);
        cel_event_put_string(out, wtf8);
    }
}

/* Nothing to escape; what is left of a word is looked at together with what was before it. */
static bool is_plain(const char *p, size_t n)
{
#ifdef __SSE2__
    if (n >= 16) {
        for (size_t i = 0; i + 16 <= n; i += 16) {
            if (cel_json_odd_mask(p + i)) {
                return false;
            }
        }
        return !cel_json_odd_mask(p + n - 16);
    }
#endif
    return cel_json_skip_plain(p, p + n) == p + n;
}

void cel_event_put_string(struct cel_buf *out, struct cel_slice wtf8)
{
    char *at = room(out, wtf8.len + 4);

    if (!at) {
        return;
    }
    if (!wtf8.data) {
        memcpy(at, "null", 4);
        at += 4;
    } else if (is_plain(wtf8.data, wtf8.len)) {
        *at++ = '"';
        at = put(at, wtf8);
        *at++ = '"';
    } else {
        cel_json_write_string(out, wtf8);
        return;
    }
    out->len = (size_t)(at - out->data);
}

void cel_event_int(struct cel_buf *out, const char *name, int64_t value)
{
    cel_event_put_raw(out, name, strlen(name), CEL_SLICE(""));
    cel_buf_add_int(out, value);
}

void cel_event_double(struct cel_buf *out, const char *name, double value)
{
    cel_event_put_raw(out, name, strlen(name), CEL_SLICE(""));
    cel_json_write_double(out, value);
}

void cel_event_bool(struct cel_buf *out, const char *name, bool value)
{
    cel_event_put_raw(out, name, strlen(name),
                      value ? CEL_SLICE("true") : CEL_SLICE("false"));
}

/* Text of a second, made anew when another one is asked for: events come in crowds. */
static char *put_second(char *at, uint64_t second)
{
    static _Thread_local struct {
        uint64_t second;
        size_t len; /* 0: none yet */
        char text[20];
    } made;

    if (second == 0) {
        *at = '0';
        return at + 1;
    }
    if (made.second != second) {
        made.second = second;
        made.len = (size_t)(put_digits(made.text, second) - made.text);
    }
    memcpy(at, made.text, sizeof made.text);
    return at + made.len;
}

static void put_two(char *at, unsigned value)
{
    at[0] = (char)('0' + value / 10);
    at[1] = (char)('0' + value % 10);
}

/* repr() of microseconds / 1e6: nothing shorter reads back as the same.  Up to 27 bytes. */
static char *put_seconds(char *at, int64_t us)
{
    uint64_t all = us > 0 ? (uint64_t)us : 0;
    uint32_t fraction = (uint32_t)(all % 1000000);

    at = put_second(at, all / 1000000);
    at[0] = '.';
    put_two(at + 1, fraction / 10000);
    put_two(at + 3, fraction / 100 % 100);
    put_two(at + 5, fraction % 100);
    for (at += 7; at[-1] == '0' && at[-2] != '.'; at--) {
    }
    return at;
}

void cel_event_put_microseconds(struct cel_buf *out, int64_t us)
{
    char *at = room(out, 32);

    if (at) {
        out->len = (size_t)(put_seconds(at, us) - out->data);
    }
}

void cel_event_end(struct cel_buf *out, const char *type, int64_t timestamp_us)
{
    cel_event_put_seconds(out, CEL_EVENT_LEAD("timestamp"), timestamp_us);
    cel_event_put_value(out, CEL_EVENT_LEAD("type"), cel_slice_of(type));
    cel_buf_addc(out, '}');
}

/* ---- the message ---- */

bool cel_event_routing_key(const char *type, char ret_key[CEL_EVENT_TYPE_MAX])
{
    size_t n = type ? strlen(type) : 0;

    if (n == 0 || n >= CEL_EVENT_TYPE_MAX) {
        return false;
    }
    for (size_t i = 0; i <= n; i++) {
        ret_key[i] = type[i] == '-' ? '.' : type[i];
    }
    return true;
}

void cel_event_exchange(struct cel_queue *ret, const char *name, bool fanout)
{
    *ret = (struct cel_queue){
        .name = name,
        .exchange = name,
        .exchange_type = fanout ? "fanout" : "topic",
        .routing_key = "",
        .durable = true,
        .exchange_only = true,
    };
}

/* Other serializers say the same in their own way. */
static celery_status encode(struct cel_envelope *env, struct cel_slice json,
                            const struct cel_codec *codec, celery_error *err)
{
    struct cel_node *doc = NULL;
    struct cel_buf text = {0};

    celery_status status = cel_json_parse(&env->arena, json, NULL, &doc, err);
    if (status == CELERY_OK) {
        status = codec->encode(&text, doc, err);
    }
    if (status == CELERY_OK) {
        const char *copy = cel_arena_strndup(&env->arena, text.data, text.len);

        env->body = cel_slice(copy, text.len);
        status = copy ? CELERY_OK : cel_error_nomem(err);
    }
    cel_buf_fini(&text);
    return status;
}

static struct cel_slice copy(struct cel_arena *a, const char *text)
{
    size_t n = strlen(text);

    return cel_slice(cel_arena_strndup(a, text, n), n);
}

static celery_status fill(struct cel_envelope *env, const char *hostname,
                          struct cel_slice json, const struct cel_codec *codec,
                          celery_error *err)
{
    struct cel_arena *a = &env->arena;
    struct cel_node *headers = cel_node_new(a, CELERY_KIND_OBJECT);

    if (!headers || cel_node_put(a, headers, CEL_SLICE("hostname"),
                                 cel_node_new_string(a, cel_slice_of(hostname))) < 0) {
        return cel_error_nomem(err);
    }
    env->headers = headers;
    env->content_type = cel_slice_of(codec->content_type);
    env->content_encoding = cel_slice_of(codec->encoding);
    env->delivery_mode = 1;
    env->optional = true;
    if (codec != &cel_codec_json) {
        return encode(env, json, codec, err);
    }
    env->body = cel_slice(cel_arena_strndup(a, json.data, json.len), json.len);
    return env->body.data ? CELERY_OK : cel_error_nomem(err);
}

celery_status cel_event_envelope(const char *hostname, struct cel_slice json,
                                 const struct cel_codec *codec, const char *exchange,
                                 const char *routing_key, struct cel_envelope **ret_env,
                                 celery_error *err)
{
    struct cel_envelope *env = cel_envelope_new_sized(json.len + 512);

    if (!env) {
        return cel_error_nomem(err);
    }
    celery_status status = fill(env, hostname, json, codec, err);
    env->exchange = copy(&env->arena, exchange);
    env->routing_key = copy(&env->arena, routing_key);
    if (status == CELERY_OK && (!env->exchange.data || !env->routing_key.data)) {
        status = cel_error_nomem(err);
    }
    if (status < 0) {
        cel_envelope_free(env);
        return status;
    }
    *ret_env = env;
    return CELERY_OK;
}
