/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events as they travel (celery/events/event.py, dispatcher.py): a map, or a list of maps,
 * sent to the exchange celeryev.  Written straight into a buffer, so that an event costs no
 * allocation; read totally, whoever sent it.
 */
#ifndef CEL_MESSAGE_EVENT_H
#define CEL_MESSAGE_EVENT_H

#include "codec/codec.h"
#include "message/queue.h"
#include "message/task.h"

/* Enough for any type: group, a dash and a name. */
#define CEL_EVENT_TYPE_MAX 128

/* ---- writing ---- */

/* Who sends: what all its events begin with. */
struct cel_event_source {
    const char *hostname; /* borrowed; the node name */
    int pid;
    double utcoffset;      /* as it was written */
    struct cel_buf prefix; /* {"hostname": ..., "utcoffset": ..., "pid": ..., "clock": */
};

/* {0} is a valid empty one.  CELERY_ENOMEM. */
celery_status cel_event_source_init(struct cel_event_source *s, const char *hostname,
                                    int pid);
void cel_event_source_fini(struct cel_event_source *s);

/* Looks again what time it is here: summer comes and goes while a worker runs. */
void cel_event_source_refresh(struct cel_event_source *s);

/* Hours, positive west of Greenwich; since 5.7 exact (celery/utils/time.py utcoffset). */
double cel_event_utcoffset(void);

/*
 * One event: begin, its own fields in upstream's order, end.  The clock is Lamport's, 0 for
 * None.  A buffer that could not grow has cel_buf_ok() false: cut it back to what it was.
 */
void cel_event_begin(struct cel_buf *out, const struct cel_event_source *s,
                     uint64_t clock);
void cel_event_int(struct cel_buf *out, const char *name, int64_t value);
void cel_event_double(struct cel_buf *out, const char *name, double value);
void cel_event_bool(struct cel_buf *out, const char *name, bool value);
/* Of the wall clock, microseconds since 1970. */
void cel_event_end(struct cel_buf *out, const char *type, int64_t timestamp_us);

/* The same with the length of the name, which compilers know. */
void cel_event_put_text(struct cel_buf *out, const char *name, size_t n,
                        struct cel_slice wtf8);
void cel_event_put_raw(struct cel_buf *out, const char *name, size_t n,
                       struct cel_slice json);

/* Room behind what is written, or NULL. */
static inline char *cel_event_room(struct cel_buf *out, size_t size)
{
    if (out->failed || size >= out->cap - out->len) {
        return cel_buf_reserve(out, size, NULL) < 0 ? NULL : out->data + out->len;
    }
    return out->data + out->len;
}

/* A value behind its name: {NULL, 0} is null; microseconds become seconds, under 0: 0. */
void cel_event_put_string(struct cel_buf *out, struct cel_slice wtf8);
void cel_event_put_microseconds(struct cel_buf *out, int64_t us);

/*
 * The same as above where the name is known when it is compiled: lead is CEL_EVENT_LEAD("name"),
 * which is copied in one piece.
 */
#define CEL_EVENT_LEAD(name) CEL_SLICE(", \"" name "\": ")

static inline void cel_event_put_lead(struct cel_buf *out, struct cel_slice lead)
{
    char *at = cel_event_room(out, lead.len);

    if (at) {
        memcpy(at, lead.data, lead.len);
        out->len += lead.len;
    }
}

static inline void cel_event_put_value(struct cel_buf *out, struct cel_slice lead,
                                       struct cel_slice wtf8)
{
    cel_event_put_lead(out, lead);
    cel_event_put_string(out, wtf8);
}

static inline void cel_event_put_seconds(struct cel_buf *out, struct cel_slice lead,
                                         int64_t us)
{
    cel_event_put_lead(out, lead);
    cel_event_put_microseconds(out, us);
}

/* {NULL, 0}: null. */
static inline void cel_event_text(struct cel_buf *out, const char *name,
                                  struct cel_slice wtf8)
{
    cel_event_put_text(out, name, strlen(name), wtf8);
}

static inline void cel_event_json(struct cel_buf *out, const char *name,
                                  struct cel_slice json)
{
    cel_event_put_raw(out, name, strlen(name), json);
}

/*
 * The routing key of a type: "worker.heartbeat" of "worker-heartbeat".  False: the type is
 * empty or too long.
 */
bool cel_event_routing_key(const char *type, char ret_key[CEL_EVENT_TYPE_MAX]);

/*
 * The exchange, to be declared by who sends (celery/events/event.py get_exchange): fanout where
 * the broker is Redis, otherwise topic.  Borrows the name.
 */
void cel_event_exchange(struct cel_queue *ret, const char *name, bool fanout);

/*
 * A message of one event or of a list: json is its text.  Its headers are exactly {"hostname":
 * node}, its delivery mode is 1; nobody need be there to take it.  All texts are copied.
 */
celery_status cel_event_envelope(const char *hostname, struct cel_slice json,
                                 const struct cel_codec *codec, const char *exchange,
                                 const char *routing_key, struct cel_envelope **ret_env,
                                 celery_error *err);

/* ---- reading ---- */

/* One event; everything is borrowed from the envelope. */
struct cel_event {
    struct cel_slice type;         /* never empty */
    struct cel_slice hostname;     /* empty: none */
    struct cel_slice uuid;         /* empty: none */
    int64_t clock;                 /* 0: none */
    int64_t pid;                   /* 0: none */
    double utcoffset;              /* hours; that of this process when there is none */
    double timestamp;              /* as sent; 0: none */
    const struct cel_node *fields; /* the whole map */
};

/* What is left of a message. */
struct cel_event_batch {
    const struct cel_node *next; /* or NULL */
    size_t left;                 /* of the list: events and what is none */
};

/*
 * Decodes the body, a map or a list of maps (celery/events/receiver.py _receive).  Total:
 * CELERY_EMESSAGE, CELERY_ECONTENT, CELERY_ELIMIT, CELERY_ENOMEM.
 */
celery_status cel_event_read(struct cel_envelope *env,
                             const struct cel_call_limits *limits,
                             struct cel_event_batch *ret, celery_error *err);

/* The next event; what is no map with a type is passed over.  False: that was all. */
bool cel_event_next(struct cel_event_batch *batch, struct cel_event *ret);

/*
 * When it happened by the clock of this process: both clocks show local time to Celery
 * (celery/utils/time.py adjust_timestamp).
 */
double cel_event_time(const struct cel_event *e);

#endif
