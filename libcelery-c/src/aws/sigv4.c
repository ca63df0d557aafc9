/* SPDX-License-Identifier: BSD-3-Clause */
#include "aws/sigv4.h"

#include "base/iso8601.h"
#include "net/hash.h"

#include <string.h>

enum { QUERY_MAX = 64 };

static void add_hex(struct cel_buf *out, const unsigned char *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        cel_buf_addc(out, digits[bytes[i] >> 4]);
        cel_buf_addc(out, digits[bytes[i] & 15]);
    }
}

static celery_status add_hash(struct cel_buf *out, struct cel_slice bytes)
{
    unsigned char hash[32];

    if (!cel_sha256(bytes, hash)) {
        return CELERY_ENOTSUP;
    }
    add_hex(out, hash, sizeof hash);
    return cel_buf_ok(out) ? CELERY_OK : CELERY_ENOMEM;
}

static int compare(struct cel_slice a, struct cel_slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.data, b.data, len) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* ---- path: without "." and ".." and empty parts, then encoded once more ---- */

static void add_encoded(struct cel_buf *out, struct cel_slice part)
{
    for (size_t i = 0; i < part.len; i++) {
        unsigned char c = (unsigned char)part.data[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            c == '-' || c == '_' || c == '.' || c == '~') {
            cel_buf_addc(out, (char)c);
        } else {
            cel_buf_addf(out, "%%%02X", c);
        }
    }
}

static void add_path(struct cel_buf *out, struct cel_slice path)
{
    size_t start = out->len;
    struct cel_slice rest = path;
    struct cel_slice part;
    bool slash = path.len > 0 && path.data[path.len - 1] == '/';

    while (cel_slice_split(&rest, '/', &part)) {
        if (cel_slice_is(part, "..")) {
            while (out->len > start && out->data[--out->len] != '/') {
            }
        } else if (part.len > 0 && !cel_slice_is(part, ".")) {
            cel_buf_addc(out, '/');
            add_encoded(out, part);
        }
    }
    if (out->len == start || slash) {
        cel_buf_addc(out, '/');
    }
}

/* ---- query: pairs in order, as they are ---- */

static celery_status add_query(struct cel_buf *out, struct cel_slice query)
{
    struct pair {
        struct cel_slice name;
        struct cel_slice value;
    } pairs[QUERY_MAX];
    size_t n = 0;
    struct cel_slice part;

    while (query.len > 0 && cel_slice_split(&query, '&', &part)) {
        struct pair pair = {.value = part};
        size_t at;

        if (n == QUERY_MAX) {
            return CELERY_EINVAL;
        }
        (void)cel_slice_split(&pair.value, '=', &pair.name);
        for (at = n; at > 0; at--) {
            int order = compare(pairs[at - 1].name, pair.name);

            if (order < 0 ||
                (order == 0 && compare(pairs[at - 1].value, pair.value) <= 0)) {
                break;
            }
            pairs[at] = pairs[at - 1];
        }
        pairs[at] = pair;
        n++;
    }
    for (size_t i = 0; i < n; i++) {
        cel_buf_adds(out, i ? "&" : "");
        cel_buf_add_slice(out, pairs[i].name);
        cel_buf_addc(out, '=');
        cel_buf_add_slice(out, pairs[i].value);
    }
    return CELERY_OK;
}

/* ---- headers ---- */

/* Indices in order of names, those of one name in the order they are sent. */
static void sort_headers(const struct cel_sigv4 *s, size_t order[CEL_SIGV4_HEADERS])
{
    for (size_t i = 0; i < s->n_headers; i++) {
        size_t at = i;

        while (at > 0 &&
               compare(s->headers[order[at - 1]].name, s->headers[i].name) > 0) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
}

/* Runs of blanks become one. */
static void add_value(struct cel_buf *out, struct cel_slice value)
{
    value = cel_slice_trim(value);
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];
        bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';

        if (!blank) {
            cel_buf_addc(out, c);
        } else if (out->data[out->len - 1] != ' ') {
            cel_buf_addc(out, ' ');
        }
    }
}

static bool same_name(const struct cel_sigv4 *s, const size_t *order, size_t i)
{
    return i > 0 &&
           cel_slice_eq(s->headers[order[i - 1]].name, s->headers[order[i]].name);
}

static void add_headers(struct cel_buf *out, const struct cel_sigv4 *s,
                        const size_t *order)
{
    for (size_t i = 0; i < s->n_headers && cel_buf_ok(out); i++) {
        if (same_name(s, order, i)) {
            cel_buf_addc(out, ',');
        } else {
            cel_buf_adds(out, i ? "\n" : "");
            cel_buf_add_slice(out, s->headers[order[i]].name);
            cel_buf_addc(out, ':');
        }
        add_value(out, s->headers[order[i]].value);
    }
    cel_buf_addc(out, '\n');
}

static void add_names(struct cel_buf *out, const struct cel_sigv4 *s, const size_t *order)
{
    for (size_t i = 0; i < s->n_headers; i++) {
        if (!same_name(s, order, i)) {
            cel_buf_adds(out, i ? ";" : "");
            cel_buf_add_slice(out, s->headers[order[i]].name);
        }
    }
}

static celery_status end(const struct cel_buf *out)
{
    return cel_buf_ok(out) ? CELERY_OK : CELERY_ENOMEM;
}

celery_status cel_sigv4_canonical(const struct cel_sigv4 *s, struct cel_buf *out)
{
    size_t order[CEL_SIGV4_HEADERS];

    if (s->n_headers > CEL_SIGV4_HEADERS || s->date.len != CEL_SIGV4_DATE) {
        return CELERY_EINVAL;
    }
    sort_headers(s, order);
    cel_buf_add_slice(out, s->method);
    cel_buf_addc(out, '\n');
    add_path(out, s->path);
    cel_buf_addc(out, '\n');
    celery_status status = add_query(out, s->query);
    if (status < 0) {
        return status;
    }
    cel_buf_addc(out, '\n');
    add_headers(out, s, order);
    cel_buf_addc(out, '\n');
    add_names(out, s, order);
    cel_buf_addc(out, '\n');
    return add_hash(out, s->body);
}

static void add_scope(struct cel_buf *out, const struct cel_sigv4 *s)
{
    cel_buf_add(out, s->date.data, 8);
    cel_buf_addc(out, '/');
    cel_buf_add_slice(out, s->region);
    cel_buf_addc(out, '/');
    cel_buf_add_slice(out, s->service);
    cel_buf_adds(out, "/aws4_request");
}

celery_status cel_sigv4_string(const struct cel_sigv4 *s, struct cel_buf *out)
{
    struct cel_buf canonical = {0};
    celery_status status = cel_sigv4_canonical(s, &canonical);

    if (status == CELERY_OK) {
        cel_buf_adds(out, "AWS4-HMAC-SHA256\n");
        cel_buf_add_slice(out, s->date);
        cel_buf_addc(out, '\n');
        add_scope(out, s);
        cel_buf_addc(out, '\n');
        status = add_hash(out, cel_buf_slice(&canonical));
    }
    cel_buf_fini(&canonical);
    return status;
}

static bool mac_next(unsigned char key[32], struct cel_slice text)
{
    unsigned char next[32];
    bool done = cel_hmac_sha256(cel_slice((const char *)key, 32), text, next);

    memcpy(key, next, 32);
    return done;
}

static bool derive(const struct cel_sigv4 *s, struct cel_slice secret,
                   unsigned char key[32])
{
    return cel_hmac_sha256(secret, cel_slice(s->date.data, 8), key) &&
           mac_next(key, s->region) && mac_next(key, s->service) &&
           mac_next(key, CEL_SLICE("aws4_request"));
}

/* The day's key, from kept if that was made of the same. */
static celery_status signing_key(const struct cel_sigv4 *s, struct cel_sigv4_key *kept,
                                 unsigned char key[32])
{
    struct cel_buf seed = {0};
    unsigned char hash[32];
    celery_status status = CELERY_OK;

    cel_buf_adds(&seed, "AWS4");
    cel_buf_add_slice(&seed, s->secret_key);
    size_t secret = seed.len;
    cel_buf_addc(&seed, '\n');
    add_scope(&seed, s);
    if (!cel_buf_ok(&seed)) {
        cel_buf_fini(&seed);
        return CELERY_ENOMEM;
    }
    if (!cel_sha256(cel_buf_slice(&seed), hash)) {
        status = CELERY_ENOTSUP;
    } else if (kept && kept->set && memcmp(kept->seed, hash, sizeof hash) == 0) {
        memcpy(key, kept->key, sizeof kept->key);
    } else if (!derive(s, cel_slice(seed.data, secret), key)) {
        status = CELERY_ENOMEM;
    } else if (kept) {
        memcpy(kept->seed, hash, sizeof hash);
        memcpy(kept->key, key, sizeof kept->key);
        kept->set = true;
    }
    explicit_bzero(seed.data, seed.len);
    cel_buf_fini(&seed);
    return status;
}

celery_status cel_sigv4_authorization(const struct cel_sigv4 *s,
                                      struct cel_sigv4_key *kept, struct cel_buf *out)
{
    struct cel_buf text = {0};
    unsigned char key[32];
    unsigned char signature[32];
    size_t order[CEL_SIGV4_HEADERS];
    celery_status status = cel_sigv4_string(s, &text);

    if (status == CELERY_OK) {
        status = signing_key(s, kept, key);
    }
    if (status == CELERY_OK && !cel_hmac_sha256(cel_slice((const char *)key, sizeof key),
                                                cel_buf_slice(&text), signature)) {
        status = CELERY_ENOMEM;
    }
    if (status == CELERY_OK) {
        sort_headers(s, order);
        cel_buf_adds(out, "AWS4-HMAC-SHA256 Credential=");
        cel_buf_add_slice(out, s->access_key);
        cel_buf_addc(out, '/');
        add_scope(out, s);
        cel_buf_adds(out, ", SignedHeaders=");
        add_names(out, s, order);
        cel_buf_adds(out, ", Signature=");
        add_hex(out, signature, sizeof signature);
        status = end(out);
    }
    explicit_bzero(key, sizeof key);
    cel_buf_fini(&text);
    return status;
}

void cel_sigv4_date(int64_t us, char ret_date[CEL_SIGV4_DATE + 1])
{
    char text[CEL_ISO8601_SIZE];
    size_t n = 0;

    cel_iso8601_format(us - us % 1000000, CEL_ISO_Z, text);
    for (const char *at = text; *at && n < CEL_SIGV4_DATE; at++) {
        if (*at != '-' && *at != ':') {
            ret_date[n++] = *at;
        }
    }
    ret_date[n] = '\0';
}
