/* SPDX-License-Identifier: BSD-3-Clause */
/* Exceptions as Python stores, represents and prints them. */
#include "message/meta.h"

static celery_status buf_status(const struct cel_buf *out)
{
    return cel_buf_ok(out) ? CELERY_OK : out->max ? CELERY_ELIMIT : CELERY_ENOMEM;
}

celery_status cel_exception_write(struct cel_buf *out, struct cel_slice type,
                                  struct cel_slice args_json, struct cel_slice module)
{
    (void)cel_buf_adds(out, "{\"exc_type\": ");
    (void)cel_json_write_string(out, type);
    (void)cel_buf_adds(out, ", \"exc_message\": ");
    (void)cel_buf_add_slice(out, args_json.len ? args_json : CEL_SLICE("[]"));
    (void)cel_buf_adds(out, ", \"exc_module\": ");
    (void)cel_json_write_string(out, module);
    (void)cel_buf_addc(out, '}');
    return buf_status(out);
}

/* The arguments as an array; *ret_args NULL when there are none or the text is none. */
static celery_status parse_args(struct cel_arena *a, struct cel_slice json,
                                const struct cel_node **ret_args)
{
    struct cel_json_limits limits = {0};
    struct cel_node *doc = NULL;
    *ret_args = NULL;
    if (json.len == 0) {
        return CELERY_OK;
    }
    celery_status st = cel_json_parse(a, json, &limits, &doc, NULL);
    if (st == CELERY_OK && doc->kind == CELERY_KIND_ARRAY && doc->size > 0) {
        *ret_args = doc;
    }
    return st == CELERY_ENOMEM ? st : CELERY_OK;
}

static void add_arg_list(struct cel_buf *out, const struct cel_node *args)
{
    for (const struct cel_node *n = cel_node_first(args); n; n = n->next) {
        (void)cel_repr(out, n, 0);
        if (n->next) {
            (void)cel_buf_add(out, ", ", 2);
        }
    }
}

celery_status cel_exception_repr(struct cel_buf *out, struct cel_slice type,
                                 struct cel_slice args_json)
{
    struct cel_arena a;
    const struct cel_node *args;
    cel_arena_init(&a, 0);
    celery_status st = parse_args(&a, args_json, &args);
    if (st == CELERY_OK) {
        (void)cel_buf_add_slice(out, type);
        (void)cel_buf_addc(out, '(');
        add_arg_list(out, args);
        (void)cel_buf_addc(out, ')');
        st = buf_status(out);
    }
    cel_arena_fini(&a);
    return st;
}

/* CPython's own classes below OSError: two arguments are errno and its text. */
static bool is_os_error(struct cel_slice type)
{
    static const char *const names[] = {
        "OSError",           "IOError",
        "EnvironmentError",  "BlockingIOError",
        "ChildProcessError", "ConnectionError",
        "BrokenPipeError",   "ConnectionAbortedError",
        "FileExistsError",   "ConnectionRefusedError",
        "FileNotFoundError", "ConnectionResetError",
        "InterruptedError",  "IsADirectoryError",
        "PermissionError",   "NotADirectoryError",
        "TimeoutError",      "ProcessLookupError",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (cel_slice_is(type, names[i])) {
            return true;
        }
    }
    return false;
}

static void add_str(struct cel_buf *out, const struct cel_node *n)
{
    if (cel_node_is_string(n)) {
        (void)cel_buf_add_slice(out, cel_node_text(n));
    } else {
        (void)cel_repr(out, n, 0);
    }
}

/* str(exc) of at least one argument: BaseException.__str__, KeyError's and OSError's. */
static void add_exception_text(struct cel_buf *out, struct cel_slice type,
                               const struct cel_node *args)
{
    const struct cel_node *first = args->first;
    if (args->size == 1 &&
        (cel_slice_is(type, "KeyError") || cel_slice_is(type, "NotRegistered"))) {
        (void)cel_repr(out, first, 0);
    } else if (args->size == 1) {
        add_str(out, first);
    } else if (args->size == 2 && is_os_error(type)) {
        (void)cel_buf_adds(out, "[Errno ");
        add_str(out, first);
        (void)cel_buf_adds(out, "] ");
        add_str(out, first->next);
    } else {
        (void)cel_buf_addc(out, '(');
        add_arg_list(out, args);
        (void)cel_buf_addc(out, ')');
    }
}

celery_status cel_exception_line(struct cel_buf *out, struct cel_slice type,
                                 struct cel_slice args_json)
{
    struct cel_arena a;
    const struct cel_node *args;
    cel_arena_init(&a, 0);
    celery_status st = parse_args(&a, args_json, &args);
    if (st == CELERY_OK) {
        (void)cel_buf_add_slice(out, type);
        if (args) {
            size_t before = out->len;
            (void)cel_buf_add(out, ": ", 2);
            add_exception_text(out, type, args);
            /* traceback.format_exception_only() leaves ": " out when there is no text. */
            if (cel_buf_ok(out) && out->len == before + 2) {
                out->len = before;
            }
        }
        st = buf_status(out);
    }
    cel_arena_fini(&a);
    return st;
}
