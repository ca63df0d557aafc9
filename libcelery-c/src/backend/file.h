/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the backend file:// share.  Nobody else includes it. */
#ifndef CEL_BACKEND_FILE_H
#define CEL_BACKEND_FILE_H

#include "backend/backend.h"
#include "base/list.h"
#include "base/map.h"
#include <dirent.h>
#include <sys/stat.h>

/* KeyValueStoreBackend's keys are the names of the files. */
#define CEL_FILE_TASK  "celery-task-meta-"
#define CEL_FILE_GROUP "celery-taskset-meta-"
#define CEL_FILE_CHORD "chord-unlock-"
#define CEL_FILE_TEMP  ".celery-c-" /* of ours, until it is complete */

enum { CEL_FILE_NAME_SIZE = 256 };

/* Which version of a file was told of. */
struct cel_files_version {
    ino_t inode;
    struct timespec written;
};

struct cel_files_watch {
    bool told;
    struct cel_files_version version; /* zeroed: there was none */
};

struct cel_files_backend {
    struct cel_backend base;
    char *folder;
    double expires; /* seconds; 0: never */
    int dir;        /* -1: closed */
    unsigned serial;
    struct cel_map watches; /* task id: struct cel_files_watch */
    struct cel_list notices;
    struct cel_source *hook;
    int inotify; /* -1: only the timer looks */
    struct cel_source *io;
    struct cel_source *timer;
};

/* ---- file_store.c: files, without the loop ---- */

/* prefix and id; CELERY_EMESSAGE when that is no name of a file. */
celery_status cel_files_name(const char *prefix, struct cel_slice id,
                             char name[CEL_FILE_NAME_SIZE], celery_error *err);

/* The bytes of a file; CELERY_NONE: there is none. */
celery_status cel_files_read(const struct cel_files_backend *b, const char *name,
                             struct cel_buf *out, struct cel_files_version *ret_version,
                             celery_error *err);

/* The whole file or nothing of it, and only if it is not the SUCCESS of a task.  CELERY_NONE: so. */
celery_status cel_files_write(struct cel_files_backend *b, const char *name,
                              struct cel_slice bytes, celery_error *err);

celery_status cel_files_remove(const struct cel_files_backend *b, const char *name,
                               celery_error *err); /* CELERY_NONE: there is none */

/* Removes what is older than result_expires; how many. */
int64_t cel_files_expire(const struct cel_files_backend *b);

/* ---- file_watch.c ---- */

celery_status cel_files_start(struct cel_files_backend *b, celery_error *err);
void cel_files_stop(struct cel_files_backend *b);
celery_status cel_files_watch(struct cel_backend *base, struct cel_slice task_id);
void cel_files_unwatch(struct cel_backend *base, struct cel_slice task_id);

/* Reports a task if it is watched and has changed since. */
void cel_files_look(struct cel_files_backend *b, struct cel_slice task_id);

/* ---- file.c ---- */

/* Reads and reports a task's document; whether there is one. */
bool cel_files_tell(struct cel_files_backend *b, struct cel_slice task_id,
                    struct cel_files_version *ret_version);

#endif
