/* SPDX-License-Identifier: BSD-3-Clause */
/* Content headers: the properties of a message, its headers among them. */
#include "base/error.h"
#include "base/utf8.h"
#include "codec/doc_build.h"
#include "message/envelope_json.h"
#include "transport/amqp_codec.h"
#include "transport/amqp_scan.h"
#include "transport/amqp_table.h"
#include "transport/amqp_wire.h"
#include <inttypes.h>
#include <stdio.h>

enum {
    CLASS_BASIC = 60,
    HEAD = 12, /* class, weight, body size */
    FLAGS = 2, /* which properties follow */
    BEFORE_TABLE = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_CONTENT_ENCODING_FLAG,
    UNKNOWN_FLAGS = 3, /* one that nobody defined, and "more flags follow" */
};

/* ---- reading ---- */

static celery_status malformed(celery_error *err, const char *why)
{
    return cel_error_set(err, CELERY_EMESSAGE, "not a message for us: %s", why);
}

/* Where the headers begin in the flags and properties; 0: not there. */
static size_t find_table(const char *props, size_t len, unsigned flags)
{
    size_t at = FLAGS;

    for (unsigned bit = AMQP_BASIC_CONTENT_TYPE_FLAG; bit & BEFORE_TABLE; bit >>= 1) {
        if (flags & bit) {
            at += at < len ? (size_t)(unsigned char)props[at] + 1 : 1;
        }
    }
    return at < len && len - at >= 4 ? at : 0;
}

/*
 * Checks the headers before they are decoded.  Wrong ones lose their wrong entries, so that the
 * rest of a message that is to be parked can be read, its id above all.
 */
static const char *check_headers(char *props, size_t *len)
{
    unsigned flags = cel_amqp_get16(props);

    if (flags & UNKNOWN_FLAGS) {
        cel_amqp_set16(props, 0);
        return "unknown properties";
    }
    if (!(flags & AMQP_BASIC_HEADERS_FLAG)) {
        return NULL;
    }
    size_t at = find_table(props, *len, flags), size, was;
    if (at == 0) {
        cel_amqp_set16(props, 0);
        return "its properties are incomplete";
    }
    const char *why = cel_amqp_scan_table(props + at, *len - at, &size);
    if (why) {
        size = cel_amqp_salvage_table(props + at, *len - at, &was);
        if (was == 0) {
            cel_amqp_set16(props,
                           (uint16_t)(flags & (BEFORE_TABLE | AMQP_BASIC_HEADERS_FLAG)));
            *len = at + size;
            return why;
        }
        memmove(props + at + size, props + at + was, *len - at - was);
        *len -= was - size;
    }
    return why;
}

/* A text property; what is no UTF-8 is no text. */
static void read_text(const amqp_basic_properties_t *p, amqp_flags_t flag,
                      amqp_bytes_t bytes, struct cel_slice *ret, const char **ret_why)
{
    if (!(p->_flags & flag)) {
        return; /* and the decoder has not set it */
    }
    struct cel_slice text = cel_amqp_slice(bytes);
    if (cel_utf8_valid(text)) {
        *ret = text;
    } else {
        *ret_why = "a property that is not UTF-8";
    }
}

/* The properties that have no field in an envelope. */
static const struct {
    amqp_flags_t flag;
    const char *name;
    size_t offset;
} others[] = {
    {AMQP_BASIC_MESSAGE_ID_FLAG, "message_id",
     offsetof(amqp_basic_properties_t, message_id)},
    {AMQP_BASIC_TYPE_FLAG, "type", offsetof(amqp_basic_properties_t, type)},
    {AMQP_BASIC_USER_ID_FLAG, "user_id", offsetof(amqp_basic_properties_t, user_id)},
    {AMQP_BASIC_APP_ID_FLAG, "app_id", offsetof(amqp_basic_properties_t, app_id)},
    {AMQP_BASIC_CLUSTER_ID_FLAG, "cluster_id",
     offsetof(amqp_basic_properties_t, cluster_id)},
};

enum { N_OTHERS = sizeof others / sizeof *others };

static amqp_bytes_t *other_of(amqp_basic_properties_t *p, size_t i)
{
    return (amqp_bytes_t *)(void *)((char *)p + others[i].offset);
}

static bool put_other(struct cel_arena *a, struct cel_node *map, const char *name,
                      struct cel_node *value)
{
    return cel_node_put(a, map, cel_slice_of(name), value) == CELERY_OK;
}

static bool read_others(struct cel_envelope *env, amqp_basic_properties_t *p,
                        const char **ret_why)
{
    amqp_flags_t any = AMQP_BASIC_TIMESTAMP_FLAG;
    struct cel_arena *a = &env->arena;
    bool ok = true;

    for (size_t i = 0; i < N_OTHERS; i++) {
        any |= others[i].flag;
    }
    if (!(p->_flags & any)) {
        return true;
    }
    struct cel_node *map = cel_node_new(a, CELERY_KIND_OBJECT);
    env->properties = map;
    for (size_t i = 0; ok && map && i < N_OTHERS; i++) {
        struct cel_slice text = CEL_SLICE_NULL;
        read_text(p, others[i].flag, *other_of(p, i), &text, ret_why);
        if (text.data) {
            ok = put_other(a, map, others[i].name, cel_node_new_string(a, text));
        }
    }
    if (ok && map && (p->_flags & AMQP_BASIC_TIMESTAMP_FLAG)) {
        char text[24];
        int len = snprintf(text, sizeof text, "%" PRIu64, p->timestamp);
        struct cel_node *n = cel_node_new_string(a, cel_slice(text, (size_t)len));
        if (n) {
            n->kind = CELERY_KIND_INT;
            n->flags = 0;
        }
        ok = put_other(a, map, "timestamp", n);
    }
    return map && ok;
}

static bool read_properties(struct cel_envelope *env, amqp_basic_properties_t *p,
                            const char **ret_why)
{
    read_text(p, AMQP_BASIC_CONTENT_TYPE_FLAG, p->content_type, &env->content_type,
              ret_why);
    read_text(p, AMQP_BASIC_CONTENT_ENCODING_FLAG, p->content_encoding,
              &env->content_encoding, ret_why);
    read_text(p, AMQP_BASIC_CORRELATION_ID_FLAG, p->correlation_id, &env->correlation_id,
              ret_why);
    read_text(p, AMQP_BASIC_REPLY_TO_FLAG, p->reply_to, &env->reply_to, ret_why);
    read_text(p, AMQP_BASIC_EXPIRATION_FLAG, p->expiration, &env->expiration, ret_why);
    env->delivery_mode = p->_flags & AMQP_BASIC_DELIVERY_MODE_FLAG ? p->delivery_mode : 0;
    env->priority = p->_flags & AMQP_BASIC_PRIORITY_FLAG ? p->priority : 0;
    if (p->_flags & AMQP_BASIC_HEADERS_FLAG) {
        env->headers = cel_amqp_table_read(&env->arena, &p->headers, ret_why);
        if (!env->headers) {
            return false;
        }
    }
    return read_others(env, p, ret_why);
}

celery_status cel_amqp_header_read(struct cel_slice payload, struct cel_envelope *env,
                                   uint64_t *ret_body_size, celery_error *err)
{
    if (payload.len < HEAD || cel_amqp_get16(payload.data) != CLASS_BASIC) {
        return cel_error_set(err, CELERY_EPROTO, "not a content header");
    }
    *ret_body_size = cel_amqp_get64(payload.data + 4);
    size_t len = payload.len - HEAD;
    if (len < FLAGS) {
        return malformed(err, "its properties are incomplete");
    }
    const struct cel_amqp_driver *driver = cel_amqp_driver(err);
    char *props = cel_arena_strndup(&env->arena, payload.data + HEAD, len);

    if (!driver || !props) {
        return driver ? cel_error_nomem(err) : CELERY_ENOTSUP;
    }
    const char *why = check_headers(props, &len);
    struct cel_amqp_pool pool;
    void *decoded = NULL;
    bool ok = true;
    int res = driver->decode_properties(CLASS_BASIC, cel_amqp_pool_init(&pool, driver),
                                        (amqp_bytes_t){len, props}, &decoded);
    if (res == 0) {
        ok = read_properties(env, decoded, &why);
    } else if (res != AMQP_STATUS_NO_MEMORY && !why) {
        why = "its properties are incomplete";
    }
    cel_amqp_pool_fini(&pool);
    if (!ok || res == AMQP_STATUS_NO_MEMORY) {
        return cel_error_nomem(err);
    }
    return why ? malformed(err, why) : CELERY_OK;
}

/* ---- writing ---- */

struct header {
    amqp_basic_properties_t p;
    size_t size; /* of flags and properties */
    celery_status status;
    celery_error *err;
};

static void put_text(struct header *h, amqp_flags_t flag, amqp_bytes_t *to,
                     struct cel_slice text, const char *name)
{
    if (!text.data || h->status < 0) {
        return;
    }
    if (text.len > UINT8_MAX) {
        h->status = cel_error_set(h->err, CELERY_EINVAL,
                                  "%s has %zu bytes; AMQP takes 255", name, text.len);
        return;
    }
    h->p._flags |= flag;
    *to = cel_amqp_bytes(text);
    h->size += 1 + text.len;
}

static void put_octet(struct header *h, amqp_flags_t flag, uint8_t *to, int value)
{
    h->p._flags |= flag;
    *to = (uint8_t)(value < 0 ? 0 : value > UINT8_MAX ? UINT8_MAX : value);
    h->size++;
}

/* What py-amqp knows of the rest; it leaves out other names too (_serialize_properties). */
static void put_others(struct header *h, const struct cel_node *map)
{
    int64_t seconds = cel_node_int(cel_node_get(map, CEL_SLICE("timestamp")), -1);

    for (size_t i = 0; map && i < N_OTHERS; i++) {
        const struct cel_node *n = cel_node_get(map, cel_slice_of(others[i].name));
        if (cel_node_is_string(n)) {
            put_text(h, others[i].flag, other_of(&h->p, i), cel_node_text(n),
                     others[i].name);
        }
    }
    if (seconds >= 0) {
        h->p._flags |= AMQP_BASIC_TIMESTAMP_FLAG;
        h->p.timestamp = (uint64_t)seconds;
        h->size += 8;
    }
}

/* kombu always gives headers and a priority (kombu/messaging.py Producer._publish). */
static celery_status make_header(struct header *h, struct cel_arena *arena,
                                 const struct cel_envelope *env)
{
    amqp_basic_properties_t *p = &h->p;
    size_t table;

    h->status = cel_amqp_table_make(arena, env->headers, &p->headers, &table, h->err);
    if (h->status < 0) {
        return h->status;
    }
    p->_flags = AMQP_BASIC_HEADERS_FLAG;
    h->size = FLAGS + table;
    put_octet(h, AMQP_BASIC_PRIORITY_FLAG, &p->priority, env->priority);
    if (env->delivery_mode > 0) {
        put_octet(h, AMQP_BASIC_DELIVERY_MODE_FLAG, &p->delivery_mode,
                  env->delivery_mode);
    }
    put_text(h, AMQP_BASIC_CONTENT_TYPE_FLAG, &p->content_type, env->content_type,
             "content_type");
    put_text(h, AMQP_BASIC_CONTENT_ENCODING_FLAG, &p->content_encoding,
             env->content_encoding, "content_encoding");
    put_text(h, AMQP_BASIC_CORRELATION_ID_FLAG, &p->correlation_id, env->correlation_id,
             "correlation_id");
    put_text(h, AMQP_BASIC_REPLY_TO_FLAG, &p->reply_to, env->reply_to, "reply_to");
    put_text(h, AMQP_BASIC_EXPIRATION_FLAG, &p->expiration, env->expiration,
             "expiration");
    put_others(h, env->properties);
    return h->status;
}

static celery_status write_header(struct cel_buf *out, uint16_t channel, struct header *h,
                                  uint64_t body_size, uint32_t frame_max,
                                  celery_error *err)
{
    size_t payload = HEAD + h->size, frame = payload + CEL_AMQP_FRAME_EXTRA;

    if (frame > (frame_max ? frame_max : UINT32_MAX)) {
        return cel_error_set(err, CELERY_ELIMIT,
                             "headers and properties take %zu bytes; the broker's frames "
                             "have %" PRIu32,
                             frame, frame_max);
    }
    const struct cel_amqp_driver *driver = cel_amqp_driver(err);
    celery_status st = driver ? cel_buf_reserve(out, frame, err) : CELERY_ENOTSUP;

    if (st < 0) {
        return st;
    }
    char *at = out->data + out->len;
    cel_amqp_set_head(at, CEL_AMQP_HEADER, channel, (uint32_t)payload);
    at += CEL_AMQP_FRAME_HEAD;
    cel_amqp_set16(at, CLASS_BASIC);
    cel_amqp_set16(at + 2, 0);
    cel_amqp_set64(at + 4, body_size);
    int res =
        driver->encode_properties(CLASS_BASIC, &h->p, (amqp_bytes_t){h->size, at + HEAD});
    if (res < 0 || (size_t)res != h->size) {
        return cel_error_set(err, CELERY_EINVAL, "rabbitmq-c does not take the headers");
    }
    at[payload] = (char)CEL_AMQP_FRAME_END;
    out->len += frame;
    return CELERY_OK;
}

celery_status cel_amqp_header_put(struct cel_buf *out, uint16_t channel,
                                  const struct cel_envelope *env, uint64_t body_size,
                                  uint32_t frame_max, celery_error *err)
{
    struct header h = {.err = err};
    struct cel_arena arena = {0};
    celery_status st = make_header(&h, &arena, env);

    if (st == CELERY_OK) {
        st = write_header(out, channel, &h, body_size, frame_max, err);
    }
    cel_arena_fini(&arena);
    return st;
}

/* ---- messages that were written as JSON already ---- */

celery_status cel_amqp_plain_envelope(const struct cel_envelope *env,
                                      struct cel_envelope **ret_env, celery_error *err)
{
    struct cel_envelope *plain = NULL;
    celery_status st = cel_envelope_read(env->raw, &plain, err);

    if (st < 0) {
        cel_envelope_free(plain);
        return st;
    }
    plain->priority = env->priority;
    plain->optional = env->optional;
    *ret_env = plain;
    return CELERY_OK;
}
