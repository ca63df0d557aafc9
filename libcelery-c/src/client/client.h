/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the client share. */
#ifndef CEL_CLIENT_CLIENT_H
#define CEL_CLIENT_CLIENT_H

#include "app/app.h"
#include "backend/backend.h"
#include "base/list.h"
#include "base/uuid.h"
#include "client/outbox.h"
#include "client/sent_event.h"
#include "client/uplink.h"
#include "transport/transport.h"
#include <celery/client.h>

struct celery_client {
    const celery_app *app;         /* NULL: opened by URLs */
    struct cel_config *own_config; /* then these are the settings */
    const struct cel_config *config;
    struct cel_router *router;
    struct cel_loop *loop;

    struct cel_url **broker_urls;
    size_t n_broker_urls;
    struct cel_transport *transport;
    struct cel_uplink broker;
    struct cel_map declared; /* queues, on this connection */

    struct cel_url **backend_urls;
    size_t n_backend_urls;
    struct cel_backend *backend; /* NULL: results cannot be read */
    struct cel_uplink results;
    struct cel_map tracked;  /* task id: struct cel_tracked */
    struct cel_list groups;  /* celery_result */
    struct cel_buf restored; /* the tuple of a saved group that was asked for */

    struct cel_outbox outbox;
    struct cel_sent_events events;
    size_t unwritten;    /* bytes added to it since the last pass for them */
    celery_error unsent; /* first failure of a send nobody is told of */

    char reply_to[CEL_UUID_SIZE]; /* Celery's thread_oid */

    struct cel_remote *remote; /* NULL: no command was sent yet */
};

/* One task whose results are held. */
struct cel_tracked {
    struct cel_list results; /* celery_result */
    bool watched;
    size_t len;
    char id[];
};

/* A call of the interfaces that somebody waits for; on the waiter's stack. */
struct cel_waiting {
    bool done;
    celery_error err;
    int64_t answer;
};
void cel_waiting_done(void *waiting, const celery_error *err, int64_t answer);

/* ---- client.c ---- */

/* Reads CELERY_* into an app that nothing was made from yet, and freezes it. */
celery_status cel_client_ready(celery_app *app, celery_error *err);

/* celery_client_open_app() with this reply_to: replies to what others sent come here, too. */
celery_client *cel_client_open_as(celery_app *app, const char *reply_to,
                                  celery_error *err);

/* The backend gives results only to the queue of who sent the task. */
bool cel_client_needs_queue(const celery_client *client);

/* One pass of the loop, at most until deadline (loop time); false when that is over. */
bool cel_client_pass(celery_client *client, double deadline);

/*
 * Until the link is up; fails when a whole round of URLs has failed, for good, or at the
 * deadline.
 */
celery_status cel_client_wait_uplink(celery_client *client, struct cel_uplink *link,
                                     double deadline, celery_error *err);
double cel_client_now(const celery_client *client);

/*
 * Passes of the loop until the operation has ended.  At the deadline (loop time) the connection
 * is dropped, so that nothing points to w any more: CELERY_ETIMEOUT.
 */
celery_status cel_client_wait_answer(celery_client *client, struct cel_waiting *w,
                                     double deadline, celery_error *err);

/* The broker's connection is gone. */
void cel_client_broker_lost(celery_client *client, const celery_error *why);

/* ---- result.c ---- */

/* The future of a task id. */
celery_result *cel_result_new(celery_client *client, struct cel_slice id, bool ignored,
                              celery_error *err);

/* The backend reported a document (NULL: none). */
void cel_result_meta(void *client, struct cel_slice task_id, const struct cel_node *doc);

/* The backend reported a saved group (NULL: none). */
void cel_result_group_loaded(void *client, struct cel_slice group_id,
                             const struct cel_node *tuple);

/* Watches again what was watched, after the backend's connection came back. */
void cel_result_watch_again(void *client);

/* The client goes: its results stay, and know nothing more. */
void cel_result_orphan_all(celery_client *client);

#endif
