/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/sqs_entry.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/iso8601.h"
#include "message/envelope_json.h"
#include <stdio.h>

enum { MAX_DELAY = 900, ID_PART = 90 };

/* ---- what makes it one message ---- */

/* FNV-1a: the id stands before it, so that nobody gains by finding two of one digest. */
static uint64_t digest(uint64_t hash, struct cel_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        hash = (hash ^ (unsigned char)bytes.data[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* All but who sent it: another process may repeat the publish. */
static uint64_t digest_headers(uint64_t hash, const struct cel_node *headers)
{
    struct cel_buf text = {0};

    for (const struct cel_node *k = cel_node_first(headers), *v; k; k = v->next) {
        v = k->next;
        if (!cel_slice_is(cel_node_text(k), "origin")) {
            cel_json_write_string(&text, cel_node_text(k));
            cel_json_write(&text, v);
        }
    }
    hash = digest(hash, cel_buf_slice(&text));
    cel_buf_fini(&text);
    return hash;
}

static bool is_allowed(char c)
{
    return c > ' ' && c < 127;
}

void cel_sqs_dedup(const struct cel_envelope *envelope, char text[CEL_SQS_DEDUP_SIZE])
{
    struct cel_slice id = cel_node_text(cel_envelope_header(envelope, CEL_SLICE("id")));
    uint64_t hash = digest(UINT64_C(0xcbf29ce484222325), envelope->body);
    size_t n = 0;

    hash = digest_headers(hash, envelope->headers);
    if (!id.len) {
        id = envelope->correlation_id;
        hash = digest(hash, id.len ? CEL_SLICE_NULL : envelope->delivery_tag);
    }
    for (size_t i = 0; i < id.len && n < ID_PART; i++) {
        text[n++] = is_allowed(id.data[i]) ? id.data[i] : '_';
    }
    snprintf(text + n, CEL_SQS_DEDUP_SIZE - n, "-%016llx", (unsigned long long)hash);
}

int64_t cel_sqs_delay(const struct cel_envelope *envelope, double now)
{
    struct cel_slice eta = cel_node_text(cel_envelope_header(envelope, CEL_SLICE("eta")));
    int64_t us;
    bool aware;

    if (!eta.len || !cel_iso8601_parse(eta, &us, &aware)) {
        return 0;
    }
    double wait = (double)us / 1e6 - now;
    return wait >= 1 && wait <= MAX_DELAY ? (int64_t)wait : 0;
}

/* ---- the entry ---- */

static struct cel_slice property(const struct cel_envelope *env, const char *name)
{
    const struct cel_node *n = cel_node_get(env->properties, cel_slice_of(name));

    return cel_node_is_string(n) ? cel_node_text(n) : CEL_SLICE_NULL;
}

static void add_group(struct cel_buf *out, const struct cel_sqs_queue *q,
                      const struct cel_envelope *env, const struct cel_sqs_extra *extra)
{
    struct cel_slice group =
        extra->group ? cel_slice_of(extra->group) : property(env, "MessageGroupId");
    struct cel_slice dedup = extra->dedup ? cel_slice_of(extra->dedup)
                                          : property(env, "MessageDeduplicationId");
    char text[CEL_SQS_DEDUP_SIZE];

    if (!q->fifo) {
        if (group.len) { /* fair queues */
            cel_sqs_param_text(out, "MessageGroupId", group);
        }
        return;
    }
    if (!dedup.len) {
        cel_sqs_dedup(env, text);
        dedup = cel_slice_of(text);
    }
    cel_sqs_param_text(out, "MessageGroupId", group.len ? group : CEL_SLICE("default"));
    cel_sqs_param_text(out, "MessageDeduplicationId", dedup);
}

/* In either spelling (kombu 5.7 Channel._resolve_delay_seconds); NULL: in none. */
static const struct cel_node *given_delay(const struct cel_envelope *env)
{
    const struct cel_node *n = cel_node_get(env->properties, CEL_SLICE("delay_seconds"));

    return cel_node_is_null(n) ? cel_node_get(env->properties, CEL_SLICE("DelaySeconds"))
                               : n;
}

/* Cut at what SQS takes; 0 for what is no number of seconds. */
static int64_t seconds_of(const struct cel_node *n)
{
    int64_t seconds = 0;

    if (!cel_slice_to_int(cel_slice_trim(cel_node_text(n)), &seconds)) {
        double number = cel_node_double(n, 0);

        seconds = number >= 0 && number <= MAX_DELAY ? (int64_t)number
                  : number > MAX_DELAY               ? MAX_DELAY
                                                     : 0;
    }
    return seconds > MAX_DELAY ? MAX_DELAY : seconds;
}

/* FIFO queues have one delay for all.  What apply_async() was given goes before the ETA. */
static void add_delay(struct cel_buf *out, const struct cel_sqs_queue *q,
                      const struct cel_envelope *env)
{
    const struct cel_node *given = given_delay(env);
    int64_t seconds = cel_node_is_null(given) ? cel_sqs_delay(env, cel_clock_wall())
                                              : seconds_of(given);

    if (!q->fifo && seconds > 0) {
        cel_buf_adds(out, ", \"DelaySeconds\": ");
        cel_buf_add_int(out, seconds);
    }
}

static void add_attribute(struct cel_buf *out, const char *name, const char *value)
{
    cel_buf_addf(out, "%s\"%s\": {\"DataType\": \"String\", \"StringValue\": ",
                 out->data[out->len - 1] == '{' ? "" : ", ", name);
    cel_json_write_string(out, cel_slice_of(value));
    cel_buf_addc(out, '}');
}

void cel_sqs_attributes_write(struct cel_buf *out, const struct cel_envelope *env,
                              const struct cel_sqs_extra *extra)
{
    const struct cel_node *own =
        cel_node_get(env->properties, CEL_SLICE("message_attributes"));
    char time[32];

    if (extra->reason) {
        snprintf(time, sizeof time, "%.6f", cel_clock_wall());
        cel_buf_adds(out, ", \"MessageAttributes\": {");
        add_attribute(out, "celery-c-dead-reason",
                      extra->reason[0] ? extra->reason : "?");
        add_attribute(out, "celery-c-dead-time", time);
        add_attribute(out, "celery-c-dead-queue", extra->from);
        cel_buf_addc(out, '}');
    } else if (own && own->kind == CELERY_KIND_OBJECT && own->size > 0) {
        cel_buf_adds(out, ", \"MessageAttributes\": ");
        cel_json_write(out, own);
    }
}

/* kombu takes message_attributes out of what is sent. */
static celery_status write_without_attributes(struct cel_buf *text,
                                              const struct cel_envelope *env)
{
    struct cel_envelope copy = *env;
    struct cel_arena arena = {0};
    struct cel_node *rest = cel_node_new(&arena, CELERY_KIND_OBJECT);
    celery_status st = rest ? CELERY_OK : CELERY_ENOMEM;
    const struct cel_node *k, *v;

    for (k = cel_node_first(env->properties); k && st == 0; k = v->next) {
        v = k->next;
        if (!cel_slice_is(cel_node_text(k), "message_attributes")) {
            st = cel_node_put(&arena, rest, cel_node_text(k), cel_node_copy(&arena, v));
        }
    }
    copy.properties = rest;
    copy.written = false;
    st = st < 0 ? st : cel_envelope_write(text, &copy);
    cel_arena_fini(&arena);
    return st;
}

celery_status cel_sqs_text_write(struct cel_buf *text, const struct cel_envelope *env,
                                 const struct cel_sqs_extra *extra)
{
    cel_buf_clear(text);
    if (extra->raw.len) {
        return cel_buf_add_slice(text, extra->raw);
    }
    if (!cel_node_is_null(
            cel_node_get(env->properties, CEL_SLICE("message_attributes")))) {
        return write_without_attributes(text, env);
    }
    if (env->raw.len && env->written) {
        return cel_buf_add_slice(text, env->raw);
    }
    return cel_envelope_write(text, env);
}

static celery_status check_size(size_t bytes, const struct cel_sqs_queue *q,
                                celery_error *err)
{
    if (bytes <= q->max_bytes) {
        return CELERY_OK;
    }
    return cel_error_set(err, CELERY_ELIMIT,
                         "the message has %zu bytes as it is sent, and SQS queue %.80s "
                         "takes %zu",
                         bytes, q->sqs_name, q->max_bytes);
}

static void digest_body(struct cel_slice body, char *ret_md5)
{
    if (ret_md5) {
        cel_md5_hex(body, ret_md5);
    }
}

/* The digest is of what stands between the quotes, before another byte may move it. */
static void add_body(struct cel_buf *out, const struct cel_buf *text, bool plain,
                     char *ret_md5)
{
    size_t at;

    if (plain) {
        cel_json_write_string(out, cel_buf_slice(text));
        digest_body(cel_buf_slice(text), ret_md5);
        return;
    }
    cel_buf_addc(out, '"');
    at = out->len;
    cel_base64_append(out, text->data, text->len);
    if (cel_buf_ok(out)) {
        digest_body(cel_slice(out->data + at, out->len - at), ret_md5);
    }
    cel_buf_addc(out, '"');
}

celery_status cel_sqs_body_write(struct cel_buf *out, struct cel_buf *text, bool plain,
                                 const struct cel_envelope *env, celery_error *err)
{
    static const struct cel_sqs_extra none;

    if (cel_sqs_text_write(text, env, &none) < 0) {
        return cel_error_nomem(err);
    }
    add_body(out, text, plain, NULL);
    return cel_buf_ok(out) ? CELERY_OK : cel_error_nomem(err);
}

/* Of what cel_sqs_attributes_write() has written. */
static bool digest_attributes(struct cel_slice written, char ret_md5[CEL_MD5_HEX])
{
    const size_t head = strlen(", \"MessageAttributes\": ");
    struct cel_arena arena = {0};
    struct cel_node *map = NULL;
    bool known =
        written.len > head &&
        cel_json_parse(&arena, cel_slice(written.data + head, written.len - head), NULL,
                       &map, NULL) == 0 &&
        cel_sqs_attributes_md5(map, ret_md5);

    cel_arena_fini(&arena);
    return known;
}

celery_status cel_sqs_entry_write(struct cel_buf *out, struct cel_buf *text,
                                  const struct cel_sqs_queue *q, size_t i,
                                  const struct cel_envelope *env,
                                  const struct cel_sqs_extra *extra,
                                  struct cel_sqs_digests *ret_digests, celery_error *err)
{
    bool plain = extra->raw.len ? extra->not_base64 : q->s->set.plain;
    celery_status st = cel_sqs_text_write(text, env, extra);

    if (st == 0) {
        st = check_size(plain ? text->len : CEL_BASE64_LEN(text->len), q, err);
    } else {
        cel_error_nomem(err);
    }
    if (st < 0) {
        return st;
    }
    cel_buf_addf(out, "{\"Id\": \"%zu\", \"MessageBody\": ", i);
    add_body(out, text, plain, ret_digests->body);
    add_group(out, q, env, extra);
    if (!extra->reason) {
        add_delay(out, q, env);
    }
    size_t at = out->len;
    cel_sqs_attributes_write(out, env, extra);
    ret_digests->has_attributes =
        out->len > at && digest_attributes(cel_slice(out->data + at, out->len - at),
                                           ret_digests->attributes);
    cel_buf_addc(out, '}');
    return cel_buf_ok(out) ? CELERY_OK : cel_error_nomem(err);
}
