/* SPDX-License-Identifier: BSD-3-Clause */
#include "aws/xml.h"

#include "base/error.h"
#include "base/utf8.h"

enum { PIECES_MAX = 1000 };

struct reader {
    struct cel_arena *arena;
    struct cel_slice text;
    size_t at;
    struct cel_xml *root;
    struct cel_xml *open; /* innermost element */
    unsigned depth;
    size_t elements;
    unsigned pieces; /* of text behind other pieces, which are put together */
    celery_error *err;
};

static celery_status broken(struct reader *r, const char *what)
{
    return cel_error_set(r->err, CELERY_EMESSAGE, "not XML at byte %zu: %s", r->at, what);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool looking_at(const struct reader *r, const char *text)
{
    size_t len = strlen(text);

    return r->text.len - r->at >= len && memcmp(r->text.data + r->at, text, len) == 0;
}

/* Where the text stands next; false: nowhere. */
static bool find(const struct reader *r, size_t from, const char *text, size_t *ret)
{
    size_t len = strlen(text);
    const char *at = from <= r->text.len
                         ? memmem(r->text.data + from, r->text.len - from, text, len)
                         : NULL;

    *ret = at ? (size_t)(at - r->text.data) : 0;
    return at != NULL;
}

/* ---- text ---- */

/* "&amp;" and the like at the start of s: its bytes, and how many characters it took; 0: none. */
static size_t entity(struct cel_slice s, char ret[4], size_t *ret_taken)
{
    static const struct {
        const char *name;
        char c;
    } names[] = {
        {"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&quot;", '"'}, {"&apos;", '\''}};
    size_t at = 2;
    bool hex = s.len > 3 && s.data[1] == '#' && s.data[2] == 'x';
    uint32_t code = 0;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (cel_slice_starts(s, cel_slice_of(names[i].name))) {
            ret[0] = names[i].c;
            *ret_taken = strlen(names[i].name);
            return 1;
        }
    }
    if (s.len < 4 || s.data[1] != '#') {
        return 0;
    }
    for (at += hex; at < s.len && s.data[at] != ';' && code <= 0x10ffff; at++) {
        char c = s.data[at];
        unsigned lower = (unsigned char)c | 0x20;
        unsigned digit = c >= '0' && c <= '9'                  ? (unsigned)(c - '0')
                         : hex && lower >= 'a' && lower <= 'f' ? lower - 'a' + 10
                                                               : 99;

        if (digit == 99) {
            return 0;
        }
        code = code * (hex ? 16 : 10) + digit;
    }
    if (at == s.len || s.data[at] != ';' || at == 2U + hex || code > 0x10ffff ||
        (code >= 0xd800 && code < 0xe000)) {
        return 0;
    }
    *ret_taken = at + 1;
    return cel_utf8_put(code, ret);
}

/* Entities become characters, line ends "\n" as XML has them. */
static celery_status decode(struct reader *r, struct cel_slice raw, bool entities,
                            char *out, size_t *ret_len)
{
    size_t n = 0;

    for (size_t i = 0; i < raw.len; i++) {
        size_t taken = 0;
        char bytes[4];

        if (raw.data[i] == '&' && entities) {
            size_t len = entity(cel_slice(raw.data + i, raw.len - i), bytes, &taken);

            if (len == 0) {
                return broken(r, "unknown entity");
            }
            memcpy(out + n, bytes, len); /* never longer than its name */
            n += len;
            i += taken - 1;
        } else if (raw.data[i] == '\r') {
            out[n++] = '\n';
            i += i + 1 < raw.len && raw.data[i + 1] == '\n';
        } else {
            out[n++] = raw.data[i];
        }
    }
    *ret_len = n;
    return CELERY_OK;
}

static bool plain(struct cel_slice raw)
{
    return raw.len == 0 ||
           (!memchr(raw.data, '&', raw.len) && !memchr(raw.data, '\r', raw.len));
}

static celery_status add_text(struct reader *r, struct cel_slice raw, bool entities)
{
    struct cel_xml *x = r->open;

    if (!x || x->first || raw.len == 0) {
        return x || cel_slice_trim(raw).len == 0 ? CELERY_OK : broken(r, "text outside");
    }
    if (x->text.len == 0 && plain(raw)) {
        x->text = raw;
        return CELERY_OK;
    }
    if (x->text.len > 0 && ++r->pieces > PIECES_MAX) {
        return cel_error_set(r->err, CELERY_ELIMIT, "XML of too many pieces of text");
    }
    char *all = cel_arena_alloc(r->arena, x->text.len + raw.len);
    size_t len = 0;
    if (!all) {
        return cel_error_nomem(r->err);
    }
    if (x->text.len) {
        memcpy(all, x->text.data, x->text.len);
    }
    celery_status status = decode(r, raw, entities, all + x->text.len, &len);
    x->text = cel_slice(all, x->text.len + len);
    return status;
}

/* ---- tags ---- */

static struct cel_slice read_name(struct reader *r)
{
    size_t start = r->at;

    while (r->at < r->text.len && !blank(r->text.data[r->at]) &&
           !memchr("/>=<\"'", r->text.data[r->at], 6)) {
        start = r->text.data[r->at] == ':' ? r->at + 1 : start;
        r->at++;
    }
    return cel_slice(r->text.data + start, r->at - start);
}

/* Passes over attributes to ">" or "/>". */
static celery_status skip_attributes(struct reader *r, bool *ret_empty)
{
    char quote = 0;

    for (; r->at < r->text.len; r->at++) {
        char c = r->text.data[r->at];

        if (quote) {
            quote = c == quote ? 0 : quote;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '<') {
            return broken(r, "'<' in a tag");
        } else if (c == '>') {
            *ret_empty = r->text.data[r->at - 1] == '/';
            r->at++;
            return CELERY_OK;
        }
    }
    return broken(r, "a tag does not end");
}

static celery_status open_tag(struct reader *r)
{
    struct cel_xml *x;
    bool empty = false;

    if (r->root && !r->open) {
        return broken(r, "a second root");
    }
    if (r->depth == CEL_XML_DEPTH || r->elements == CEL_XML_ELEMENTS) {
        return cel_error_set(r->err, CELERY_ELIMIT, "XML of too many elements");
    }
    x = cel_arena_alloc(r->arena, sizeof *x);
    if (!x) {
        return cel_error_nomem(r->err);
    }
    r->at++;
    *x = (struct cel_xml){.name = read_name(r), .parent = r->open};
    if (x->name.len == 0) {
        return broken(r, "a tag without a name");
    }
    r->elements++;
    if (!r->open) {
        r->root = x;
    } else if (r->open->last) {
        r->open->last = r->open->last->next = x;
    } else {
        r->open->first = r->open->last = x;
        r->open->text = CEL_SLICE_NULL; /* it was white space */
    }
    celery_status status = skip_attributes(r, &empty);
    if (status == CELERY_OK && !empty) {
        r->open = x;
        r->depth++;
    }
    return status;
}

static celery_status close_tag(struct reader *r)
{
    r->at += 2;
    struct cel_slice name = read_name(r);
    while (r->at < r->text.len && blank(r->text.data[r->at])) {
        r->at++;
    }
    if (!r->open || !cel_slice_eq(name, r->open->name) || !looking_at(r, ">")) {
        return broken(r, "a closing tag of another element");
    }
    r->at++;
    r->open = r->open->parent;
    r->depth--;
    return CELERY_OK;
}

/* From one mark to another, both passed over. */
static celery_status skip(struct reader *r, const char *from, const char *to,
                          struct cel_slice *ret_inside)
{
    size_t start = r->at + strlen(from);
    size_t stop;

    if (!find(r, start, to, &stop)) {
        return broken(r, "no end");
    }
    *ret_inside = cel_slice(r->text.data + start, stop - start);
    r->at = stop + strlen(to);
    return CELERY_OK;
}

static celery_status markup(struct reader *r)
{
    struct cel_slice inside;

    if (looking_at(r, "<!--")) {
        return skip(r, "<!--", "-->", &inside);
    }
    if (looking_at(r, "<?")) {
        return skip(r, "<?", "?>", &inside);
    }
    if (looking_at(r, "<![CDATA[")) {
        celery_status status = skip(r, "<![CDATA[", "]]>", &inside);

        return status < 0 ? status : add_text(r, inside, false);
    }
    if (looking_at(r, "<!")) {
        return broken(r, "a declaration");
    }
    return looking_at(r, "</") ? close_tag(r) : open_tag(r);
}

celery_status cel_xml_parse(struct cel_arena *a, struct cel_slice text,
                            struct cel_xml **ret_root, celery_error *err)
{
    struct reader r = {.arena = a, .text = text, .err = err};
    celery_status status = CELERY_OK;

    if (!cel_utf8_valid(text)) {
        return broken(&r, "no UTF-8");
    }
    if (cel_slice_starts(text, CEL_SLICE("\xef\xbb\xbf"))) {
        r.at = 3;
    }
    while (status == CELERY_OK && r.at < text.len) {
        size_t stop = text.len;

        if (text.data[r.at] == '<') {
            status = markup(&r);
            continue;
        }
        if (!find(&r, r.at, "<", &stop)) {
            stop = text.len;
        }
        status = add_text(&r, cel_slice(text.data + r.at, stop - r.at), true);
        r.at = stop;
    }
    if (status == CELERY_OK && (!r.root || r.open)) {
        status = broken(&r, "it ends too early");
    }
    if (status == CELERY_OK) {
        *ret_root = r.root;
    }
    return status;
}

const struct cel_xml *cel_xml_child(const struct cel_xml *x, const char *name)
{
    for (const struct cel_xml *c = x ? x->first : NULL; c; c = c->next) {
        if (cel_slice_is(c->name, name)) {
            return c;
        }
    }
    return NULL;
}
