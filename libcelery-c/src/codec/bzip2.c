/* SPDX-License-Identifier: BSD-3-Clause */
/* application/x-bz2: bz2.compress(), bz2.decompress(). */
#include "codec/codec.h"

#include "base/alloc.h"
#include "base/error.h"
#include "codec/sink.h"
#include <bzlib.h>
#include <limits.h>

static void *take(void *opaque, int count, int size)
{
    return cel_calloc((size_t)count, (size_t)size);
}

static void give_back(void *opaque, void *block)
{
    cel_free(block);
}

static celery_status bzip2_compress(struct cel_buf *out, struct cel_slice bytes,
                                    celery_error *err)
{
    /* The bound is bzlib's own: 1 % and 600 bytes more. */
    size_t room = bytes.len + bytes.len / 100 + 601;
    if (room > UINT_MAX) {
        return cel_error_set(err, CELERY_ELIMIT, "bzip2 takes less than 4 GiB at once");
    }
    celery_status status = cel_buf_reserve(out, room, err);
    if (status < 0) {
        return status;
    }
    unsigned size = (unsigned)room;
    char none = 0;
    char *source = bytes.len > 0 ? (char *)bytes.data : &none; /* bzlib knows no const */
    int code = BZ2_bzBuffToBuffCompress(out->data + out->len, &size, source,
                                        (unsigned)bytes.len, 9, 0, 0);
    if (code != BZ_OK) {
        return cel_error_nomem(err);
    }
    out->len += size;
    return CELERY_OK;
}

/* One stream; moves *rest behind it. */
static celery_status decompress_stream(bz_stream *z, struct cel_sink *sink,
                                       struct cel_slice *rest, bool *ret_corrupt,
                                       celery_error *err)
{
    for (;;) {
        char *at;
        size_t room;
        celery_status status = cel_sink_room(sink, &at, &room, err);
        if (status < 0) {
            return status;
        }
        unsigned part = rest->len > UINT_MAX ? UINT_MAX : (unsigned)rest->len;
        z->next_in = (char *)rest->data;
        z->avail_in = part;
        z->next_out = at;
        z->avail_out = (unsigned)room;
        int code = BZ2_bzDecompress(z);
        size_t used = part - z->avail_in;
        *rest = cel_slice(rest->data + used, rest->len - used);
        status = cel_sink_wrote(sink, room - z->avail_out, err);
        if (status < 0 || code == BZ_STREAM_END) {
            return status;
        }
        if (code == BZ_MEM_ERROR) {
            return cel_error_nomem(err);
        }
        if (code != BZ_OK) {
            *ret_corrupt = true;
            return cel_sink_corrupt("bzip2", "corrupt stream", err);
        }
        if (rest->len == 0 && z->avail_out > 0) {
            return cel_sink_corrupt("bzip2", "incomplete stream", err);
        }
    }
}

static celery_status bzip2_decompress(struct cel_buf *out, struct cel_slice bytes,
                                      celery_error *err)
{
    struct cel_sink sink = {.out = out};
    struct cel_slice rest = bytes;
    while (rest.len > 0) {
        bz_stream z = {.bzalloc = take, .bzfree = give_back};
        if (BZ2_bzDecompressInit(&z, 0, 0) != BZ_OK) {
            return cel_error_nomem(err);
        }
        bool first = rest.data == bytes.data;
        bool corrupt = false;
        celery_status status = decompress_stream(&z, &sink, &rest, &corrupt, err);
        BZ2_bzDecompressEnd(&z);
        if (status < 0 && corrupt && !first) {
            break; /* Lib/bz2.py: what follows whole streams is ignored */
        }
        if (status < 0) {
            return status;
        }
    }
    return CELERY_OK;
}

const struct cel_compression cel_compression_bzip2 = {
    .content_type = "application/x-bz2",
    .aliases = (const char *const[]){"bzip2", "bzip", NULL},
    .compress = bzip2_compress,
    .decompress = bzip2_decompress,
};
