/* SPDX-License-Identifier: BSD-3-Clause */
/* application/x-brotli: brotli.compress(), brotli.decompress(). */
#include "codec/codec.h"

#include "base/alloc.h"
#include "base/error.h"
#include "codec/sink.h"
#include <brotli/decode.h>
#include <brotli/encode.h>

static void *take(void *opaque, size_t size)
{
    return cel_alloc(size);
}

static void give_back(void *opaque, void *block)
{
    cel_free(block);
}

static celery_status brotli_compress(struct cel_buf *out, struct cel_slice bytes,
                                     celery_error *err)
{
    size_t size = BrotliEncoderMaxCompressedSize(bytes.len);
    celery_status status = cel_buf_reserve(out, size, err);
    if (status < 0) {
        return status;
    }
    if (!BrotliEncoderCompress(
            BROTLI_DEFAULT_QUALITY, BROTLI_DEFAULT_WINDOW, BROTLI_DEFAULT_MODE, bytes.len,
            (const uint8_t *)bytes.data, &size, (uint8_t *)out->data + out->len)) {
        return cel_error_nomem(err);
    }
    out->len += size;
    return CELERY_OK;
}

static bool is_out_of_memory(BrotliDecoderErrorCode code)
{
    /* The codes are negative, and those of allocations stand together. */
    return code <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES &&
           code >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES;
}

static celery_status decompress_all(BrotliDecoderState *z, struct cel_sink *sink,
                                    struct cel_slice bytes, celery_error *err)
{
    const uint8_t *in = (const uint8_t *)bytes.data;
    size_t left = bytes.len;
    for (;;) {
        char *at;
        size_t room;
        celery_status status = cel_sink_room(sink, &at, &room, err);
        if (status < 0) {
            return status;
        }
        uint8_t *to = (uint8_t *)at;
        size_t offered = room;
        BrotliDecoderResult result =
            BrotliDecoderDecompressStream(z, &left, &in, &room, &to, NULL);
        status = cel_sink_wrote(sink, offered - room, err);
        if (status < 0) {
            return status;
        }
        switch (result) {
        case BROTLI_DECODER_RESULT_SUCCESS:
            return left == 0 ? CELERY_OK
                             : cel_sink_corrupt("brotli", "extra data behind it", err);
        case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT:
            break;
        case BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT:
            return cel_sink_corrupt("brotli", "incomplete stream", err);
        case BROTLI_DECODER_RESULT_ERROR:
            if (is_out_of_memory(BrotliDecoderGetErrorCode(z))) {
                return cel_error_nomem(err);
            }
            return cel_sink_corrupt("brotli", "corrupt stream", err);
        }
    }
}

static celery_status brotli_decompress(struct cel_buf *out, struct cel_slice bytes,
                                       celery_error *err)
{
    BrotliDecoderState *z = BrotliDecoderCreateInstance(take, give_back, NULL);
    if (!z) {
        return cel_error_nomem(err);
    }
    struct cel_sink sink = {.out = out};
    celery_status status = decompress_all(z, &sink, bytes, err);
    BrotliDecoderDestroyInstance(z);
    return status;
}

const struct cel_compression cel_compression_brotli = {
    .content_type = "application/x-brotli",
    .aliases = (const char *const[]){"brotli", NULL},
    .compress = brotli_compress,
    .decompress = brotli_decompress,
};
