/* SPDX-License-Identifier: BSD-3-Clause */
/* filesystem://: options, connecting, publishing.  A file of a local disk is written at once. */
#include "transport/filesystem.h"
#include "base/alloc.h"
#include "base/error.h"
#include "message/envelope_json.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool cel_fs_closed(struct cel_fs *f, struct cel_done done)
{
    celery_error err = {0};
    if (f->in >= 0) {
        return false;
    }
    cel_error_set(&err, CELERY_ECLOSED, "filesystem://: %s is not open", f->folder_in);
    cel_done(done, &err, 0);
    return true;
}

void cel_fs_answer(struct cel_done done, celery_status status, const celery_error *err,
                   int64_t answer)
{
    celery_error plain = {0};
    if (status < 0 && err->status >= 0) {
        cel_error_set(&plain, status, "filesystem://: %s", celery_status_text(status));
        err = &plain;
    }
    cel_done(done, status < 0 ? err : NULL, answer);
}

/* ---- options ---- */

static char *option(const struct cel_node *options, const char *name,
                    const char *otherwise)
{
    const struct cel_node *n = cel_node_get(options, cel_slice_of(name));
    struct cel_slice text = cel_node_text(n);
    return cel_node_is_string(n) && text.len > 0 ? cel_strndup(text.data, text.len)
                                                 : cel_strdup(otherwise);
}

static celery_status fs_init(struct cel_transport *t, struct cel_url *const *urls,
                             size_t n, const struct cel_node *options, celery_error *err)
{
    struct cel_fs *f = cel_fs_of(t);
    f->in = f->out = f->mine = f->lock = f->inotify = -1;
    cel_hold_init(&f->hold, sizeof(struct cel_fs_held));
    f->folder_in = option(options, "data_folder_in", "data_in");
    f->folder_out = option(options, "data_folder_out", "data_out");
    f->control = option(options, "control_folder", "control");
    if (cel_node_truth(cel_node_get(options, CEL_SLICE("store_processed")))) {
        f->processed = option(options, "processed_folder", "processed");
    }
    return f->folder_in && f->folder_out && f->control ? CELERY_OK : cel_error_nomem(err);
}

static void fs_fini(struct cel_transport *t)
{
    struct cel_fs *f = cel_fs_of(t);
    for (size_t i = 0; i < f->n_queues; i++) {
        cel_fs_forget_names(f->queues[i]);
        cel_free(f->queues[i]->names);
        cel_free(f->queues[i]->name);
        cel_free(f->queues[i]);
    }
    cel_free(f->queues);
    cel_hold_fini(&f->hold);
    cel_free(f->folder_in);
    cel_free(f->folder_out);
    cel_free(f->control);
    cel_free(f->processed);
}

/* ---- connection ---- */

static celery_status open_folder(const char *path, const char *name, int *ret_fd,
                                 celery_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && faccessat(fd, ".", W_OK | X_OK, 0) == 0) {
        *ret_fd = fd;
        return CELERY_OK;
    }
    int why = errno;
    if (fd >= 0) {
        close(fd);
    }
    return cel_error_sys(err, CELERY_ECONNECT, why,
                         "filesystem://: %s %s (set it in broker_transport_options, and "
                         "make the folder)",
                         name, path);
}

static void drop(struct cel_fs *f)
{
    cel_fs_stop(f);
    cel_fs_close_mine(f);
    if (f->in >= 0) {
        close(f->in);
    }
    if (f->out >= 0) {
        close(f->out);
    }
    f->in = f->out = -1;
}

static void fs_connect(struct cel_transport *t, size_t url_index, struct cel_done done)
{
    struct cel_fs *f = cel_fs_of(t);
    celery_error err = {0};
    celery_status status = CELERY_OK;
    if (f->in < 0) {
        status = open_folder(f->folder_in, "data_folder_in", &f->in, &err);
        if (status == CELERY_OK) {
            status = open_folder(f->folder_out, "data_folder_out", &f->out, &err);
        }
        if (status == CELERY_OK) {
            status = cel_fs_open_mine(f, &err);
        }
        if (status == CELERY_OK) {
            status = cel_fs_start(f, &err);
        }
        if (status < 0) {
            drop(f);
        }
    }
    cel_fs_answer(done, status, &err, 0);
}

static void fs_close(struct cel_transport *t)
{
    struct cel_fs *f = cel_fs_of(t);
    struct cel_fs_held *held;
    uint64_t tag;
    if (f->in < 0) {
        return;
    }
    f->connects++;
    for (size_t at = 0; (held = cel_hold_next(&f->hold, &at, &tag)) != NULL;) {
        cel_fs_put_back(f, f->mine, held->name.text, &held->name, NULL, 0, NULL);
        cel_hold_remove(&f->hold, tag);
    }
    for (size_t i = 0; i < f->n_queues; i++) {
        f->queues[i]->consuming = false;
        cel_fs_forget_names(f->queues[i]);
    }
    drop(f);
}

/* ---- queues ---- */

static struct cel_fs_queue *find(const struct cel_fs *f, const char *name)
{
    for (size_t i = 0; i < f->n_queues; i++) {
        if (strcmp(f->queues[i]->name, name) == 0) {
            return f->queues[i];
        }
    }
    return NULL;
}

struct cel_fs_queue *cel_fs_queue(struct cel_fs *f, const char *name)
{
    struct cel_fs_queue *q = find(f, name);
    if (q) {
        return q;
    }
    struct cel_fs_queue **more =
        cel_realloc(f->queues, f->n_queues + 1, sizeof(struct cel_fs_queue *));
    if (!more) {
        return NULL;
    }
    f->queues = more;
    q = cel_calloc(1, sizeof *q);
    char *copy = cel_strdup(name);
    if (!q || !copy) {
        cel_free(q);
        cel_free(copy);
        return NULL;
    }
    q->name = copy;
    f->queues[f->n_queues++] = q;
    return q;
}

static void fs_declare(struct cel_transport *t, const struct cel_queue *q,
                       struct cel_done done)
{
    struct cel_fs *f = cel_fs_of(t);
    struct cel_fs_name name;
    celery_error err = {0};
    if (cel_fs_closed(f, done)) {
        return;
    }
    celery_status status = cel_fs_new_name(&name, q->name, &err);
    if (status == CELERY_OK && !q->exchange_only) {
        status = cel_fs_bind(f, q, &err);
        struct cel_fs_queue *own = cel_fs_queue(f, q->name);
        if (own) {
            own->no_ack = q->no_ack;
        }
        status = own ? status : CELERY_ENOMEM;
    }
    cel_fs_answer(done, status, &err, 0);
}

static celery_status fs_consume(struct cel_transport *t, const char *queue,
                                celery_error *err)
{
    struct cel_fs *f = cel_fs_of(t);
    if (f->in < 0) {
        return cel_error_set(err, CELERY_ECLOSED, "not connected");
    }
    struct cel_fs_queue *q = cel_fs_queue(f, queue);
    if (!q) {
        return cel_error_nomem(err);
    }
    q->consuming = true;
    cel_fs_look_again(f);
    return CELERY_OK;
}

static celery_status fs_cancel(struct cel_transport *t, const char *queue,
                               celery_error *err)
{
    struct cel_fs_queue *q = find(cel_fs_of(t), queue);
    if (q) {
        q->consuming = false;
        cel_fs_forget_names(q);
    }
    return CELERY_OK;
}

static celery_status fs_set_prefetch(struct cel_transport *t, unsigned count)
{
    cel_fs_of(t)->prefetch = count;
    cel_loop_wake(t->loop);
    return CELERY_OK;
}

static void fs_set_credit(struct cel_transport *t, unsigned count)
{
    cel_fs_of(t)->credited = true;
    cel_fs_of(t)->credit = count;
    cel_loop_wake(t->loop);
}

/* Its bindings stay known to kombu by exchange: all tables are asked. */
struct removal {
    struct cel_fs *f;
    const char *queue;
};

static bool unbind_one(void *ctx, const char *name)
{
    const struct removal *r = ctx;
    char exchange[CEL_FS_NAME_SIZE];
    struct cel_slice text = cel_slice_of(name);
    struct cel_slice end = CEL_SLICE(".exchange");
    if (!cel_slice_ends(text, end) || text.len >= sizeof exchange) {
        return false;
    }
    memcpy(exchange, text.data, text.len - end.len);
    exchange[text.len - end.len] = '\0';
    return cel_fs_unbind(r->f, exchange, r->queue, NULL) == CELERY_OK;
}

static void fs_delete_queue(struct cel_transport *t, const char *queue,
                            struct cel_done done)
{
    struct cel_fs *f = cel_fs_of(t);
    struct removal removal = {f, queue};
    if (cel_fs_closed(f, done)) {
        return;
    }
    fs_cancel(t, queue, NULL);
    int fd = open(f->control, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        cel_fs_each(fd, unbind_one, &removal);
        close(fd);
    }
    cel_fs_slot_purge(t, queue, done);
}

/* ---- publishing ---- */

struct post {
    struct cel_fs *f;
    struct cel_slice text;
    celery_error *err;
};

static celery_status post_to(void *ctx, const char *queue)
{
    const struct post *p = ctx;
    struct cel_fs_name name;
    celery_status status = cel_fs_new_name(&name, queue, p->err);
    return status < 0 ? status
                      : cel_fs_write(p->f, p->f->out, name.text, p->text, p->err);
}

static void fs_publish(struct cel_transport *t, const char *exchange,
                       const char *routing_key, const struct cel_envelope *envelope,
                       struct cel_done done)
{
    struct cel_fs *f = cel_fs_of(t);
    struct cel_buf text = {0};
    celery_error err = {0};
    if (cel_fs_closed(f, done)) {
        return;
    }
    celery_status status = cel_envelope_write(&text, envelope);
    if (status == CELERY_OK) {
        struct post post = {f, cel_buf_slice(&text), &err};
        status = cel_fs_lookup(f, exchange, routing_key, post_to, &post, &err);
    }
    cel_buf_fini(&text);
    cel_fs_answer(done, status, &err, 0);
}

static double fs_silence(const struct cel_transport *t)
{
    return 0; /* the broker is a folder: whoever asks has just been answered */
}

static const char *const schemes[] = {"filesystem", NULL};

const struct cel_transport_ops cel_transport_filesystem = {
    .name = "filesystem",
    .schemes = schemes,
    .flags = CEL_TRANSPORT_CONFIRMS | CEL_TRANSPORT_REDELIVERS,
    .size = sizeof(struct cel_fs),
    .init = fs_init,
    .fini = fs_fini,
    .connect = fs_connect,
    .close = fs_close,
    .declare = fs_declare,
    .publish = fs_publish,
    .consume = fs_consume,
    .cancel = fs_cancel,
    .set_prefetch = fs_set_prefetch,
    .set_credit = fs_set_credit,
    .ack = cel_fs_slot_ack,
    .reject = cel_fs_slot_reject,
    .park = cel_fs_slot_park,
    .count_start = cel_fs_slot_count_start,
    .bury = cel_fs_slot_bury,
    .purge = cel_fs_slot_purge,
    .delete_queue = fs_delete_queue,
    .count = cel_fs_slot_count,
    .silence = fs_silence,
};
