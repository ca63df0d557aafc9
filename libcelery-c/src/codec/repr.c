/* SPDX-License-Identifier: BSD-3-Clause */
/* Python's repr() of documents. */
#include "codec/doc.h"

#include "base/utf8.h"

/* Writes until max bytes are exceeded (0: no limit); the caller cuts then. */
struct writer {
    struct cel_buf *out;
    size_t start;
    size_t max;
};

static bool full(const struct writer *w)
{
    return !cel_buf_ok(w->out) || (w->max != 0 && w->out->len - w->start > w->max);
}

static char quote_for(struct cel_slice text)
{
    bool has_single = text.len > 0 && memchr(text.data, '\'', text.len);
    bool has_double = text.len > 0 && memchr(text.data, '"', text.len);
    return has_single && !has_double ? '"' : '\'';
}

/* \n, \r, \t, \\ and the quote; false for others. */
static bool add_short_escape(struct cel_buf *out, uint32_t code, char quote)
{
    switch (code) {
    case '\n':
        cel_buf_adds(out, "\\n");
        return true;
    case '\r':
        cel_buf_adds(out, "\\r");
        return true;
    case '\t':
        cel_buf_adds(out, "\\t");
        return true;
    case '\\':
        cel_buf_adds(out, "\\\\");
        return true;
    default:
        if (code != (unsigned char)quote) {
            return false;
        }
        cel_buf_addc(out, '\\');
        cel_buf_addc(out, quote);
        return true;
    }
}

/* Objects/unicodeobject.c unicode_repr(). */
static void add_string(struct writer *w, struct cel_slice text)
{
    char quote = quote_for(text);
    cel_buf_addc(w->out, quote);
    size_t at = 0;
    while (at < text.len && !full(w)) {
        size_t before = at;
        int32_t code = cel_utf8_next(text, &at);
        if (code < 0) {
            code = 0xfffd;
        }
        if (add_short_escape(w->out, (uint32_t)code, quote)) {
            continue;
        }
        if ((code >= 0x20 && code < 0x7f) || cel_utf8_printable((uint32_t)code)) {
            cel_buf_add(w->out, text.data + before, at - before);
        } else if (code < 0x100) {
            cel_buf_addf(w->out, "\\x%02x", (unsigned)code);
        } else if (code < 0x10000) {
            cel_buf_addf(w->out, "\\u%04x", (unsigned)code);
        } else {
            cel_buf_addf(w->out, "\\U%08x", (unsigned)code);
        }
    }
    cel_buf_addc(w->out, quote);
}

/* Objects/bytesobject.c PyBytes_Repr(). */
static void add_bytes(struct writer *w, struct cel_slice bytes)
{
    char quote = quote_for(bytes);
    cel_buf_addc(w->out, 'b');
    cel_buf_addc(w->out, quote);
    for (size_t i = 0; i < bytes.len && !full(w); i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        if (add_short_escape(w->out, c, quote)) {
            continue;
        }
        if (c >= 0x20 && c < 0x7f) {
            cel_buf_addc(w->out, (char)c);
        } else {
            cel_buf_addf(w->out, "\\x%02x", c);
        }
    }
    cel_buf_addc(w->out, quote);
}

static void add_node(struct writer *w, const struct cel_node *n);

static void add_array(struct writer *w, const struct cel_node *n)
{
    cel_buf_addc(w->out, '[');
    for (const struct cel_node *child = n->first; child && !full(w);
         child = child->next) {
        add_node(w, child);
        if (child->next) {
            cel_buf_adds(w->out, ", ");
        }
    }
    cel_buf_addc(w->out, ']');
}

static void add_object(struct writer *w, const struct cel_node *n)
{
    cel_buf_addc(w->out, '{');
    for (const struct cel_node *k = n->first; k && !full(w); k = k->next->next) {
        add_string(w, cel_node_text(k));
        cel_buf_adds(w->out, ": ");
        add_node(w, k->next);
        if (k->next->next) {
            cel_buf_adds(w->out, ", ");
        }
    }
    cel_buf_addc(w->out, '}');
}

static void add_node(struct writer *w, const struct cel_node *n)
{
    char text[32];
    switch ((celery_kind)n->kind) {
    case CELERY_KIND_NULL:
        cel_buf_adds(w->out, "None");
        break;
    case CELERY_KIND_FALSE:
        cel_buf_adds(w->out, "False");
        break;
    case CELERY_KIND_TRUE:
        cel_buf_adds(w->out, "True");
        break;
    case CELERY_KIND_INT:
        cel_buf_add_slice(w->out, cel_node_text(n));
        break;
    case CELERY_KIND_FLOAT:
        cel_buf_add(w->out, text, cel_repr_double(cel_node_double(n, 0), text));
        break;
    case CELERY_KIND_STRING:
        add_string(w, cel_node_text(n));
        break;
    case CELERY_KIND_BYTES:
        add_bytes(w, cel_node_text(n));
        break;
    case CELERY_KIND_ARRAY:
        add_array(w, n);
        break;
    case CELERY_KIND_OBJECT:
        add_object(w, n);
        break;
    }
}

/* Cuts what was written to max bytes, "..." counted, between characters. */
static void cut(struct writer *w)
{
    size_t len = w->out->len - w->start;
    if (w->max == 0 || len <= w->max) {
        return;
    }
    size_t keep = w->max > 3 ? w->max - 3 : 0;
    while (keep > 0 && ((unsigned char)w->out->data[w->start + keep] & 0xc0) == 0x80) {
        keep--;
    }
    w->out->len = w->start + keep;
    cel_buf_add(w->out, "...", w->max < 3 ? w->max : 3);
}

static celery_status result_of(const struct cel_buf *out)
{
    if (cel_buf_ok(out)) {
        return CELERY_OK;
    }
    return out->max != 0 ? CELERY_ELIMIT : CELERY_ENOMEM;
}

celery_status cel_repr(struct cel_buf *out, const struct cel_node *n, size_t max)
{
    static const struct cel_node none = {.kind = CELERY_KIND_NULL};
    struct writer w = {out, out->len, max};
    add_node(&w, n ? n : &none);
    cut(&w);
    return result_of(out);
}

celery_status cel_repr_string(struct cel_buf *out, struct cel_slice wtf8)
{
    struct writer w = {out, out->len, 0};
    add_string(&w, wtf8);
    return result_of(out);
}
