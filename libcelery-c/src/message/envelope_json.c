/* SPDX-License-Identifier: BSD-3-Clause */
#include "message/envelope_json.h"
#include "base/base64.h"
#include "base/error.h"
#include "base/utf8.h"
#include "base/uuid.h"

enum {
    MAX_TAG = 1024,
    ROOM_FOR_NODES = 2432, /* of an ordinary task message */
};

/* ---- reading ---- */

static bool give_text(const struct cel_node *n, struct cel_slice *ret)
{
    if (cel_node_is_null(n)) {
        return true;
    }
    *ret = cel_node_text(n);
    return ret->data != NULL;
}

/* kombu asks int(properties["priority"]) and takes 0 when that is none. */
static int small_int(const struct cel_node *n, int otherwise)
{
    int64_t value = otherwise;
    if (cel_node_is_string(n)) {
        (void)cel_slice_to_int(cel_slice_trim(cel_node_text(n)), &value);
    } else {
        value = cel_node_int(n, otherwise);
    }
    return value >= -1000 && value <= 1000 ? (int)value : otherwise;
}

static celery_status malformed(celery_error *err, const char *why)
{
    return cel_error_set(err, CELERY_EMESSAGE, "not a message envelope: %s", why);
}

/* The tag becomes a key of the store, so it must be text that can be written there. */
static celery_status read_tag(struct cel_envelope *env, const struct cel_node *n,
                              celery_error *err)
{
    struct cel_slice tag = cel_node_is_string(n) ? cel_node_text(n) : CEL_SLICE_NULL;
    if (tag.len == 0) {
        return malformed(err, "no delivery_tag");
    }
    if (tag.len > MAX_TAG || !cel_utf8_valid(tag)) {
        return malformed(err, "delivery_tag is too long or not valid text");
    }
    env->delivery_tag = tag;
    return CELERY_OK;
}

static celery_status read_delivery_info(struct cel_envelope *env,
                                        const struct cel_node *n, celery_error *err)
{
    if (!n || n->kind != CELERY_KIND_OBJECT) {
        return malformed(err, "no delivery_info");
    }
    const struct cel_node *exchange = cel_node_get(n, CEL_SLICE("exchange"));
    const struct cel_node *key = cel_node_get(n, CEL_SLICE("routing_key"));
    if (!give_text(exchange, &env->exchange) || !give_text(key, &env->routing_key)) {
        return malformed(err, "exchange or routing_key is no text");
    }
    if (cel_node_truth(cel_node_get(n, CEL_SLICE("redelivered")))) {
        env->redelivered = true;
    }
    return CELERY_OK;
}

static celery_status read_properties(struct cel_envelope *env,
                                     const struct cel_node *props,
                                     const struct cel_node **ret_encoding,
                                     celery_error *err)
{
    if (!props || props->kind != CELERY_KIND_OBJECT) {
        return malformed(err, "no properties");
    }
    env->properties = props;
    const struct cel_node *tag = NULL, *info = NULL;
    bool good = true;
    for (const struct cel_node *k = cel_node_first(props), *v; k; k = v->next) {
        struct cel_slice key = cel_node_text(k);
        v = k->next;
        if (cel_slice_is(key, "correlation_id")) {
            good &= give_text(v, &env->correlation_id);
        } else if (cel_slice_is(key, "reply_to")) {
            good &= give_text(v, &env->reply_to);
        } else if (cel_slice_is(key, "expiration")) {
            good &= give_text(v, &env->expiration);
        } else if (cel_slice_is(key, "delivery_mode")) {
            env->delivery_mode = small_int(v, 2);
        } else if (cel_slice_is(key, "priority")) {
            env->priority = small_int(v, 0);
        } else if (cel_slice_is(key, "body_encoding")) {
            *ret_encoding = v;
        } else if (cel_slice_is(key, "delivery_info")) {
            info = v;
        } else if (cel_slice_is(key, "delivery_tag")) {
            tag = v;
        }
    }
    celery_status st = read_tag(env, tag, err);
    if (st == CELERY_OK) {
        st = read_delivery_info(env, info, err);
    }
    return st < 0 || good ? st : malformed(err, "a property of the wrong type");
}

/* kombu.message.Message: `headers or {}`, so that everything false is no headers. */
static celery_status read_headers(struct cel_envelope *env, const struct cel_node *n,
                                  celery_error *err)
{
    if (n && n->kind == CELERY_KIND_OBJECT) {
        env->headers = n;
        if (cel_node_truth(cel_node_get(n, CEL_SLICE("redelivered")))) {
            env->redelivered = true;
        }
    } else if (cel_node_truth(n)) {
        return malformed(err, "headers are no map");
    }
    return CELERY_OK;
}

/* kombu virtual/base.py Message.__init__: a false body is left as it is. */
static celery_status read_body(struct cel_envelope *env, const struct cel_node *body,
                               const struct cel_node *encoding, celery_error *err)
{
    struct cel_slice how = cel_node_text(encoding);
    env->body_plain = how.len == 0 || cel_slice_is(how, "utf-8");
    if (!cel_node_truth(body)) {
        return CELERY_OK;
    }
    if (!cel_node_is_string(body)) {
        return malformed(err, "body is no text");
    }
    env->body = cel_node_text(body);
    if (env->body_plain) {
        return CELERY_OK;
    }
    if (!cel_slice_is(how, "base64")) {
        return malformed(err, "unknown body_encoding");
    }
    char *bytes = cel_arena_alloc(&env->arena, env->body.len / 4 * 3 + 3);
    if (!bytes) {
        return cel_error_nomem(err);
    }
    size_t len = 0;
    bool decoded = cel_base64_decode(env->body, bytes, &len);
    env->body = cel_slice(bytes, len);
    if (!decoded) {
        env->body = CEL_SLICE_NULL;
        return malformed(err, "body is not base64");
    }
    return CELERY_OK;
}

static celery_status read_parts(struct cel_envelope *env, celery_error *err)
{
    const struct cel_node *body = NULL, *props = NULL, *headers = NULL, *encoding = NULL;
    bool good = true;
    for (const struct cel_node *k = cel_node_first(env->root), *v; k; k = v->next) {
        struct cel_slice key = cel_node_text(k);
        v = k->next;
        if (cel_slice_is(key, "body")) {
            body = v;
        } else if (cel_slice_is(key, "properties")) {
            props = v;
        } else if (cel_slice_is(key, "headers")) {
            headers = v;
        } else if (cel_slice_is(key, "content-type")) {
            good &= give_text(v, &env->content_type);
        } else if (cel_slice_is(key, "content-encoding")) {
            good &= give_text(v, &env->content_encoding);
        } else if (cel_slice_is(key, "redelivered")) {
            /* virtual.QoS without acknowledgement emulation writes it here. */
            env->redelivered = cel_node_truth(v);
        }
    }
    /* Everything legible is read, whatever is wrong elsewhere; the first fault is told. */
    celery_status st_headers = read_headers(env, headers, err);
    celery_status st =
        read_properties(env, props, &encoding, st_headers < 0 ? NULL : err);
    if (st_headers < 0) {
        st = st_headers;
    }
    celery_status st_body = read_body(env, body, encoding, st < 0 ? NULL : err);
    if (st_body == CELERY_ENOMEM || st == CELERY_OK) {
        st = st_body;
    }
    return st < 0 || good ? st : malformed(err, "content type is no text");
}

celery_status cel_envelope_read(struct cel_slice raw, struct cel_envelope **ret_env,
                                celery_error *err)
{
    size_t room = raw.len < SIZE_MAX / 4 ? raw.len + raw.len / 4 * 3 + ROOM_FOR_NODES : 0;
    struct cel_envelope *env = room ? cel_envelope_new_sized(room) : NULL;
    char *copy = env ? cel_arena_strndup(&env->arena, raw.data, raw.len) : NULL;
    if (!copy) {
        cel_envelope_free(env);
        return cel_error_nomem(err);
    }
    env->raw = cel_slice(copy, raw.len);
    struct cel_json_limits limits = {0};
    struct cel_node *root = NULL;
    celery_status st = cel_json_parse(&env->arena, env->raw, &limits, &root, err);
    if (st == CELERY_OK && root->kind != CELERY_KIND_OBJECT) {
        st = malformed(err, "no map");
    } else if (st == CELERY_OK) {
        env->root = root;
        st = read_parts(env, err);
    } else if (st == CELERY_ELIMIT || st == CELERY_EMESSAGE) {
        st = cel_error_prefix(err, CELERY_EMESSAGE, "not a message envelope: ");
    }
    if (st == CELERY_ENOMEM) {
        cel_envelope_free(env);
        return st;
    }
    *ret_env = env;
    return st;
}

/* ---- writing ---- */

static void add_key(struct cel_buf *out, struct cel_slice key, bool *first)
{
    if (!*first) {
        (void)cel_buf_add(out, ", ", 2);
    }
    *first = false;
    (void)cel_json_write_string(out, key);
    (void)cel_buf_add(out, ": ", 2);
}

static void add_text(struct cel_buf *out, struct cel_slice text)
{
    if (text.data) {
        (void)cel_json_write_string(out, text);
    } else {
        (void)cel_buf_adds(out, "null");
    }
}

static void add_body(struct cel_buf *out, const struct cel_envelope *env)
{
    (void)cel_buf_adds(out, "{\"body\": ");
    if (env->body_plain) {
        (void)cel_json_write_string(out, env->body);
        return;
    }
    (void)cel_buf_addc(out, '"');
    (void)cel_base64_append(out, env->body.data, env->body.len);
    (void)cel_buf_addc(out, '"');
}

static bool has_field(struct cel_slice key)
{
    static const char *const names[] = {
        "correlation_id", "reply_to",      "delivery_mode", "expiration",
        "delivery_info",  "body_encoding", "delivery_tag",  "priority",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (cel_slice_is(key, names[i])) {
            return true;
        }
    }
    return false;
}

/* Options of apply_async() that nobody knows end among the properties, before the mode. */
static void add_other_properties(struct cel_buf *out, const struct cel_node *props,
                                 bool *first)
{
    for (const struct cel_node *k = cel_node_first(props), *v; k; k = v->next) {
        v = k->next;
        if (!has_field(cel_node_text(k))) {
            add_key(out, cel_node_text(k), first);
            (void)cel_json_write(out, v);
        }
    }
}

static void add_properties(struct cel_buf *out, const struct cel_envelope *env)
{
    bool first = true;
    (void)cel_buf_adds(out, ", \"properties\": {");
    if (env->correlation_id.data) {
        add_key(out, CEL_SLICE("correlation_id"), &first);
        add_text(out, env->correlation_id);
    }
    if (env->reply_to.data) {
        add_key(out, CEL_SLICE("reply_to"), &first);
        add_text(out, env->reply_to);
    }
    add_other_properties(out, env->properties, &first);
    add_key(out, CEL_SLICE("delivery_mode"), &first);
    (void)cel_buf_add_int(out, env->delivery_mode);
    if (env->expiration.data) {
        add_key(out, CEL_SLICE("expiration"), &first);
        add_text(out, env->expiration);
    }
    (void)cel_buf_adds(out, ", \"delivery_info\": {\"exchange\": ");
    (void)cel_json_write_string(out, env->exchange);
    (void)cel_buf_adds(out, ", \"routing_key\": ");
    (void)cel_json_write_string(out, env->routing_key);
    (void)cel_buf_adds(out, "}, \"priority\": ");
    (void)cel_buf_add_int(out, env->priority);
    (void)cel_buf_adds(out, ", \"body_encoding\": ");
    (void)cel_buf_adds(out, env->body_plain ? "null" : "\"base64\"");
    (void)cel_buf_adds(out, ", \"delivery_tag\": ");
    char tag[CEL_UUID_SIZE];
    if (env->delivery_tag.len == 0) {
        cel_uuid4(tag);
        (void)cel_json_write_string(out, cel_slice(tag, CEL_UUID_SIZE - 1));
    } else {
        (void)cel_json_write_string(out, env->delivery_tag);
    }
    (void)cel_buf_adds(out, "}}");
}

static celery_status buf_status(const struct cel_buf *out)
{
    if (cel_buf_ok(out)) {
        return CELERY_OK;
    }
    return out->max ? CELERY_ELIMIT : CELERY_ENOMEM;
}

celery_status cel_envelope_write(struct cel_buf *out, const struct cel_envelope *env)
{
    if (env->written) {
        return cel_buf_add_slice(out, env->raw);
    }
    size_t room = CEL_BASE64_LEN(env->body.len) + 1024;
    celery_status st = cel_buf_reserve(out, room, NULL);
    if (st < 0) {
        return st;
    }
    add_body(out, env);
    (void)cel_buf_adds(out, ", \"content-encoding\": ");
    add_text(out, env->content_encoding);
    (void)cel_buf_adds(out, ", \"content-type\": ");
    add_text(out, env->content_type);
    (void)cel_buf_adds(out, ", \"headers\": ");
    if (env->headers) {
        (void)cel_json_write(out, env->headers);
    } else {
        (void)cel_buf_adds(out, "{}");
    }
    add_properties(out, env);
    return buf_status(out);
}

/* ---- rewriting for redelivery ---- */

/* A map as it is, with `redelivered` true and header (or NULL) set: in place or at the end. */
static void add_marked(struct cel_buf *out, const struct cel_node *map,
                       const char *header, int64_t value)
{
    bool first = true, marked = false, set = !header;
    (void)cel_buf_addc(out, '{');
    for (const struct cel_node *k = cel_node_first(map), *v; k; k = v->next) {
        struct cel_slice key = cel_node_text(k);
        v = k->next;
        add_key(out, key, &first);
        if (cel_slice_is(key, "redelivered")) {
            (void)cel_buf_adds(out, "true");
            marked = true;
        } else if (header && cel_slice_is(key, header)) {
            (void)cel_buf_add_int(out, value);
            set = true;
        } else {
            (void)cel_json_write(out, v);
        }
    }
    if (!marked) {
        add_key(out, CEL_SLICE("redelivered"), &first);
        (void)cel_buf_adds(out, "true");
    }
    if (!set) {
        add_key(out, cel_slice_of(header), &first);
        (void)cel_buf_add_int(out, value);
    }
    (void)cel_buf_addc(out, '}');
}

static void add_marked_properties(struct cel_buf *out, const struct cel_node *props)
{
    bool first = true;
    (void)cel_buf_addc(out, '{');
    for (const struct cel_node *k = cel_node_first(props), *v; k; k = v->next) {
        v = k->next;
        add_key(out, cel_node_text(k), &first);
        if (v->kind == CELERY_KIND_OBJECT &&
            cel_slice_is(cel_node_text(k), "delivery_info")) {
            add_marked(out, v, NULL, 0);
        } else {
            (void)cel_json_write(out, v);
        }
    }
    (void)cel_buf_addc(out, '}');
}

celery_status cel_envelope_write_redelivered(struct cel_buf *out,
                                             const struct cel_envelope *env,
                                             const char *header, int64_t value)
{
    celery_status st = cel_buf_reserve(out, env->raw.len + 128, NULL);
    if (st < 0) {
        return st;
    }
    if (!env->root) {
        /* Not ours to mend: what came is what goes back. */
        return cel_buf_add_slice(out, env->raw);
    }
    bool first = true, seen = false;
    (void)cel_buf_addc(out, '{');
    for (const struct cel_node *k = cel_node_first(env->root), *v; k; k = v->next) {
        struct cel_slice key = cel_node_text(k);
        v = k->next;
        add_key(out, key, &first);
        if (v == env->headers || (cel_slice_is(key, "headers") && !cel_node_truth(v))) {
            add_marked(out, v, header, value);
            seen = true;
        } else if (v == env->properties) {
            add_marked_properties(out, v);
        } else {
            (void)cel_json_write(out, v);
        }
    }
    if (!seen) {
        add_key(out, CEL_SLICE("headers"), &first);
        add_marked(out, NULL, header, value);
    }
    (void)cel_buf_addc(out, '}');
    return buf_status(out);
}
