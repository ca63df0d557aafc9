/* SPDX-License-Identifier: BSD-3-Clause */
#include "message/control.h"
#include "base/error.h"
#include "base/utf8.h"
#include "codec/codec.h"
#include "message/task_fields.h"

/* A node name, a method, a pattern: nobody needs longer ones. */
#define NAME_MAX 255

/* NULL for what counts as nothing in Python. */
static const struct cel_node *truthy(const struct cel_node *n)
{
    return cel_node_truth(n) ? n : NULL;
}

static celery_status wrong(const char *what, celery_error *err)
{
    return cel_error_set(err, CELERY_EMESSAGE, "%s", what);
}

static bool is_name(const struct cel_node *n)
{
    struct cel_slice text = cel_node_text(n);

    return cel_node_is_string(n) && text.len > 0 && text.len <= NAME_MAX &&
           cel_utf8_valid(text) && !memchr(text.data, '\0', text.len);
}

static celery_status read_address(const struct cel_node *body, struct cel_command *c,
                                  celery_error *err)
{
    const struct cel_node *destination =
        truthy(cel_node_get(body, CEL_SLICE("destination")));
    const struct cel_node *pattern = truthy(cel_node_get(body, CEL_SLICE("pattern")));
    const struct cel_node *matcher = truthy(cel_node_get(body, CEL_SLICE("matcher")));

    if (destination && destination->kind != CELERY_KIND_ARRAY) {
        return wrong("destination is no list", err);
    }
    c->destination = destination;
    if (!destination && pattern && matcher) {
        if (!is_name(pattern) || !is_name(matcher)) {
            return wrong("pattern or matcher is no text", err);
        }
        c->pattern = cel_node_text(pattern);
        c->matcher = cel_node_text(matcher);
    }
    return CELERY_OK;
}

static celery_status read_reply_to(const struct cel_node *body, struct cel_command *c,
                                   celery_error *err)
{
    const struct cel_node *to = truthy(cel_node_get(body, CEL_SLICE("reply_to")));
    const struct cel_node *exchange = cel_node_get(to, CEL_SLICE("exchange"));
    const struct cel_node *key = cel_node_get(to, CEL_SLICE("routing_key"));

    if (!to) {
        return CELERY_OK;
    }
    if (!is_name(exchange) || !is_name(key)) {
        return wrong("reply_to names no exchange and routing key", err);
    }
    c->wants_reply = true;
    c->reply_exchange = cel_node_text(exchange);
    c->reply_key = cel_node_text(key);
    c->ticket = cel_node_get(body, CEL_SLICE("ticket"));
    return CELERY_OK;
}

static celery_status read_body(const struct cel_node *body, struct cel_command *c,
                               celery_error *err)
{
    const struct cel_node *method = cel_node_get(body, CEL_SLICE("method"));
    const struct cel_node *arguments = truthy(cel_node_get(body, CEL_SLICE("arguments")));

    if (!is_name(method)) {
        return wrong("no method", err);
    }
    if (arguments && arguments->kind != CELERY_KIND_OBJECT) {
        return wrong("arguments is no map", err);
    }
    c->method = cel_node_text(method);
    c->arguments = arguments;
    celery_status status = read_address(body, c, err);
    return status < 0 ? status : read_reply_to(body, c, err);
}

celery_status cel_command_decode(struct cel_envelope *env,
                                 const struct cel_call_limits *limits,
                                 struct cel_node **ret_body, celery_error *err)
{
    celery_status status = cel_body_decode(env, limits, ret_body, err);

    if (status < 0) {
        return status;
    }
    return (*ret_body)->kind == CELERY_KIND_OBJECT ? CELERY_OK
                                                   : wrong("the body is no map", err);
}

celery_status cel_command_read(struct cel_envelope *env,
                               const struct cel_call_limits *limits,
                               struct cel_command *ret, celery_error *err)
{
    struct cel_node *body = NULL;

    *ret = (struct cel_command){0};
    celery_status status = cel_command_decode(env, limits, &body, err);
    if (status < 0) {
        return status;
    }
    ret->clock = cel_node_int(cel_envelope_header(env, CEL_SLICE("clock")), 0);
    return read_body(body, ret, err);
}

celery_status cel_command_is_for(const struct cel_command *c, const char *node, bool *ret,
                                 celery_error *err)
{
    struct cel_slice name = cel_slice_of(node);

    if (c->destination) {
        *ret = false;
        for (const struct cel_node *n = cel_node_first(c->destination); n; n = n->next) {
            *ret =
                *ret || (cel_node_is_string(n) && cel_slice_eq(cel_node_text(n), name));
        }
        return CELERY_OK;
    }
    *ret = true;
    if (c->pattern.len == 0) {
        return CELERY_OK;
    }
    if (cel_slice_is(c->matcher, "glob")) {
        *ret = cel_glob_match(c->pattern, name);
        return CELERY_OK;
    }
    if (cel_slice_is(c->matcher, "pcre")) {
        return cel_regex_match(c->pattern, name, ret, err);
    }
    return wrong("no such matcher", err);
}

/* ---- replies ---- */

static celery_status fill_reply(struct cel_envelope *env, const struct cel_command *c,
                                const char *node, const struct cel_node *value,
                                int64_t clock, const struct cel_codec *codec,
                                celery_error *err)
{
    struct cel_arena *a = &env->arena;
    struct cel_node *headers = cel_node_new(a, CELERY_KIND_OBJECT);
    struct cel_node *ticket =
        c->ticket ? cel_node_copy(a, c->ticket) : cel_node_new(a, CELERY_KIND_NULL);
    /* The value is only lent to this map while it is written: its next stays as it is. */
    struct cel_node lent = *value;
    struct cel_node key = {.kind = CELERY_KIND_STRING, .text = node, .next = &lent};
    struct cel_node body = {.kind = CELERY_KIND_OBJECT, .size = 1, .first = &key};
    struct cel_buf text = {0};

    key.size = (uint32_t)strlen(node);
    lent.next = NULL;
    if (!headers || cel_node_put(a, headers, CEL_SLICE("ticket"), ticket) < 0 ||
        cel_node_put(a, headers, CEL_SLICE("clock"), cel_node_new_int(a, clock)) < 0) {
        return cel_error_nomem(err);
    }
    celery_status status = codec->encode(&text, &body, err);
    if (status == CELERY_OK) {
        env->body = cel_slice(cel_arena_strndup(a, text.data, text.len), text.len);
        env->exchange =
            cel_slice(cel_arena_strndup(a, c->reply_exchange.data, c->reply_exchange.len),
                      c->reply_exchange.len);
        env->routing_key = cel_slice(
            cel_arena_strndup(a, c->reply_key.data, c->reply_key.len), c->reply_key.len);
        if (!env->body.data || !env->exchange.data || !env->routing_key.data) {
            status = cel_error_nomem(err);
        }
    }
    cel_buf_fini(&text);
    env->headers = headers;
    env->content_type = cel_slice_of(codec->content_type);
    env->content_encoding = cel_slice_of(codec->encoding);
    env->delivery_mode = 1;
    env->optional = true;
    return status;
}

celery_status cel_command_reply(const struct cel_command *c, const char *node,
                                const struct cel_node *value, int64_t clock,
                                const struct cel_codec *codec,
                                struct cel_envelope **ret_env, celery_error *err)
{
    struct cel_envelope *env = cel_envelope_new();

    if (!env) {
        return cel_error_nomem(err);
    }
    celery_status status = fill_reply(env, c, node, value, clock, codec, err);
    if (status < 0) {
        cel_envelope_free(env);
        return status;
    }
    *ret_env = env;
    return CELERY_OK;
}
