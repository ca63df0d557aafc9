/* SPDX-License-Identifier: BSD-3-Clause */
/* URLs for people to read: never a password. */
#include "base/buf.h"
#include "base/url.h"
#include <ctype.h>
#include <stdio.h>

#define MASK "**"

static void give(struct cel_buf *out, char *text, size_t size)
{
    if (size > 0) {
        snprintf(text, size, "%s", cel_buf_ok(out) ? cel_buf_cstr(out) : "?");
    }
    cel_buf_fini(out);
}

/* urllib.parse.quote() with these characters left as they are. */
static void add_quoted(struct cel_buf *out, const char *text, const char *safe)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (isalnum(c) || strchr("_.-~", c) || strchr(safe, c)) {
            cel_buf_addc(out, (char)c);
        } else {
            cel_buf_addf(out, "%%%02X", c);
        }
    }
}

static void add_host(struct cel_buf *out, const char *host)
{
    if (strchr(host, ':')) {
        cel_buf_addf(out, "[%s]", host);
    } else {
        add_quoted(out, host, "");
    }
}

static int default_port(const char *scheme)
{
    static const struct {
        const char *scheme;
        int port;
    } ports[] = {
        {"redis", 6379}, {"rediss", 6379}, {"sentinel", 26379},
        {"amqp", 5672},  {"amqps", 5671},  {"pyamqp", 5672},
    };
    for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++) {
        if (strcmp(ports[i].scheme, scheme) == 0) {
            return ports[i].port;
        }
    }
    return 0;
}

/* kombu.Connection.as_uri(): host, port and virtual host are shown with their defaults. */
void cel_url_text(const struct cel_url *url, char *text, size_t size)
{
    struct cel_buf out = {0};
    cel_buf_addf(&out, "%s://", url->scheme);
    if (strcmp(url->scheme, "rpc") == 0) { /* RPCBackend.as_uri(): it says no more */
        give(&out, text, size);
        return;
    }
    if (strchr(url->scheme, '+')) {
        if (url->user || url->password) {
            cel_buf_adds(&out, url->password ? ":" MASK "@" : "@");
        }
        add_host(&out, url->host ? url->host : "");
        add_quoted(&out, url->path ? url->path : "", "/");
        give(&out, text, size);
        return;
    }
    if (url->user || url->password) {
        add_quoted(&out, url->user ? url->user : "", "");
        cel_buf_adds(&out, url->password ? ":" MASK "@" : "@");
    }
    add_host(&out, url->host ? url->host : "localhost");
    int port = url->port ? url->port : default_port(url->scheme);
    if (port > 0) {
        cel_buf_addf(&out, ":%d", port);
    }
    cel_buf_addc(&out, '/');
    add_quoted(&out, url->path && url->path[1] ? url->path + 1 : "/", "/");
    give(&out, text, size);
}

/* Query options that hold secrets. */
static bool is_secret(struct cel_slice name)
{
    return memmem(name.data, name.len, "password", 8) || cel_slice_is(name, "secret");
}

static void add_masked_query(struct cel_buf *out, struct cel_slice query)
{
    struct cel_slice pair;
    bool first = true;
    while (cel_slice_split(&query, '&', &pair)) {
        const char *equals = pair.len > 0 ? memchr(pair.data, '=', pair.len) : NULL;
        struct cel_slice name =
            cel_slice(pair.data, equals ? (size_t)(equals - pair.data) : pair.len);
        if (!first) {
            cel_buf_addc(out, '&');
        }
        first = false;
        cel_buf_add_slice(out, name.len > 0 && is_secret(name) ? name : pair);
        if (name.len > 0 && is_secret(name)) {
            cel_buf_adds(out, "=" MASK);
        }
    }
}

/*
 * The text may be anything, so this errs on the side of hiding: all from the first ":" behind
 * the scheme to the last "@" of one URL.
 */
static void add_masked(struct cel_buf *out, struct cel_slice url)
{
    if (!url.data) {
        return;
    }
    const char *scheme_end = url.len > 3 ? memmem(url.data, url.len, "://", 3) : NULL;
    size_t start = scheme_end ? (size_t)(scheme_end - url.data) + 3 : 0;
    struct cel_slice rest = cel_slice(url.data + start, url.len - start);
    cel_buf_add(out, url.data, start);
    const char *at_sign = rest.len > 0 ? memrchr(rest.data, '@', rest.len) : NULL;
    if (at_sign) {
        size_t login = (size_t)(at_sign - rest.data);
        const char *colon = login > 0 ? memchr(rest.data, ':', login) : NULL;
        if (colon) {
            cel_buf_add(out, rest.data, (size_t)(colon - rest.data) + 1);
            cel_buf_adds(out, MASK);
        } else if (!scheme_end || memchr(rest.data, '?', login)) {
            cel_buf_adds(out, MASK);
        } else {
            cel_buf_add(out, rest.data, login);
        }
        rest = cel_slice(at_sign, rest.len - login);
    }
    const char *question = rest.len > 0 ? memchr(rest.data, '?', rest.len) : NULL;
    size_t before = question ? (size_t)(question - rest.data) : rest.len;
    cel_buf_add(out, rest.data, before);
    if (question) {
        cel_buf_addc(out, '?');
        add_masked_query(out, cel_slice(question + 1, rest.len - before - 1));
    }
}

/* A ";" may also belong to a password: then what follows it is no URL. */
static bool is_list(struct cel_slice text)
{
    struct cel_slice part;
    while (cel_slice_split(&text, ';', &part)) {
        if (part.len < 4 || !memmem(part.data, part.len, "://", 3)) {
            return false;
        }
    }
    return true;
}

void cel_url_mask(const char *url, char *text, size_t size)
{
    struct cel_buf out = {0};
    struct cel_slice rest = cel_slice_of(url);
    struct cel_slice part;
    if (is_list(rest)) {
        for (bool first = true; cel_slice_split(&rest, ';', &part); first = false) {
            if (!first) {
                cel_buf_addc(&out, ';');
            }
            add_masked(&out, part);
        }
    } else {
        add_masked(&out, rest);
    }
    /* Control characters must not reach a log. */
    for (size_t i = 0; i < out.len; i++) {
        if ((unsigned char)out.data[i] < 0x20 || out.data[i] == 0x7f) {
            out.data[i] = '?';
        }
    }
    give(&out, text, size);
}
