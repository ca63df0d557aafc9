/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/canvas.py apply_async: a signature becomes messages, and the caller waits for them. */
#include "client/send.h"
#include "base/error.h"
#include "client/client.h"

/* Bytes that may wait in the outbox before a sender has to. */
enum { BACKLOG_MAX = 8 << 20 };

celery_status cel_sending_init(struct cel_sending *ret, celery_client *client,
                               const celery_sig *sig, celery_error *err)
{
    *ret = (struct cel_sending){0};
    if (sig->failed.status < 0) {
        return cel_error_set(err, sig->failed.status, "%s", sig->failed.message);
    }
    char id[CEL_UUID_SIZE];
    bool ignored = false;
    cel_uuid4(id);
    const char *use_id = sig->id ? sig->id : id;
    celery_status status =
        cel_send_apply(client, sig, use_id, &ret->effects, &ignored, err);
    if (status == CELERY_OK) {
        ret->result = cel_result_new(client, cel_slice_of(use_id), ignored, err);
        status = ret->result ? CELERY_OK : CELERY_ENOMEM;
    }
    if (status < 0) {
        cel_sending_fini(ret);
    }
    return status;
}

void cel_sending_fini(struct cel_sending *s)
{
    cel_effects_fini(&s->effects);
    celery_result_free(s->result);
    s->result = NULL;
}

celery_status cel_send_make_room(celery_client *client, celery_error *err)
{
    while (client->outbox.bytes > BACKLOG_MAX) {
        if (!cel_client_pass(client, 1e300)) {
            return cel_error_set(err, CELERY_EINVAL,
                                 "too much to send from inside a callback");
        }
    }
    return CELERY_OK;
}

/* Waits for the batch, which is over when w is done. */
static celery_status wait_sent(celery_client *client, struct cel_batch *batch,
                               struct cel_waiting *w, celery_error *err)
{
    while (!w->done) {
        if (!cel_client_pass(client, 1e300) && !w->done) {
            cel_batch_abandon(batch);
            return cel_error_set(err, CELERY_EINVAL,
                                 "a callback of the client cannot wait: use "
                                 "celery_send_async()");
        }
    }
    if (w->err.status < 0) {
        return cel_error_set(err, w->err.status, "%s", w->err.message);
    }
    return CELERY_OK;
}

celery_status cel_send_effects(celery_client *client, struct cel_effects *give_effects,
                               celery_error *err)
{
    struct cel_waiting w = {0};
    celery_error why = {0};
    struct cel_batch *batch = cel_outbox_add(
        &client->outbox, give_effects, (struct cel_done){cel_waiting_done, &w}, &why);
    if (!batch) {
        return cel_error_set(err, why.status, "%s", why.message);
    }
    return wait_sent(client, batch, &w, err);
}

celery_result *celery_send_sig(celery_client *client, const celery_sig *sig,
                               celery_error *err)
{
    if (!client || !sig) {
        return NULL;
    }
    struct cel_sending sending;
    if (cel_sending_init(&sending, client, sig, err) < 0) {
        return NULL;
    }
    celery_status status = cel_send_effects(client, &sending.effects, err);
    if (status < 0) {
        cel_error_prefix(err, status, "%s: ", celery_sig_task(sig));
        cel_sending_fini(&sending);
        return NULL;
    }
    return sending.result;
}

celery_result *celery_send(celery_client *client, const char *task, celery_error *err,
                           const char *fmt, ...)
{
    /* Without a client too: values given by "o" are taken. */
    celery_error nowhere = {0};
    va_list args_list;
    va_start(args_list, fmt);
    celery_sig *sig = cel_sig_newv(task, client ? err : &nowhere, fmt, args_list);
    va_end(args_list);
    celery_result *result = celery_send_sig(client, sig, err);
    celery_sig_free(sig);
    return result;
}
