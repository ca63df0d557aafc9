/* SPDX-License-Identifier: BSD-3-Clause */
/* Replies of a hostile server: the first byte chooses how the rest is cut into pieces. */
#include "net/resp.h"

#include <stdlib.h>

#define MAX_BULK 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk(const struct cel_resp *r, unsigned depth)
{
    struct cel_slice text = cel_resp_text(r);
    size_t sum = (size_t)cel_resp_int(r);

    if (depth > 8 || text.len > MAX_BULK + 65536) {
        abort();
    }
    for (size_t i = 0; i < text.len; i++) {
        sum += (unsigned char)text.data[i];
    }
    for (size_t i = 0; i < cel_resp_size(r); i++) {
        sum += walk(cel_resp_at(r, i), depth + 1);
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static volatile size_t sink;
    struct cel_resp_reader *reader = cel_resp_reader_new(MAX_BULK);
    size_t step = size > 0 ? (size_t)data[0] + 1 : 1;
    celery_status status = CELERY_NONE;

    for (size_t at = 1; at < size && status == CELERY_NONE; at += step) {
        size_t n = size - at < step ? size - at : step;
        struct cel_resp *reply = NULL;
        if (cel_resp_feed(reader, cel_slice((const char *)data + at, n), NULL) < 0) {
            break;
        }
        while ((status = cel_resp_next(reader, &reply, NULL)) == CELERY_OK) {
            sink += walk(reply, 0);
            cel_resp_free(reply);
        }
    }
    cel_resp_reader_free(reader);
    return 0;
}
