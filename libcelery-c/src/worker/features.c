/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/backend.h"
#include "base/buf.h"
#include "base/module.h"
#include "codec/codec.h"
#include "transport/transport.h"
#include <celery/worker.h>

#include <stdio.h>

static void add(char *text, size_t size, size_t *len, const char *label,
                const char *const *names)
{
    if (*len >= size) {
        return;
    }
    *len += (size_t)snprintf(text + *len, size - *len, "%s:", label);
    for (; *names && *len < size; names++) {
        *len += (size_t)snprintf(text + *len, size - *len, " %s", *names);
    }
    if (*len < size) {
        *len += (size_t)snprintf(text + *len, size - *len, "\n");
    }
}

/* What src/modules/ makes.  A backend or broker is of no use without its own. */
static void add_modules(char *text, size_t size, size_t *len, const char *label,
                        bool there)
{
    static const char *const all[] = {"openssl",    "rabbitmq", "curl",
                                      "postgresql", "sqlite",   "mysql"};
    const char *names[sizeof all / sizeof all[0] + 1] = {NULL};
    size_t n = 0;

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (cel_module_is_there(all[i]) == there) {
            names[n++] = all[i];
        }
    }
    if (n > 0) {
        add(text, size, len, label, names);
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
    add_modules(text, size, &len, "modules", true);
    add_modules(text, size, &len, "modules not installed", false);
    return len;
}
