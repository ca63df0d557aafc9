/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/backend.h"
#include "base/buf.h"
#include "codec/codec.h"
#include "transport/transport.h"
#include <celery/worker.h>

#include <stdio.h>

static void add(char *text, size_t size, size_t *len, const char *label,
                const char *const *names)
{
    *len += (size_t)snprintf(text + *len, size - *len, "%s:", label);
    for (; *names && *len < size; names++) {
        *len += (size_t)snprintf(text + *len, size - *len, " %s", *names);
    }
    if (*len < size) {
        *len += (size_t)snprintf(text + *len, size - *len, "\n");
    }
}

size_t celery_features(char *text, size_t size)
{
    static const char *const pools[] = {"prefork", "threads", "solo", NULL};
    size_t len = 0;

    if (size < 512) {
        return 0;
    }
    add(text, size, &len, "brokers", cel_transport_names());
    add(text, size, &len, "result backends", cel_backend_names());
    add(text, size, &len, "pools", pools);
    add(text, size, &len, "serializers", cel_codec_names());
    add(text, size, &len, "compression", cel_compression_names());
    return len;
}
