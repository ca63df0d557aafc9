/* SPDX-License-Identifier: BSD-3-Clause */
/* The thread that owns the connection: takes jobs, in batches, and says how they ended. */
#include "backend/sql.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "net/backoff.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { BATCH_RESULTS = 256, BATCH_BYTES = 4 << 20, SAME_AGAIN = 8, STACK = 512 << 10 };

/* Seconds that leaving waits for the thread; it is left alone if it takes longer. */
static const double LEAVE_SECONDS = 0.5;

static void free_jobs(struct cel_list *jobs)
{
    struct cel_list *it;

    while ((it = cel_list_first(jobs)) != NULL) {
        cel_list_remove(it);
        cel_sql_job_free(cel_container_of(it, struct cel_sql_job, node));
    }
}

static void release(struct cel_sql_link *link)
{
    pthread_mutex_lock(&link->lock);
    int refs = --link->refs;
    pthread_mutex_unlock(&link->lock);
    if (refs == 0) {
        free_jobs(&link->queue);
        free_jobs(&link->finished);
        cel_sql_db_free(link->db);
        close(link->stop_fd);
        pthread_cond_destroy(&link->changed);
        pthread_mutex_destroy(&link->lock);
        cel_free(link);
    }
}

/* ---- statements ---- */

bool cel_sql_run(struct cel_sql_db *db, const struct cel_sql_value *values, size_t n,
                 const struct cel_sql_rows *rows, struct cel_sql_error *err)
{
    if (!cel_buf_ok(&db->sql)) {
        *err = (struct cel_sql_error){.fault = CEL_SQL_LATER, .text = "out of memory"};
        return false;
    }
    return db->driver->run(db->conn, cel_buf_cstr(&db->sql), values, n,
                           db->statement_seconds, rows && rows->row ? rows : NULL, err);
}

bool cel_sql_reserve(struct cel_sql_db *db, size_t n)
{
    if (n > db->values_cap) {
        struct cel_sql_value *values = cel_realloc(db->values, n, sizeof *values);

        if (!values) {
            return false;
        }
        db->values = values;
        db->values_cap = n;
    }
    return true;
}

void cel_sql_set_error(celery_error *err, const struct cel_sql_error *why)
{
    static const celery_status statuses[] = {
        [CEL_SQL_LOST] = CELERY_ECLOSED,     [CEL_SQL_AGAIN] = CELERY_ESYSTEM,
        [CEL_SQL_LATER] = CELERY_ESYSTEM,    [CEL_SQL_DENIED] = CELERY_EAUTH,
        [CEL_SQL_NO_TABLE] = CELERY_ECLOSED, [CEL_SQL_NO_COLUMN] = CELERY_ECONFIG,
        [CEL_SQL_EXISTS] = CELERY_ESYSTEM,   [CEL_SQL_TOO_LONG] = CELERY_ELIMIT,
        [CEL_SQL_REFUSED] = CELERY_EPROTO,   [CEL_SQL_STOPPED] = CELERY_ECLOSED,
    };
    bool known = why->fault > 0 && why->fault < sizeof statuses / sizeof statuses[0];

    cel_error_set(err, known ? statuses[why->fault] : CELERY_ESYSTEM,
                  "result backend: %s%s%s", cel_log_safe(cel_slice_of(why->text)),
                  why->state[0] ? ", SQLSTATE " : "", why->state);
}

/* ---- the connection ---- */

static void close_conn(struct cel_sql_db *db)
{
    if (db->conn) {
        db->driver->close(db->conn);
        db->conn = NULL;
    }
}

static bool open_conn(struct cel_sql_db *db, struct cel_sql_error *why)
{
    close_conn(db);
    db->conn = db->driver->open(&db->target, db->connect_seconds, why);
    db->opened_at = cel_clock_mono();
    return db->conn != NULL;
}

/* pool_recycle: for servers and firewalls that forget connections after a while. */
static bool is_old(const struct cel_sql_db *db)
{
    return db->recycle > 0 && cel_clock_mono() - db->opened_at > db->recycle;
}

static bool is_lost(const struct cel_sql_error *why)
{
    return why->fault == CEL_SQL_LOST || why->fault == CEL_SQL_STOPPED ||
           why->fault == CEL_SQL_NO_TABLE;
}

/* ---- jobs ---- */

static bool connect_it(struct cel_sql_db *db, struct cel_sql_job *job,
                       struct cel_sql_error *why)
{
    celery_error err = {0};

    if (!open_conn(db, why) || !cel_sql_prepare(db, why, &err)) {
        if (err.status < 0) {
            cel_error_set(&job->err, err.status, "%s", err.message);
        } else {
            cel_sql_set_error(&job->err, why);
            if (job->err.status == CELERY_ECLOSED) {
                job->err.status = CELERY_ECONNECT;
            }
        }
        return false;
    }
    return true;
}

static bool do_once(struct cel_sql_db *db, struct cel_sql_job *const *jobs, size_t n,
                    bool *ret_more, struct cel_sql_error *why)
{
    switch (jobs[0]->kind) {
    case CEL_SQL_CONNECT:
        return true;
    case CEL_SQL_STORE:
        return cel_sql_do_store(db, jobs, n, why);
    case CEL_SQL_LOAD:
    case CEL_SQL_POLL:
        return cel_sql_do_load(db, jobs[0], why);
    case CEL_SQL_FORGET:
    case CEL_SQL_FORGET_GROUP:
        return cel_sql_do_forget(db, jobs[0], why);
    case CEL_SQL_SAVE_GROUP:
        return cel_sql_do_save_group(db, jobs[0], why);
    case CEL_SQL_LOAD_GROUP:
        return cel_sql_do_load_group(db, jobs[0], why);
    case CEL_SQL_CLEANUP:
        return cel_sql_do_cleanup(db, jobs[0], ret_more, why);
    }
    return true;
}

/* False: it is to stop. */
static bool pause_for(const struct cel_sql_link *link, double seconds)
{
    struct pollfd fd = {.fd = link->stop_fd, .events = POLLIN};

    return poll(&fd, 1, (int)(seconds * 1000) + 1) == 0;
}

/*
 * All of it is harmless to do twice.  A connection that was closed while nothing happened
 * (pool_pre_ping) or taken away is opened again once before anybody hears of it.
 */
static bool do_job(struct cel_sql_link *link, struct cel_sql_job *const *jobs, size_t n,
                   bool *ret_more, struct cel_sql_error *why)
{
    struct cel_sql_db *db = link->db;
    struct cel_backoff backoff = CEL_BACKOFF_INIT(0.01, 1);
    bool reopened = false;

    for (int i = 0; i < SAME_AGAIN; i++) {
        if ((is_old(db) || !db->conn) && !open_conn(db, why)) {
            return false;
        }
        *why = (struct cel_sql_error){0};
        if (do_once(db, jobs, n, ret_more, why)) {
            return true;
        }
        if (why->fault == CEL_SQL_LOST && !reopened) {
            reopened = true;
            close_conn(db);
        } else if (why->fault != CEL_SQL_AGAIN && why->fault != CEL_SQL_EXISTS) {
            return false;
        } else if (!pause_for(link, cel_backoff_next(&backoff))) {
            why->fault = CEL_SQL_STOPPED;
            return false;
        }
    }
    return false;
}

static void fail_jobs(struct cel_sql_job *const *jobs, size_t n,
                      const struct cel_sql_error *why)
{
    for (size_t i = 0; i < n; i++) {
        cel_sql_set_error(&jobs[i]->err, why);
    }
}

/* ---- the queue ---- */

/* Results that follow each other, up to a second one of the same task. */
static size_t take(struct cel_sql_link *link, struct cel_sql_job **jobs)
{
    struct cel_list *it;
    struct cel_map ids = {0};
    size_t n = 0;
    size_t bytes = 0;

    while (n < BATCH_RESULTS && bytes < BATCH_BYTES &&
           (it = cel_list_first(&link->queue)) != NULL) {
        struct cel_sql_job *job = cel_container_of(it, struct cel_sql_job, node);
        bool store = job->kind == CEL_SQL_STORE;

        if (n > 0 && (!store || cel_map_get(&ids, job->meta.task_id))) {
            break;
        }
        if (store && cel_map_set(&ids, job->meta.task_id, job, NULL) < 0 && n > 0) {
            break;
        }
        cel_list_remove(it);
        link->n_waiting--;
        link->bytes_waiting -= job->bytes;
        bytes += job->bytes;
        jobs[n++] = job;
        if (!store) {
            break;
        }
    }
    cel_map_fini(&ids);
    return n;
}

static void give_back(struct cel_sql_link *link, struct cel_sql_job *const *jobs,
                      size_t n, bool more)
{
    for (size_t i = 0; i < n; i++) {
        cel_list_append(more ? &link->queue : &link->finished, &jobs[i]->node);
        link->n_waiting += more;
        link->bytes_waiting += more ? jobs[i]->bytes : 0;
    }
    if (link->loop) {
        cel_loop_wake(link->loop);
    }
}

/* The next batch, done; false: the thread is over. */
static bool turn(struct cel_sql_link *link)
{
    struct cel_sql_job *jobs[BATCH_RESULTS];
    struct cel_sql_error why = {0};
    bool more = false;
    bool ok = true;

    pthread_mutex_lock(&link->lock);
    while (cel_list_empty(&link->queue) && !link->stop) {
        pthread_cond_wait(&link->changed, &link->lock);
    }
    if (link->stop) {
        pthread_mutex_unlock(&link->lock);
        return false;
    }
    size_t n = take(link, jobs);
    link->flight = jobs;
    link->n_flight = n;
    pthread_mutex_unlock(&link->lock);

    if (jobs[0]->kind == CEL_SQL_CONNECT) {
        ok = connect_it(link->db, jobs[0], &why);
    } else if (!do_job(link, jobs, n, &more, &why)) {
        fail_jobs(jobs, n, &why);
        ok = !is_lost(&why);
    }
    pthread_mutex_lock(&link->lock);
    if (!ok) {
        link->lost = jobs[0]->err;
    }
    link->n_flight = 0;
    give_back(link, jobs, n, more);
    pthread_mutex_unlock(&link->lock);
    return ok;
}

static void *thread_main(void *arg)
{
    struct cel_sql_link *link = arg;

    while (turn(link)) {
    }
    close_conn(link->db);
    pthread_mutex_lock(&link->lock);
    link->ended = true;
    pthread_cond_broadcast(&link->changed);
    pthread_mutex_unlock(&link->lock);
    release(link);
    return NULL;
}

/* ---- its beginning and end ---- */

/* Signals stay with the threads of the program: all are blocked in ours. */
static int start_thread(struct cel_sql_link *link)
{
    pthread_attr_t attr;
    sigset_t all;
    sigset_t before;
    int failed = pthread_attr_init(&attr);

    if (failed) {
        return failed;
    }
    pthread_attr_setstacksize(&attr, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&link->thread, &attr, thread_main, link);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return failed;
}

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attr);
    pthread_condattr_destroy(&attr);
}

celery_status cel_sql_link_new(struct cel_loop *loop, struct cel_sql_db *give_db,
                               struct cel_sql_link **ret_link, celery_error *err)
{
    struct cel_sql_link *link = cel_calloc(1, sizeof *link);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (!link || fd < 0) {
        if (fd >= 0) {
            close(fd);
        }
        cel_free(link);
        cel_sql_db_free(give_db);
        return fd < 0 ? cel_error_sys(err, CELERY_ESYSTEM, errno, "eventfd")
                      : cel_error_nomem(err);
    }
    pthread_mutex_init(&link->lock, NULL);
    init_condition(&link->changed);
    cel_list_init(&link->queue);
    cel_list_init(&link->finished);
    link->refs = 2;
    link->stop_fd = fd;
    link->loop = loop;
    link->db = give_db;
    give_db->target.stop_fd = fd;
    int failed = start_thread(link);
    if (failed) {
        link->refs = 1;
        release(link);
        return cel_error_sys(err, CELERY_ESYSTEM, failed, "cannot start a thread");
    }
    *ret_link = link;
    return CELERY_OK;
}

static void move_all(struct cel_list *from, struct cel_list *to)
{
    struct cel_list *it;

    while ((it = cel_list_first(from)) != NULL) {
        cel_list_remove(it);
        cel_list_append(to, it);
    }
}

/*
 * One that has ended is waited for: what libraries keep for each thread is freed at its very end, and
 * must not be while the process that exits frees the rest (OpenSSL's cleanup).
 */
static void let_go(pthread_t thread, bool ended)
{
    if (ended) {
        pthread_join(thread, NULL);
    } else {
        pthread_detach(thread);
    }
}

/* What a thread that does not end has in its hands is answered all the same. */
static size_t take_flight(struct cel_sql_link *link, struct cel_done *ret_done)
{
    for (size_t i = 0; i < link->n_flight; i++) {
        ret_done[i] = link->flight[i]->done;
        link->flight[i]->done = (struct cel_done){0};
    }
    return link->n_flight;
}

void cel_sql_link_leave(struct cel_sql_link *link, const celery_error *why)
{
    struct cel_done flight[BATCH_RESULTS];
    struct cel_list jobs;
    const uint64_t one = 1;
    struct timespec until;

    pthread_mutex_lock(&link->lock);
    link->stop = true;
    if (write(link->stop_fd, &one, sizeof one) < 0) {
        link->stop = true; /* the eventfd is readable already */
    }
    pthread_cond_broadcast(&link->changed);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(LEAVE_SECONDS * 1e9);
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!link->ended &&
           pthread_cond_timedwait(&link->changed, &link->lock, &until) == 0) {
    }
    link->loop = NULL;
    cel_list_init(&jobs);
    size_t n = take_flight(link, flight);
    move_all(&link->finished, &jobs);
    move_all(&link->queue, &jobs);
    const bool ended = link->ended;
    pthread_mutex_unlock(&link->lock);
    let_go(link->thread, ended);
    release(link);
    for (size_t i = 0; i < n; i++) {
        cel_done(flight[i], why, 0);
    }
    cel_sql_fail_all(&jobs, why);
}
