/* SPDX-License-Identifier: BSD-3-Clause */
/* Many messages with their confirmations in flight. */
#include "base/alloc.h"
#include "base/error.h"
#include "client/client.h"
#include "client/send.h"

/* What is collected before a pass of the loop writes it: keeps the broker busy meanwhile. */
enum { CHUNK = 128 << 10 };

/* ---- one at a time, the end told later ---- */

struct sent {
    celery_client *client;
    celery_sent_fn fn;
    void *ctx;
    char id[];
};

static void on_sent(void *ctx, const celery_error *err, int64_t answer)
{
    struct sent *s = ctx;
    celery_client *client = s->client;

    if (s->fn) {
        s->fn(s->ctx, s->id, err);
    } else if (err && client->unsent.status == CELERY_OK) {
        client->unsent = *err;
    }
    cel_free(s);
}

static struct sent *sent_new(celery_client *client, struct cel_slice id,
                             celery_sent_fn fn, void *ctx)
{
    struct sent *s = cel_alloc(sizeof *s + id.len + 1);

    if (s) {
        *s = (struct sent){.client = client, .fn = fn, .ctx = ctx};
        memcpy(s->id, id.data, id.len);
        s->id[id.len] = '\0';
    }
    return s;
}

/* From inside a callback there is no pass, and none is needed: one is going on. */
static void keep_going(celery_client *client, size_t added)
{
    client->unwritten += added;
    if (client->unwritten >= CHUNK) {
        client->unwritten = 0;
        cel_client_pass(client, cel_client_now(client));
    }
}

celery_status celery_send_async(celery_client *client, const celery_sig *sig,
                                celery_sent_fn fn, void *ctx, celery_error *err)
{
    if (!client || !sig) {
        return CELERY_EINVAL;
    }
    struct cel_sending sending;
    celery_status status = cel_send_make_room(client, err);
    if (status == CELERY_OK) {
        status = cel_sending_init(&sending, client, sig, err);
    }
    if (status < 0) {
        return status;
    }
    struct sent *s = sent_new(client, cel_sending_id(&sending), fn, ctx);
    size_t size = sending.effects.bytes.len;
    if (!s) {
        status = cel_error_nomem(err);
    } else if (!cel_outbox_add(&client->outbox, &sending.effects,
                               (struct cel_done){on_sent, s}, err)) {
        status = CELERY_ENOMEM;
        cel_free(s);
    }
    cel_sending_fini(&sending);
    if (status == CELERY_OK) {
        keep_going(client, size);
    }
    return status;
}

celery_status celery_client_flush(celery_client *client, double timeout,
                                  celery_error *err)
{
    if (!client) {
        return CELERY_EINVAL;
    }
    double deadline = timeout < 0 ? 1e300 : cel_client_now(client) + timeout;
    while (client->outbox.n_batches > 0) {
        if (!cel_client_pass(client, deadline)) {
            return cel_error_set(err, CELERY_ETIMEOUT, "%zu calls are not confirmed yet",
                                 client->outbox.n_batches);
        }
    }
    celery_error first = client->unsent;
    client->unsent = (celery_error){0};
    if (first.status < 0) {
        return cel_error_set(err, first.status, "%s", first.message);
    }
    return CELERY_OK;
}

/* ---- an array ---- */

struct many {
    bool results; /* are wanted */
    size_t left;
    celery_error *err;
    celery_status status;
};

struct slot {
    struct many *many;
    struct cel_batch *batch; /* NULL: not begun, or over */
    celery_result *result;
    const char *task;
};

static void slot_failed(struct slot *s, const celery_error *why)
{
    celery_result_free(s->result);
    s->result = NULL;
    if (s->many->status == CELERY_OK) {
        s->many->status =
            cel_error_set(s->many->err, why->status, "%s: %s", s->task, why->message);
    }
}

static void on_slot(void *ctx, const celery_error *err, int64_t answer)
{
    struct slot *s = ctx;

    s->batch = NULL;
    s->many->left--;
    if (err) {
        slot_failed(s, err);
    }
}

static void begin_slot(celery_client *client, struct slot *s, const celery_sig *sig)
{
    celery_error why = {0};
    struct cel_sending sending = {0};
    celery_status status = cel_send_make_room(client, &why);

    s->task = celery_sig_task(sig);
    if (status == CELERY_OK) {
        status = cel_sending_init(&sending, client, sig, &why);
    }
    if (status < 0) {
        slot_failed(s, &why);
        return;
    }
    size_t size = sending.effects.bytes.len;
    s->result = s->many->results ? cel_sending_result(&sending, &why) : NULL;
    if (s->result || !s->many->results) {
        s->many->left++;
        s->batch = cel_outbox_add(&client->outbox, &sending.effects,
                                  (struct cel_done){on_slot, s}, &why);
        s->many->left -= s->batch ? 0 : 1;
    }
    cel_sending_fini(&sending);
    if (s->batch) {
        keep_going(client, size);
    } else {
        slot_failed(s, &why);
    }
}

celery_status celery_send_many(celery_client *client, celery_sig *const *sigs, size_t n,
                               celery_result **ret_results, celery_error *err)
{
    if (!client || (n > 0 && !sigs)) {
        return CELERY_EINVAL;
    }
    struct slot *slots = cel_calloc(n ? n : 1, sizeof *slots);
    struct many many = {.results = ret_results != NULL, .err = err};
    if (!slots) {
        return cel_error_nomem(err);
    }
    for (size_t i = 0; i < n; i++) {
        slots[i].many = &many;
        if (sigs[i] && many.status == CELERY_OK) {
            begin_slot(client, &slots[i], sigs[i]);
        } else if (!sigs[i] && many.status == CELERY_OK) {
            many.status = cel_error_set(err, CELERY_EINVAL, "signature %zu is NULL", i);
        }
    }
    while (many.left > 0 && cel_client_pass(client, 1e300)) {
    }
    for (size_t i = 0; i < n; i++) {
        if (slots[i].batch) {
            celery_error why = {0};
            cel_error_set(&why, CELERY_EINVAL, "a callback of the client cannot wait");
            cel_batch_abandon(slots[i].batch);
            slot_failed(&slots[i], &why);
        }
        if (ret_results) {
            ret_results[i] = slots[i].result;
        }
    }
    cel_free(slots);
    return many.status;
}
