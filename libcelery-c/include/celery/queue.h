/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues as an operator sees them: which there are, how much waits in them, emptying them,
 * bindings, and moving tasks from one broker to another.  Stable.
 *
 * Calls with a client are made on its thread, and wait: an answer that takes longer than
 * broker_connection_timeout and ten seconds is CELERY_ETIMEOUT, and the connection is made
 * anew.  A call on a NULL client fails with CELERY_EINVAL and leaves err alone.
 */
#ifndef CELERY_QUEUE_H
#define CELERY_QUEUE_H

#include <celery/client.h>

CELERY_BEGIN_DECLS

/*
 * Calls fn with the name of each queue of the settings, in their order: those of task_queues, or
 * the default one (upstream: app.amqp.queues).  Asks nobody.  name is borrowed for the call.
 */
typedef void (*celery_queue_fn)(void *ctx, const char *name);
CELERY_API celery_status celery_client_queues(celery_client *client, celery_queue_fn fn,
                                              void *ctx, celery_error *err);

/*
 * How many messages wait in a queue; those that consumers hold are not counted.  A queue that
 * does not exist has none.
 */
CELERY_API celery_status celery_client_count(celery_client *client, const char *queue,
                                             size_t *ret_count, celery_error *err);

/*
 * Removes all messages that wait in a queue, for good (upstream: celery/bin/purge.py,
 * channel.queue_purge()).  ret_count (may be NULL) is how many there were.  A queue that
 * does not exist has none.  CELERY_EUNCERTAIN: it may have happened.
 */
CELERY_API celery_status celery_client_purge(celery_client *client, const char *queue,
                                             size_t *ret_count, celery_error *err);

/* One binding; texts are borrowed for the call, and come from strangers. */
typedef struct celery_binding {
    const char *queue;
    const char *exchange;
    const char *routing_key;
} celery_binding;

/*
 * Declares the queues of the settings, and calls fn for all bindings of their exchanges, also
 * those that others have made, in no order (upstream: celery/bin/list.py bindings,
 * kombu/transport/virtual/base.py Management.get_bindings()).  RabbitMQ tells those of the virtual
 * host by its management plugin, see the setting broker_api.  CELERY_ENOTSUP: the broker does not
 * tell; CELERY_EAUTH: the plugin refuses the login; others with a line: it does not answer.
 */
typedef void (*celery_binding_fn)(void *ctx, const celery_binding *binding);
CELERY_API celery_status celery_client_bindings(celery_client *client,
                                                celery_binding_fn fn, void *ctx,
                                                celery_error *err);

/* ---- from one broker to another ---- */

/* How far a migration is. */
typedef struct celery_migrated {
    size_t count;     /* tasks that the destination has confirmed */
    size_t skipped;   /* left where they were: another task, or not legible */
    size_t total;     /* messages that waited at the beginning; more may have come */
    const char *task; /* of the latest one; NULL: none yet.  Borrowed for the call, and */
    const char *task_id; /* escaped as in log lines */
} celery_migrated;

/* What to migrate, and how.  Start it as {0}. */
typedef struct celery_migration {
    /*
     * Source queues, separated by commas, each with the name of the destination's behind a
     * colon if that is another: "celery,old:new".  NULL: all of the settings.
     */
    const char *queues;
    const char *tasks; /* names separated by commas; NULL: all */
    size_t limit;      /* tasks; 0: no limit */
    double timeout; /* seconds without a message that end it; 0: 1 second, as upstream */
    bool forever;   /* nothing ends it but on_task */
    /*
     * Acknowledge at the source what the destination has confirmed (-a): the task is moved.
     * Otherwise it is copied, and all are given back to the source in the end, in their
     * order, marked as redelivered.
     */
    bool move;
    /*
     * Called for each task that the destination has confirmed, and about five times a second
     * with task NULL; false ends the migration in good order.  May be NULL.
     */
    bool (*on_task)(void *ctx, const celery_migrated *now);
    void *ctx;
} celery_migration;

/*
 * Migrates tasks (upstream: celery/contrib/migrate.py migrate_tasks(), celery/bin/migrate.py).
 * Source and destination are broker URLs of any kinds; broker_transport_options and the other
 * settings of connections are those of the app, which is frozen with CELERY_* read from the
 * environment.
 *
 * A message arrives with its body, headers and properties (correlation_id, reply_to,
 * priority, expiration ...) as they were, in the queue of the same name, which is
 * declared there as the settings have it.  It goes through the default exchange, so that one
 * message stays one.  It is acknowledged at the source after the destination has confirmed
 * it: when anything ends in between, it is at both, and nowhere it is lost.
 *
 * What is not migrated: messages that workers hold, dead letters, tasks in RabbitMQ's delay
 * queues.  Without move, 65535 messages at most can be copied at once: CELERY_ELIMIT.
 *
 * ret (may be NULL) is set also after a failure; its texts are NULL.  CELERY_ECONFIG,
 * CELERY_ECONNECT, CELERY_EAUTH: nothing was migrated; the message says which of the two
 * brokers, without its password.  CELERY_ECLOSED, CELERY_ETIMEOUT, CELERY_EUNCERTAIN: what
 * was not confirmed is still at the source.  Blocks; for any one thread.
 */
CELERY_API celery_status celery_migrate(celery_app *app, const char *source_url,
                                        const char *destination_url,
                                        const celery_migration *migration,
                                        celery_migrated *ret, celery_error *err);

CELERY_END_DECLS

#endif
