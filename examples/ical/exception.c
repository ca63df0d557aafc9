/* SPDX-License-Identifier: BSD-3-Clause */
#include "exception.h"

#include <string.h>

void exception_raise(struct exception *e, const char *type, const char *message)
{
    exception_clear(e);
    e->type = type;
    text_adds(&e->message, message);
}

void exception_clear(struct exception *e)
{
    text_free(&e->message);
    text_free(&e->args);
    text_free(&e->shown);
    e->type = NULL;
}

void exception_args(const struct exception *e, struct text *out)
{
    if (e->args.len > 0) {
        text_add(out, e->args.data, e->args.len);
        return;
    }
    text_adds(out, "[");
    text_add_json(out, e->message.data, e->message.len);
    text_adds(out, "]");
}

void exception_traceback(const struct exception *e, struct text *out)
{
    const struct text *shown = e->shown.len > 0 ? &e->shown : &e->message;

    text_adds(out, "Traceback (most recent call last):\n"
                   "  File \"create.c\", in create_ical\n");
    text_adds(out, e->type);
    text_adds(out, ": ");
    /* A traceback is handed over as a C string, which would end at a NUL. */
    for (size_t at = 0; at < shown->len;) {
        const char *nul = memchr(shown->data + at, '\0', shown->len - at);
        size_t run = nul ? (size_t)(nul - shown->data) - at : shown->len - at;

        text_add(out, shown->data + at, run);
        at += run;
        if (nul) {
            text_adds(out, "\\x00");
            at++;
        }
    }
    text_adds(out, "\n");
}
