/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames: type, channel, length, payload, end octet (AMQP 0-9-1, 4.2.3). */
#include "base/error.h"
#include "transport/amqp_codec.h"
#include "transport/amqp_wire.h"

enum {
    PROTOCOL_HEADER = 8,  /* "AMQP", 0, and three numbers of the version */
    UNTUNED_MAX = 131072, /* what a frame may have while nothing was agreed upon */
};

static const char hello[PROTOCOL_HEADER] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};

/* A server that does not speak our version names its own and closes (4.2.2). */
static ssize_t refuse_version(struct cel_slice in, celery_error *err)
{
    size_t known = in.len < 4 ? in.len : 4;

    if (memcmp(in.data, hello, known) != 0) {
        return cel_error_set(err, CELERY_EPROTO, "not an AMQP frame (it begins with A)");
    }
    if (in.len < PROTOCOL_HEADER) {
        return 0;
    }
    return cel_error_set(
        err, CELERY_EPROTO, "the server speaks AMQP %u-%u-%u, not 0-9-1 (or refuses it)",
        (unsigned char)in.data[5], (unsigned char)in.data[6], (unsigned char)in.data[7]);
}

static bool is_type(unsigned char type)
{
    return type == CEL_AMQP_METHOD || type == CEL_AMQP_HEADER || type == CEL_AMQP_BODY ||
           type == CEL_AMQP_HEARTBEAT;
}

ssize_t cel_amqp_frame_next(struct cel_slice in, uint32_t frame_max,
                            struct cel_amqp_frame *ret_frame, celery_error *err)
{
    if (in.len == 0) {
        return 0;
    }
    unsigned char type = (unsigned char)in.data[0];
    if (type == 'A') {
        return refuse_version(in, err);
    }
    if (!is_type(type)) {
        return cel_error_set(err, CELERY_EPROTO, "not an AMQP frame (it begins with %#x)",
                             type);
    }
    if (in.len < CEL_AMQP_FRAME_HEAD) {
        return 0;
    }
    uint32_t len = cel_amqp_get32(in.data + 3);
    uint32_t max = frame_max ? frame_max : UNTUNED_MAX;
    if (max < CEL_AMQP_FRAME_EXTRA || len > max - CEL_AMQP_FRAME_EXTRA) {
        return cel_error_set(err, CELERY_EPROTO,
                             "a frame of %llu bytes, more than the %u agreed upon",
                             (unsigned long long)len + CEL_AMQP_FRAME_EXTRA, max);
    }
    if (in.len < CEL_AMQP_FRAME_EXTRA || in.len - CEL_AMQP_FRAME_EXTRA < len) {
        return 0;
    }
    if ((unsigned char)in.data[CEL_AMQP_FRAME_HEAD + len] != CEL_AMQP_FRAME_END) {
        return cel_error_set(err, CELERY_EPROTO, "a frame without its end octet");
    }
    *ret_frame = (struct cel_amqp_frame){
        .type = type,
        .channel = cel_amqp_get16(in.data + 1),
        .payload = cel_slice(in.data + CEL_AMQP_FRAME_HEAD, len),
    };
    return (ssize_t)len + CEL_AMQP_FRAME_EXTRA;
}

celery_status cel_amqp_put_hello(struct cel_buf *out)
{
    return cel_buf_add(out, hello, sizeof hello);
}

static celery_status put_frame(struct cel_buf *out, uint8_t type, uint16_t channel,
                               struct cel_slice payload)
{
    char head[CEL_AMQP_FRAME_HEAD];

    cel_amqp_set_head(head, type, channel, (uint32_t)payload.len);
    (void)cel_buf_add(out, head, sizeof head);
    (void)cel_buf_add_slice(out, payload);
    return cel_buf_addc(out, (char)CEL_AMQP_FRAME_END);
}

celery_status cel_amqp_put_heartbeat(struct cel_buf *out)
{
    return put_frame(out, CEL_AMQP_HEARTBEAT, 0, CEL_SLICE(""));
}

celery_status cel_amqp_put_body(struct cel_buf *out, uint16_t channel,
                                struct cel_slice body, uint32_t frame_max)
{
    size_t piece =
        frame_max > CEL_AMQP_FRAME_EXTRA ? frame_max - CEL_AMQP_FRAME_EXTRA : UINT32_MAX;
    size_t frames = body.len / piece + 1;
    celery_status st =
        cel_buf_reserve(out, body.len + frames * CEL_AMQP_FRAME_EXTRA, NULL);

    while (st == CELERY_OK && body.len > 0) {
        size_t len = body.len < piece ? body.len : piece;
        st = put_frame(out, CEL_AMQP_BODY, channel, cel_slice(body.data, len));
        body = cel_slice(body.data + len, body.len - len);
    }
    return st;
}
