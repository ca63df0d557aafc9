/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the memory backend share.  Nobody else includes it. */
#ifndef CEL_BACKEND_MEMORY_H
#define CEL_BACKEND_MEMORY_H

#include "backend/backend.h"
#include "base/list.h"
#include "base/map.h"

struct cel_memory_store {
    struct cel_list node;
    char *name;
    unsigned users;
    struct cel_map docs;      /* task id: struct document */
    struct cel_map chords;    /* group id: struct chord */
    struct cel_list backends; /* connected ones */
};

struct cel_memory {
    struct cel_backend base;
    struct cel_memory_store *store;
    struct cel_list node; /* in the store's backends while open */
    bool open;
    double expires;
    struct cel_map watches;
    struct cel_list notices;
    struct cel_source *hook;
};

/*
 * Something the next hook tells; call() frees it.  dropped: the backend was closed before its
 * turn came.
 */
struct cel_memory_notice {
    struct cel_list node;
    void (*call)(struct cel_memory *m, struct cel_memory_notice *n, bool dropped);
};

/* memory.c */
void cel_memory_tell(struct cel_memory *m, struct cel_memory_notice *notice);
void cel_memory_answer(struct cel_memory *m, struct cel_done done, int64_t value);
void cel_memory_fail(struct cel_done done, celery_status status);

/* memory_chord.c */
void cel_memory_free_chords(struct cel_memory_store *s);
void cel_memory_note(struct cel_backend *base, const struct cel_group_note *note,
                     struct cel_done done);
void cel_memory_load_group(struct cel_backend *base, struct cel_slice group_id,
                           struct cel_done done);
void cel_memory_forget_group(struct cel_backend *base, struct cel_slice group_id,
                             struct cel_done done);
void cel_memory_add_chord_part(struct cel_backend *base,
                               const struct cel_chord_part *part,
                               struct cel_chord_done done);
void cel_memory_keep_chord(struct cel_backend *base, struct cel_slice group_id,
                           struct cel_slice token, int seconds, struct cel_done done);
void cel_memory_end_chord(struct cel_backend *base, struct cel_slice group_id,
                          struct cel_slice token, bool failed, struct cel_done done);

#endif
