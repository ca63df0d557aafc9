/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Results as files in a folder that workers and clients share.  A result is a small file of a local
 * disk: it is written at once, and done is called at the end of the pass.
 */
#include "backend/file.h"
#include "backend/builtin.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* What the next hook tells: the end of an operation, or a watched task. */
struct notice {
    struct cel_list node;
    struct cel_done done;
    celery_error err; /* status 0: none */
    int64_t answer;
    bool is_look;
    size_t len;
    char id[];
};

static struct cel_files_backend *self(struct cel_backend *base)
{
    return (struct cel_files_backend *)base;
}

/* ---- notices ---- */

static celery_status add_notice(struct cel_files_backend *b, const struct notice *like,
                                struct cel_slice id)
{
    struct notice *n = cel_alloc(sizeof *n + id.len);
    if (!n) {
        return CELERY_ENOMEM;
    }
    *n = *like;
    n->len = id.len;
    memcpy(n->id, id.len > 0 ? id.data : "", id.len);
    cel_list_append(&b->notices, &n->node);
    cel_source_schedule(b->hook);
    return CELERY_OK;
}

static void answer(struct cel_files_backend *b, struct cel_done done,
                   celery_status status, int64_t value, const celery_error *err)
{
    struct notice like = {.done = done, .answer = value};
    if (status < 0) {
        like.err = *err;
        like.err.status = status;
    }
    if (add_notice(b, &like, CEL_SLICE_NULL) < 0) {
        cel_done(done, status < 0 ? &like.err : NULL, value);
    }
}

static bool refuse_closed(struct cel_files_backend *b, struct cel_done done)
{
    celery_error err = {0};
    if (b->dir >= 0) {
        return false;
    }
    cel_error_set(&err, CELERY_ECLOSED, "result backend: %s is not open", b->folder);
    cel_done(done, &err, 0);
    return true;
}

static void call_notices(struct cel_files_backend *b, bool dropped)
{
    struct cel_list *first;
    celery_error closed = {0};
    cel_error_set(&closed, CELERY_ECLOSED, "result backend: closed");
    while ((first = cel_list_first(&b->notices)) != NULL) {
        struct notice *n = cel_container_of(first, struct notice, node);
        cel_list_remove(first);
        if (n->is_look) {
            cel_files_look(b, cel_slice(n->id, n->len));
        } else if (dropped) {
            cel_done(n->done, &closed, 0);
        } else {
            cel_done(n->done, n->err.status < 0 ? &n->err : NULL, n->answer);
        }
        cel_free(n);
    }
}

static void on_hook(void *ctx)
{
    call_notices(ctx, false);
}

/* ---- opening ---- */

/* FilesystemBackend._find_path(): file:///folder, file://localhost/folder, file://folder */
static char *folder_of(const struct cel_url *url)
{
    struct cel_buf text = {0};
    if (url->host && strcmp(url->host, "localhost") != 0) {
        cel_buf_adds(&text, url->host);
    }
    cel_buf_adds(&text, url->path ? url->path : "");
    char *folder = cel_buf_steal(&text);
    cel_buf_fini(&text);
    return folder;
}

static celery_status file_init(struct cel_backend *base, struct cel_url *const *urls,
                               size_t n, const struct cel_config *c, celery_error *err)
{
    struct cel_files_backend *b = self(base);
    cel_list_init(&b->notices);
    b->dir = b->inotify = -1;
    b->expires = c ? cel_config_double(c, "result_expires", 0) : 86400;
    b->folder = folder_of(urls[0]);
    if (!b->folder || cel_loop_add_hook(base->loop, &b->hook, on_hook, b) < 0) {
        return cel_error_nomem(err);
    }
    if (b->folder[0] == '\0' || strcmp(b->folder, "/") == 0) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "result_backend: file:// names no folder; use "
                             "file:///path/of/folder");
    }
    return CELERY_OK;
}

static void file_fini(struct cel_backend *base)
{
    struct cel_files_backend *b = self(base);
    b->hook = cel_source_free(b->hook);
    cel_free(b->folder);
}

/* What upstream finds out with a file of its own (_do_directory_test). */
static celery_status open_folder(struct cel_files_backend *b, celery_error *err)
{
    int fd = open(b->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && faccessat(fd, ".", W_OK | X_OK, 0) == 0) {
        b->dir = fd;
        return CELERY_OK;
    }
    int why = errno;
    if (fd >= 0) {
        close(fd);
    }
    return cel_error_sys(
        err, CELERY_ECONNECT, why,
        "result_backend: folder %s (make it, and let workers write to it)", b->folder);
}

static void file_connect(struct cel_backend *base, size_t url_index, struct cel_done done)
{
    struct cel_files_backend *b = self(base);
    celery_error err = {0};
    celery_status status = CELERY_OK;
    if (b->dir < 0) {
        status = open_folder(b, &err);
    }
    if (status == CELERY_OK && !b->timer) {
        status = cel_files_start(b, &err);
    }
    answer(b, done, status, 0, &err);
}

static void file_close(struct cel_backend *base)
{
    struct cel_files_backend *b = self(base);
    cel_files_stop(b);
    if (b->dir >= 0) {
        close(b->dir);
        b->dir = -1;
    }
    call_notices(b, true);
}

/* ---- results ---- */

bool cel_files_tell(struct cel_files_backend *b, struct cel_slice task_id,
                    struct cel_files_version *ret_version)
{
    char name[CEL_FILE_NAME_SIZE];
    struct cel_buf bytes = {0};
    struct cel_arena a = {0};
    struct cel_node *doc = NULL;
    if (cel_files_name(CEL_FILE_TASK, task_id, name, NULL) < 0 ||
        cel_files_read(b, name, &bytes, ret_version, NULL) != CELERY_OK ||
        b->base.codec->decode(&a, cel_buf_slice(&bytes), NULL, &doc, NULL) < 0) {
        doc = NULL; /* none, or one that Python is just writing */
    }
    bool found = doc != NULL;
    b->base.events->meta(b->base.events_ctx, task_id, doc);
    cel_arena_fini(&a);
    cel_buf_fini(&bytes);
    return found;
}

static void file_store(struct cel_backend *base, const struct cel_task_meta *meta,
                       struct cel_done done)
{
    struct cel_files_backend *b = self(base);
    char name[CEL_FILE_NAME_SIZE];
    struct cel_buf text = {0};
    celery_error err = {0};
    if (refuse_closed(b, done)) {
        return;
    }
    celery_status status = cel_files_name(CEL_FILE_TASK, meta->task_id, name, &err);
    if (status == CELERY_OK) {
        status = cel_meta_write(&text, meta, base->codec, &err);
    }
    if (status == CELERY_OK) {
        status = cel_files_write(b, name, cel_buf_slice(&text), &err);
    }
    cel_buf_fini(&text);
    answer(b, done, status, status == CELERY_OK, &err);
}

static void file_load(struct cel_backend *base, const struct cel_slice *task_ids,
                      size_t n, struct cel_done done)
{
    struct cel_files_backend *b = self(base);
    struct cel_files_version version;
    int64_t found = 0;
    if (refuse_closed(b, done)) {
        return;
    }
    for (size_t i = 0; i < n && b->dir >= 0; i++) {
        found += cel_files_tell(b, task_ids[i], &version);
    }
    answer(b, done, CELERY_OK, found, NULL);
}

celery_status cel_files_watch(struct cel_backend *base, struct cel_slice task_id)
{
    struct cel_files_backend *b = self(base);
    struct cel_files_watch *watch = b->dir < 0 ? NULL : cel_calloc(1, sizeof *watch);
    void *old = NULL;
    if (!watch) {
        return b->dir < 0 ? CELERY_ECLOSED : CELERY_ENOMEM;
    }
    if (cel_map_set(&b->watches, task_id, watch, &old) < 0) {
        cel_free(watch);
        return CELERY_ENOMEM;
    }
    cel_free(old);
    return add_notice(b, &(struct notice){.is_look = true}, task_id);
}

static void forget(struct cel_backend *base, const char *prefix, struct cel_slice id,
                   struct cel_done done)
{
    struct cel_files_backend *b = self(base);
    char name[CEL_FILE_NAME_SIZE];
    celery_error err = {0};
    if (refuse_closed(b, done)) {
        return;
    }
    celery_status status = cel_files_name(prefix, id, name, &err);
    if (status == CELERY_OK) {
        status = cel_files_remove(b, name, &err);
    }
    answer(b, done, status, status == CELERY_OK, &err);
}

static void file_forget(struct cel_backend *base, struct cel_slice task_id,
                        struct cel_done done)
{
    forget(base, CEL_FILE_TASK, task_id, done);
}

/* ---- groups ---- */

/* Backend.save_group(); chords count nowhere here, so there is nothing else to note. */
static void file_note(struct cel_backend *base, const struct cel_group_note *note,
                      struct cel_done done)
{
    struct cel_files_backend *b = self(base);
    char name[CEL_FILE_NAME_SIZE];
    struct cel_buf text = {0};
    celery_error err = {0};
    if (refuse_closed(b, done)) {
        return;
    }
    if (note->kind != CEL_NOTE_SAVE_GROUP) {
        answer(b, done, CELERY_OK, 0, NULL);
        return;
    }
    celery_status status = cel_files_name(CEL_FILE_GROUP, note->group_id, name, &err);
    if (status == CELERY_OK) {
        status = cel_group_write(base->codec, &text, note->json, &err);
    }
    if (status == CELERY_OK) {
        status = cel_files_write(b, name, cel_buf_slice(&text), &err);
    }
    cel_buf_fini(&text);
    answer(b, done, status, status == CELERY_OK, &err);
}

static void file_load_group(struct cel_backend *base, struct cel_slice group_id,
                            struct cel_done done)
{
    struct cel_files_backend *b = self(base);
    char name[CEL_FILE_NAME_SIZE];
    struct cel_buf bytes = {0};
    struct cel_arena a = {0};
    struct cel_node *doc = NULL;
    struct cel_files_version version;
    celery_error err = {0};
    if (refuse_closed(b, done)) {
        return;
    }
    celery_status status = cel_files_name(CEL_FILE_GROUP, group_id, name, &err);
    if (status == CELERY_OK) {
        status = cel_files_read(b, name, &bytes, &version, &err);
    }
    if (status == CELERY_OK) {
        status = base->codec->decode(&a, cel_buf_slice(&bytes), NULL, &doc, &err);
    }
    const struct cel_node *tuple = cel_node_get(doc, CEL_SLICE("result"));
    base->events->group(base->events_ctx, group_id, tuple);
    answer(b, done, status, tuple != NULL, &err);
    cel_arena_fini(&a);
    cel_buf_fini(&bytes);
}

static void file_forget_group(struct cel_backend *base, struct cel_slice group_id,
                              struct cel_done done)
{
    forget(base, CEL_FILE_GROUP, group_id, done);
}

static void file_cleanup(struct cel_backend *base, struct cel_done done)
{
    struct cel_files_backend *b = self(base);
    if (!refuse_closed(b, done)) {
        answer(b, done, CELERY_OK, cel_files_expire(b), NULL);
    }
}

static const char *const schemes[] = {"file", NULL};

const struct cel_backend_ops cel_backend_file = {
    .name = "file",
    .schemes = schemes,
    .flags = CEL_BACKEND_PUSHES | CEL_BACKEND_SHARED,
    .size = sizeof(struct cel_files_backend),
    .init = file_init,
    .fini = file_fini,
    .connect = file_connect,
    .close = file_close,
    .store = file_store,
    .load = file_load,
    .watch = cel_files_watch,
    .unwatch = cel_files_unwatch,
    .forget = file_forget,
    .note = file_note,
    .load_group = file_load_group,
    .forget_group = file_forget_group,
    .cleanup = file_cleanup,
};
