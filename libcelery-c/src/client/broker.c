/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/broker.h"
#include "base/error.h"

/* An answer of the broker. */
static const double ANSWER_TIMEOUT = 20;

enum { PRECONDITION_FAILED = 406 };

static void on_delivered(void *ctx, struct cel_delivery *give_delivery)
{
    struct cel_broker *b = ctx;

    if (b->delivered) {
        b->delivered(b->ctx, give_delivery);
    } else {
        cel_envelope_free(give_delivery->envelope);
    }
}

static void on_lost(void *ctx, const celery_error *why)
{
    struct cel_broker *b = ctx;

    b->up = false;
    b->lost = *why;
}

static const struct cel_transport_events events = {.delivered = on_delivered,
                                                   .lost = on_lost};

celery_status cel_broker_error(const struct cel_broker *b, const celery_error *why,
                               celery_error *err)
{
    celery_status status =
        cel_error_set(err, why->status, "%s: %s", b->what,
                      why->message[0] ? why->message : celery_status_text(why->status));
    if (err) {
        err->code = why->code;
    }
    return status;
}

celery_status cel_broker_wait(struct cel_broker *b, struct cel_waiting *w, double seconds,
                              celery_error *err)
{
    double deadline = cel_loop_now(b->loop) + seconds;

    while (!w->done) {
        double left = deadline - cel_loop_now(b->loop);

        if (left <= 0 || cel_loop_pass(b->loop, left) < 0) {
            b->transport->ops->close(b->transport);
            b->up = false;
            w->done = true;
            cel_error_set(&w->err, CELERY_ETIMEOUT, "the broker gives no answer");
            b->lost = w->err;
        }
    }
    return w->err.status < 0 ? cel_broker_error(b, &w->err, err) : CELERY_OK;
}

celery_status cel_broker_connect(struct cel_broker *b, celery_error *err)
{
    celery_error why = {0};

    for (size_t i = 0; i < b->n_urls && !b->up; i++) {
        struct cel_waiting w = {0};

        b->transport->ops->connect(b->transport, i,
                                   (struct cel_done){cel_waiting_done, &w});
        why = (celery_error){0};
        if (cel_broker_wait(b, &w, b->timeout, &why) == CELERY_OK) {
            b->up = true;
            b->lost = (celery_error){0};
        }
    }
    return b->up ? CELERY_OK : cel_error_set(err, why.status, "%s", why.message);
}

celery_status cel_broker_open(struct cel_broker *b, const char *urls, size_t max_message,
                              const struct cel_config *config, celery_error *err)
{
    celery_error why = {0};
    celery_status status =
        urls ? cel_url_parse_list(urls, &b->urls, &b->n_urls, &why)
             : cel_transport_urls(config, "broker_read_url", &b->urls, &b->n_urls, &why);

    if (status == CELERY_OK) {
        status = cel_transport_new(b->loop, b->urls, b->n_urls,
                                   cel_config_doc(config, "broker_transport_options"),
                                   &events, b, &b->transport, &why);
    }
    if (status < 0) {
        return cel_broker_error(b, &why, err);
    }
    cel_transport_set_up(b->transport, config);
    b->transport->max_message = max_message;
    /* The transport has a limit for each step of it; this one is for all of them. */
    b->timeout = 3 * cel_config_double(config, "broker_connection_timeout", 4) + 1;
    return cel_broker_connect(b, err);
}

void cel_broker_close(struct cel_broker *b)
{
    b->transport = cel_transport_free(b->transport);
    cel_url_free_list(b->urls, b->n_urls);
    b->urls = NULL;
    b->n_urls = 0;
    b->up = false;
}

celery_status cel_broker_declare(struct cel_broker *b, const struct cel_queue *q,
                                 celery_error *err)
{
    struct cel_waiting w = {0};
    celery_error why = {0};
    celery_status status;

    b->transport->ops->declare(b->transport, q, (struct cel_done){cel_waiting_done, &w});
    status = cel_broker_wait(b, &w, ANSWER_TIMEOUT, &why);
    if (status < 0 && w.err.code != PRECONDITION_FAILED) {
        return cel_error_set(err, status, "%s", why.message);
    }
    return CELERY_OK;
}

celery_status cel_broker_count(struct cel_broker *b, const char *queue, size_t *ret,
                               celery_error *err)
{
    struct cel_waiting w = {0};
    celery_status status;

    *ret = 0;
    if (!b->transport->ops->count) {
        return CELERY_OK;
    }
    b->transport->ops->count(b->transport, queue,
                             (struct cel_done){cel_waiting_done, &w});
    status = cel_broker_wait(b, &w, ANSWER_TIMEOUT, err);
    *ret = status == CELERY_OK && w.answer > 0 ? (size_t)w.answer : 0;
    return status;
}
