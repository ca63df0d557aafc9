/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of one SQS transport, shared by the sqs_*.c files.  SQS has no connection: what is
 * called one here is the time from a connect() to the first call that fails for good.
 */
#ifndef CEL_TRANSPORT_SQS_STATE_H
#define CEL_TRANSPORT_SQS_STATE_H

#include "aws/client.h"
#include "base/ageset.h"
#include "base/list.h"
#include "base/map.h"
#include "transport/exchange.h"
#include "transport/hold.h"
#include "transport/sqs_options.h"
#include "transport/transport.h"

enum {
    CEL_SQS_BATCH = 10,       /* entries of a batch, messages of a receive */
    CEL_SQS_UNLIMITED = 1000, /* deliveries at most when prefetch is lifted */
    CEL_SQS_POLLS = 8,        /* receives at once for one queue that is full */
    CEL_SQS_MAX_BYTES = 1 << 20,
    CEL_SQS_TRIES = 6, /* of calls, and of single entries that the service could not do */
};

/* So long single settlements wait for others to make a batch, and room for more of it. */
#define CEL_SQS_LINGER 0.02

struct cel_sqs;
struct cel_sqs_queue;

/* One call on its way.  fn is called exactly once, at the latest when the connection ends. */
typedef void (*cel_sqs_fn)(void *ctx, const struct cel_aws_answer *answer);

enum cel_sqs_find { CEL_SQS_UNKNOWN, CEL_SQS_ASKING, CEL_SQS_FOUND };

/* A queue by name; lives as long as the transport, because deliveries point to its name. */
struct cel_sqs_queue {
    struct cel_list node;
    struct cel_sqs *s;
    char *name;              /* Celery's */
    char *sqs_name;          /* the service's */
    char *url;               /* valid when found */
    struct cel_aws *aws;     /* the transport's, or its own: predefined_queues */
    struct cel_aws *own_aws; /* to be freed; or NULL */
    const struct cel_sqs_predefined *predefined; /* or NULL */
    bool fifo;
    bool passive; /* is not created: a dead-letter queue of somebody else's */
    bool no_ack;  /* see struct cel_queue */
    bool consuming;
    bool dead;    /* of dead letters: what is said of them comes with them */
    bool missing; /* it was looked for and not made */
    bool renamed; /* its own name is not free again yet */

    /* sqs_redrive.c */
    struct cel_sqs_queue *source; /* whose redrive policy has it as target; or NULL */
    bool looking;                 /* the source is not made for it */

    /* sqs_subscribe.c: of a fanout */
    struct cel_sqs_topic *topic; /* or NULL */
    char
        *routing_key; /* what of it is heard, as a topic exchange would tell; "" is all */
    char *subscription; /* its ARN; NULL: none yet */
    bool temporary;     /* auto_delete: heard only while it is consumed */
    bool broadcasts;    /* and nobody settles what it brings */
    bool listening_due; /* listening() is to be told */

    enum cel_sqs_find find;
    struct cel_list waiting; /* for the answer: struct wait of sqs_queue.c */
    size_t max_bytes;        /* of a message */
    char *redrive;     /* name of the dead-letter queue of its redrive policy; or NULL */
    bool dead_refused; /* there is no place for dead letters; said once */

    /* sqs_poll.c */
    unsigned n_polls;
    size_t requested; /* messages these may bring */
    bool hot;         /* the last one was full */
    unsigned failures;
    double poll_after;     /* loop time */
    double quiet_after;    /* cancelled: loop time when its last polls are dropped */
    struct cel_list polls; /* struct poll */
    struct cel_list stash; /* messages received and not delivered yet */
    struct cel_map groups; /* FIFO: of which a message is delivered and not settled */

    /* sqs_publish.c */
    struct cel_list unsent;
    size_t n_unsent;
    unsigned n_sending;
    double send_after;

    /* sqs_settle.c: messages by their settle node */
    struct cel_list deletes;
    struct cel_list changes; /* visibility */
    size_t n_deletes, n_changes;
    unsigned n_settling; /* calls */
    double settle_after;
};

enum cel_sqs_message_state {
    CEL_SQS_STASHED,
    CEL_SQS_HELD,     /* delivered */
    CEL_SQS_SETTLING, /* the owner has settled it, the service has not answered yet */
};

/* A message that is ours until its visibility ends.  One block with its texts. */
struct cel_sqs_message {
    struct cel_list node;   /* in the stash */
    struct cel_list settle; /* in deletes or changes */
    struct cel_sqs_queue *queue;
    uint64_t tag;
    enum cel_sqs_message_state state;
    struct cel_envelope *envelope; /* ours while stashed, then the owner's */
    char *handle;
    char *id;          /* in the block */
    char *group;       /* in the block; NULL: no FIFO */
    double received;   /* loop time */
    double visible_at; /* loop time when it goes to others unless renewed */
    int64_t receives;
    bool base64;    /* as it was sent */
    bool malformed; /* and why */
    bool renewing;
    bool told_limit; /* that its 12 hours end was said */
    char why[120];
    int64_t seconds; /* of a change of visibility */
    unsigned tries;
    struct cel_done done;
};

struct cel_sqs_binding {
    struct cel_list node;
    char *exchange;
    char *routing_key;
    enum cel_exchange_type type;
    struct cel_sqs_queue *queue;
};

/* A fanout exchange, which is a topic of SNS (kombu/transport/SQS/SNS.py). */
struct cel_sqs_topic {
    struct cel_list node;
    struct cel_sqs *s;
    char *exchange;
    char *name; /* the service's */
    char *arn;  /* valid when found */
    bool fifo;
    struct cel_aws *aws; /* the transport's for SNS, or its own: predefined_exchanges */
    struct cel_aws *own_aws; /* to be freed; or NULL */
    enum cel_sqs_find find;
    struct cel_list waiting; /* for the answer */
};

struct cel_sqs {
    struct cel_transport base;
    struct cel_sqs_options set;
    struct cel_aws *aws;
    struct cel_aws *sns; /* with supports_fanout */
    bool connected;
    bool connecting;
    unsigned connects; /* tells a callback's caller that it was closed meanwhile */
    struct cel_done on_connected;
    celery_error failure; /* why the connection is about to end */
    double last_answer;
    struct cel_source *flush; /* hook */
    struct cel_source *tick;  /* timer: schedules the hook */
    struct cel_source *fail;  /* timer */
    double tick_at;           /* loop time; 0: not armed */
    struct cel_list calls;
    struct cel_list queues;
    struct cel_list bindings;
    struct cel_list topics;
    size_t n_leaving;     /* subscriptions and queues that are about to end */
    struct cel_map by_id; /* of what we hold: struct cel_sqs_message */
    struct cel_ageset
        *settled;         /* ids that we deleted: a standard queue may bring them again */
    struct cel_hold hold; /* struct cel_sqs_message * */
    size_t n_out;         /* delivered and not settled by the owner */
    size_t n_stashed;
    size_t requested;
    unsigned prefetch;
    bool credited;
    unsigned credit;
    double
        room_since; /* loop time since when there was a little room; 0: there is none */
    double renew_at;
    size_t
        n_returning; /* messages that go back because nobody reads their queue any more */
    struct cel_buf params; /* scratch */
    struct cel_buf text;
};

static inline struct cel_sqs *cel_sqs_of(struct cel_transport *t)
{
    return (struct cel_sqs *)t;
}

/* ---- sqs.c ---- */

/* Ends the connection from the next pass on: lost(). */
void cel_sqs_abandon(struct cel_sqs *s, const celery_error *why);

/* The hook runs again at that loop time at the latest. */
void cel_sqs_tick_at(struct cel_sqs *s, double at);
void cel_sqs_wake(struct cel_sqs *s);

/* True when there is no connection: done has been told. */
bool cel_sqs_is_closed(struct cel_sqs *s, struct cel_done done);

/* Seconds that a receive or a renewal makes a message ours. */
int64_t cel_sqs_visibility(const struct cel_sqs *s);

/* ---- sqs_call.c ---- */

/*
 * Calls with the JSON object in s->params, which is cleared.  wait: of a long poll, seconds; -1:
 * none.  fn may be called from in here when there is no memory or no connection.  *ret_call
 * (may be NULL) names it for cel_sqs_call_cancel() until fn is called.
 */
struct cel_sqs_call;
void cel_sqs_call(struct cel_sqs *s, struct cel_aws *aws, const char *action,
                  int64_t wait, cel_sqs_fn fn, void *ctx, struct cel_sqs_call **ret_call);
void cel_sqs_call_cancel(
    struct cel_sqs_call *call); /* fn is called with CELERY_ECLOSED */
void cel_sqs_calls_reset(struct cel_sqs *s);

bool cel_sqs_is_missing(const struct cel_aws_answer *a); /* there is no such queue */
bool cel_sqs_is_denied(const struct cel_aws_answer *a);

/* For JSON: {"QueueUrl": "..." */
void cel_sqs_params(struct cel_sqs_queue *q);
/* , "name": "text" */
void cel_sqs_param_text(struct cel_buf *b, const char *name, struct cel_slice text);

/*
 * Walks the entries of a batch's answer: calls fn for each of n with its place and its entry of
 * "Successful", or NULL and that of "Failed".  Those that the answer lacks have failed with
 * an empty one.
 */
typedef void (*cel_sqs_entry_fn)(void *ctx, size_t i, const struct cel_node *done,
                                 const struct cel_node *failed);
void cel_sqs_entries(const struct cel_node *result, size_t n, cel_sqs_entry_fn fn,
                     void *ctx);
/* It is our fault, and so again is of no use. */
bool cel_sqs_entry_is_final(const struct cel_node *failed);
/* False when there is a digest and it is another one's. */
bool cel_sqs_md5_fits(const struct cel_node *md5, struct cel_slice bytes);
void cel_sqs_entry_error(const struct cel_node *failed, const char *what,
                         celery_error *err);

/* ---- sqs_queue.c ---- */

/* By Celery's name, made when it is not there.  NULL: no memory, or err says why not. */
struct cel_sqs_queue *cel_sqs_queue(struct cel_sqs *s, const char *name,
                                    celery_error *err);

/* By the service's own name; it is not created if it is missing. */
struct cel_sqs_queue *cel_sqs_queue_named(struct cel_sqs *s, const char *sqs_name);

/* done when its URL is known; at once if it is. */
void cel_sqs_find(struct cel_sqs_queue *q, struct cel_done done);
/* For finding: another name at the service; it is asked for the URL. */
celery_status cel_sqs_rename(struct cel_sqs_queue *q, const char *sqs_name);
void cel_sqs_ask_url(struct cel_sqs_queue *q);
void cel_sqs_queues_reset(struct cel_sqs *s);
void cel_sqs_queues_free(struct cel_sqs *s);

/* Lists of those who wait for one answer. */
bool cel_sqs_await(struct cel_list *waiting, struct cel_done done); /* false: no memory */
void cel_sqs_answer_all(struct cel_list *waiting, const celery_error *err);

/* ---- sqs_declare.c ---- */

void cel_sqs_declare(struct cel_transport *t, const struct cel_queue *q,
                     struct cel_done done);

/* ---- sqs_topic.c ---- */

/* By Celery's name of the exchange, made when it is not there.  NULL: err says why. */
struct cel_sqs_topic *cel_sqs_topic(struct cel_sqs *s, const char *exchange,
                                    celery_error *err);
/* NULL: it was not declared here. */
struct cel_sqs_topic *cel_sqs_topic_known(const struct cel_sqs *s, const char *exchange);
/* done when its ARN is known; at once if it is. */
void cel_sqs_topic_find(struct cel_sqs_topic *topic, struct cel_done done);
void cel_sqs_topics_reset(struct cel_sqs *s);
void cel_sqs_topics_free(struct cel_sqs *s);

/* To all that are subscribed to it; the envelope is borrowed until done. */
void cel_sqs_topic_publish(struct cel_sqs_topic *topic,
                           const struct cel_envelope *envelope, struct cel_done done);

/* ---- sqs_subscribe.c ---- */

/* Declares a queue of a fanout, or the fanout alone. */
void cel_sqs_subscribe(struct cel_sqs *s, const struct cel_queue *def,
                       struct cel_done done);
/* Ends it if there is one; nobody waits for that. */
void cel_sqs_unsubscribe(struct cel_sqs_queue *q);
/* Gives the owner what came to a queue of broadcasts. */
void cel_sqs_hear(struct cel_sqs_queue *q);

/* ---- sqs_redrive.c ---- */

/* Finds a queue with a source. */
void cel_sqs_redrive_find(struct cel_sqs_queue *q);
/* The queue that a letter was in, by its ARN; borrows. */
struct cel_slice cel_sqs_redrive_from(const struct cel_sqs_queue *q,
                                      struct cel_slice arn);

/* ---- sqs_reply.c ---- */

/* True for the exchange of the answers to remote control: "reply.celery.pidbox". */
bool cel_sqs_is_reply(const char *exchange);
/* To the queue that kombu names for that exchange and key, if it is there. */
void cel_sqs_reply(struct cel_sqs *s, const char *exchange, const char *routing_key,
                   const struct cel_envelope *envelope, struct cel_done done);

/* ---- sqs_manage.c ---- */

void cel_sqs_count(struct cel_transport *t, const char *queue, struct cel_done done);
void cel_sqs_purge(struct cel_transport *t, const char *queue, struct cel_done done);
void cel_sqs_delete_queue(struct cel_transport *t, const char *queue,
                          struct cel_done done);
/* Deletes a queue that is found and read no more; nobody waits for that but returning(). */
void cel_sqs_discard(struct cel_sqs_queue *q);

/* ---- sqs_publish.c ---- */

void cel_sqs_publish(struct cel_transport *t, const char *exchange,
                     const char *routing_key, const struct cel_envelope *envelope,
                     struct cel_done done);
/*
 * The envelope, borrowed until done, to that queue; group and dedup (may be NULL) are copied.
 * reason: it is a dead letter of from; or NULL.
 */
struct cel_sqs_extra {
    const char *group;
    const char *dedup;
    const char *reason;
    const char *from;
    struct cel_slice raw; /* what to send instead of the envelope; or empty */
    bool not_base64;      /* it was not base64 when it came */
};
void cel_sqs_post(struct cel_sqs_queue *q, const struct cel_envelope *envelope,
                  const struct cel_sqs_extra *extra, struct cel_done done);
void cel_sqs_publish_flush(struct cel_sqs_queue *q);
void cel_sqs_publish_reset(struct cel_sqs_queue *q);

/* ---- sqs_poll.c ---- */

celery_status cel_sqs_consume(struct cel_transport *t, const char *queue,
                              celery_error *err);
celery_status cel_sqs_cancel(struct cel_transport *t, const char *queue,
                             celery_error *err);
/* It is not read from now on; what lies in the stash goes back. */
void cel_sqs_unread(struct cel_sqs_queue *q);
void cel_sqs_poll_flush(struct cel_sqs *s);
void cel_sqs_polls_stop(struct cel_sqs_queue *q);
void cel_sqs_stash_return(struct cel_sqs_queue *q);

/* ---- sqs_deliver.c ---- */

/* One of "Messages" of an answer. */
void cel_sqs_receive(struct cel_sqs_queue *q, const struct cel_node *message);
/* Delivers what can be of the stash. */
void cel_sqs_deliver(struct cel_sqs_queue *q);
size_t cel_sqs_room(const struct cel_sqs *s);

/* ---- sqs_settle.c ---- */

void cel_sqs_ack(struct cel_transport *t, uint64_t tag, struct cel_done done);
void cel_sqs_reject(struct cel_transport *t, uint64_t tag, bool requeue, bool front,
                    const char *header, int64_t value, struct cel_done done);
void cel_sqs_defer(struct cel_transport *t, uint64_t tag, double until,
                   struct cel_done done);
void cel_sqs_count_start(struct cel_transport *t, uint64_t tag, int64_t most,
                         struct cel_done done);

/* The owner is through with it: takes it from what counts.  NULL: unknown or settled, and
 * done was told so. */
struct cel_sqs_message *cel_sqs_take(struct cel_transport *t, uint64_t tag,
                                     struct cel_done done);
void cel_sqs_delete(struct cel_sqs_message *m, struct cel_done done);
/* Gives it back for others to see after so many seconds. */
void cel_sqs_change(struct cel_sqs_message *m, int64_t seconds, struct cel_done done);
/* It is not ours any more, one way or the other. */
void cel_sqs_forget(struct cel_sqs_message *m);
/* A settlement did not come about: it is held as before. */
void cel_sqs_unsettle(struct cel_sqs_message *m);
void cel_sqs_settle_flush(struct cel_sqs_queue *q);
void cel_sqs_settle_reset(struct cel_sqs_queue *q);

/* ---- sqs_renew.c ---- */

void cel_sqs_renew_flush(struct cel_sqs *s);

/* ---- sqs_dead.c ---- */

void cel_sqs_park(struct cel_transport *t, uint64_t tag, const char *reason,
                  struct cel_done done);
void cel_sqs_bury(struct cel_transport *t, const char *queue,
                  const struct cel_envelope *envelope, const char *reason,
                  struct cel_done done);
/* A message that was taken from what counts. */
void cel_sqs_park_message(struct cel_sqs_message *m, const char *reason,
                          struct cel_done done);

#endif
