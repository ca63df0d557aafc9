/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop/loop.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "loop/source.h"
#include <errno.h>
#include <unistd.h>

/* Rounds of hooks in one pass; hooks that schedule each other for ever get the rest later. */
enum { HOOK_ROUNDS = 16 };

celery_status cel_loop_new(struct cel_loop **ret_loop, celery_error *err)
{
    struct cel_loop *loop = cel_calloc(1, sizeof *loop);
    if (!loop) {
        return cel_error_nomem(err);
    }
    for (int i = 0; i < CEL_SOURCE_KINDS; i++) {
        cel_list_init(&loop->sources[i]);
    }
    cel_list_init(&loop->changed);
    cel_list_init(&loop->exited);
    cel_list_init(&loop->graves);
    loop->now = -1;
    celery_status status = cel_poll_open(loop, err);
    if (status < 0) {
        cel_loop_free(loop);
        return status;
    }
    *ret_loop = loop;
    return CELERY_OK;
}

static void bury(struct cel_loop *loop)
{
    struct cel_list *first;
    while ((first = cel_list_first(&loop->graves)) != NULL) {
        cel_list_remove(first);
        cel_free(cel_container_of(first, struct cel_source, node));
    }
}

struct cel_loop *cel_loop_free(struct cel_loop *loop)
{
    if (!loop) {
        return NULL;
    }
    for (int i = 0; i < CEL_SOURCE_KINDS; i++) {
        struct cel_list *first;
        while ((first = cel_list_first(&loop->sources[i])) != NULL) {
            cel_source_free(cel_container_of(first, struct cel_source, node));
        }
    }
    bury(loop);
    cel_heap_fini(&loop->timers);
    cel_poll_close(loop);
    cel_free(loop);
    return NULL;
}

/* ---- sources ---- */

celery_status cel_source_new(struct cel_loop *loop, enum cel_source_kind kind, void *ctx,
                             struct cel_source **ret_source)
{
    struct cel_source *source = cel_calloc(1, sizeof *source);
    *ret_source = source;
    if (!source) {
        return CELERY_ENOMEM;
    }
    source->loop = loop;
    source->kind = kind;
    source->ctx = ctx;
    source->fd = -1;
    cel_list_init(&source->due);
    cel_list_append(&loop->sources[kind], &source->node);
    return CELERY_OK;
}

celery_status cel_loop_add_io(struct cel_loop *loop, struct cel_source **ret_source,
                              int fd, unsigned wanted, cel_io_fn fn, void *ctx)
{
    celery_status status = cel_source_new(loop, CEL_SOURCE_IO, ctx, ret_source);
    if (status < 0) {
        return status;
    }
    struct cel_source *source = *ret_source;
    source->fn.io = fn;
    source->fd = fd;
    source->wanted = wanted;
    status = cel_poll_apply(loop, source);
    if (status < 0) {
        *ret_source = cel_source_free(source);
    }
    return status;
}

/* For a host that polls cel_loop_fd(): what is due outside a pass must show there. */
static void tell_host(struct cel_loop *loop)
{
    if (loop->timer_fd < 0 || loop->depth > 0) {
        return;
    }
    double after = -1;
    const struct cel_heap_node *first = cel_heap_first(&loop->timers);
    if (loop->scheduled > 0) {
        after = 0;
    } else if (first) {
        after = first->key - cel_clock_mono();
        after = after > 0 ? after : 0;
    }
    cel_poll_host_timer(loop, after);
}

int cel_loop_fd(struct cel_loop *loop)
{
    if (loop->timer_fd < 0 && cel_poll_host_timer(loop, -1) < 0) {
        return -1;
    }
    tell_host(loop);
    return loop->poll_fd;
}

static void arm(struct cel_source *timer, double at)
{
    struct cel_loop *loop = timer->loop;
    cel_list_remove(&timer->due);
    if (timer->timer.index > 0) {
        cel_heap_move(&loop->timers, &timer->timer, at);
    } else {
        cel_heap_add(&loop->timers, &timer->timer, at);
    }
    tell_host(loop);
}

celery_status cel_loop_add_timer(struct cel_loop *loop, struct cel_source **ret_source,
                                 double at, cel_timer_fn fn, void *ctx)
{
    celery_status status = cel_source_new(loop, CEL_SOURCE_TIMER, ctx, ret_source);
    if (status < 0) {
        return status;
    }
    /* One place for every timer there is, so that none fails when it is armed again. */
    loop->n_timers++;
    (*ret_source)->fn.timer = fn;
    if (cel_heap_reserve(&loop->timers, loop->n_timers) < 0) {
        *ret_source = cel_source_free(*ret_source);
        return CELERY_ENOMEM;
    }
    arm(*ret_source, at);
    return CELERY_OK;
}

celery_status cel_loop_add_hook(struct cel_loop *loop, struct cel_source **ret_source,
                                cel_hook_fn fn, void *ctx)
{
    celery_status status = cel_source_new(loop, CEL_SOURCE_HOOK, ctx, ret_source);
    if (status == CELERY_OK) {
        (*ret_source)->fn.hook = fn;
    }
    return status;
}

celery_status cel_loop_add_wake(struct cel_loop *loop, struct cel_source **ret_source,
                                cel_hook_fn fn, void *ctx)
{
    celery_status status = cel_source_new(loop, CEL_SOURCE_WAKE, ctx, ret_source);
    if (status == CELERY_OK) {
        (*ret_source)->fn.hook = fn;
    }
    return status;
}

void cel_source_schedule(struct cel_source *hook)
{
    if (!hook->scheduled && !hook->dead) {
        hook->scheduled = true;
        hook->loop->scheduled++;
        if (hook->loop->scheduled == 1) {
            tell_host(hook->loop);
        }
    }
}

/* Changes inside a pass are put together: many switch back before the next wait. */
void cel_source_io(struct cel_source *io, unsigned wanted)
{
    struct cel_loop *loop = io->loop;
    if (io->dead) {
        return;
    }
    io->wanted = wanted;
    if (loop->depth == 0) {
        cel_poll_apply(loop, io);
    } else if (wanted == io->polled) {
        cel_list_remove(&io->due);
    } else {
        cel_list_remove(&io->due);
        cel_list_append(&loop->changed, &io->due);
    }
}

void cel_source_rearm(struct cel_source *timer, double at)
{
    if (!timer->dead) {
        arm(timer, at);
    }
}

void cel_source_disarm(struct cel_source *timer)
{
    cel_heap_remove(&timer->loop->timers, &timer->timer);
    cel_list_remove(&timer->due);
}

struct cel_source *cel_source_free(struct cel_source *source)
{
    if (!source || source->dead) {
        return NULL;
    }
    struct cel_loop *loop = source->loop;
    source->dead = true;
    switch (source->kind) {
    case CEL_SOURCE_IO:
        source->wanted = 0;
        cel_poll_apply(loop, source);
        break;
    case CEL_SOURCE_TIMER:
        cel_source_disarm(source);
        loop->n_timers--;
        break;
    case CEL_SOURCE_SIGNAL:
        cel_signal_forget(source);
        if (source == loop->sigchld) {
            loop->sigchld = NULL;
        }
        break;
    case CEL_SOURCE_CHILD:
        cel_child_forget(source);
        break;
    case CEL_SOURCE_HOOK:
        loop->scheduled -= source->scheduled;
        source->scheduled = false;
        break;
    case CEL_SOURCE_WAKE:
        break;
    }
    cel_list_remove(&source->due);
    cel_list_remove(&source->node);
    cel_list_append(&loop->graves, &source->node);
    if (loop->depth == 0) {
        bury(loop);
    }
    return NULL;
}

/* ---- a pass ---- */

double cel_loop_now(const struct cel_loop *loop)
{
    if (loop->depth == 0) {
        return cel_clock_mono();
    }
    if (loop->now < 0) {
        ((struct cel_loop *)loop)->now = cel_clock_mono();
    }
    return loop->now;
}

void cel_loop_wake(struct cel_loop *loop)
{
    if (!atomic_exchange(&loop->woken, true)) {
        int errnum = errno;
        const uint64_t one = 1;
        while (write(loop->wake_fd, &one, sizeof one) < 0 && errno == EINTR) {
        }
        errno = errnum;
    }
}

void cel_walk_start(struct cel_list *place, struct cel_list *head)
{
    cel_list_prepend(head, place);
}

struct cel_source *cel_walk_next(struct cel_list *place, struct cel_list *head)
{
    struct cel_list *next = place->next;
    cel_list_remove(place);
    if (next == head) {
        return NULL;
    }
    cel_list_insert_before(next->next, place);
    return cel_container_of(next, struct cel_source, node);
}

static void run_wakes(struct cel_loop *loop)
{
    if (!atomic_exchange(&loop->woken, false)) {
        return;
    }
    struct cel_list *head = &loop->sources[CEL_SOURCE_WAKE];
    struct cel_list place;
    cel_walk_start(&place, head);
    struct cel_source *wake;
    while ((wake = cel_walk_next(&place, head)) != NULL) {
        wake->fn.hook(wake->ctx);
    }
}

/* Timers that callbacks arm again for now wait for the next pass. */
static void run_timers(struct cel_loop *loop)
{
    struct cel_heap_node *node = cel_heap_first(&loop->timers);
    if (!node) {
        return;
    }
    double now = cel_loop_now(loop);
    struct cel_list due;
    cel_list_init(&due);
    for (; node && node->key <= now; node = cel_heap_first(&loop->timers)) {
        struct cel_source *timer = cel_container_of(node, struct cel_source, timer);
        cel_heap_remove(&loop->timers, node);
        cel_list_append(&due, &timer->due);
    }
    struct cel_list *first;
    while ((first = cel_list_first(&due)) != NULL) {
        struct cel_source *timer = cel_container_of(first, struct cel_source, due);
        cel_list_remove(&timer->due);
        timer->fn.timer(timer->ctx);
    }
}

static void run_hooks(struct cel_loop *loop)
{
    struct cel_list *head = &loop->sources[CEL_SOURCE_HOOK];
    for (int round = 0; round < HOOK_ROUNDS && loop->scheduled > 0; round++) {
        struct cel_list place;
        cel_walk_start(&place, head);
        struct cel_source *hook;
        while ((hook = cel_walk_next(&place, head)) != NULL) {
            if (hook->scheduled) {
                hook->scheduled = false;
                loop->scheduled--;
                hook->fn.hook(hook->ctx);
            }
        }
    }
}

static void apply_changes(struct cel_loop *loop)
{
    struct cel_list *first;
    while ((first = cel_list_first(&loop->changed)) != NULL) {
        cel_poll_apply(loop, cel_container_of(first, struct cel_source, due));
    }
}

static double time_to_wait(const struct cel_loop *loop, double timeout)
{
    const struct cel_heap_node *first = cel_heap_first(&loop->timers);
    if (loop->stop || loop->scheduled > 0) {
        return 0;
    }
    if (first && timeout != 0) {
        double left = first->key - cel_clock_mono();
        left = left > 0 ? left : 0;
        return timeout < 0 || left < timeout ? left : timeout;
    }
    return timeout;
}

celery_status cel_loop_pass(struct cel_loop *loop, double timeout)
{
    if (loop->depth > 0) {
        return CELERY_EINVAL; /* from inside a callback */
    }
    loop->depth++;
    loop->now = -1;
    if (loop->scheduled > 0) {
        /* Asked for outside a pass.  It may have done what the caller waits for. */
        run_hooks(loop);
        timeout = 0;
    }
    apply_changes(loop);
    celery_status status = cel_poll_wait(loop, time_to_wait(loop, timeout));
    cel_signal_dispatch(loop);
    run_wakes(loop);
    cel_child_dispatch(loop);
    run_timers(loop);
    run_hooks(loop);
    apply_changes(loop);
    loop->depth--;
    bury(loop);
    tell_host(loop);
    return status;
}

celery_status cel_loop_run(struct cel_loop *loop)
{
    celery_status status = CELERY_OK;
    loop->stop = false;
    while (!loop->stop && status == CELERY_OK) {
        status = cel_loop_pass(loop, -1);
    }
    loop->stop = false;
    return status;
}

void cel_loop_stop(struct cel_loop *loop)
{
    loop->stop = true;
}
