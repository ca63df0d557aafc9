/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pickle_tool: answers each line of "write JSON", "exception JSON" and "group JSON" with the hex of
 * a pickle, and of "read HEX", "read-exception HEX" and "read-group HEX" with JSON; or with "error
 * text".  test_pickle.py asks Python the same.
 */
#include "base/alloc.h"
#include "codec/pickle.h"

#include <stdio.h>
#include <stdlib.h>

static void print_hex(struct cel_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        printf("%02x", (unsigned char)bytes.data[i]);
    }
    putchar('\n');
}

static unsigned nibble(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static struct cel_slice bytes_of(struct cel_arena *a, struct cel_slice hex)
{
    char *bytes = cel_arena_alloc(a, hex.len / 2 + 1);
    for (size_t i = 0; bytes && i + 1 < hex.len; i += 2) {
        bytes[i / 2] = (char)(nibble(hex.data[i]) << 4 | nibble(hex.data[i + 1]));
    }
    return cel_slice(bytes, bytes ? hex.len / 2 : 0);
}

static celery_status answer_write(struct cel_arena *a, struct cel_slice verb,
                                  struct cel_slice json, celery_error *err)
{
    struct cel_buf out = {0};
    struct cel_node *n;
    celery_status status = cel_json_parse(a, json, NULL, &n, err);
    if (status < 0) {
        return status;
    }
    if (cel_slice_is(verb, "write")) {
        status = cel_pickle_write(&out, n, err);
    } else if (cel_slice_is(verb, "exception")) {
        status = cel_pickle_write_exception(&out, n, err);
    } else {
        status = cel_pickle_write_group(&out, n, err);
    }
    if (status == CELERY_OK) {
        print_hex(cel_buf_slice(&out));
    }
    cel_buf_fini(&out);
    return status;
}

static celery_status answer_read(struct cel_arena *a, struct cel_slice verb,
                                 struct cel_slice hex, celery_error *err)
{
    struct cel_buf out = {0};
    struct cel_node *n;
    celery_status status = cel_pickle_read(a, bytes_of(a, hex), NULL, &n, err);
    if (status < 0) {
        return status;
    }
    if (cel_slice_is(verb, "read-exception")) {
        n = cel_pickle_exception(a, n);
    } else if (cel_slice_is(verb, "read-group")) {
        n = cel_pickle_group(a, n);
    }
    cel_json_write(&out, n);
    puts(cel_buf_cstr(&out));
    cel_buf_fini(&out);
    return CELERY_OK;
}

static void answer(struct cel_slice line)
{
    struct cel_arena a = {0};
    celery_error err = {0};
    struct cel_slice verb;
    cel_slice_split(&line, ' ', &verb);
    celery_status status = cel_slice_starts(verb, CEL_SLICE("read"))
                               ? answer_read(&a, verb, line, &err)
                               : answer_write(&a, verb, line, &err);
    if (status < 0) {
        printf("error %s\n", err.message);
    }
    fflush(stdout);
    cel_arena_fini(&a);
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    while ((len = getline(&line, &cap, stdin)) > 0) {
        answer(cel_slice(line, (size_t)len - 1));
    }
    free(line);
    return 0;
}
