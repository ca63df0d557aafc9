/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * celery.utils.saferepr.saferepr(): a stream of tokens that ends when a budget of
 * characters is used up.  Strings are quoted without escaping what is in them but quotes.
 */
#include "codec/doc.h"

#include "base/utf8.h"

enum { LEVELS = 3 }; /* maxlevels, unless another is asked for */

struct writer {
    struct cel_buf *out;
    int64_t left; /* characters; compared before each token as upstream does */
    bool limited;
    int level;
    int levels; /* under 0: no limit */
};

struct brackets {
    const char *open;
    const char *close;
};

static size_t count_characters(const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    }
    return n;
}

/* False, with ", ..." written, when the budget is used up before this token. */
static bool may_write(struct writer *w)
{
    if (w->limited && w->left <= 0) {
        cel_buf_adds(w->out, ", ...");
        return false;
    }
    return true;
}

/* Charges what was written since start. */
static bool charge(struct writer *w, size_t start)
{
    if (w->limited) {
        w->left -= (int64_t)count_characters(w->out->data + start, w->out->len - start);
    }
    return cel_buf_ok(w->out);
}

/* celery.utils.text.truncate(): at max characters, then back to the last blank. */
static struct cel_slice truncate_text(const struct writer *w, struct cel_slice text,
                                      bool *ret_cut)
{
    *ret_cut = false;
    if (!w->limited || text.len < (size_t)w->left) {
        return text;
    }
    size_t at = 0;
    int64_t n = 0;
    for (; at < text.len; at++) {
        if (((unsigned char)text.data[at] & 0xc0) != 0x80 && n++ == w->left) {
            break;
        }
    }
    if (n < w->left) {
        return text;
    }
    *ret_cut = true;
    for (size_t blank = at; blank > 0; blank--) {
        if (text.data[blank - 1] == ' ') {
            return cel_slice(text.data, blank - 1);
        }
    }
    return cel_slice(text.data, at);
}

static bool add_literal(struct writer *w, const char *text)
{
    if (!may_write(w)) {
        return false;
    }
    size_t start = w->out->len;
    cel_buf_adds(w->out, text);
    return charge(w, start);
}

static bool add_text(struct writer *w, struct cel_slice text)
{
    if (!may_write(w)) {
        return false;
    }
    size_t start = w->out->len;
    bool is_cut;
    cel_buf_add_slice(w->out, truncate_text(w, text, &is_cut));
    if (is_cut) {
        cel_buf_adds(w->out, "...");
    }
    return charge(w, start);
}

/* _format_chars() */
static bool add_quoted(struct writer *w, struct cel_slice text)
{
    if (!may_write(w)) {
        return false;
    }
    size_t start = w->out->len;
    bool is_cut;
    struct cel_slice kept = truncate_text(w, text, &is_cut);
    cel_buf_addc(w->out, '\'');
    for (size_t i = 0; i < kept.len; i++) {
        if (kept.data[i] == '\'') {
            cel_buf_addc(w->out, '\\');
        }
        cel_buf_addc(w->out, kept.data[i]);
    }
    cel_buf_adds(w->out, is_cut ? "...'" : "'");
    return charge(w, start);
}

/* _format_binary_bytes(): text where the bytes are UTF-8, hexadecimal otherwise. */
static bool add_bytes(struct writer *w, struct cel_slice bytes)
{
    if (!may_write(w)) {
        return false;
    }
    size_t start = w->out->len;
    bool is_cut = w->limited && bytes.len > (size_t)w->left;
    if (is_cut) {
        bytes.len = (size_t)w->left;
    }
    cel_buf_adds(w->out, "b'");
    if (cel_utf8_valid(bytes)) {
        cel_buf_add_slice(w->out, bytes);
    } else {
        for (size_t i = 0; i < bytes.len; i++) {
            cel_buf_addf(w->out, "%02x", (unsigned char)bytes.data[i]);
        }
    }
    cel_buf_adds(w->out, is_cut ? "...'" : "'");
    return charge(w, start);
}

static bool add_node(struct writer *w, const struct cel_node *n, bool tuple);

static bool add_children(struct writer *w, const struct cel_node *n)
{
    bool is_object = n->kind == CELERY_KIND_OBJECT;
    for (const struct cel_node *child = n->first; child; child = child->next) {
        if (is_object) {
            if (!add_quoted(w, cel_node_text(child)) || !add_literal(w, ": ")) {
                return false;
            }
            child = child->next;
        }
        if (!add_node(w, child, false) || (child->next && !add_literal(w, ", "))) {
            return false;
        }
    }
    return true;
}

static struct brackets brackets_of(const struct cel_node *n, bool tuple)
{
    if (tuple) {
        return (struct brackets){"(", n->size == 1 ? ",)" : ")"};
    }
    return n->kind == CELERY_KIND_OBJECT ? (struct brackets){"{", "}"}
                                         : (struct brackets){"[", "]"};
}

static bool add_container(struct writer *w, const struct cel_node *n, bool tuple)
{
    struct brackets b = brackets_of(n, tuple);
    if (w->levels >= 0 && w->level >= w->levels) {
        char text[8] = "[...]";
        text[0] = b.open[0];
        text[4] = b.close[0];
        return add_text(w, cel_slice_of(text));
    }
    w->level++;
    if (!add_literal(w, b.open) || !add_children(w, n)) {
        cel_buf_adds(w->out, b.close); /* brackets are closed even behind the cut */
        return false;
    }
    w->level--;
    return add_literal(w, b.close);
}

static bool add_node(struct writer *w, const struct cel_node *n, bool tuple)
{
    char text[32];
    switch ((celery_kind)n->kind) {
    case CELERY_KIND_NULL:
        return add_text(w, CEL_SLICE("None"));
    case CELERY_KIND_FALSE:
        return add_text(w, CEL_SLICE("False"));
    case CELERY_KIND_TRUE:
        return add_text(w, CEL_SLICE("True"));
    case CELERY_KIND_INT:
        return add_text(w, cel_node_text(n));
    case CELERY_KIND_FLOAT: {
        size_t len = cel_repr_double(cel_node_double(n, 0), text);
        return add_text(w, cel_slice(text, len));
    }
    case CELERY_KIND_STRING:
        return add_quoted(w, cel_node_text(n));
    case CELERY_KIND_BYTES:
        return add_bytes(w, cel_node_text(n));
    case CELERY_KIND_ARRAY:
    case CELERY_KIND_OBJECT:
        return add_container(w, n, tuple && n->kind == CELERY_KIND_ARRAY);
    }
    return true;
}

celery_status cel_saferepr(struct cel_buf *out, const struct cel_node *n, size_t max,
                           int levels, bool tuple)
{
    static const struct cel_node none = {.kind = CELERY_KIND_NULL};
    struct writer w = {.out = out,
                       .left = (int64_t)max,
                       .limited = max != 0,
                       .levels = levels ? levels : LEVELS};
    add_node(&w, n ? n : &none, tuple);
    if (cel_buf_ok(out)) {
        return CELERY_OK;
    }
    return out->max != 0 ? CELERY_ELIMIT : CELERY_ENOMEM;
}
