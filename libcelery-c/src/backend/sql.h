/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the SQL backend share.  Nobody else includes it.
 *
 * The loop's side (sql.c, sql_job.c, sql_watch.c) makes jobs and hands them to a thread
 * (sql_thread.c) that owns the connection and carries them out in their order (sql_store.c,
 * sql_load.c, sql_group.c, sql_schema.c).  What both touch is struct cel_sql_link.
 */
#ifndef CEL_BACKEND_SQL_H
#define CEL_BACKEND_SQL_H

#include "backend/backend.h"
#include "backend/sql_driver.h"
#include "base/list.h"
#include "base/map.h"
#include <pthread.h>

enum cel_sql_dialect { CEL_SQL_POSTGRESQL, CEL_SQL_SQLITE, CEL_SQL_MYSQL };

/* celery/backends/database/models.py Task and TaskExtended; children and stamps since 5.7. */
enum cel_sql_column {
    CEL_COL_TASK_ID,
    CEL_COL_STATUS,
    CEL_COL_RESULT,
    CEL_COL_DATE_DONE,
    CEL_COL_TRACEBACK,
    CEL_COL_NAME,
    CEL_COL_ARGS,
    CEL_COL_KWARGS,
    CEL_COL_WORKER,
    CEL_COL_RETRIES,
    CEL_COL_QUEUE,
    CEL_COL_CHILDREN,
    CEL_COL_STAMPS,
    CEL_SQL_COLUMNS,
};

extern const char *const cel_sql_column_names[CEL_SQL_COLUMNS];

/* A table as it was found. */
struct cel_sql_table {
    const char *schema; /* NULL: the connection's own */
    const char *name;
    const char *quoted;   /* schema and name */
    const char *sequence; /* quoted; of its ids */
    bool exists;
    bool has[CEL_SQL_COLUMNS];
    size_t most_chars[CEL_SQL_COLUMNS]; /* 0: no limit */
    size_t most_bytes[CEL_SQL_COLUMNS];
    bool numbers_itself; /* its ids need no sequence */
};

/* A database and how it is used.  All but conn and the tables stays as it was made. */
struct cel_sql_db {
    struct cel_arena arena; /* of all texts */
    const struct cel_sql_driver *driver;
    struct cel_sql_target target;
    enum cel_sql_dialect dialect;
    const struct cel_codec *codec;
    bool extended;
    bool create;
    bool incomplete; /* while it is made: out of memory */
    double expires;
    double recycle;         /* seconds a connection lives; 0: for ever */
    double connect_seconds; /* deadlines */
    double statement_seconds;

    /* the thread's */
    void *conn;
    double opened_at;
    bool mariadb; /* has sequences */
    struct cel_sql_table task;
    struct cel_sql_table group;
    struct cel_buf sql;
    struct cel_buf scratch;
    struct cel_sql_value *values;
    size_t values_cap;
};

enum cel_sql_job_kind {
    CEL_SQL_CONNECT,
    CEL_SQL_STORE,
    CEL_SQL_LOAD,
    CEL_SQL_POLL, /* load() for watches */
    CEL_SQL_FORGET,
    CEL_SQL_SAVE_GROUP,
    CEL_SQL_LOAD_GROUP,
    CEL_SQL_FORGET_GROUP,
    CEL_SQL_CLEANUP,
};

/* What was found about a task. */
struct cel_sql_found {
    const struct cel_node *doc; /* NULL: nothing */
    uint64_t hash;              /* of the row; another one, another state */
};

struct cel_sql_job {
    struct cel_list node;
    enum cel_sql_job_kind kind;
    struct cel_done done;
    struct cel_arena arena;    /* of everything below */
    struct cel_task_meta meta; /* STORE */
    struct cel_slice *ids;     /* tasks, or one group */
    size_t n_ids;
    struct cel_slice json;        /* SAVE_GROUP */
    struct cel_sql_found *found;  /* LOAD, POLL: for each id */
    const struct cel_node *tuple; /* LOAD_GROUP */

    celery_error err;
    int64_t answer;
    size_t bytes;
};

/* What both sides touch, under its lock. */
struct cel_sql_link {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int refs;                          /* the backend and its thread */
    pthread_t thread;                  /* the backend's to join */
    int stop_fd;                       /* eventfd: readable when the thread is to end */
    struct cel_loop *loop;             /* NULL: nobody listens any more */
    struct cel_list queue;             /* to do */
    struct cel_list finished;          /* done or failed */
    struct cel_sql_job *const *flight; /* in the hands of the thread */
    size_t n_flight;
    size_t n_waiting; /* in queue */
    size_t bytes_waiting;
    bool stop;
    bool ended;            /* the thread is about to return */
    celery_error lost;     /* status < 0: the connection is over */
    struct cel_sql_db *db; /* the thread's */
};

enum cel_sql_state { CEL_SQL_CLOSED, CEL_SQL_CONNECTING, CEL_SQL_OPEN };

struct cel_sql {
    struct cel_backend base;
    struct cel_url *const *urls;
    size_t n_urls;
    const struct cel_config *config;
    enum cel_sql_state state;
    struct cel_done connected;
    struct cel_sql_link *link; /* NULL: closed */
    struct cel_source *wake;
    struct cel_source *hook; /* hands over what the pass produced */
    struct cel_list staged;  /* jobs made in this pass */
    size_t n_staged;
    struct cel_list told;    /* jobs whose ends are being told */
    struct cel_map watches;  /* task id: struct cel_sql_watch */
    struct cel_source *poll; /* timer */
    double pause;            /* seconds until the next look */
    bool polling;
};

/* ---- sql.c ---- */

/* The connection is over: everything that waits is answered, lost() or connected told. */
void cel_sql_drop(struct cel_sql *b, const celery_error *why);

/* ---- sql_url.c ---- */

/* What the URL and the settings say; NULL with err.  Loads the driver. */
struct cel_sql_db *cel_sql_db_new(const struct cel_url *url, const struct cel_config *c,
                                  const struct cel_codec *codec, celery_error *err);
void cel_sql_db_free(struct cel_sql_db *db);

/* ---- sql_job.c: the loop's side ---- */

struct cel_sql_job *cel_sql_job_new(struct cel_sql *b, enum cel_sql_job_kind kind,
                                    const struct cel_slice *ids, size_t n,
                                    struct cel_done done);
struct cel_sql_job *cel_sql_job_free(struct cel_sql_job *job);
/* Hands it over at the end of the pass; answers it at once when that cannot be. */
void cel_sql_post(struct cel_sql *b, struct cel_sql_job *give_job);
/* Answers done with a failure of that status. */
void cel_sql_refuse(struct cel_done done, celery_status status);
void cel_sql_fail_all(struct cel_list *jobs, const celery_error *why);
void cel_sql_flush(void *b);
void cel_sql_finished(void *b);

void cel_sql_store(struct cel_backend *base, const struct cel_task_meta *meta,
                   struct cel_done done);
void cel_sql_load(struct cel_backend *base, const struct cel_slice *task_ids, size_t n,
                  struct cel_done done);
void cel_sql_forget(struct cel_backend *base, struct cel_slice task_id,
                    struct cel_done done);
void cel_sql_note(struct cel_backend *base, const struct cel_group_note *note,
                  struct cel_done done);
void cel_sql_load_group(struct cel_backend *base, struct cel_slice group_id,
                        struct cel_done done);
void cel_sql_forget_group(struct cel_backend *base, struct cel_slice group_id,
                          struct cel_done done);
void cel_sql_cleanup(struct cel_backend *base, struct cel_done done);

/* ---- sql_watch.c ---- */

celery_status cel_sql_watch(struct cel_backend *base, struct cel_slice task_id);
void cel_sql_unwatch(struct cel_backend *base, struct cel_slice task_id);
void cel_sql_poll(void *b);
void cel_sql_polled(struct cel_sql *b, const struct cel_sql_job *job);
void cel_sql_watch_clear(struct cel_sql *b);

/* ---- sql_thread.c ---- */

/* Starts the thread; takes db. */
celery_status cel_sql_link_new(struct cel_loop *loop, struct cel_sql_db *give_db,
                               struct cel_sql_link **ret_link, celery_error *err);
/* Ends the thread, as soon as it can; answers everything it was given with why. */
void cel_sql_link_leave(struct cel_sql_link *link, const celery_error *why);

/* ---- of the thread ---- */

/* One statement; false with err, whose status tells what is to be done. */
bool cel_sql_run(struct cel_sql_db *db, const struct cel_sql_value *values, size_t n,
                 const struct cel_sql_rows *rows, struct cel_sql_error *err);
/* Room for n values. */
bool cel_sql_reserve(struct cel_sql_db *db, size_t n);
void cel_sql_set_error(celery_error *err, const struct cel_sql_error *why);

/* sql_schema.c: looks at the tables, makes them if that is wanted.  False with why or err. */
bool cel_sql_prepare(struct cel_sql_db *db, struct cel_sql_error *why, celery_error *err);

/* sql_text.c: the statement in db->sql; false: out of memory. */
bool cel_sql_text_upsert(struct cel_sql_db *db, size_t rows);
bool cel_sql_text_create(struct cel_sql_db *db, const struct cel_sql_table *t);
bool cel_sql_text_columns(struct cel_sql_db *db);
bool cel_sql_text_select(struct cel_sql_db *db, size_t n);
bool cel_sql_text_in(struct cel_sql_db *db, const char *before,
                     const struct cel_sql_table *t, const char *behind, size_t n);
void cel_sql_text_place(struct cel_sql_db *db, size_t n);
/* Columns that are written and read, in their order. */
bool cel_sql_uses(const struct cel_sql_db *db, enum cel_sql_column column);
size_t cel_sql_columns(const struct cel_sql_db *db);

/* sql_row.c: a row of a result in values; CELERY_ELIMIT: it does not fit. */
celery_status cel_sql_row(struct cel_sql_db *db, struct cel_sql_job *job,
                          struct cel_sql_value *values, celery_error *err);
struct cel_sql_value cel_sql_text(struct cel_slice text);
/* "2026-11-22 13:02:13.615386" */
struct cel_sql_value cel_sql_date(struct cel_arena *a, int64_t us);

/* sql_read.c: the document of a row; NULL with err. */
struct cel_node *cel_sql_doc(struct cel_sql_db *db, struct cel_arena *a,
                             const struct cel_sql_value *columns, size_t n,
                             celery_error *err);
/* A pickle, or what the codec wrote (since 5.7). */
celery_status cel_sql_decode(struct cel_sql_db *db, struct cel_arena *a,
                             const struct cel_sql_value *v, struct cel_node **ret_node,
                             celery_error *err);

/* sql_store.c, sql_load.c, sql_group.c: jobs; false with why: the connection's fault. */
bool cel_sql_do_store(struct cel_sql_db *db, struct cel_sql_job *const *jobs, size_t n,
                      struct cel_sql_error *why);
bool cel_sql_do_load(struct cel_sql_db *db, struct cel_sql_job *job,
                     struct cel_sql_error *why);
bool cel_sql_do_forget(struct cel_sql_db *db, struct cel_sql_job *job,
                       struct cel_sql_error *why);
bool cel_sql_do_save_group(struct cel_sql_db *db, struct cel_sql_job *job,
                           struct cel_sql_error *why);
bool cel_sql_do_load_group(struct cel_sql_db *db, struct cel_sql_job *job,
                           struct cel_sql_error *why);
/* Some of what has expired; answer grows, *ret_more: there is more. */
bool cel_sql_do_cleanup(struct cel_sql_db *db, struct cel_sql_job *job, bool *ret_more,
                        struct cel_sql_error *why);

#endif
