/* SPDX-License-Identifier: BSD-3-Clause */
/* Which serializers there are, and which a message may use. */
#include "codec/codec_list.h"

#include "base/error.h"
#include "base/log.h"

#define X(name) &cel_codec_##name,
static const struct cel_codec *const codecs[] = {CEL_CODEC_LIST(X) NULL};
#undef X

static const char *const codec_names[] = {CEL_CODEC_NAMES, NULL};

#define X(name) &cel_compression_##name,
static const struct cel_compression *const compressions[] = {CEL_COMPRESSION_LIST(X)
                                                                 NULL};
#undef X

static const char *const compression_names[] = {CEL_COMPRESSION_NAMES, NULL};

/* The rest of what kombu.serialization registers: known, so that errors can say more. */
static const struct {
    const char *name;
    const char *content_type;
} others[] = {
    {"pickle", "application/x-python-serialize"},
    {"yaml", "application/x-yaml"},
    {"msgpack", "application/x-msgpack"},
    {"raw", "application/data"},
    {"text", "text/plain"},
};

static celery_status decode_json(struct cel_arena *a, struct cel_slice bytes,
                                 const struct cel_json_limits *limits,
                                 struct cel_node **ret_node, celery_error *err)
{
    return cel_json_parse(a, bytes, limits, ret_node, err);
}

static celery_status encode_json(struct cel_buf *out, const struct cel_node *n,
                                 celery_error *err)
{
    celery_status status = cel_json_write(out, n);
    if (status == CELERY_ELIMIT) {
        return cel_error_set(err, status, "JSON of more than %zu bytes", out->max);
    }
    return status < 0 ? cel_error_nomem(err) : CELERY_OK;
}

const struct cel_codec cel_codec_json = {
    .name = "json",
    .content_type = "application/json",
    .encoding = "utf-8",
    .decode = decode_json,
    .encode = encode_json,
};

const struct cel_codec *cel_codec_find(struct cel_slice name_or_type)
{
    for (size_t i = 0; codecs[i]; i++) {
        if (cel_slice_is(name_or_type, codecs[i]->content_type) ||
            cel_slice_is(name_or_type, codecs[i]->name)) {
            return codecs[i];
        }
    }
    return NULL;
}

const char *const *cel_codec_names(void)
{
    return codec_names;
}

/* "pickle" for either of its names; NULL for what kombu does not know. */
static const char *known_name(struct cel_slice content_type)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (cel_slice_is(content_type, others[i].content_type) ||
            cel_slice_is(content_type, others[i].name)) {
            return others[i].name;
        }
    }
    return NULL;
}

static bool is_accepted(const struct cel_codec *codec, const char *const *accept)
{
    for (; accept && *accept; accept++) {
        if (cel_codec_find(cel_slice_of(*accept)) == codec) {
            return true;
        }
    }
    return false;
}

static celery_status refuse_unknown(struct cel_slice content_type, celery_error *err)
{
    const char *name = known_name(content_type);
    const char *text = cel_log_safe(content_type);
    if (!name) {
        return cel_error_set(
            err, CELERY_ECONTENT,
            "unknown content type '%s': set task_serializer='json' at the "
            "sender",
            text);
    }
    if (strcmp(name, "pickle") == 0) {
        return cel_error_set(
            err, CELERY_ECONTENT,
            "content type '%s' (pickle) is Python code and is never read: "
            "set task_serializer='json' at the sender",
            text);
    }
    if (strcmp(name, "raw") == 0 || strcmp(name, "text") == 0) {
        return cel_error_set(err, CELERY_ECONTENT,
                             "content type '%s' is not a serialized task: set "
                             "task_serializer='json' at the sender",
                             text);
    }
    return cel_error_set(
        err, CELERY_ECONTENT,
        "content type '%s' (%s) is not in this build: install it, or set "
        "task_serializer='json' at the sender",
        text, name);
}

celery_status cel_codec_accept(struct cel_slice content_type, const char *const *accept,
                               const struct cel_codec **ret_codec, celery_error *err)
{
    if (content_type.len == 0) {
        content_type = CEL_SLICE("application/data"); /* kombu.serialization.loads() */
    }
    const struct cel_codec *codec = cel_codec_find(content_type);
    if (!codec) {
        return refuse_unknown(content_type, err);
    }
    if (!is_accepted(codec, accept)) {
        const char *first = accept && *accept ? *accept : "json";
        return cel_error_set(err, CELERY_ECONTENT,
                             "content type '%s' (%s) is not in accept_content: add '%s' "
                             "there, or set task_serializer='%s' at the sender",
                             codec->content_type, codec->name, codec->name, first);
    }
    *ret_codec = codec;
    return CELERY_OK;
}

static bool has_name(const struct cel_compression *c, struct cel_slice name)
{
    if (cel_slice_is(name, c->content_type)) {
        return true;
    }
    for (const char *const *alias = c->aliases; *alias; alias++) {
        if (cel_slice_is(name, *alias)) {
            return true;
        }
    }
    return false;
}

const struct cel_compression *cel_compression_find(struct cel_slice name)
{
    for (size_t i = 0; compressions[i]; i++) {
        if (has_name(compressions[i], name)) {
            return compressions[i];
        }
    }
    return NULL;
}

const char *const *cel_compression_names(void)
{
    return compression_names;
}
