/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/resolve.h"

#include "base/alloc.h"
#include "base/error.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A resolver that hangs must not collect threads as reconnects go on. */
#define MOST_THREADS 16
#define STACK_SIZE   (512 * 1024)

static atomic_int running;

/* What thread and waiter share.  Whoever comes last frees it. */
struct lookup {
    pthread_mutex_t lock;
    struct cel_loop *loop; /* NULL: nobody waits any more */
    bool done;
    bool threaded;
    int failure; /* EAI_* */
    int errnum;
    struct addrinfo *list;
    char port[12];
    char host[];
};

struct cel_resolve {
    cel_resolve_fn fn;
    void *ctx;
    struct cel_source *source; /* wake, or timer for a numeric address */
    struct lookup *lookup;
};

static void lookup_free(struct lookup *l)
{
    if (!l) {
        return;
    }
    if (l->list) {
        freeaddrinfo(l->list);
    }
    pthread_mutex_destroy(&l->lock);
    cel_free(l);
}

static struct lookup *lookup_new(struct cel_loop *loop, const char *host, int port)
{
    size_t len = strlen(host);
    struct lookup *l = cel_calloc(1, sizeof *l + len + 1);

    if (!l) {
        return NULL;
    }
    memcpy(l->host, host, len + 1);
    snprintf(l->port, sizeof l->port, "%d", port);
    l->loop = loop;
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

static void look_up(struct lookup *l, int flags)
{
    struct addrinfo hints = {0};

    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags | AI_NUMERICSERV;
    l->failure = getaddrinfo(l->host, l->port, &hints, &l->list);
    l->errnum = errno;
}

static void *thread_main(void *arg)
{
    struct lookup *l = arg;

    look_up(l, AI_ADDRCONFIG);
    if (l->failure == EAI_NONAME || l->failure == EAI_ADDRFAMILY) {
        /* AI_ADDRCONFIG hides localhost on a machine that has nothing but loopback. */
        look_up(l, 0);
    }
    atomic_fetch_sub(&running, 1);

    pthread_mutex_lock(&l->lock);
    l->done = true;
    bool abandoned = !l->loop;
    if (l->loop) {
        cel_loop_wake(l->loop);
    }
    pthread_mutex_unlock(&l->lock);
    if (abandoned) {
        lookup_free(l);
    }
    return NULL;
}

/* Signals stay with the threads of the program: all are blocked in ours. */
static int thread_start(struct lookup *l)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all;
    sigset_t before;

    int failed = pthread_attr_init(&attr);
    if (failed) {
        return failed;
    }
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&thread, &attr, thread_main, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return failed;
}

/* Calls fn, which may free the resolve: nothing of it is touched behind. */
static void deliver(struct cel_resolve *r)
{
    struct lookup *l = r->lookup;
    celery_error err = {0};

    r->lookup = NULL;
    r->source = cel_source_free(r->source);
    if (l->failure == EAI_SYSTEM) {
        cel_error_sys(&err, CELERY_ECONNECT, l->errnum, "cannot look up the host name %s",
                      l->host);
    } else if (l->failure) {
        cel_error_set(&err, CELERY_ECONNECT, "cannot look up the host name %s: %s",
                      l->host, gai_strerror(l->failure));
    }
    r->fn(r->ctx, l->failure ? NULL : l->list, l->failure ? &err : NULL);
    lookup_free(l);
}

static void on_numeric(void *ctx)
{
    deliver(ctx);
}

static void on_wake(void *ctx)
{
    struct cel_resolve *r = ctx;

    pthread_mutex_lock(&r->lookup->lock);
    bool done = r->lookup->done;
    pthread_mutex_unlock(&r->lookup->lock);
    if (done) {
        deliver(r);
    }
}

static celery_status start_thread(struct cel_resolve *r, celery_error *err)
{
    if (atomic_fetch_add(&running, 1) >= MOST_THREADS) {
        atomic_fetch_sub(&running, 1);
        return cel_error_set(err, CELERY_ECONNECT,
                             "%d look-ups of host names still wait for an answer",
                             MOST_THREADS);
    }
    r->lookup->threaded = true;
    int failed = thread_start(r->lookup);
    if (failed) {
        atomic_fetch_sub(&running, 1);
        return cel_error_sys(err, CELERY_ESYSTEM, failed, "cannot start a thread");
    }
    return CELERY_OK;
}

celery_status cel_resolve_start(struct cel_loop *loop, const char *host, int port,
                                cel_resolve_fn fn, void *ctx,
                                struct cel_resolve **ret_resolve, celery_error *err)
{
    celery_status status = CELERY_ENOMEM;
    struct cel_resolve *r = cel_calloc(1, sizeof *r);
    struct lookup *l = lookup_new(loop, host, port);

    if (!r || !l) {
        cel_error_nomem(err);
        goto fail;
    }
    r->fn = fn;
    r->ctx = ctx;
    look_up(l, AI_NUMERICHOST);
    bool numeric = l->failure == 0;
    l->failure = 0;
    if (numeric) {
        status = cel_loop_add_timer(loop, &r->source, 0, on_numeric, r);
    } else {
        status = cel_loop_add_wake(loop, &r->source, on_wake, r);
    }
    if (status < 0) {
        cel_error_set(err, status, "cannot wait for a host name");
        goto fail;
    }
    r->lookup = l;
    status = numeric ? CELERY_OK : start_thread(r, err);
    if (status < 0) {
        goto fail;
    }
    *ret_resolve = r;
    return CELERY_OK;

fail:
    if (r) {
        cel_source_free(r->source);
    }
    lookup_free(l);
    cel_free(r);
    return status;
}

struct cel_resolve *cel_resolve_free(struct cel_resolve *r)
{
    if (!r) {
        return NULL;
    }
    struct lookup *l = r->lookup;
    cel_source_free(r->source);
    cel_free(r);
    if (l) {
        pthread_mutex_lock(&l->lock);
        bool ours = l->done || !l->threaded;
        l->loop = NULL;
        pthread_mutex_unlock(&l->lock);
        if (ours) {
            lookup_free(l);
        }
    }
    return NULL;
}
