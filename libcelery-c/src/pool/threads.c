/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tasks run in threads.  Jobs and outcomes cross over as the same frames that children get,
 * so that no thread ever reads memory that the loop may free: a thread cannot be killed
 * and may come back long after its job was given up.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "pool/crew.h"
#include "pool/serve.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define KEEP_BUFFER (256 * 1024)
#define STOP_TIME   2  /* seconds running tasks have to notice that they should stop */
#define MEMORY_WAIT 10 /* milliseconds until an outcome without memory is tried again */
#define MAX_THREADS 4096

/* Shared with the threads; outlives the pool when one of them does not end. */
struct shared {
    struct cel_loop *loop;
    atomic_bool wake_sent;
    atomic_bool deaf; /* the loop may be gone */
};

struct thread {
    struct cel_member member;
    struct cel_board board;
    struct cel_serve serve;
    struct cel_pool_options options;
    struct shared *shared;
    pthread_t id;
    bool started;
    struct cel_buf taken; /* outcomes the loop works on */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct cel_buf inbox;
    struct cel_buf outbox;
    bool sleeping;
    bool closing;
    bool ended;
};

struct threads {
    struct cel_pool pool;
    struct cel_crew crew;
    struct shared *shared;
    struct cel_source *wake;
    unsigned capacity; /* of crew.members */
};

static struct threads *threads_of(struct cel_pool *p)
{
    return (struct threads *)p;
}

static struct thread *thread_of(struct cel_member *m)
{
    return (struct thread *)m;
}

/* Moves all bytes; false: out of memory, nothing moved. */
static bool move(struct cel_buf *to, struct cel_buf *from)
{
    if (to->len == 0) {
        struct cel_buf swap = *to;
        *to = *from;
        *from = swap;
        from->failed = false;
        return true;
    }
    if (cel_buf_reserve(to, from->len, NULL) < 0) {
        to->failed = false;
        return false;
    }
    cel_buf_add(to, from->data, from->len);
    cel_buf_clear(from);
    return true;
}

static void shrink(struct cel_buf *b)
{
    if (b->cap > KEEP_BUFFER) {
        cel_buf_fini(b);
        cel_buf_init(b, 0);
    } else {
        cel_buf_clear(b);
    }
}

/* ---- in the thread ---- */

static bool fill(void *ctx, struct cel_buf *in)
{
    struct thread *t = ctx;
    bool moved = false;
    pthread_mutex_lock(&t->lock);
    while (t->inbox.len == 0 && !t->closing) {
        t->sleeping = true;
        pthread_cond_wait(&t->changed, &t->lock);
        t->sleeping = false;
    }
    if (t->inbox.len > 0) {
        moved = move(in, &t->inbox);
    }
    pthread_mutex_unlock(&t->lock);
    return moved;
}

static void put(void *ctx, struct cel_buf *out)
{
    struct thread *t = ctx;
    for (;;) {
        pthread_mutex_lock(&t->lock);
        bool moved = move(&t->outbox, out);
        pthread_mutex_unlock(&t->lock);
        if (moved) {
            return;
        }
        struct timespec pause = {0, MEMORY_WAIT * 1000000L};
        nanosleep(&pause, NULL);
    }
}

static void flush(void *ctx)
{
    struct shared *shared = ((struct thread *)ctx)->shared;
    if (!atomic_load(&shared->deaf) && !atomic_exchange(&shared->wake_sent, true)) {
        cel_loop_wake(shared->loop);
    }
}

static void *thread_main(void *ctx)
{
    struct thread *t = ctx;
    cel_serve_run(&t->serve);
    pthread_mutex_lock(&t->lock);
    t->ended = true;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* ---- in the loop ---- */

static void send_frames(struct cel_member *m)
{
    struct thread *t = thread_of(m);
    pthread_mutex_lock(&t->lock);
    bool moved = move(&t->inbox, &m->out);
    if (t->sleeping) {
        pthread_cond_signal(&t->changed);
    }
    pthread_mutex_unlock(&t->lock);
    if (moved) {
        shrink(&m->out);
    } else {
        cel_crew_again(m->crew);
    }
}

static void harvest(struct cel_member *m)
{
    struct thread *t = thread_of(m);
    pthread_mutex_lock(&t->lock);
    bool some = t->outbox.len > 0 && move(&t->taken, &t->outbox);
    pthread_mutex_unlock(&t->lock);
    if (some) {
        struct cel_slice rest = cel_buf_slice(&t->taken);
        cel_crew_input(m, &rest);
        shrink(&t->taken);
    }
}

static void on_wake(void *ctx)
{
    struct threads *p = ctx;
    /* Before looking: what comes after sends a new wake-up. */
    atomic_store(&p->shared->wake_sent, false);
    for (unsigned i = 0; i < p->crew.n_members && !p->crew.stopped; i++) {
        harvest(p->crew.members[i]);
    }
}

/* The flag on the board is all a thread gets. */
static void nudge(struct cel_member *m, uint32_t seq)
{
}

static void overdue(struct cel_member *m, struct cel_job *job, uint32_t seq)
{
    struct cel_pool *pool = m->crew->pool;
    cel_board_ask_stop(m->board, seq, CEL_STOP_ASKED);
    pool->events->stuck(pool->events_ctx, job);
    if (!m->crew->stopped) {
        cel_crew_give_up(m, seq);
    }
}

static void close_thread(struct thread *t)
{
    pthread_mutex_lock(&t->lock);
    t->closing = true;
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

/* It is idle: it ends at once. */
static void dismiss(struct cel_member *m)
{
    struct thread *t = thread_of(m);
    m->up = false;
    close_thread(t);
    pthread_join(t->id, NULL);
    t->started = false;
    cel_serve_fini(&t->serve);
}

static const struct cel_crew_ops crew_ops = {
    .send = send_frames,
    .harvest = harvest,
    .nudge = nudge,
    .overdue = overdue,
    .dismiss = dismiss,
};

static celery_status start_thread(struct thread *t, celery_error *err)
{
    struct cel_serve_io io = {t, fill, put, flush};
    sigset_t all, before;
    cel_crew_reset_member(&t->member);
    cel_buf_clear(&t->inbox);
    cel_buf_clear(&t->outbox);
    t->closing = t->ended = t->sleeping = false;
    if (cel_serve_init(&t->serve, &t->options, &t->board, &io) < 0) {
        return cel_error_nomem(err);
    }
    /* Signals are for the loop's thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int errnum = pthread_create(&t->id, NULL, thread_main, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (errnum != 0) {
        cel_serve_fini(&t->serve);
        return cel_error_sys(err, CELERY_ESYSTEM, errnum, "pool: cannot make a thread");
    }
    t->started = true;
    return CELERY_OK;
}

static celery_status add_thread(struct threads *p, celery_error *err)
{
    unsigned i = p->crew.n_members;
    struct thread *t = cel_calloc(1, sizeof *t);
    if (!t) {
        return cel_error_nomem(err);
    }
    t->member.crew = &p->crew;
    t->member.board = &t->board;
    t->member.index = i;
    t->member.first = t->member.next = 1;
    t->options = p->pool.options;
    /* Celery's pool of threads knows no such limits. */
    t->options.max_tasks_per_child = 0;
    t->options.max_memory_per_child = 0;
    t->shared = p->shared;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, NULL);
    p->crew.members[i] = &t->member;
    p->crew.n_members++;
    return CELERY_OK;
}

/* ---- the interface ---- */

static celery_status threads_prepare(struct cel_pool *pool, celery_error *err)
{
    if (pool->options.slots > MAX_THREADS) {
        return cel_error_set(err, CELERY_ECONFIG, "pool: at most %d threads",
                             MAX_THREADS);
    }
    pool->options.max_tasks_per_child = 0;
    pool->options.max_memory_per_child = 0;
    return CELERY_OK;
}

static celery_status threads_resize(struct cel_pool *pool, unsigned slots)
{
    struct threads *p = threads_of(pool);
    if (slots == 0 || slots > p->capacity) {
        return CELERY_ELIMIT;
    }
    for (unsigned i = 0; i < slots; i++) {
        celery_status status = i < p->crew.n_members ? CELERY_OK : add_thread(p, NULL);
        struct thread *t = status >= 0 ? thread_of(p->crew.members[i]) : NULL;
        if (t && !t->started) {
            status = start_thread(t, NULL);
        } else if (t) {
            t->member.leaving = false;
        }
        if (status < 0) {
            return status;
        }
    }
    for (unsigned i = slots; i < p->crew.n_members; i++) {
        if (thread_of(p->crew.members[i])->started) {
            cel_crew_leave(p->crew.members[i]);
        }
    }
    p->crew.seats = slots;
    p->crew.room_news = true;
    cel_crew_wake(&p->crew);
    return CELERY_OK;
}

static celery_status threads_start(struct cel_pool *pool, celery_error *err)
{
    struct threads *p = threads_of(pool);
    celery_status status = cel_crew_init(&p->crew, pool, &crew_ops, err);
    if (status < 0) {
        return status;
    }
    p->capacity = MAX_THREADS;
    p->shared = cel_calloc(1, sizeof *p->shared);
    p->crew.members = cel_calloc(p->capacity, sizeof *p->crew.members);
    if (!p->shared || !p->crew.members ||
        cel_loop_add_wake(pool->loop, &p->wake, on_wake, p) < 0) {
        return cel_error_nomem(err);
    }
    p->shared->loop = pool->loop;
    for (unsigned i = 0; i < pool->options.slots && status >= 0; i++) {
        status = add_thread(p, err);
        if (status >= 0) {
            status = start_thread(thread_of(p->crew.members[i]), err);
        }
    }
    p->crew.seats = pool->options.slots;
    return status;
}

static celery_status threads_submit(struct cel_pool *pool, struct cel_job *job)
{
    return cel_crew_submit(&threads_of(pool)->crew, job);
}

static unsigned threads_room(const struct cel_pool *pool)
{
    return cel_crew_room(&((const struct threads *)pool)->crew);
}

static bool threads_idle(const struct cel_pool *pool)
{
    return cel_crew_idle(&((const struct threads *)pool)->crew);
}

static celery_status threads_recall(struct cel_pool *pool, struct cel_job *job)
{
    return cel_crew_recall(&threads_of(pool)->crew, job);
}

static celery_status threads_abandon(struct cel_pool *pool, struct cel_job *job)
{
    return cel_crew_abandon(&threads_of(pool)->crew, job);
}

static void threads_interrupt(struct cel_pool *pool, struct cel_job *job)
{
    cel_crew_interrupt(&threads_of(pool)->crew, job);
}

/* Asks the running tasks to stop, and all threads to end. */
static void ask_to_end(struct thread *t)
{
    struct cel_member *m = &t->member;
    for (uint32_t seq = m->first; seq != m->next; seq++) {
        if (m->jobs[seq % CEL_BOARD_RING] && !cel_board_take_back(m->board, seq)) {
            cel_board_ask_stop(m->board, seq, CEL_STOP_ASKED);
        }
    }
    close_thread(t);
}

/* True: the thread is gone.  Otherwise it is left alone with what it needs. */
static bool await_end(struct thread *t, const struct timespec *until)
{
    int errnum = 0;
    pthread_mutex_lock(&t->lock);
    while (!t->ended && errnum == 0) {
        errnum = pthread_cond_timedwait(&t->changed, &t->lock, until);
    }
    bool ended = t->ended;
    pthread_mutex_unlock(&t->lock);
    if (ended) {
        pthread_join(t->id, NULL);
        cel_serve_fini(&t->serve);
        t->started = false;
    } else {
        pthread_detach(t->id);
    }
    return ended;
}

static void threads_stop(struct cel_pool *pool)
{
    struct threads *p = threads_of(pool);
    if (p->crew.stopped) {
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_TIME;
    for (unsigned i = 0; i < p->crew.n_members; i++) {
        if (thread_of(p->crew.members[i])->started) {
            ask_to_end(thread_of(p->crew.members[i]));
        }
    }
    for (unsigned i = 0; i < p->crew.n_members; i++) {
        if (thread_of(p->crew.members[i])->started) {
            await_end(thread_of(p->crew.members[i]), &until);
        }
    }
    if (p->shared) {
        atomic_store(&p->shared->deaf, true);
    }
    p->wake = cel_source_free(p->wake);
    cel_crew_fini(&p->crew);
}

static void threads_fini(struct cel_pool *pool)
{
    struct threads *p = threads_of(pool);
    bool stuck = false;
    for (unsigned i = 0; i < p->crew.n_members; i++) {
        struct thread *t = thread_of(p->crew.members[i]);
        if (t->started) {
            stuck = true; /* still running: its memory must stay */
            continue;
        }
        pthread_cond_destroy(&t->changed);
        pthread_mutex_destroy(&t->lock);
        cel_buf_fini(&t->inbox);
        cel_buf_fini(&t->outbox);
        cel_buf_fini(&t->taken);
        cel_buf_fini(&t->member.out);
        cel_free(t);
    }
    if (!stuck) {
        cel_free(p->shared);
    }
    cel_free(p->crew.members);
}

static size_t threads_pids(const struct cel_pool *pool, int *ret_pids, size_t max)
{
    if (max > 0) {
        ret_pids[0] = (int)getpid();
    }
    return max > 0 ? 1 : 0;
}

const struct cel_pool_ops cel_pool_threads = {
    .name = "threads",
    .flags = CEL_POOL_SOFT_LIMITS,
    .size = sizeof(struct threads),
    .prepare = threads_prepare,
    .start = threads_start,
    .submit = threads_submit,
    .room = threads_room,
    .idle = threads_idle,
    .recall = threads_recall,
    .abandon = threads_abandon,
    .interrupt = threads_interrupt,
    .resize = threads_resize,
    .stop = threads_stop,
    .fini = threads_fini,
    .pids = threads_pids,
};
