/* SPDX-License-Identifier: BSD-3-Clause */
/* application/x-lzma, which is the .xz container: lzma.compress(), lzma.decompress(). */
#include "codec/codec.h"

#include "base/error.h"
#include "codec/sink.h"
#include <lzma.h>

/* The largest preset needs 65 MiB to decompress. */
#define MEMORY_MAX (UINT64_C(100) << 20)

static celery_status lzma_compress(struct cel_buf *out, struct cel_slice bytes,
                                   celery_error *err)
{
    size_t room = lzma_stream_buffer_bound(bytes.len);
    celery_status status = cel_buf_reserve(out, room, err);
    if (status < 0) {
        return status;
    }
    size_t size = 0;
    lzma_ret code = lzma_easy_buffer_encode(LZMA_PRESET_DEFAULT, LZMA_CHECK_CRC64, NULL,
                                            (const uint8_t *)bytes.data, bytes.len,
                                            (uint8_t *)out->data + out->len, &size, room);
    if (code != LZMA_OK) {
        return cel_error_nomem(err);
    }
    out->len += size;
    return CELERY_OK;
}

static celery_status explain(lzma_ret code, celery_error *err)
{
    switch (code) {
    case LZMA_MEM_ERROR:
        return cel_error_nomem(err);
    case LZMA_MEMLIMIT_ERROR:
        return cel_error_set(err, CELERY_ELIMIT, "lzma: needs more than %d MiB of memory",
                             (int)(MEMORY_MAX >> 20));
    case LZMA_BUF_ERROR:
        return cel_sink_corrupt("lzma", "incomplete stream", err);
    default:
        return cel_sink_corrupt("lzma", "corrupt stream", err);
    }
}

/* One stream; moves *rest behind it. */
static celery_status decompress_stream(lzma_stream *z, struct cel_sink *sink,
                                       struct cel_slice *rest, bool *ret_corrupt,
                                       celery_error *err)
{
    z->next_in = (const uint8_t *)rest->data;
    z->avail_in = rest->len;
    for (;;) {
        char *at;
        size_t room;
        celery_status status = cel_sink_room(sink, &at, &room, err);
        if (status < 0) {
            return status;
        }
        z->next_out = (uint8_t *)at;
        z->avail_out = room;
        lzma_ret code = lzma_code(z, LZMA_FINISH);
        *rest = cel_slice((const char *)z->next_in, z->avail_in);
        status = cel_sink_wrote(sink, room - z->avail_out, err);
        if (status < 0 || code == LZMA_STREAM_END) {
            return status;
        }
        if (code != LZMA_OK) {
            *ret_corrupt = code == LZMA_FORMAT_ERROR || code == LZMA_DATA_ERROR ||
                           code == LZMA_OPTIONS_ERROR;
            return explain(code, err);
        }
    }
}

static celery_status lzma_decompress(struct cel_buf *out, struct cel_slice bytes,
                                     celery_error *err)
{
    struct cel_sink sink = {.out = out};
    struct cel_slice rest = bytes;
    do {
        lzma_stream z = LZMA_STREAM_INIT;
        if (lzma_auto_decoder(&z, MEMORY_MAX, 0) != LZMA_OK) {
            return cel_error_nomem(err);
        }
        bool first = rest.data == bytes.data;
        bool corrupt = false;
        celery_status status = decompress_stream(&z, &sink, &rest, &corrupt, err);
        lzma_end(&z);
        if (status < 0 && corrupt && !first) {
            break; /* Lib/lzma.py: what follows whole streams is ignored */
        }
        if (status < 0) {
            return status;
        }
    } while (rest.len > 0);
    return CELERY_OK;
}

const struct cel_compression cel_compression_lzma = {
    .content_type = "application/x-lzma",
    .aliases = (const char *const[]){"lzma", "xz", NULL},
    .compress = lzma_compress,
    .decompress = lzma_decompress,
};
