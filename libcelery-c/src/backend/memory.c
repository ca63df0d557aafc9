/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Results in the memory of this process, for tests and for programs whose client and worker
 * share one thread.  All backends of the same URL path see the same results.
 */
#include "backend/memory.h"
#include "backend/builtin.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"

struct document {
    double expires; /* 0: never */
    bool final;     /* SUCCESS */
    size_t len;
    char text[];
};

/* The end of an operation, or the document of a task. */
struct notice {
    struct cel_memory_notice head;
    struct cel_done done;
    int64_t answer;
    bool is_meta;
    size_t len;
    char id[];
};

static struct cel_list stores = {&stores, &stores};

static struct cel_memory_store *use_store(const char *name)
{
    struct cel_list *it;
    struct cel_list *tmp;
    cel_list_foreach(it, tmp, &stores) {
        struct cel_memory_store *s = cel_container_of(it, struct cel_memory_store, node);
        if (strcmp(s->name, name) == 0) {
            s->users++;
            return s;
        }
    }
    struct cel_memory_store *s = cel_calloc(1, sizeof *s);
    char *copy = cel_strdup(name);
    if (!s || !copy) {
        cel_free(s);
        cel_free(copy);
        return NULL;
    }
    s->name = copy;
    s->users = 1;
    cel_list_init(&s->backends);
    cel_list_append(&stores, &s->node);
    return s;
}

static void leave_store(struct cel_memory_store *s)
{
    size_t at = 0;
    void *doc;
    if (!s || --s->users > 0) {
        return;
    }
    while (cel_map_next(&s->docs, &at, NULL, &doc)) {
        cel_free(doc);
    }
    cel_map_fini(&s->docs);
    cel_memory_free_chords(s);
    cel_list_remove(&s->node);
    cel_free(s->name);
    cel_free(s);
}

static const struct document *find(struct cel_memory_store *s, struct cel_slice task_id)
{
    struct document *doc = cel_map_get(&s->docs, task_id);
    if (doc && doc->expires > 0 && doc->expires <= cel_clock_wall()) {
        cel_free(cel_map_del(&s->docs, task_id));
        return NULL;
    }
    return doc;
}

void cel_memory_fail(struct cel_done done, celery_status status)
{
    celery_error err = {0};
    cel_error_set(&err, status, "result backend: %s", celery_status_text(status));
    cel_done(done, &err, 0);
}

/* ---- notices ---- */

void cel_memory_tell(struct cel_memory *m, struct cel_memory_notice *notice)
{
    cel_list_append(&m->notices, &notice->node);
    cel_source_schedule(m->hook);
}

static void tell_meta(struct cel_memory *m, struct cel_slice id);

static void call_notice(struct cel_memory *m, struct cel_memory_notice *head,
                        bool dropped)
{
    struct notice *notice = cel_container_of(head, struct notice, head);
    if (dropped && !notice->is_meta) {
        cel_memory_fail(notice->done, CELERY_ECLOSED);
    } else if (!dropped && notice->is_meta) {
        tell_meta(m, cel_slice(notice->id, notice->len));
    } else if (!dropped) {
        cel_done(notice->done, NULL, notice->answer);
    }
    cel_free(notice);
}

static celery_status add_notice(struct cel_memory *m, struct cel_slice id, bool is_meta,
                                struct cel_done done, int64_t answer)
{
    struct notice *notice = cel_alloc(sizeof *notice + id.len);
    if (!notice) {
        return CELERY_ENOMEM;
    }
    notice->done = done;
    notice->answer = answer;
    notice->is_meta = is_meta;
    notice->len = id.len;
    if (id.len > 0) {
        memcpy(notice->id, id.data, id.len);
    }
    notice->head.call = call_notice;
    cel_memory_tell(m, &notice->head);
    return CELERY_OK;
}

void cel_memory_answer(struct cel_memory *m, struct cel_done done, int64_t value)
{
    if (add_notice(m, CEL_SLICE_NULL, false, done, value) < 0) {
        cel_memory_fail(done, CELERY_ENOMEM);
    }
}

static void tell_meta(struct cel_memory *m, struct cel_slice id)
{
    const struct document *doc = find(m->store, id);
    struct cel_arena a = {0};
    struct cel_node *root = NULL;
    if (doc && m->base.codec->decode(&a, cel_slice(doc->text, doc->len), NULL, &root,
                                     NULL) < 0) {
        root = NULL;
    }
    m->base.events->meta(m->base.events_ctx, id, root);
    cel_arena_fini(&a);
}

static void call_notices(struct cel_memory *m, bool dropped)
{
    struct cel_list *first;
    while ((first = cel_list_first(&m->notices)) != NULL) {
        struct cel_memory_notice *notice =
            cel_container_of(first, struct cel_memory_notice, node);
        cel_list_remove(first);
        notice->call(m, notice, dropped);
    }
}

static void run_notices(void *ctx)
{
    call_notices(ctx, false);
}

static void tell_watchers(struct cel_memory_store *s, struct cel_slice id)
{
    struct cel_list *it;
    struct cel_list *tmp;
    cel_list_foreach(it, tmp, &s->backends) {
        struct cel_memory *m = cel_container_of(it, struct cel_memory, node);
        if (cel_map_get(&m->watches, id)) {
            add_notice(m, id, true, (struct cel_done){0}, 0);
        }
    }
}

/* ---- slots ---- */

static celery_status memory_init(struct cel_backend *base, struct cel_url *const *urls,
                                 size_t n, const struct cel_config *c, celery_error *err)
{
    struct cel_memory *m = (struct cel_memory *)base;
    cel_list_init(&m->node);
    cel_list_init(&m->notices);
    m->expires = c ? cel_config_double(c, "result_expires", 0) : 86400;
    m->store = use_store(urls[0]->path ? urls[0]->path : "/");
    if (!m->store || cel_loop_add_hook(base->loop, &m->hook, run_notices, m) < 0) {
        return cel_error_nomem(err);
    }
    return CELERY_OK;
}

static void memory_fini(struct cel_backend *base)
{
    struct cel_memory *m = (struct cel_memory *)base;
    m->hook = cel_source_free(m->hook);
    leave_store(m->store);
    cel_map_fini(&m->watches);
}

static void memory_connect(struct cel_backend *base, size_t url_index,
                           struct cel_done done)
{
    struct cel_memory *m = (struct cel_memory *)base;
    if (!m->open) {
        m->open = true;
        cel_list_append(&m->store->backends, &m->node);
    }
    cel_memory_answer(m, done, 0);
}

static void memory_close(struct cel_backend *base)
{
    struct cel_memory *m = (struct cel_memory *)base;
    if (!m->store) {
        return; /* init() failed */
    }
    m->open = false;
    cel_list_remove(&m->node);
    cel_map_fini(&m->watches);
    call_notices(m, true);
}

static celery_status put(struct cel_memory *m, const struct cel_task_meta *meta)
{
    struct cel_buf text = {0};
    celery_error err = {0};
    celery_status status = cel_meta_write(&text, meta, m->base.codec, &err);
    struct document *doc = status == CELERY_OK ? cel_alloc(sizeof *doc + text.len) : NULL;
    void *old = NULL;
    if (doc) {
        doc->expires = m->expires > 0 ? cel_clock_wall() + m->expires : 0;
        doc->final = cel_slice_is(meta->status, "SUCCESS");
        doc->len = text.len;
        memcpy(doc->text, text.data, text.len);
        status = cel_map_set(&m->store->docs, meta->task_id, doc, &old);
    } else if (status == CELERY_OK) {
        status = CELERY_ENOMEM;
    }
    cel_free(status == CELERY_OK ? old : doc);
    cel_buf_fini(&text);
    return status;
}

static void memory_store(struct cel_backend *base, const struct cel_task_meta *meta,
                         struct cel_done done)
{
    struct cel_memory *m = (struct cel_memory *)base;
    if (!m->open) {
        cel_memory_fail(done, CELERY_ECLOSED);
        return;
    }
    const struct document *old = find(m->store, meta->task_id);
    if (old && old->final) {
        cel_memory_answer(m, done, 0);
        return;
    }
    celery_status status = put(m, meta);
    if (status < 0) {
        cel_memory_fail(done, status);
        return;
    }
    tell_watchers(m->store, meta->task_id);
    cel_memory_answer(m, done, 1);
}

static void memory_load(struct cel_backend *base, const struct cel_slice *task_ids,
                        size_t n, struct cel_done done)
{
    struct cel_memory *m = (struct cel_memory *)base;
    int64_t found = 0;
    if (!m->open) {
        cel_memory_fail(done, CELERY_ECLOSED);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        found += find(m->store, task_ids[i]) != NULL;
        if (add_notice(m, task_ids[i], true, (struct cel_done){0}, 0) < 0) {
            cel_memory_fail(done, CELERY_ENOMEM);
            return;
        }
    }
    cel_memory_answer(m, done, found);
}

static celery_status memory_watch(struct cel_backend *base, struct cel_slice task_id)
{
    struct cel_memory *m = (struct cel_memory *)base;
    if (!m->open) {
        return CELERY_ECLOSED;
    }
    celery_status status = cel_map_set(&m->watches, task_id, m, NULL);
    return status < 0 ? status : add_notice(m, task_id, true, (struct cel_done){0}, 0);
}

static void memory_unwatch(struct cel_backend *base, struct cel_slice task_id)
{
    cel_map_del(&((struct cel_memory *)base)->watches, task_id);
}

static void memory_forget(struct cel_backend *base, struct cel_slice task_id,
                          struct cel_done done)
{
    struct cel_memory *m = (struct cel_memory *)base;
    if (!m->open) {
        cel_memory_fail(done, CELERY_ECLOSED);
        return;
    }
    void *doc = cel_map_del(&m->store->docs, task_id);
    cel_free(doc);
    cel_memory_answer(m, done, doc != NULL);
}

static const char *const schemes[] = {"memory", "cache+memory", NULL};

const struct cel_backend_ops cel_backend_memory = {
    .name = "memory",
    .schemes = schemes,
    .flags = CEL_BACKEND_PUSHES | CEL_BACKEND_COUNTS,
    .size = sizeof(struct cel_memory),
    .init = memory_init,
    .fini = memory_fini,
    .connect = memory_connect,
    .close = memory_close,
    .store = memory_store,
    .load = memory_load,
    .watch = memory_watch,
    .unwatch = memory_unwatch,
    .forget = memory_forget,
    .note = cel_memory_note,
    .load_group = cel_memory_load_group,
    .forget_group = cel_memory_forget_group,
    .add_chord_part = cel_memory_add_chord_part,
    .keep_chord = cel_memory_keep_chord,
    .end_chord = cel_memory_end_chord,
};
