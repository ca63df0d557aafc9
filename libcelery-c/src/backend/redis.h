/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the Redis backend share.  Nobody else includes it. */
#ifndef CEL_BACKEND_REDIS_H
#define CEL_BACKEND_REDIS_H

#include "backend/backend.h"
#include "base/map.h"
#include "net/redis_conn.h"

enum cel_redis_backend_state { CEL_RB_CLOSED, CEL_RB_CONNECTING, CEL_RB_OPEN };

/* One result of the batch; its texts are in the batch's bytes. */
struct cel_redis_entry {
    size_t key_at, key_len;
    size_t doc_at, doc_len;
    const char *ttl;
    struct cel_done done;
};

struct cel_redis_batch {
    struct cel_buf bytes;
    struct cel_redis_entry *entries;
    size_t count;
    size_t cap;
};

struct cel_redis_backend {
    struct cel_backend base;
    struct cel_url *const *urls;
    size_t n_urls;
    struct cel_redis_options options;
    char *prefix; /* global_keyprefix and "celery-task-meta-" */
    size_t prefix_len;
    char *group_prefix; /* the same with "celery-taskset-meta-" */
    bool chord_ordered; /* result_chord_ordered: parts by their index */
    /* Seconds as text, "0" for ever: of results, of failed ones, of chords while they are counted. */
    char ttl[24];
    char failure_ttl[24];
    char chord_ttl[24];
    char group_ttl[24]; /* a chord's saved group, which users read too: the longer one */

    enum cel_redis_backend_state state;
    struct cel_done connected;
    size_t url_index;
    struct cel_redis *redis;
    struct cel_redis *subscriber; /* for watches; made when the first comes */
    bool subscriber_open;
    struct cel_map watches; /* key: struct cel_redis_watch */

    struct cel_source *hook; /* sends the batch */
    struct cel_redis_batch batch;
    struct cel_slice *words; /* of the command being made */
    size_t words_cap;
    struct cel_buf keys;
};

/* redis.c: the whole backend is over; operations fail, lost() or connected is told. */
void cel_redis_backend_drop(struct cel_redis_backend *b, const celery_error *why);

/* Appends the key of a task to out. */
celery_status cel_redis_backend_key(struct cel_redis_backend *b, struct cel_buf *out,
                                    struct cel_slice task_id);

/* b->words with room for n. */
struct cel_slice *cel_redis_backend_words(struct cel_redis_backend *b, size_t n);

/* An error reply as our status; false when it is none. */
bool cel_redis_backend_failed(const struct cel_resp *reply, celery_error *err);

/* redis_store.c */
void cel_redis_store(struct cel_backend *base, const struct cel_task_meta *meta,
                     struct cel_done done);
void cel_redis_store_flush(void *b);
void cel_redis_store_fail(struct cel_redis_backend *b, const celery_error *why);

/* redis_read.c */
void cel_redis_load(struct cel_backend *base, const struct cel_slice *task_ids, size_t n,
                    struct cel_done done);
void cel_redis_forget(struct cel_backend *base, struct cel_slice task_id,
                      struct cel_done done);

/* redis_watch.c */
celery_status cel_redis_watch(struct cel_backend *base, struct cel_slice task_id);
void cel_redis_unwatch(struct cel_backend *base, struct cel_slice task_id);
void cel_redis_watch_clear(struct cel_redis_backend *b);
bool cel_redis_watches(const struct cel_redis_backend *b, struct cel_slice task_id);

/* redis_chord.c */
/* A part as it is counted: [1, task id, state, result], with the serializer of results. */
celery_status cel_redis_write_part(const struct cel_codec *codec, struct cel_buf *out,
                                   const struct cel_chord_part *part, celery_error *err);
void cel_redis_note(struct cel_backend *base, const struct cel_group_note *note,
                    struct cel_done done);
void cel_redis_load_group(struct cel_backend *base, struct cel_slice group_id,
                          struct cel_done done);
void cel_redis_forget_group(struct cel_backend *base, struct cel_slice group_id,
                            struct cel_done done);
void cel_redis_add_chord_part(struct cel_backend *base, const struct cel_chord_part *part,
                              struct cel_chord_done done);
void cel_redis_keep_chord(struct cel_backend *base, struct cel_slice group_id,
                          struct cel_slice token, int seconds, struct cel_done done);
void cel_redis_end_chord(struct cel_backend *base, struct cel_slice group_id,
                         struct cel_slice token, bool failed, struct cel_done done);

void cel_redis_end_chord_with(struct cel_backend *base, struct cel_slice group_id,
                              struct cel_slice token, int db,
                              const struct cel_chord_push *pushes, size_t n,
                              struct cel_done done);

/* Reads a stored document and reports it; nil: there is none. */
celery_status cel_redis_report(struct cel_redis_backend *b, struct cel_slice task_id,
                               const struct cel_resp *value, celery_error *err);
celery_status cel_redis_report_text(struct cel_redis_backend *b, struct cel_slice task_id,
                                    struct cel_slice text, celery_error *err);

/* load() that reports only what is watched by then. */
void cel_redis_load_watched(struct cel_redis_backend *b, struct cel_slice task_id);

#endif
