/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON: what is read can be written, reads back equal, and survives every walk. */
#include "base/arena.h"
#include "codec/doc.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void walk(struct cel_arena *a, const struct cel_node *n)
{
    struct cel_buf out = {0};
    cel_repr(&out, n, 100);
    require(out.len <= 100);
    cel_saferepr(&out, n, 64, 0, true);
    cel_saferepr(&out, n, 0, -1, false);
    cel_buf_fini(&out);
    cel_json_check_types(n, NULL);
    struct cel_slice bytes;
    cel_json_bytes(a, n, &bytes);
    json_decref(cel_doc_to_json(n, "value", NULL));
    struct cel_node *copy = cel_node_copy(a, n);
    require(copy && cel_node_equal(copy, n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cel_arena a = {0};
    struct cel_node *n;
    struct cel_node *again;
    celery_error err = {0};
    if (cel_json_parse(&a, cel_slice((const char *)data, size), NULL, &n, &err) < 0) {
        require(err.status < 0 && err.message[0] != '\0');
        cel_arena_fini(&a);
        return 0;
    }
    struct cel_buf first = {0};
    struct cel_buf second = {0};
    require(cel_json_write(&first, n) == CELERY_OK);
    require(cel_json_parse(&a, cel_buf_slice(&first), NULL, &again, NULL) == CELERY_OK);
    require(cel_node_equal(n, again));
    require(cel_json_write(&second, again) == CELERY_OK);
    require(cel_slice_eq(cel_buf_slice(&first), cel_buf_slice(&second)));
    walk(&a, n);
    cel_buf_fini(&first);
    cel_buf_fini(&second);
    cel_arena_fini(&a);
    return 0;
}
