/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes of results: inotify tells of those of this machine at once; a look a second finds
 * those of others that share the folder over a network.
 */
#include "backend/file.h"
#include "base/alloc.h"
#include "base/error.h"
#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

static const double LOOK_SECONDS = 1.0;

static bool version_of(const struct cel_files_backend *b, struct cel_slice task_id,
                       struct cel_files_version *ret)
{
    char name[CEL_FILE_NAME_SIZE];
    struct stat st;
    *ret = (struct cel_files_version){0};
    if (cel_files_name(CEL_FILE_TASK, task_id, name, NULL) < 0 ||
        fstatat(b->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return false;
    }
    *ret = (struct cel_files_version){st.st_ino, st.st_mtim};
    return true;
}

static bool same(const struct cel_files_version *a, const struct cel_files_version *b)
{
    return a->inode == b->inode && a->written.tv_sec == b->written.tv_sec &&
           a->written.tv_nsec == b->written.tv_nsec;
}

void cel_files_look(struct cel_files_backend *b, struct cel_slice task_id)
{
    struct cel_files_watch *watch = cel_map_get(&b->watches, task_id);
    struct cel_files_version now;
    if (!watch || b->dir < 0) {
        return;
    }
    version_of(b, task_id, &now);
    if (watch->told && same(&now, &watch->version)) {
        return;
    }
    watch->told = true;
    watch->version = now;
    cel_files_tell(b, task_id, &now); /* may end the watch */
    watch = cel_map_get(&b->watches, task_id);
    if (watch) {
        watch->version = now;
    }
}

/* The owner may end and begin watches while it is told: a list made before. */
static void look_at_all(struct cel_files_backend *b)
{
    struct cel_slice key;
    size_t at = 0;
    size_t n = 0;
    size_t count = b->watches.count;
    char **ids = count > 0 ? cel_calloc(count, sizeof *ids) : NULL;
    while (ids && n < count && cel_map_next(&b->watches, &at, &key, NULL)) {
        ids[n] = cel_strndup(key.data, key.len);
        n += ids[n] != NULL;
    }
    for (size_t i = 0; i < n; i++) {
        cel_files_look(b, cel_slice_of(ids[i]));
        cel_free(ids[i]);
    }
    cel_free(ids);
}

static void on_timer(void *ctx)
{
    struct cel_files_backend *b = ctx;
    look_at_all(b);
    if (b->timer) {
        cel_source_rearm(b->timer, cel_loop_now(b->base.loop) + LOOK_SECONDS);
    }
}

static void on_event(struct cel_files_backend *b, const struct inotify_event *e)
{
    static const size_t prefix = sizeof CEL_FILE_TASK - 1;
    if (e->mask & IN_Q_OVERFLOW) {
        look_at_all(b);
    } else if (e->len > 0 && strncmp(e->name, CEL_FILE_TASK, prefix) == 0) {
        cel_files_look(b, cel_slice_of(e->name + prefix));
    }
}

static void on_inotify(void *ctx, int fd, unsigned ready)
{
    struct cel_files_backend *b = ctx;
    _Alignas(struct inotify_event) char buffer[16384];
    ssize_t len;
    while (b->inotify == fd && (len = read(fd, buffer, sizeof buffer)) > 0) {
        for (ssize_t at = 0; at < len && b->inotify == fd;) {
            const struct inotify_event *e = (const void *)(buffer + at);
            at += (ssize_t)(sizeof *e + e->len);
            on_event(b, e);
        }
    }
}

/* Without inotify (no descriptors left, a strange file system) the timer does it alone. */
static void start_inotify(struct cel_files_backend *b)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) {
        return;
    }
    if (inotify_add_watch(fd, b->folder, IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE) < 0 ||
        cel_loop_add_io(b->base.loop, &b->io, fd, CEL_READ, on_inotify, b) < 0) {
        close(fd);
        return;
    }
    b->inotify = fd;
}

celery_status cel_files_start(struct cel_files_backend *b, celery_error *err)
{
    if (cel_loop_add_timer(b->base.loop, &b->timer,
                           cel_loop_now(b->base.loop) + LOOK_SECONDS, on_timer, b) < 0) {
        return cel_error_nomem(err);
    }
    start_inotify(b);
    return CELERY_OK;
}

static void drop_watches(struct cel_files_backend *b)
{
    size_t at = 0;
    void *watch;
    while (cel_map_next(&b->watches, &at, NULL, &watch)) {
        cel_free(watch);
    }
    cel_map_fini(&b->watches);
}

void cel_files_stop(struct cel_files_backend *b)
{
    b->timer = cel_source_free(b->timer);
    b->io = cel_source_free(b->io);
    if (b->inotify >= 0) {
        close(b->inotify);
        b->inotify = -1;
    }
    drop_watches(b);
}

void cel_files_unwatch(struct cel_backend *base, struct cel_slice task_id)
{
    cel_free(cel_map_del(&((struct cel_files_backend *)base)->watches, task_id));
}
