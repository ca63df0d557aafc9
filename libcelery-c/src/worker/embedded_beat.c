/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/embedded_beat.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"

#include <celery/beat.h>
#include <pthread.h>
#include <signal.h>

struct cel_embedded_beat {
    celery_beat *beat;
    pthread_t thread;
};

/* As upstream's process: when it cannot go on, the worker does. */
static void *run(void *ctx)
{
    struct cel_embedded_beat *b = ctx;
    celery_error err = {0};

    cel_log(CELERY_LOG_INFO, "beat: Starting...");
    if (celery_beat_run(b->beat, &err) < 0) {
        cel_log(CELERY_LOG_CRITICAL, "beat: %s. No periodic tasks are sent from here.",
                err.message);
    } else {
        cel_log(CELERY_LOG_INFO, "beat: Shutting down...");
    }
    return NULL;
}

/* Signals are the worker's. */
static int start_thread(struct cel_embedded_beat *b)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int errnum = pthread_create(&b->thread, NULL, run, b);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return errnum;
}

celery_status cel_embedded_beat_start(celery_app *app, struct cel_embedded_beat **ret,
                                      celery_error *err)
{
    struct cel_embedded_beat *b = cel_calloc(1, sizeof *b);

    if (!b) {
        return cel_error_nomem(err);
    }
    b->beat = celery_beat_new(app, err);
    int errnum = b->beat ? start_thread(b) : 0;

    if (!b->beat || errnum != 0) {
        celery_beat_free(b->beat);
        cel_free(b);
        return errnum ? cel_error_sys(err, CELERY_ESYSTEM, errnum, "--beat: a thread")
                      : err->status;
    }
    *ret = b;
    return CELERY_OK;
}

void cel_embedded_beat_stop(struct cel_embedded_beat *b)
{
    if (b) {
        celery_beat_stop(b->beat);
    }
}

struct cel_embedded_beat *cel_embedded_beat_free(struct cel_embedded_beat *b)
{
    if (b) {
        celery_beat_stop(b->beat);
        pthread_join(b->thread, NULL);
        celery_beat_free(b->beat);
        cel_free(b);
    }
    return NULL;
}
