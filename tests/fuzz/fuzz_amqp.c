/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as what a broker sends: frames, their methods and content headers; what could be read is
 * written, read again and written alike.  So that lengths need not be guessed: M and a method's
 * payload, H and a header's, T and the entries of a header table.
 */
#include "transport/amqp_codec.h"
#include "transport/amqp_wire.h"

#include <stdlib.h>

enum { FRAME_MAX = 131072 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cel_slice payload_of(const struct cel_buf *frame, uint8_t type)
{
    struct cel_amqp_frame ret;
    ssize_t took = cel_amqp_frame_next(cel_buf_slice(frame), 0, &ret, NULL);

    if (took < 0 || (size_t)took != frame->len || ret.type != type) {
        abort();
    }
    return ret.payload;
}

static bool same(const struct cel_buf *a, const struct cel_buf *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static void method(struct cel_slice payload)
{
    struct cel_arena arena = {0};
    struct cel_buf first = {0}, second = {0};
    struct cel_amqp_method m, again;

    if (cel_amqp_method_read(payload, &arena, &m, NULL) == CELERY_OK &&
        cel_amqp_method_put(&first, 1, &m, NULL) == CELERY_OK && first.len <= FRAME_MAX) {
        if (cel_amqp_method_read(payload_of(&first, CEL_AMQP_METHOD), &arena, &again,
                                 NULL) != CELERY_OK ||
            cel_amqp_method_put(&second, 1, &again, NULL) != CELERY_OK ||
            !same(&first, &second)) {
            abort();
        }
    }
    cel_buf_fini(&first);
    cel_buf_fini(&second);
    cel_arena_fini(&arena);
}

static struct cel_envelope *read_header(struct cel_slice payload, celery_status *ret_st)
{
    struct cel_envelope *env = cel_envelope_new();
    uint64_t body_size;

    if (!env) {
        abort();
    }
    *ret_st = cel_amqp_header_read(payload, env, &body_size, NULL);
    if (*ret_st != CELERY_OK && *ret_st != CELERY_EMESSAGE && *ret_st != CELERY_EPROTO) {
        abort();
    }
    return env;
}

/* Writes the header of env and reads it; NULL when AMQP has no form for what is in it. */
static struct cel_envelope *pass(const struct cel_envelope *env, struct cel_buf *out)
{
    celery_status st;

    if (cel_amqp_header_put(out, 1, env, 5, FRAME_MAX, NULL) != CELERY_OK) {
        return NULL;
    }
    struct cel_envelope *again = read_header(payload_of(out, CEL_AMQP_HEADER), &st);
    if (st != CELERY_OK ||
        again->headers->size != (env->headers ? env->headers->size : 0) ||
        !cel_slice_eq(again->correlation_id, env->correlation_id)) {
        abort();
    }
    return again;
}

/*
 * Also what could not be read in full must be fit for JSON and for parking.  The first pass
 * may change a value's form (a decimal 1.50 is read as 1.5), the next ones must not.
 */
static void header(struct cel_slice payload)
{
    struct cel_buf outs[3] = {0}, json = {0};
    struct cel_envelope *envs[4] = {NULL};
    celery_status st;

    envs[0] = read_header(payload, &st);
    if (envs[0]->headers && cel_json_write(&json, envs[0]->headers) < 0) {
        abort();
    }
    for (int i = 0; i < 3 && envs[i]; i++) {
        envs[i + 1] = pass(envs[i], &outs[i]);
    }
    if (envs[1] && (!envs[3] || !same(&outs[1], &outs[2]) ||
                    !cel_node_equal(envs[1]->headers, envs[2]->headers))) {
        abort();
    }
    for (int i = 0; i < 4; i++) {
        cel_envelope_free(envs[i]);
    }
    for (int i = 0; i < 3; i++) {
        cel_buf_fini(&outs[i]);
    }
    cel_buf_fini(&json);
}

static void table(struct cel_slice entries)
{
    static const char head[] = "\0\x3c\0\0\0\0\0\0\0\0\0\0\x20";
    struct cel_buf payload = {0};
    char len[4];

    cel_amqp_set32(len, (uint32_t)entries.len);
    (void)cel_buf_add(&payload, head, sizeof head);
    (void)cel_buf_add(&payload, len, sizeof len);
    (void)cel_buf_add_slice(&payload, entries);
    header(cel_buf_slice(&payload));
    cel_buf_fini(&payload);
}

static void frames(struct cel_slice in)
{
    for (;;) {
        struct cel_amqp_frame frame;
        ssize_t took = cel_amqp_frame_next(in, FRAME_MAX, &frame, NULL);
        if (took <= 0) {
            return;
        }
        if (frame.type == CEL_AMQP_METHOD) {
            method(frame.payload);
        } else if (frame.type == CEL_AMQP_HEADER) {
            header(frame.payload);
        }
        in = cel_slice(in.data + took, in.len - (size_t)took);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cel_slice in = cel_slice((const char *)data, size);
    struct cel_slice rest = size > 0 ? cel_slice(in.data + 1, size - 1) : in;

    switch (size > 0 ? data[0] : 0) {
    case 'M':
        method(rest);
        break;
    case 'H':
        header(rest);
        break;
    case 'T':
        table(rest);
        break;
    default:
        frames(in);
    }
    return 0;
}
