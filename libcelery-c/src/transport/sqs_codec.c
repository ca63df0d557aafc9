/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/sqs_codec.h"
#include "base/base64.h"
#include "base/utf8.h"
#include "message/envelope_json.h"

/* Only one text decodes to these bytes: no foreign characters, no stray bits. */
static bool is_canonical(struct cel_slice text, const char *bytes, size_t len)
{
    char last[4];
    size_t whole = len / 3 * 3;

    if (text.len != CEL_BASE64_LEN(len)) {
        return false;
    }
    if (len == whole) {
        return true;
    }
    cel_base64_encode(bytes + whole, len - whole, last);
    return memcmp(text.data + text.len - 4, last, 4) == 0;
}

bool cel_sqs_is_base64(struct cel_slice body, struct cel_buf *out)
{
    size_t len = 0;

    cel_buf_clear(out);
    if (!body.len || body.len % 4 ||
        cel_buf_reserve(out, body.len / 4 * 3 + 3, NULL) < 0 ||
        !cel_base64_decode(body, out->data, &len) ||
        !is_canonical(body, out->data, len) ||
        !cel_utf8_valid(cel_slice(out->data, len))) {
        return false;
    }
    out->len = len;
    return true;
}

/* Written by somebody who is not kombu, as kombu would see it. */
static celery_status read_with_tag(struct cel_slice raw, const struct cel_envelope *env,
                                   struct cel_envelope **ret_env, celery_error *err)
{
    struct cel_arena arena = {0};
    struct cel_node *root = cel_node_copy(&arena, env->root);
    struct cel_node *props = NULL;
    struct cel_buf text = {0};
    celery_status st = CELERY_ENOMEM;

    if (root) {
        props = cel_node_copy(&arena, env->properties);
    }
    if (props &&
        cel_node_put(&arena, props, CEL_SLICE("delivery_tag"),
                     cel_node_new_string(&arena, CEL_SLICE("sqs"))) == 0 &&
        cel_node_put(&arena, root, CEL_SLICE("properties"), props) == 0 &&
        cel_json_write(&text, root) == 0) {
        st = cel_envelope_read(cel_buf_slice(&text), ret_env, err);
    }
    cel_buf_fini(&text);
    cel_arena_fini(&arena);
    return st;
}

static bool lacks_tag_alone(const struct cel_envelope *env)
{
    const struct cel_node *info =
        cel_node_get(env->properties, CEL_SLICE("delivery_info"));

    return env->root && env->properties && info && info->kind == CELERY_KIND_OBJECT &&
           !cel_node_get(env->properties, CEL_SLICE("delivery_tag"));
}

celery_status cel_sqs_envelope_read(struct cel_slice body, struct cel_envelope **ret_env,
                                    bool *ret_base64, celery_error *err)
{
    struct cel_buf bytes = {0};
    struct cel_envelope *again = NULL;
    celery_error why = {0};

    *ret_base64 = cel_sqs_is_base64(body, &bytes);
    struct cel_slice raw = *ret_base64 ? cel_buf_slice(&bytes) : body;
    celery_status st = cel_envelope_read(raw, ret_env, err);
    if (st == CELERY_EMESSAGE && lacks_tag_alone(*ret_env) &&
        (read_with_tag(raw, *ret_env, &again, &why) == 0 || again)) {
        cel_envelope_free(*ret_env);
        *ret_env = again;
        st = why.status;
        if (err) {
            *err = why;
        }
    }
    cel_buf_fini(&bytes);
    return st;
}
