/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as an envelope: read, written, written for redelivery, read again. */
#include "message/envelope_json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct cel_envelope *env, struct cel_buf *out)
{
    struct cel_envelope *again = NULL;
    if (cel_envelope_read(cel_buf_slice(out), &again, NULL) != CELERY_OK ||
        !cel_slice_eq(again->body, env->body) ||
        !cel_slice_eq(again->delivery_tag, env->delivery_tag) ||
        !cel_slice_eq(again->routing_key, env->routing_key) ||
        !cel_node_equal(again->headers, env->headers)) {
        abort();
    }
    cel_envelope_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cel_envelope *env = NULL;
    struct cel_buf out = {0}, moved = {0};
    struct cel_slice raw = cel_slice((const char *)data, size);
    celery_status st = cel_envelope_read(raw, &env, NULL);

    if (st == CELERY_ENOMEM) {
        return 0;
    }
    if (!cel_slice_eq(env->raw, raw)) {
        abort();
    }
    if (cel_envelope_write_redelivered(&moved, env, "deaths", 1) != CELERY_OK) {
        abort();
    }
    if (st == CELERY_OK) {
        if (cel_envelope_write(&out, env) != CELERY_OK) {
            abort();
        }
        if (env->headers && env->headers->size > 0) {
            check_again(env, &out);
        }
        cel_envelope_free(env);
        env = NULL;
        if (cel_envelope_read(cel_buf_slice(&moved), &env, NULL) != CELERY_OK ||
            !env->redelivered) {
            abort();
        }
    }
    cel_envelope_free(env);
    cel_buf_fini(&out);
    cel_buf_fini(&moved);
    return 0;
}
