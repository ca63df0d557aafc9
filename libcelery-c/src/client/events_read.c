/* SPDX-License-Identifier: BSD-3-Clause */
/* From a message to calls of the owner's function (EventReceiver.event_from_message). */
#include "base/clock.h"
#include "base/log.h"
#include "client/events.h"
#include "message/event.h"
#include <math.h>

/* A line about malformed messages at most every so many seconds. */
#define COMPLAIN_EVERY 1.0

/* The year 5138; farther from now than that no clock is wrong. */
#define TIME_MAX 1e11

/* Whoever floods the exchange does not flood the log. */
static void complain(struct celery_events *ev, const char *why)
{
    double now = cel_loop_now(ev->loop);

    ev->counts.malformed++;
    if (ev->complained > 0 && now - ev->complained < COMPLAIN_EVERY) {
        ev->untold++;
        return;
    }
    if (ev->untold > 0) {
        cel_log(CELERY_LOG_WARNING, "events: %llu more messages were malformed",
                (unsigned long long)ev->untold);
    }
    ev->complained = now;
    ev->untold = 0;
    cel_log(CELERY_LOG_WARNING, "events: a message is malformed: %s",
            cel_log_safe(cel_slice_of(why)));
}

/*
 * kombu/clocks.py LamportClock.adjust() and forward(); a clock near its end would end ours.
 * Clients never sync their clocks, so that of task-sent counts for nothing.
 */
static int64_t clock_of(struct celery_events *ev, const struct cel_event *e)
{
    bool usable = e->clock > 0 && e->clock < INT64_MAX / 2;

    if (cel_slice_is(e->type, "task-sent")) {
        int64_t mine = (ev->clock > 0 ? ev->clock : 1) - 1;

        ev->clock++;
        return mine > 0 ? mine : 1;
    }
    if (!usable) {
        return ++ev->clock;
    }
    ev->clock = (e->clock > ev->clock ? e->clock : ev->clock) + 1;
    return e->clock;
}

static double time_of(const struct cel_event *e)
{
    double when = e->timestamp != 0 ? cel_event_time(e) : 0;

    return isfinite(when) && fabs(when) < TIME_MAX ? when : 0;
}

/* A copy with its NUL; NULL: there is none, or nobody could say it in C. */
static const char *text_in(struct cel_arena *a, struct cel_slice text)
{
    return text.len > 0 && !memchr(text.data, 0, text.len)
               ? cel_arena_strndup(a, text.data, text.len)
               : NULL;
}

/* What upstream writes into the event before handlers see it. */
static const struct cel_node *complete(struct cel_arena *a, const struct cel_event *e,
                                       const celery_event *event)
{
    struct cel_node *fields = cel_node_copy(a, e->fields);

    if (!fields ||
        cel_node_put(a, fields, CEL_SLICE("clock"), cel_node_new_int(a, event->clock)) <
            0 ||
        (event->timestamp != 0 &&
         cel_node_put(a, fields, CEL_SLICE("timestamp"),
                      cel_node_new_double(a, event->timestamp)) < 0) ||
        cel_node_put(a, fields, CEL_SLICE("local_received"),
                     cel_node_new_double(a, event->received)) < 0) {
        return NULL;
    }
    return fields;
}

static void give(struct celery_events *ev, struct cel_arena *a, const struct cel_event *e)
{
    celery_event event = {
        .type = text_in(a, e->type),
        .hostname = text_in(a, e->hostname),
        .uuid = text_in(a, e->uuid),
        .timestamp = time_of(e),
        .received = cel_clock_wall(),
        .clock = clock_of(ev, e),
        .pid = e->pid,
    };

    event.fields = complete(a, e, &event);
    if (!event.type || !event.fields) {
        complain(ev, event.fields ? "a type that is no text" : "out of memory");
        return;
    }
    ev->counts.events++;
    ev->fn(ev->ctx, &event);
}

/* Redis sends what matches several of our patterns several times, one behind the other. */
static bool was_here(struct celery_events *ev, const struct cel_envelope *env)
{
    struct cel_slice tag = env->delivery_tag;
    bool same;

    if (ev->n_queues < 2 || tag.len == 0 || tag.len >= sizeof ev->last_tag) {
        return false;
    }
    same = cel_slice_is(tag, ev->last_tag);
    memcpy(ev->last_tag, tag.data, tag.len);
    ev->last_tag[tag.len] = 0;
    return same;
}

void cel_events_receive(struct celery_events *ev, struct cel_envelope *give_envelope)
{
    struct cel_event_batch batch;
    struct cel_event event;
    celery_error err = {0};

    if (was_here(ev, give_envelope)) {
        cel_envelope_free(give_envelope);
        return;
    }
    ev->counts.messages++;
    if (cel_event_read(give_envelope, &ev->limits, &batch, &err) < 0) {
        complain(ev, err.message);
    } else {
        size_t n = batch.left;

        for (; cel_event_next(&batch, &event); n--) {
            give(ev, &give_envelope->arena, &event);
        }
        if (n > 0) {
            ev->counts.malformed += n - 1;
            complain(ev, "what is in it has no type");
        }
    }
    cel_envelope_free(give_envelope);
}
