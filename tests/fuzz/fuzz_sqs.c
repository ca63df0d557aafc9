/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as what credentials endpoints answer, as the Body of a message, and as the answer to a
 * batch.
 */
#include "aws/credentials_priv.h"
#include "transport/sqs_codec.h"
#include "transport/sqs_state.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ENTRIES = 10 };

static void read_keys(struct cel_slice text)
{
    struct cel_credentials c = {0};
    celery_error err = {0};
    enum cel_found found = cel_found_json(&c, text, "an endpoint", &err);

    if (found == CEL_FOUND && (!c.found.access_key || !c.found.secret_key)) {
        abort();
    }
    cel_aws_keys_fini(&c.found);
}

static void read_body(struct cel_slice text)
{
    struct cel_envelope *env = NULL;
    celery_error err = {0};
    bool base64;
    celery_status status = cel_sqs_envelope_read(text, &env, &base64, &err);

    if (status == CELERY_OK && !env) {
        abort();
    }
    cel_envelope_free(env);
}

static void on_entry(void *ctx, size_t i, const struct cel_node *done,
                     const struct cel_node *failed)
{
    size_t *n = ctx;
    celery_error err = {0};

    if (i != (*n)++ || !done == !failed) {
        abort();
    }
    if (failed) {
        cel_sqs_entry_error(failed, "sending", &err);
        if (err.status >= 0) {
            abort();
        }
    }
    (void)cel_sqs_md5_fits(cel_node_get(done, CEL_SLICE("MD5OfMessageBody")),
                           CEL_SLICE("body"));
}

static void read_batch(struct cel_slice text)
{
    struct cel_arena arena = {0};
    struct cel_node *doc = NULL;
    size_t n = 0;

    if (cel_json_parse(&arena, text, NULL, &doc, NULL) == CELERY_OK) {
        cel_sqs_entries(doc, ENTRIES, on_entry, &n);
        if (n != ENTRIES) {
            abort();
        }
    }
    cel_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct cel_slice text = cel_slice((const char *)data + 1, size - 1);

    switch (data[0] % 3) {
    case 0:
        read_keys(text);
        break;
    case 1:
        read_body(text);
        break;
    default:
        read_batch(text);
    }
    return 0;
}
