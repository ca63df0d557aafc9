/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as a request of HTTP, whole and in parts. */
#include "net/http.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct cel_slice all, struct cel_slice part)
{
    const char *begin = all.data;
    const char *end = all.data + all.len;
    bool inside = part.len == 0 || (part.data >= begin && part.data + part.len <= end) ||
                  cel_slice_is(part, "/");

    if (!inside) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cel_slice all = cel_slice((const char *)data, size);
    struct cel_http_request whole;
    struct cel_http_request part;
    int status = cel_http_parse(all, &whole);
    int early = 0;

    if (status == 200) {
        check(all, whole.path);
        check(all, whole.query);
        if (whole.path.len == 0 || whole.path.data[0] != '/') {
            abort();
        }
    }
    /* What is said of the first bytes is said of all of them. */
    for (size_t n = 0; n < size && early == 0; n += size > 512 ? size / 64 : 1) {
        early = cel_http_parse(cel_slice(all.data, n), &part);
    }
    if (early != 0 && early != status) {
        abort();
    }
    return 0;
}
