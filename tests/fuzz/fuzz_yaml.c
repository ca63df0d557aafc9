/* SPDX-License-Identifier: BSD-3-Clause */
/* YAML: what is read can be written and reads back equal; limits hold. */
#include "base/arena.h"
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
    const struct cel_codec *codec = cel_codec_find(CEL_SLICE("yaml"));
    require(codec != NULL);
    struct cel_json_limits limits = {.depth = 100, .elements = 100000};
    struct cel_arena a;
    cel_arena_init(&a, (size_t)64 << 20);
    struct cel_node *n;
    celery_error err = {0};
    if (codec->decode(&a, cel_slice((const char *)data, size), &limits, &n, &err) < 0) {
        require(err.status < 0 && err.message[0] != '\0');
        cel_arena_fini(&a);
        return 0;
    }
    struct cel_buf out = {0};
    struct cel_node *again;
    limits.depth = 200; /* a written document may have typed values in place of scalars */
    if (codec->encode(&out, n, &err) == CELERY_OK) {
        require(codec->decode(&a, cel_buf_slice(&out), &limits, &again, &err) ==
                CELERY_OK);
        require(cel_node_equal(n, again));
    }
    cel_buf_clear(&out);
    require(cel_json_write(&out, n) == CELERY_OK);
    cel_buf_fini(&out);
    cel_arena_fini(&a);
    return 0;
}
