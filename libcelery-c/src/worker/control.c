/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/control.h"

#include "app/mailbox.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "worker/control_call.h"
#include "worker/mingle.h"
#include "worker/statedb.h"

#include <stdio.h>

/* Bounds: waiting commands and their bytes, those of one pass, replies under way. */
#define WAITING_MAX   1000
#define WAITING_BYTES ((size_t)32 << 20)
#define PASS_MAX      16
#define REPLIES_MAX   1000
#define REPLY_BYTES   ((size_t)32 << 20)

/* Lines about commands that could not be carried out, in a second. */
#define LINES_MAX 10

struct waiting {
    struct cel_list node;
    struct cel_envelope *envelope;
    size_t size;
};

struct reply {
    struct cel_control *control;
    struct cel_envelope *envelope;
};

struct cel_control {
    struct celery_worker *w;
    struct cel_arena arena; /* of the names and arguments of the queue */
    struct cel_queue queue;
    struct cel_subscription subscription;
    struct cel_mailbox mailbox;
    const struct cel_codec *codec;
    bool read_only;
    struct cel_source *pass; /* timer: the next commands */
    struct cel_list waiting; /* struct waiting */
    size_t n_waiting, waiting_bytes;
    size_t n_replies;
    double line_second; /* loop time when the present second of lines began */
    unsigned lines;
    uint64_t untold; /* that had no line */
};

/* ---- lines ---- */

/* Whoever floods the mailbox does not flood the log. */
static void complain(struct cel_control *control, const char *what, const char *why)
{
    double now = cel_loop_now(control->w->loop);

    if (now - control->line_second >= 1) {
        if (control->untold > 0) {
            cel_log(CELERY_LOG_ERROR,
                    "pidbox: %llu more commands could not be carried out",
                    (unsigned long long)control->untold);
        }
        control->line_second = now;
        control->lines = 0;
        control->untold = 0;
    }
    if (control->lines++ >= LINES_MAX) {
        control->untold++;
        return;
    }
    cel_log(CELERY_LOG_ERROR, "pidbox: %s: %s", what, cel_log_safe(cel_slice_of(why)));
}

/* ---- replies ---- */

/* A reply that finds no queue is nobody's: the asker has gone (kombu: InconsistencyError). */
static void on_replied(void *ctx, const celery_error *err, int64_t answer)
{
    struct reply *reply = ctx;
    struct cel_control *control = reply->control;

    control->n_replies--;
    if (err && err->status != CELERY_ECLOSED) {
        complain(control, "a reply could not be sent", err->message);
    }
    cel_envelope_free(reply->envelope);
    cel_free(reply);
}

static void publish(struct cel_control *control, const struct cel_command *command,
                    struct cel_envelope *give_envelope)
{
    struct cel_transport *t = cel_link_transport(control->w->link);
    struct reply *reply = cel_alloc(sizeof *reply);
    char key[256];

    if (!reply) {
        cel_envelope_free(give_envelope);
        complain(control, "a reply could not be sent", "out of memory");
        return;
    }
    *reply = (struct reply){control, give_envelope};
    control->n_replies++;
    snprintf(key, sizeof key, "%.*s", (int)command->reply_key.len,
             command->reply_key.data);
    t->ops->publish(t, control->mailbox.reply_exchange, key, give_envelope,
                    (struct cel_done){on_replied, reply});
}

static void answer(struct cel_control *control, const struct cel_command *command,
                   const struct cel_node *value)
{
    struct celery_worker *w = control->w;
    struct cel_envelope *envelope = NULL;
    celery_error err = {0};

    if (!cel_link_connected(w->link) || control->n_replies >= REPLIES_MAX) {
        complain(control, "a reply is dropped", "too many are under way");
        return;
    }
    if (cel_command_reply(command, w->hostname, value, (int64_t)++w->clock,
                          control->codec, &envelope, &err) < 0) {
        complain(control, "a reply could not be made", err.message);
        return;
    }
    publish(control, command, envelope);
}

/* ---- commands ---- */

static void carry_out(struct cel_control *control, const struct cel_command *command)
{
    static const struct cel_node too_large_text = {
        .kind = CELERY_KIND_STRING,
        .size = sizeof "MemoryError('the reply is too large')" - 1,
        .text = "MemoryError('the reply is too large')",
    };
    struct cel_node text = too_large_text;
    struct cel_node key = {
        .kind = CELERY_KIND_STRING, .size = 5, .text = "error", .next = &text};
    struct cel_node too_large = {.kind = CELERY_KIND_OBJECT, .size = 1, .first = &key};
    struct cel_arena arena;
    struct cel_control_call call = {
        .w = control->w, .arena = &arena, .read_only = control->read_only};

    cel_log(CELERY_LOG_DEBUG, "pidbox received method %s", cel_log_safe(command->method));
    cel_arena_init(&arena, REPLY_BYTES);
    struct cel_node *value = cel_control_run(&call, command);
    if (command->wants_reply && !call.silent) {
        answer(control, command, value ? value : &too_large);
    }
    cel_arena_fini(&arena);
}

static void handle(struct cel_control *control, struct cel_envelope *env)
{
    struct celery_worker *w = control->w;
    struct cel_command command;
    celery_error err = {0};
    bool ours = false;

    if (cel_command_read(env, &w->policy.limits, &command, &err) < 0) {
        complain(control, "a command cannot be read", err.message);
        return;
    }
    w->clock++; /* celery/worker/pidbox.py on_message() */
    cel_worker_adjust_clock(w, command.clock);
    if (cel_command_is_for(&command, w->hostname, &ours, &err) < 0) {
        complain(control, "a command cannot be read", err.message);
        return;
    }
    if (!ours) {
        return;
    }
    /* Otherwise a command could put a message of its choice into any queue. */
    if (command.wants_reply &&
        !cel_slice_is(command.reply_exchange, control->mailbox.reply_exchange)) {
        complain(control, "a command wants its reply elsewhere",
                 cel_log_safe(command.reply_exchange));
        return;
    }
    carry_out(control, &command);
}

static void on_pass(void *ctx)
{
    struct cel_control *control = ctx;
    struct cel_list *it;

    for (size_t i = 0; i < PASS_MAX && (it = cel_list_first(&control->waiting)); i++) {
        struct waiting *next = cel_container_of(it, struct waiting, node);

        cel_list_remove(it);
        control->n_waiting--;
        control->waiting_bytes -= next->size;
        handle(control, next->envelope);
        cel_envelope_free(next->envelope);
    }
    cel_statedb_touch(control->w->statedb);
    if (!cel_list_empty(&control->waiting)) {
        cel_source_rearm(control->pass, cel_loop_now(control->w->loop));
    }
}

/* A broadcast came; it is carried out soon. */
static void receive(void *ctx, struct cel_slice routing_key,
                    struct cel_envelope *give_envelope)
{
    struct cel_control *control = ctx;
    struct cel_arena *a = &give_envelope->arena;
    size_t size = a->used;
    struct waiting *next = NULL;

    if (control->n_waiting < WAITING_MAX &&
        control->waiting_bytes + size <= WAITING_BYTES) {
        next = cel_arena_alloc(a, sizeof *next);
    }
    if (!next) {
        cel_envelope_free(give_envelope);
        complain(control, "a command is dropped", "too many are waiting");
        return;
    }
    *next = (struct waiting){.envelope = give_envelope, .size = size};
    if (control->n_waiting++ == 0) {
        cel_source_rearm(control->pass, cel_loop_now(control->w->loop));
    }
    control->waiting_bytes += size;
    cel_list_append(&control->waiting, &next->node);
}

/* ---- life ---- */

/* Its queue and the names of replies, for as long as it lives. */
static celery_status make_queue(struct cel_control *control, const struct cel_config *c,
                                celery_error *err)
{
    struct cel_arena *a = &control->arena;
    celery_status status = cel_mailbox_read(&control->mailbox, a, c, err);

    return status < 0 ? status
                      : cel_mailbox_queue(&control->mailbox, a, control->w->hostname,
                                          &control->queue, err);
}

celery_status cel_control_new(struct celery_worker *w, struct cel_control **ret_control,
                              celery_error *err)
{
    const struct cel_config *c = w->app->config;

    *ret_control = NULL;
    if (!cel_config_bool(c, "worker_enable_remote_control")) {
        return CELERY_OK;
    }
    struct cel_control *control = cel_calloc(1, sizeof *control);
    if (!control) {
        return cel_error_nomem(err);
    }
    control->w = w;
    control->codec = cel_codec_find(cel_slice_of(cel_config_text(c, "task_serializer")));
    control->read_only = cel_config_bool(c, "worker_remote_control_read_only");
    cel_list_init(&control->waiting);
    celery_status status = make_queue(control, c, err);
    if (status == CELERY_OK) {
        status = cel_loop_add_timer(w->loop, &control->pass, 0, on_pass, control);
    }
    if (status < 0) {
        cel_control_free(control);
        return status;
    }
    cel_source_disarm(control->pass);
    control->codec = control->codec ? control->codec : &cel_codec_json;
    control->subscription = (struct cel_subscription){
        .queue = &control->queue, .what = "pidbox", .received = receive, .ctx = control};
    cel_link_subscribe(w->link, &control->subscription);
    *ret_control = control;
    return CELERY_OK;
}

struct cel_control *cel_control_free(struct cel_control *control)
{
    struct cel_list *it;

    if (!control) {
        return NULL;
    }
    while ((it = cel_list_first(&control->waiting))) {
        cel_list_remove(it);
        cel_envelope_free(cel_container_of(it, struct waiting, node)->envelope);
    }
    cel_source_free(control->pass);
    cel_arena_fini(&control->arena);
    cel_free(control);
    return NULL;
}
