/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dead letters.  A message leaves its queue only after it is in another one: the dead-letter
 * queue of the queue's redrive policy, or else NAME.celery-c.dead, which is created.  Where
 * neither may be, it is left to come back, as kombu leaves it (Channel.basic_reject).
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "transport/sqs_name.h"
#include "transport/sqs_state.h"

struct parking {
    struct cel_sqs_queue *q;
    struct cel_sqs_message *m; /* NULL: it was deleted already */
    struct cel_done done;
};

/* Seconds that what found no place stays away. */
enum { LEFT_SECONDS = 300 };

static void leave(struct cel_sqs_queue *q, struct cel_sqs_message *m,
                  const celery_error *why, struct cel_done done)
{
    if (!q->dead_refused) {
        q->dead_refused = true;
        cel_log(
            CELERY_LOG_ERROR,
            "Dead letters of SQS queue %s have no place (%s): they stay there until a "
            "redrive policy moves them",
            q->name, why->message);
    }
    if (m) {
        cel_sqs_change(m, LEFT_SECONDS, done);
    } else {
        cel_done(done, why, 0);
    }
}

static void on_posted(void *ctx, const celery_error *err, int64_t answer)
{
    struct parking p = *(struct parking *)ctx;
    bool later = err && (celery_error_retriable(err) || err->status == CELERY_EUNCERTAIN);

    cel_free(ctx);
    if (later && p.m) {
        cel_sqs_unsettle(p.m);
        cel_sqs_abandon(p.q->s, err);
        cel_done(p.done, err, 0);
    } else if (err) {
        leave(p.q, p.m, err, p.done);
    } else if (p.m) {
        cel_sqs_delete(p.m, p.done);
    } else {
        cel_done(p.done, NULL, 1);
    }
}

static struct cel_sqs_queue *dead_queue(struct cel_sqs_queue *q, celery_error *err)
{
    struct cel_sqs_queue *dead;
    char *name;

    if (q->redrive) {
        dead = cel_sqs_queue_named(q->s, q->redrive);
        if (dead) {
            dead->aws = q->aws;
        } else {
            cel_error_nomem(err);
        }
        return dead;
    }
    name = cel_sqs_name_of_dead(q->name);
    dead = name ? cel_sqs_queue(q->s, name, err) : NULL;
    if (!name) {
        cel_error_nomem(err);
    }
    cel_free(name);
    return dead;
}

static void put(struct cel_sqs_queue *q, struct cel_sqs_message *m,
                const struct cel_envelope *envelope, const char *reason,
                struct cel_done done)
{
    struct parking *p = cel_alloc(sizeof *p);
    celery_error err = {0};
    struct cel_sqs_queue *dead = p ? dead_queue(q, &err) : NULL;
    const struct cel_sqs_extra extra = {
        .group = m ? m->group : NULL,
        .dedup = m && q->fifo ? m->id : NULL,
        .reason = reason,
        .from = q->name,
        .raw = envelope->raw,
        .not_base64 = m ? !m->base64 : q->s->set.plain,
    };

    if (!dead) {
        cel_free(p);
        leave(q, m, &err, done);
        return;
    }
    *p = (struct parking){q, m, done};
    cel_sqs_post(dead, envelope, &extra, (struct cel_done){on_posted, p});
}

void cel_sqs_park_message(struct cel_sqs_message *m, const char *reason,
                          struct cel_done done)
{
    put(m->queue, m, m->envelope, reason, done);
}

void cel_sqs_park(struct cel_transport *t, uint64_t tag, const char *reason,
                  struct cel_done done)
{
    struct cel_sqs_message *m = cel_sqs_take(t, tag, done);

    if (m) {
        cel_sqs_park_message(m, reason, done);
    }
}

void cel_sqs_bury(struct cel_transport *t, const char *queue,
                  const struct cel_envelope *envelope, const char *reason,
                  struct cel_done done)
{
    struct cel_sqs *s = cel_sqs_of(t);
    celery_error err = {0};
    struct cel_sqs_queue *q;

    if (cel_sqs_is_closed(s, done)) {
        return;
    }
    q = cel_sqs_queue(s, queue, &err);
    if (!q) {
        cel_done(done, &err, 0);
        return;
    }
    put(q, NULL, envelope, reason, done);
}
