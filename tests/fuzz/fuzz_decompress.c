/* SPDX-License-Identifier: BSD-3-Clause */
/* Decompressors: the first byte chooses, its top bit compresses, which is slow. */
#include "codec/codec.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *const *names = cel_compression_names();
    size_t n = 0;
    while (names[n]) {
        n++;
    }
    if (size == 0) {
        return 0;
    }
    const struct cel_compression *c =
        cel_compression_find(cel_slice_of(names[(data[0] & 0x7f) % n]));
    require(c != NULL);
    struct cel_slice bytes = cel_slice((const char *)data + 1, size - 1);
    struct cel_buf out;
    cel_buf_init(&out, (size_t)1 << 20);
    celery_error err = {0};
    celery_status status = c->decompress(&out, bytes, &err);
    require(out.len <= out.max && (status == CELERY_OK || err.message[0] != '\0'));
    struct cel_buf packed = {0};
    if (data[0] & 0x80) {
        cel_buf_clear(&out);
        require(c->compress(&packed, bytes, &err) == CELERY_OK);
        require(c->decompress(&out, cel_buf_slice(&packed), &err) == CELERY_OK);
        require(cel_slice_eq(cel_buf_slice(&out), bytes));
    }
    cel_buf_fini(&packed);
    cel_buf_fini(&out);
    return 0;
}
