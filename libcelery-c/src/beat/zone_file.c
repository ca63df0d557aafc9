/* SPDX-License-Identifier: BSD-3-Clause */
/* TZif files (RFC 8536) and where they are. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/error.h"
#include "beat/zone_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { HEADER = 44, MAX_FILE = 1 << 20 };

#define FAR (INT64_C(1) << 40) /* seconds; what is far behind it is no time */

/* Counts of one block of a TZif file, in the order of the header. */
struct counts {
    uint32_t isutc, isstd, leap, time, type, chars;
};

static uint32_t be32(const char *at)
{
    const unsigned char *b = (const unsigned char *)at;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static int64_t be64(const char *at)
{
    return (int64_t)((uint64_t)be32(at) << 32 | be32(at + 4));
}

static celery_status damaged(const char *name, celery_error *err)
{
    return cel_error_set(err, CELERY_ECONFIG, "time zone %s: its file is damaged", name);
}

static bool read_counts(struct cel_slice file, struct counts *c)
{
    if (file.len < HEADER || memcmp(file.data, "TZif", 4) != 0) {
        return false;
    }
    *c =
        (struct counts){be32(file.data + 20), be32(file.data + 24), be32(file.data + 28),
                        be32(file.data + 32), be32(file.data + 36), be32(file.data + 40)};
    return c->isutc < MAX_FILE && c->isstd < MAX_FILE && c->leap < MAX_FILE &&
           c->time <= CEL_ZONE_MAX_CHANGES && c->type > 0 && c->type <= 256 &&
           c->chars < MAX_FILE;
}

static size_t block_size(const struct counts *c, size_t time_size)
{
    return HEADER + c->time * (time_size + 1) + c->type * 6 + c->chars +
           c->leap * (time_size + 4) + c->isstd + c->isutc;
}

/* zoneinfo's _utcoff before the first change: the first type without summer time. */
static int32_t first_offset(const char *types, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (types[i * 6 + 4] == 0) {
            return (int32_t)be32(types + i * 6);
        }
    }
    return (int32_t)be32(types);
}

static celery_status read_changes(struct cel_zone *zone, const char *block,
                                  const struct counts *c, size_t time_size,
                                  celery_error *err)
{
    const char *times = block + HEADER;
    const char *kinds = times + c->time * time_size;
    const char *types = kinds + c->time;
    celery_status status = CELERY_OK;

    zone->first = first_offset(types, c->type);
    for (uint32_t i = 0; i < c->time && status == CELERY_OK; i++) {
        const char *at = times + i * time_size;
        uint32_t type = (unsigned char)kinds[i];
        int64_t when = time_size == 8 ? be64(at) : (int32_t)be32(at);

        if (type >= c->type || when > FAR || when < -FAR * 1000000 ||
            (i > 0 && when <= zone->changes[i - 1].at)) {
            return damaged(zone->name, err);
        }
        status = cel_zone_add(zone, when, (int32_t)be32(types + type * 6), err);
    }
    return status;
}

/* "\n<rule>\n" behind the second block; an empty one: no rule. */
static celery_status read_footer(struct cel_zone *zone, struct cel_slice rest,
                                 celery_error *err)
{
    const char *end = rest.len > 1 && rest.data[0] == '\n'
                          ? memchr(rest.data + 1, '\n', rest.len - 1)
                          : NULL;

    if (!end) {
        return damaged(zone->name, err);
    }
    struct cel_slice rule = cel_slice(rest.data + 1, (size_t)(end - rest.data) - 1);

    return rule.len > 0 ? cel_zone_rule(zone, rule, err) : CELERY_OK;
}

static celery_status read_file(struct cel_zone *zone, struct cel_slice file,
                               celery_error *err)
{
    struct counts c;

    if (!read_counts(file, &c) || block_size(&c, 4) > file.len) {
        return damaged(zone->name, err);
    }
    if (file.data[4] == 0) { /* version 1 */
        return read_changes(zone, file.data, &c, 4, err);
    }
    size_t first = block_size(&c, 4);

    file = cel_slice(file.data + first, file.len - first);
    if (!read_counts(file, &c) || block_size(&c, 8) > file.len) {
        return damaged(zone->name, err);
    }
    celery_status status = read_changes(zone, file.data, &c, 8, err);
    size_t second = block_size(&c, 8);

    return status < 0
               ? status
               : read_footer(zone, cel_slice(file.data + second, file.len - second), err);
}

celery_status cel_zone_parse(const char *name, struct cel_slice tzif,
                             struct cel_zone **ret_zone, celery_error *err)
{
    struct cel_zone *zone = cel_zone_new(name);

    if (!zone) {
        return cel_error_nomem(err);
    }
    celery_status status = read_file(zone, tzif, err);

    *ret_zone = status < 0 ? cel_zone_free(zone) : zone;
    return status;
}

celery_status cel_zone_posix(const char *text, struct cel_zone **ret_zone,
                             celery_error *err)
{
    struct cel_zone *zone = cel_zone_new(text);

    if (!zone) {
        return cel_error_nomem(err);
    }
    celery_status status = cel_zone_rule(zone, cel_slice_of(text), err);

    *ret_zone = status < 0 ? cel_zone_free(zone) : zone;
    return status;
}

/* CELERY_NONE: there is no such file. */
static celery_status load(const char *name, const char *path, struct cel_zone **ret_zone,
                          celery_error *err)
{
    struct cel_buf b;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return CELERY_NONE;
    }
    cel_buf_init(&b, MAX_FILE);
    celery_status status = CELERY_OK;

    while (status == CELERY_OK) {
        status = cel_buf_reserve(&b, 4096, err);
        ssize_t n = status < 0 ? 0 : read(fd, b.data + b.len, 4096);

        if (n <= 0) {
            break;
        }
        b.len += (size_t)n;
    }
    close(fd);
    if (status == CELERY_OK && b.len > 0) {
        status = cel_zone_parse(name, cel_buf_slice(&b), ret_zone, err);
    } else if (status == CELERY_OK) {
        status = CELERY_NONE; /* a folder */
    }
    cel_buf_fini(&b);
    return status;
}

/* No way out of the folders of tzdata. */
static bool is_name(const char *name)
{
    return *name && *name != '/' && *name != '.' && !strstr(name, "..") &&
           strlen(name) < 128;
}

static bool is_utc(const char *name)
{
    return !name || strcmp(name, "UTC") == 0 || strcmp(name, "Etc/UTC") == 0;
}

celery_status cel_zone_open(const char *name, struct cel_zone **ret_zone,
                            celery_error *err)
{
    /* The folders that Python's zoneinfo looks at. */
    const char *folders[] = {getenv("TZDIR"), "/usr/share/zoneinfo", "/usr/lib/zoneinfo",
                             "/usr/share/lib/zoneinfo", "/etc/zoneinfo"};
    char path[512];

    if (is_utc(name)) {
        *ret_zone = cel_zone_new("UTC");
        return *ret_zone ? CELERY_OK : cel_error_nomem(err);
    }
    if (!is_name(name)) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "time zone '%.64s': not a name like "
                             "Europe/Berlin",
                             name);
    }
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        if (!folders[i] || strlen(folders[i]) + strlen(name) + 2 > sizeof path) {
            continue;
        }
        struct cel_buf b = {0};

        cel_buf_addf(&b, "%s/%s", folders[i], name);
        celery_status status = cel_buf_ok(&b)
                                   ? load(name, cel_buf_cstr(&b), ret_zone, err)
                                   : cel_error_nomem(err);
        cel_buf_fini(&b);
        if (status != CELERY_NONE) {
            return status;
        }
    }
    return cel_error_set(
        err, CELERY_ECONFIG,
        "time zone '%.64s': not in /usr/share/zoneinfo; a typing error, or "
        "the package tzdata is missing",
        name);
}

celery_status cel_zone_open_local(struct cel_zone **ret_zone, celery_error *err)
{
    const char *tz = getenv("TZ");
    celery_status status = CELERY_NONE;

    if (tz && *tz == ':') {
        tz++;
    }
    if (tz && *tz) {
        status =
            *tz == '/' ? load(tz, tz, ret_zone, NULL) : cel_zone_open(tz, ret_zone, NULL);
        return status == CELERY_OK ? status : cel_zone_posix(tz, ret_zone, err);
    }
    if (!tz) {
        status = load("/etc/localtime", "/etc/localtime", ret_zone, err);
    }
    return status == CELERY_NONE ? cel_zone_open("UTC", ret_zone, err) : status;
}
