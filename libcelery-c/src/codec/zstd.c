/* SPDX-License-Identifier: BSD-3-Clause */
/* application/zstd: ZstdCompressor().compress() of python-zstandard. */
#include "codec/codec.h"

#include "base/error.h"
#include "codec/sink.h"
#include <zstd.h>

/* Level 19 uses a window of 8 MiB; larger ones are a way to take memory. */
enum { LEVEL = 3, WINDOW_LOG_MAX = 23 };

static celery_status zstd_compress(struct cel_buf *out, struct cel_slice bytes,
                                   celery_error *err)
{
    size_t room = ZSTD_compressBound(bytes.len);
    celery_status status = cel_buf_reserve(out, room, err);
    if (status < 0) {
        return status;
    }
    /* In one piece, so that the frame names its size, which Python's reader needs. */
    size_t size = ZSTD_compress(out->data + out->len, room, bytes.data, bytes.len, LEVEL);
    if (ZSTD_isError(size)) {
        return cel_error_nomem(err);
    }
    out->len += size;
    return CELERY_OK;
}

static celery_status decompress_frame(ZSTD_DCtx *z, struct cel_sink *sink,
                                      struct cel_slice bytes, celery_error *err)
{
    ZSTD_inBuffer in = {bytes.data, bytes.len, 0};
    for (;;) {
        ZSTD_outBuffer to = {0};
        char *at;
        celery_status status = cel_sink_room(sink, &at, &to.size, err);
        if (status < 0) {
            return status;
        }
        to.dst = at;
        size_t before = in.pos;
        size_t code = ZSTD_decompressStream(z, &to, &in);
        status = cel_sink_wrote(sink, to.pos, err);
        if (status < 0) {
            return status;
        }
        if (ZSTD_isError(code)) {
            return cel_sink_corrupt("zstd", ZSTD_getErrorName(code), err);
        }
        if (code == 0) {
            return CELERY_OK; /* what follows the frame is ignored, as Python does */
        }
        if (in.pos == before && to.pos == 0) {
            return cel_sink_corrupt("zstd", "incomplete frame", err);
        }
    }
}

static celery_status zstd_decompress(struct cel_buf *out, struct cel_slice bytes,
                                     celery_error *err)
{
    ZSTD_DCtx *z = ZSTD_createDCtx();
    if (!z) {
        return cel_error_nomem(err);
    }
    ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    struct cel_sink sink = {.out = out};
    celery_status status = decompress_frame(z, &sink, bytes, err);
    ZSTD_freeDCtx(z);
    return status;
}

const struct cel_compression cel_compression_zstd = {
    .content_type = "application/zstd",
    .aliases = (const char *const[]){"zstd", "zstandard", NULL},
    .compress = zstd_compress,
    .decompress = zstd_decompress,
};
