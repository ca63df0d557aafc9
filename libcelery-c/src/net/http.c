/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/http.h"

#include <strings.h>

static bool is_token(struct cel_slice s)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!letter && !(c >= '0' && c <= '9') && (c == '\0' || !strchr(marks, c))) {
            return false;
        }
    }
    return s.len > 0;
}

/* A line without its end; CR LF, or LF alone (RFC 9112, 2.2).  False: its end is not there. */
static bool next_line(struct cel_slice *rest, struct cel_slice *ret_line)
{
    const char *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;

    if (!end) {
        return false;
    }
    size_t len = (size_t)(end - rest->data);
    *ret_line = cel_slice(rest->data, len > 0 && end[-1] == '\r' ? len - 1 : len);
    rest->data = end + 1;
    rest->len -= len + 1;
    return true;
}

static bool is_visible(struct cel_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] <= ' ' || s.data[i] > '~') {
            return false;
        }
    }
    return s.len > 0;
}

/* "http://host/path" is what is sent to a proxy; a server has to take it, too. */
static struct cel_slice without_origin(struct cel_slice target)
{
    static const char scheme[] = "http://";
    size_t n = sizeof scheme - 1;

    if (target.len < n || strncasecmp(target.data, scheme, n) != 0) {
        return target;
    }
    const char *path = memchr(target.data + n, '/', target.len - n);
    if (!path) {
        return CEL_SLICE("/");
    }
    return cel_slice(path, (size_t)(target.data + target.len - path));
}

static int read_target(struct cel_slice target, struct cel_http_request *ret)
{
    target = without_origin(target);
    if (!is_visible(target) || target.data[0] != '/') {
        return 400;
    }
    const char *mark = memchr(target.data, '?', target.len);
    size_t len = mark ? (size_t)(mark - target.data) : target.len;
    ret->path = cel_slice(target.data, len);
    ret->query = mark ? cel_slice(mark + 1, target.len - len - 1) : CEL_SLICE_NULL;
    return 200;
}

static int read_request_line(struct cel_slice line, struct cel_http_request *ret,
                             bool *ret_new)
{
    struct cel_slice method;
    struct cel_slice target;
    struct cel_slice version;

    if (!cel_slice_split(&line, ' ', &method) || !is_token(method) ||
        !cel_slice_split(&line, ' ', &target) || !cel_slice_split(&line, ' ', &version) ||
        line.len > 0) {
        return 400;
    }
    *ret_new = cel_slice_is(version, "HTTP/1.1");
    if (!*ret_new && !cel_slice_is(version, "HTTP/1.0")) {
        return cel_slice_starts(version, CEL_SLICE("HTTP/")) ? 505 : 400;
    }
    ret->method = method;
    ret->head = cel_slice_is(method, "HEAD");
    int status = read_target(target, ret);
    if (status != 200) {
        return status;
    }
    return ret->head || cel_slice_is(method, "GET") ? 200 : 405;
}

static bool same_name(struct cel_slice name, const char *text)
{
    return name.len == strlen(text) && strncasecmp(name.data, text, name.len) == 0;
}

static int read_header(struct cel_slice line, unsigned *hosts)
{
    const char *colon = memchr(line.data, ':', line.len);
    int64_t length;

    if (!colon) {
        return 400;
    }
    struct cel_slice name = cel_slice(line.data, (size_t)(colon - line.data));
    struct cel_slice value =
        cel_slice_trim(cel_slice(colon + 1, line.len - name.len - 1));
    if (!is_token(name) || memchr(line.data, '\0', line.len) ||
        memchr(line.data, '\r', line.len)) {
        return 400;
    }
    *hosts += same_name(name, "Host");
    if (same_name(name, "Transfer-Encoding")) {
        return 413;
    }
    if (same_name(name, "Content-Length")) {
        bool number = cel_slice_to_int(value, &length) && length >= 0;
        return !number ? 400 : length > 0 ? 413 : 200;
    }
    return 200;
}

/* The first line tells how long a line may be: longer than everything, the target was. */
static int too_long(struct cel_slice input)
{
    if (input.len <= CEL_HTTP_HEAD_MAX) {
        return 0;
    }
    return memchr(input.data, '\n', CEL_HTTP_HEAD_MAX) ? 431 : 414;
}

int cel_http_parse(struct cel_slice input, struct cel_http_request *ret)
{
    struct cel_slice rest = cel_slice(
        input.data, input.len < CEL_HTTP_HEAD_MAX ? input.len : CEL_HTTP_HEAD_MAX);
    struct cel_slice line = CEL_SLICE_NULL;
    unsigned hosts = 0;
    bool is_new = false;
    bool begun = false;

    *ret = (struct cel_http_request){0};
    /* An empty line before the request is skipped (RFC 9112, 2.2). */
    while (!begun && next_line(&rest, &line)) {
        begun = line.len > 0;
    }
    int status = begun ? read_request_line(line, ret, &is_new) : 0;
    if (status != 200) {
        return status ? status : too_long(input);
    }
    while (next_line(&rest, &line)) {
        if (line.len == 0) {
            return hosts == 1 || (!is_new && hosts == 0) ? 200 : 400;
        }
        status = read_header(line, &hosts);
        if (status != 200) {
            return status;
        }
    }
    return too_long(input);
}

const char *cel_http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } rows[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].status == status) {
            return rows[i].reason;
        }
    }
    return "Unknown";
}

void cel_http_write_head(struct cel_buf *out, int status, const char *content_type,
                         size_t length)
{
    cel_buf_addf(out,
                 "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                 "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n%s"
                 "Connection: close\r\n\r\n",
                 status, cel_http_reason(status), content_type, length,
                 status == 405 ? "Allow: GET, HEAD\r\n" : "");
}
