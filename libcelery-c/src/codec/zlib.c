/* SPDX-License-Identifier: BSD-3-Clause */
/* application/x-gzip, which in kombu is a zlib stream: zlib.compress(), zlib.decompress(). */
#include "codec/codec.h"

#include "base/alloc.h"
#include "base/error.h"
#include "codec/sink.h"
#include <limits.h>
#include <zlib.h>

static voidpf take(voidpf opaque, uInt count, uInt size)
{
    return cel_calloc(count, size);
}

static void give_back(voidpf opaque, voidpf block)
{
    cel_free(block);
}

/* zlib counts its input in unsigned int: feeds the next part. */
static void feed(z_stream *z, struct cel_slice *rest)
{
    if (z->avail_in == 0 && rest->len > 0) {
        uInt part = rest->len > UINT_MAX ? UINT_MAX : (uInt)rest->len;
        z->next_in = (Bytef *)rest->data; /* zlib may be built without const */
        z->avail_in = part;
        *rest = cel_slice(rest->data + part, rest->len - part);
    }
}

static celery_status zlib_compress(struct cel_buf *out, struct cel_slice bytes,
                                   celery_error *err)
{
    uLong size = compressBound(bytes.len);
    celery_status status = cel_buf_reserve(out, size, err);
    if (status < 0) {
        return status;
    }
    int code = compress((Bytef *)out->data + out->len, &size, (const Bytef *)bytes.data,
                        bytes.len);
    if (code != Z_OK) {
        return cel_error_nomem(err); /* the bound leaves no other reason */
    }
    out->len += size;
    return CELERY_OK;
}

static celery_status inflate_all(z_stream *z, struct cel_sink *sink,
                                 struct cel_slice bytes, celery_error *err)
{
    for (;;) {
        char *at;
        size_t room;
        celery_status status = cel_sink_room(sink, &at, &room, err);
        if (status < 0) {
            return status;
        }
        feed(z, &bytes);
        z->next_out = (Bytef *)at;
        z->avail_out = (uInt)room;
        int code = inflate(z, Z_NO_FLUSH);
        status = cel_sink_wrote(sink, room - z->avail_out, err);
        if (status < 0 || code == Z_STREAM_END) {
            return status; /* what follows the stream is ignored, as Python does */
        }
        if (code == Z_MEM_ERROR) {
            return cel_error_nomem(err);
        }
        if (code == Z_BUF_ERROR ||
            (code == Z_OK && z->avail_in == 0 && bytes.len == 0 && z->avail_out > 0)) {
            return cel_sink_corrupt("zlib", "incomplete stream", err);
        }
        if (code != Z_OK) {
            return cel_sink_corrupt("zlib", z->msg ? z->msg : "corrupt stream", err);
        }
    }
}

static celery_status zlib_decompress(struct cel_buf *out, struct cel_slice bytes,
                                     celery_error *err)
{
    z_stream z = {.zalloc = take, .zfree = give_back};
    if (inflateInit(&z) != Z_OK) {
        return cel_error_nomem(err);
    }
    struct cel_sink sink = {.out = out};
    celery_status status = inflate_all(&z, &sink, bytes, err);
    inflateEnd(&z);
    return status;
}

const struct cel_compression cel_compression_zlib = {
    .content_type = "application/x-gzip",
    .aliases = (const char *const[]){"gzip", "zlib", NULL},
    .compress = zlib_compress,
    .decompress = zlib_decompress,
};
