/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bindings as kombu >= 5.3 shares them: <control_folder>/<exchange>.exchange is a JSON list of
 * [routing key, pattern, queue] (Channel.get_table() and _queue_bind()).  kombu 5.2 keeps them to
 * itself and sends to the default exchange's queue by name.
 */
#include "base/error.h"
#include "transport/exchange.h"
#include "transport/filesystem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_TRIES = 400, LOCK_WAIT_US = 500, TABLE_MAX = 4 << 20, PATH_SIZE = 4096 };

static celery_status system_error(const char *doing, const char *path, celery_error *err)
{
    int why = errno;
    return cel_error_sys(err, CELERY_ESYSTEM, why, "filesystem://: %s %s", doing, path);
}

static celery_status path_of(struct cel_fs *f, const char *exchange, char path[PATH_SIZE],
                             celery_error *err)
{
    int len = snprintf(path, PATH_SIZE, "%s/%s.exchange", f->control, exchange);
    if (strchr(exchange, '/') || len >= PATH_SIZE || strlen(exchange) > 200) {
        return cel_error_set(err, CELERY_EINVAL,
                             "filesystem://: no exchange can have the name \"%.200s\"",
                             exchange);
    }
    return CELERY_OK;
}

/* Python holds the lock for as long as it takes to write. */
static bool lock(int fd, int kind)
{
    static const struct timespec pause = {.tv_nsec = LOCK_WAIT_US * 1000L};
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, kind | LOCK_NB) == 0) {
            return true;
        }
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return false;
        }
        nanosleep(&pause, NULL);
    }
    errno = ETIMEDOUT;
    return false;
}

/* The rows; an empty or unreadable table is one without any. */
static struct cel_node *read_rows(int fd, struct cel_arena *a)
{
    struct cel_buf text = {0};
    struct cel_node *rows = NULL;
    ssize_t n = 1;
    cel_buf_init(&text, TABLE_MAX);
    while (n > 0 && cel_buf_reserve(&text, 4096, NULL) == CELERY_OK) {
        n = pread(fd, text.data + text.len, text.cap - text.len, (off_t)text.len);
        text.len += n > 0 ? (size_t)n : 0;
    }
    struct cel_node *parsed = NULL;
    if (cel_json_parse(a, cel_buf_slice(&text), NULL, &parsed, NULL) == CELERY_OK) {
        rows = cel_node_copy(a, parsed); /* the text goes */
    }
    cel_buf_fini(&text);
    return rows && rows->kind == CELERY_KIND_ARRAY ? rows
                                                   : cel_node_new(a, CELERY_KIND_ARRAY);
}

static bool is_row(const struct cel_node *row)
{
    return row->kind == CELERY_KIND_ARRAY && row->size == 3 &&
           cel_node_is_string(row->first) && cel_node_is_string(row->first->next) &&
           cel_node_is_string(row->first->next->next);
}

static celery_status write_rows(int fd, const struct cel_node *rows, const char *path,
                                celery_error *err)
{
    struct cel_buf text = {0};
    celery_status status = cel_json_write(&text, rows);
    if (status == CELERY_OK) {
        ssize_t n = pwrite(fd, text.data, text.len, 0);
        if (n != (ssize_t)text.len || ftruncate(fd, n) < 0) {
            status = system_error("writing", path, err);
        }
    }
    cel_buf_fini(&text);
    return status;
}

/* ---- binding ---- */

static struct cel_node *new_row(struct cel_arena *a, const struct cel_queue *q,
                                enum cel_exchange_type type)
{
    struct cel_buf pattern = {0};
    struct cel_slice key = cel_slice_of(q->routing_key ? q->routing_key : "");
    struct cel_node *row = cel_node_new(a, CELERY_KIND_ARRAY);
    if (type == CEL_EXCHANGE_TOPIC) {
        cel_exchange_topic_pattern(&pattern, key);
    }
    if (cel_node_append(row, cel_node_new_string(a, key)) < 0 ||
        cel_node_append(row, cel_node_new_string(a, cel_buf_slice(&pattern))) < 0 ||
        cel_node_append(row, cel_node_new_string(a, cel_slice_of(q->name))) < 0) {
        row = NULL;
    }
    cel_buf_fini(&pattern);
    return row;
}

static bool has_row(const struct cel_node *rows, const struct cel_node *row)
{
    for (const struct cel_node *r = cel_node_first(rows); r; r = r->next) {
        if (cel_node_equal(r, row)) {
            return true;
        }
    }
    return false;
}

static celery_status bind_in(int fd, const struct cel_queue *q,
                             enum cel_exchange_type type, const char *path,
                             celery_error *err)
{
    struct cel_arena a = {0};
    struct cel_node *rows = read_rows(fd, &a);
    struct cel_node *row = new_row(&a, q, type);
    celery_status status = CELERY_OK;
    if (!rows || !row) {
        status = cel_error_nomem(err);
    } else if (!has_row(rows, row)) {
        status = cel_node_append(rows, row) < 0 ? cel_error_nomem(err)
                                                : write_rows(fd, rows, path, err);
    }
    cel_arena_fini(&a);
    return status;
}

celery_status cel_fs_bind(struct cel_fs *f, const struct cel_queue *q, celery_error *err)
{
    char path[PATH_SIZE];
    enum cel_exchange_type type;
    if (!cel_exchange_type_parse(q->exchange_type, &type)) {
        return cel_error_set(err, CELERY_ENOTSUP, "queue %s: no exchanges of type %s",
                             q->name, q->exchange_type);
    }
    if (!q->exchange || !q->exchange[0]) {
        return CELERY_OK;
    }
    celery_status status = path_of(f, q->exchange, path, err);
    if (status < 0) {
        return status;
    }
    if (mkdir(f->control, 0777) < 0 && errno != EEXIST) {
        return system_error("control_folder", f->control, err);
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0 || !lock(fd, LOCK_EX)) {
        status = system_error("opening", path, err);
    } else {
        status = bind_in(fd, q, type, path, err);
    }
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

static celery_status unbind_in(int fd, const char *queue, const char *path,
                               celery_error *err)
{
    struct cel_arena a = {0};
    const struct cel_node *rows = read_rows(fd, &a);
    struct cel_node *left = cel_node_new(&a, CELERY_KIND_ARRAY);
    celery_status status = left ? CELERY_OK : cel_error_nomem(err);
    for (const struct cel_node *r = cel_node_first(rows); r && status == CELERY_OK;
         r = r->next) {
        if ((!is_row(r) || !cel_slice_is(cel_node_text(r->first->next->next), queue)) &&
            cel_node_append(left, cel_node_copy(&a, r)) < 0) {
            status = cel_error_nomem(err);
        }
    }
    if (status == CELERY_OK && rows && left->size != rows->size) {
        status = write_rows(fd, left, path, err);
    }
    cel_arena_fini(&a);
    return status;
}

celery_status cel_fs_unbind(struct cel_fs *f, const char *exchange, const char *queue,
                            celery_error *err)
{
    char path[PATH_SIZE];
    celery_status status = path_of(f, exchange, path, err);
    int fd = status < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return status < 0 || errno == ENOENT ? status
                                             : system_error("opening", path, err);
    }
    status = lock(fd, LOCK_EX) ? unbind_in(fd, queue, path, err)
                               : system_error("locking", path, err);
    close(fd);
    return status;
}

/* ---- looking up ---- */

static bool takes(const struct cel_node *row, struct cel_slice key)
{
    bool topic = cel_node_text(row->first->next).len > 0;
    return cel_exchange_match(topic ? CEL_EXCHANGE_TOPIC : CEL_EXCHANGE_DIRECT,
                              cel_node_text(row->first), key);
}

static celery_status call(const struct cel_node *row,
                          celery_status (*fn)(void *ctx, const char *queue), void *ctx)
{
    char queue[CEL_FS_NAME_SIZE];
    struct cel_slice name = cel_node_text(row->first->next->next);
    if (name.len >= sizeof queue) {
        return CELERY_OK;
    }
    snprintf(queue, sizeof queue, "%.*s", (int)name.len, name.data);
    return fn(ctx, queue);
}

celery_status cel_fs_lookup(struct cel_fs *f, const char *exchange,
                            const char *routing_key,
                            celery_status (*fn)(void *ctx, const char *queue), void *ctx,
                            celery_error *err)
{
    char path[PATH_SIZE];
    struct cel_arena a = {0};
    if (!exchange || !exchange[0]) {
        return fn(ctx, routing_key);
    }
    celery_status status = path_of(f, exchange, path, err);
    int fd = status < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return status < 0 || errno == ENOENT ? status
                                             : system_error("opening", path, err);
    }
    if (!lock(fd, LOCK_SH)) {
        status = system_error("locking", path, err);
        close(fd);
        return status;
    }
    const struct cel_node *rows = read_rows(fd, &a);
    close(fd);
    for (const struct cel_node *r = cel_node_first(rows); r && status == CELERY_OK;
         r = r->next) {
        if (is_row(r) && takes(r, cel_slice_of(routing_key))) {
            status = call(r, fn, ctx);
        }
    }
    cel_arena_fini(&a);
    return status;
}
