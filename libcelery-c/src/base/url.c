/* SPDX-License-Identifier: BSD-3-Clause */
/* kombu/utils/url.py parse_url: urllib's HTTP rules for every scheme. */
#include "base/url.h"
#include "base/alloc.h"
#include "base/error.h"
#include <ctype.h>
#include <stdio.h>
#include <strings.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* urllib.parse.unquote(): what is not %XX stays.  NULL: out of memory. */
static char *decode(struct cel_slice s, bool plus_is_blank)
{
    char *text = cel_strndup(s.data, s.len);
    if (!text) {
        return NULL;
    }
    size_t out = 0;
    for (size_t i = 0; i < s.len; i++) {
        int high = s.data[i] == '%' && i + 2 < s.len ? hex_value(s.data[i + 1]) : -1;
        int low = high >= 0 ? hex_value(s.data[i + 2]) : -1;
        if (low >= 0) {
            text[out++] = (char)(high << 4 | low);
            i += 2;
        } else {
            text[out++] = plus_is_blank && s.data[i] == '+' ? ' ' : s.data[i];
        }
    }
    text[out] = '\0';
    return text;
}

/* A NUL would silently end the text. */
static bool decodes_to_nul(struct cel_slice s)
{
    return s.len >= 3 && memmem(s.data, s.len, "%00", 3) != NULL;
}

static celery_status bad(const char *text, celery_error *err, const char *what)
{
    char masked[160];
    cel_url_mask(text, masked, sizeof masked);
    return cel_error_set(err, CELERY_ECONFIG, "URL %s: %s", masked, what);
}

/* Copies of a configuration often bring in line ends and blanks; say so. */
static celery_status check_bytes(const char *text, celery_error *err)
{
    char what[120];
    for (size_t i = 0; text[i]; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c > 0x20 && c != 0x7f) {
            continue;
        }
        const char *name = c == ' ' ? "a blank" : c == '\n' ? "a line end" : NULL;
        if (name) {
            snprintf(what, sizeof what,
                     "it has %s at position %zu (write %%%02X if it belongs "
                     "there)",
                     name, i + 1, c);
        } else {
            snprintf(what, sizeof what,
                     "it has the control character 0x%02x at position %zu", c, i + 1);
        }
        return bad(text, err, what);
    }
    return CELERY_OK;
}

/* Up to the first of the stop characters, which stay in *rest. */
static struct cel_slice take_until(struct cel_slice *rest, const char *stops)
{
    size_t n = 0;
    while (n < rest->len && !strchr(stops, rest->data[n])) {
        n++;
    }
    struct cel_slice part = cel_slice(rest->data, n);
    *rest = cel_slice(rest->data + n, rest->len - n);
    return part;
}

static struct cel_slice skip(struct cel_slice s, size_t n)
{
    return cel_slice(s.data + n, s.len - n);
}

static bool set_text(char **field, struct cel_slice s, bool plus_is_blank)
{
    if (s.len == 0) {
        return true;
    }
    *field = decode(s, plus_is_blank);
    return *field != NULL;
}

static bool read_scheme(struct cel_slice *rest, char **ret_scheme)
{
    const char *mark = memmem(rest->data, rest->len, "://", 3);
    if (!mark || mark == rest->data || !isalpha((unsigned char)rest->data[0])) {
        return false;
    }
    size_t n = (size_t)(mark - rest->data);
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)rest->data[i]) && !strchr("+-._", rest->data[i])) {
            return false;
        }
    }
    *ret_scheme = cel_strndup(rest->data, n);
    if (*ret_scheme) {
        for (char *at = *ret_scheme; *at; at++) {
            *at = (char)tolower((unsigned char)*at);
        }
    }
    *rest = skip(*rest, n + 3);
    return true;
}

/* "user:password@host:port"; what it says is wrong, or NULL. */
static const char *read_authority(struct cel_slice authority, struct cel_url *url,
                                  bool *nomem)
{
    const char *at_sign =
        authority.len > 0 ? memrchr(authority.data, '@', authority.len) : NULL;
    struct cel_slice host = authority;
    if (at_sign) {
        struct cel_slice login =
            cel_slice(authority.data, (size_t)(at_sign - authority.data));
        host = skip(authority, login.len + 1);
        struct cel_slice user = take_until(&login, ":");
        struct cel_slice password = login.len > 0 ? skip(login, 1) : login;
        *nomem |= !set_text(&url->user, user, false);
        *nomem |= !set_text(&url->password, password, false);
    }
    struct cel_slice name;
    if (host.len > 0 && host.data[0] == '[') {
        host = skip(host, 1);
        name = take_until(&host, "]");
        if (host.len == 0) {
            return "the bracket of its IPv6 address is not closed";
        }
        host = skip(host, 1);
        if (host.len > 0 && host.data[0] != ':') {
            return "only :port may follow its IPv6 address";
        }
    } else {
        name = take_until(&host, ":");
    }
    *nomem |= !set_text(&url->host, name, false);
    for (char *c = url->host; c && *c; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    if (host.len > 1) {
        int64_t port;
        if (!isdigit((unsigned char)host.data[1]) ||
            !cel_slice_to_int(skip(host, 1), &port) || port > 65535) {
            return "its port is not a number from 0 to 65535 (in a password, write / ? # "
                   "@ : as %2F %3F %23 %40 %3A)";
        }
        url->port = (int)port;
    }
    return NULL;
}

/* urllib.parse.parse_qsl(): pairs without a value are left out. */
static bool read_options(struct cel_slice query, struct cel_url *url)
{
    if (query.len == 0) {
        return true;
    }
    size_t most = 1;
    for (size_t i = 0; i < query.len; i++) {
        most += query.data[i] == '&';
    }
    url->options = cel_calloc(most, sizeof *url->options);
    if (!url->options) {
        return false;
    }
    struct cel_slice pair;
    while (cel_slice_split(&query, '&', &pair)) {
        struct cel_slice name = take_until(&pair, "=");
        if (name.len == 0 || pair.len < 2) {
            continue;
        }
        struct cel_url_option *option = &url->options[url->n_options++];
        if (!set_text(&option->name, name, true) ||
            !set_text(&option->value, skip(pair, 1), true)) {
            return false;
        }
    }
    return true;
}

celery_status cel_url_parse(const char *text, struct cel_url **ret_url, celery_error *err)
{
    celery_status status = check_bytes(text, err);
    if (status < 0) {
        return status;
    }
    if (decodes_to_nul(cel_slice_of(text))) {
        return bad(text, err, "it has %00, which ends a text");
    }
    struct cel_url *url = cel_calloc(1, sizeof *url);
    if (!url) {
        return cel_error_nomem(err);
    }
    struct cel_slice rest = cel_slice_of(text);
    const char *wrong = NULL;
    bool nomem = false;
    if (!read_scheme(&rest, &url->scheme)) {
        wrong = "it has no scheme; write for example redis://localhost:6379/0";
    } else {
        struct cel_slice authority = take_until(&rest, "/?#");
        struct cel_slice path = take_until(&rest, "?#");
        struct cel_slice query = CEL_SLICE_NULL;
        if (rest.len > 0 && rest.data[0] == '?') {
            rest = skip(rest, 1);
            query = take_until(&rest, "#");
        }
        nomem |= !url->scheme || !set_text(&url->path, path, false) ||
                 !read_options(query, url);
        wrong = read_authority(authority, url, &nomem);
    }
    if (wrong || nomem) {
        cel_url_free(url);
        return nomem ? cel_error_nomem(err) : bad(text, err, wrong);
    }
    *ret_url = url;
    return CELERY_OK;
}

struct cel_url *cel_url_free(struct cel_url *url)
{
    if (!url) {
        return NULL;
    }
    for (size_t i = 0; i < url->n_options; i++) {
        cel_free(url->options[i].name);
        cel_free(url->options[i].value);
    }
    cel_free(url->options);
    cel_free(url->scheme);
    cel_free(url->user);
    cel_free(url->password);
    cel_free(url->host);
    cel_free(url->path);
    cel_free(url);
    return NULL;
}

celery_status cel_url_parse_list(const char *text, struct cel_url ***ret_urls,
                                 size_t *ret_n, celery_error *err)
{
    size_t most = 1;
    for (const char *at = text; *at; at++) {
        most += *at == ';';
    }
    struct cel_url **urls = cel_calloc(most, sizeof(struct cel_url *));
    if (!urls) {
        return cel_error_nomem(err);
    }
    size_t n = 0;
    celery_status status = CELERY_OK;
    struct cel_slice rest = cel_slice_of(text);
    struct cel_slice part;
    while (status == CELERY_OK && cel_slice_split(&rest, ';', &part)) {
        part = cel_slice_trim(part);
        char *copy = part.len > 0 ? cel_strndup(part.data, part.len) : NULL;
        if (copy) {
            status = cel_url_parse(copy, &urls[n], err);
            n += status == CELERY_OK;
        } else if (part.len > 0) {
            status = cel_error_nomem(err);
        }
        cel_free(copy);
    }
    if (status == CELERY_OK && n == 0) {
        status = cel_error_set(err, CELERY_ECONFIG, "the URL is empty");
    }
    if (status < 0) {
        cel_url_free_list(urls, n);
        return status;
    }
    *ret_urls = urls;
    *ret_n = n;
    return CELERY_OK;
}

struct cel_url **cel_url_free_list(struct cel_url **urls, size_t n)
{
    for (size_t i = 0; urls && i < n; i++) {
        cel_url_free(urls[i]);
    }
    cel_free(urls);
    return NULL;
}

const char *cel_url_option(const struct cel_url *url, const char *name)
{
    /* The last one wins, as in dict(parse_qsl(...)). */
    for (size_t i = url->n_options; i > 0; i--) {
        if (strcmp(url->options[i - 1].name, name) == 0) {
            return url->options[i - 1].value;
        }
    }
    return NULL;
}

bool cel_url_flag(const char *value, bool *ret_flag)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};

    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (strcasecmp(value, yes[i]) == 0 || strcasecmp(value, no[i]) == 0) {
            *ret_flag = strcasecmp(value, yes[i]) == 0;
            return true;
        }
    }
    return false;
}
