/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_dead.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "transport/amqp_copy.h"
#include "transport/amqp_declare.h"
#include "transport/dead_letter.h"
#include <stdio.h>

enum { PRECONDITION = 406 };

void cel_amqp_dead_name(const char *queue, char *text, size_t size)
{
    snprintf(text, size, "%s.celery-c.dead", queue);
}

struct declaring {
    struct cel_amqp_queue *queue;
    struct cel_done done;
};

/* With another limit, or made by somebody else: it is there, and that is enough. */
static void on_declared(void *ctx, const celery_error *err, int64_t answer)
{
    struct declaring d = *(struct declaring *)ctx;

    cel_free(ctx);
    d.queue->dead_declaring--;
    if (err && err->code != PRECONDITION) {
        cel_done(d.done, err, 0);
        return;
    }
    d.queue->dead_declared = true;
    cel_done(d.done, NULL, 0);
}

void cel_amqp_dead_declare(struct cel_amqp_transport *a, struct cel_amqp_queue *q,
                           struct cel_done done)
{
    struct cel_arena arena = {0};
    struct declaring *d;
    struct cel_node *arguments;
    char name[300];

    /* Behind one that still waits for its answer it would overtake that one's letter. */
    if (q->dead_declared && q->dead_declaring == 0) {
        cel_done(done, NULL, 0);
        return;
    }
    d = cel_alloc(sizeof *d);
    arguments = cel_node_new(&arena, CELERY_KIND_OBJECT);
    if (!d || !arguments ||
        cel_node_put(&arena, arguments, CEL_SLICE("x-max-length"),
                     cel_node_new_int(&arena, (int64_t)a->base.max_dead)) < 0) {
        cel_free(d);
        cel_arena_fini(&arena);
        cel_amqp_refuse(done, CELERY_ENOMEM);
        return;
    }
    *d = (struct declaring){q, done};
    q->dead_declaring++;
    cel_amqp_dead_name(q->name, name, sizeof name);
    cel_amqp_declare_own(a, name, arguments, (struct cel_done){on_declared, d});
    cel_arena_fini(&arena);
}

bool cel_amqp_dead_mark(struct cel_envelope *copy, const char *queue, const char *reason)
{
    copy->expiration = CEL_SLICE_NULL; /* it is kept */
    if (!copy->body.data && copy->raw.data) {
        copy->body = copy->raw;
    }
    return cel_amqp_copy_text(copy, CEL_DEAD_REASON,
                              cel_slice_of(reason ? reason : "")) &&
           cel_amqp_copy_text(copy, CEL_DEAD_QUEUE, cel_slice_of(queue)) &&
           cel_amqp_copy_node(copy, CEL_DEAD_TIME,
                              cel_node_new_double(&copy->arena, cel_clock_wall()));
}
