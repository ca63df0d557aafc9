/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Formats and arguments: "format NUL [args, kwargs] of JSON".  Parameters beyond those that
 * this program has variables for are not tried.
 */
#include "base/arena.h"
#include "codec/unpack.h"
#include "codec/unpack_format.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VARIABLES = 16 };

static union {
    int64_t number;
    double real;
    const char *text;
    size_t len;
    const celery_value *value;
    json_t *json;
} variable[VARIABLES];

static celery_status unpack(struct cel_arena *a, const struct cel_node *args,
                            const struct cel_node *kwargs, struct cel_buf *why,
                            json_t **owner, const char *fmt, ...)
{
    va_list list;
    va_start(list, fmt);
    celery_status status = cel_unpack(a, "f", args, kwargs, why, owner, fmt, list);
    va_end(list);
    return status;
}

static void call(struct cel_arena *a, const struct cel_node *call, const char *fmt)
{
    struct cel_parameters p;
    if (cel_parameters_parse(fmt, &p) && p.n > VARIABLES / 2) {
        return;
    }
    struct cel_buf why = {0};
    json_t *owner = NULL;
    const struct cel_node *args = cel_node_first(call);
    const struct cel_node *kwargs = args ? args->next : NULL;
    celery_status status =
        unpack(a, args, kwargs, &why, &owner, fmt, &variable[0], &variable[1],
               &variable[2], &variable[3], &variable[4], &variable[5], &variable[6],
               &variable[7], &variable[8], &variable[9], &variable[10], &variable[11],
               &variable[12], &variable[13], &variable[14], &variable[15]);
    if (status < 0 && why.len == 0) {
        abort();
    }
    json_decref(owner);
    cel_buf_fini(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cel_slice rest = cel_slice((const char *)data, size);
    struct cel_slice fmt;
    struct cel_arena a = {0};
    struct cel_node *n;
    if (size > 0 && cel_slice_split(&rest, '\0', &fmt) && rest.data &&
        cel_json_parse(&a, rest, NULL, &n, NULL) == CELERY_OK &&
        n->kind == CELERY_KIND_ARRAY) {
        char *text = cel_arena_strndup(&a, fmt.data, fmt.len);
        call(&a, n, text);
    }
    cel_arena_fini(&a);
    return 0;
}
