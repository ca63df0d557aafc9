/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/json_out.h"

#include <stdio.h>
#include <stdlib.h>

static bool put(char *give_text)
{
    bool ok = give_text != NULL;

    if (ok) {
        puts(give_text);
    }
    free(give_text);
    return ok;
}

bool json_out(json_t *give_value)
{
    char *text =
        give_value ? json_dumps(give_value, JSON_ENSURE_ASCII | JSON_ENCODE_ANY) : NULL;

    json_decref(give_value);
    return put(text);
}

bool json_out_value(const celery_value *value)
{
    return put(celery_value_dumps(value, NULL));
}

json_t *json_latin1(const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    char *text = size < (size_t)-1 / 2 ? malloc(2 * size + 1) : NULL;
    json_t *value = NULL;
    size_t n = 0;

    if (text) {
        for (size_t i = 0; i < size; i++) {
            if (p[i] < 0x80) {
                text[n++] = (char)p[i];
            } else {
                text[n++] = (char)(0xc0 | p[i] >> 6);
                text[n++] = (char)(0x80 | (p[i] & 0x3f));
            }
        }
        value = json_stringn(text, n);
    }
    free(text);
    return value;
}
