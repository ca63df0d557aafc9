/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/sent_event.h"

#include "base/clock.h"
#include "client/client.h"

#include <unistd.h>

/* One on its way; it lies in its envelope's arena. */
struct sent {
    struct cel_list node;
    celery_client *client;
    struct cel_batch *batch;
    struct cel_envelope *envelope;
    char routing_key[CEL_EVENT_TYPE_MAX];
};

static bool prepare(celery_client *client)
{
    struct cel_sent_events *s = &client->events;
    const char *serializer = cel_config_text(client->config, "event_serializer");
    const char *exchange = cel_config_text(client->config, "event_exchange");
    bool topics = client->transport->ops->flags & CEL_TRANSPORT_TOPICS;

    if (s->name[0]) {
        return true;
    }
    s->codec = cel_codec_find(cel_slice_of(serializer ? serializer : "json"));
    cel_anon_nodename(s->name);
    if (!s->codec || cel_event_source_init(&s->source, s->name, (int)getpid()) < 0) {
        cel_event_source_fini(&s->source);
        s->name[0] = '\0';
        return false;
    }
    s->exchange = exchange && *exchange ? exchange : "celeryev";
    cel_event_exchange(&s->declaration, s->exchange, !topics);
    cel_list_init(&s->waiting);
    return true;
}

/* ---- on their way ---- */

static void end(struct sent *m)
{
    struct cel_batch *b = m->batch;
    bool adding = m->client->events.adding;

    cel_list_remove(&m->node);
    cel_envelope_free(m->envelope);
    b->n_posts--;
    if (!adding) {
        cel_batch_check(b);
    }
}

static void on_published(void *ctx, const celery_error *err, int64_t answer)
{
    struct sent *m = ctx;
    struct cel_sent_events *s = &m->client->events;

    if (err && (err->status == CELERY_ENOTSUP || err->status == CELERY_EAUTH)) {
        s->state = CEL_SENT_REFUSED; /* each one would cost a channel */
    }
    end(m);
}

static void publish(struct sent *m)
{
    struct cel_transport *t = m->client->transport;

    t->ops->publish(t, m->client->events.exchange, m->routing_key, m->envelope,
                    (struct cel_done){on_published, m});
}

static void each_waiting(struct cel_sent_events *s, void (*fn)(struct sent *m))
{
    struct cel_list *first;

    while (s->name[0] && (first = cel_list_first(&s->waiting))) {
        cel_list_remove(first);
        fn(cel_container_of(first, struct sent, node));
    }
}

static void on_declared(void *ctx, const celery_error *err, int64_t answer)
{
    celery_client *client = ctx;
    struct cel_sent_events *s = &client->events;

    if (s->state == CEL_SENT_ASKED) {
        s->state = err ? CEL_SENT_REFUSED : CEL_SENT_READY;
        each_waiting(s, err ? end : publish);
    }
}

static void put(celery_client *client, struct sent *m)
{
    struct cel_sent_events *s = &client->events;
    struct cel_transport *t = client->transport;

    if (s->state == CEL_SENT_READY) {
        publish(m);
        return;
    }
    cel_list_append(&s->waiting, &m->node);
    if (s->state == CEL_SENT_UNKNOWN) {
        s->state = CEL_SENT_ASKED;
        t->ops->declare(t, &s->declaration, (struct cel_done){on_declared, client});
    }
}

static struct sent *make(celery_client *client, struct cel_batch *b,
                         const struct cel_effect *e)
{
    struct cel_sent_events *s = &client->events;
    char type[CEL_EVENT_TYPE_MAX] = "";
    char key[CEL_EVENT_TYPE_MAX];
    struct cel_buf json = {0};
    struct cel_envelope *env = NULL;
    struct sent *m = NULL;

    if (e->id.len < sizeof type) {
        memcpy(type, e->id.data, e->id.len);
    }
    cel_event_source_refresh(&s->source);
    cel_event_begin(&json, &s->source, ++s->clock);
    cel_buf_add_slice(&json, e->json);
    cel_event_end(&json, type, cel_clock_wall_us());
    if (cel_buf_ok(&json) && cel_event_routing_key(type, key) &&
        cel_event_envelope(s->name, cel_buf_slice(&json), s->codec, s->exchange, key,
                           &env, NULL) == CELERY_OK) {
        m = cel_arena_alloc(&env->arena, sizeof *m);
    }
    cel_buf_fini(&json);
    if (!m) {
        cel_envelope_free(env);
        return NULL;
    }
    *m = (struct sent){.client = client, .batch = b, .envelope = env};
    memcpy(m->routing_key, key, sizeof key);
    cel_list_init(&m->node);
    return m;
}

void cel_sent_event(celery_client *client, struct cel_batch *b,
                    const struct cel_effect *e)
{
    struct cel_sent_events *s = &client->events;

    if (s->state == CEL_SENT_REFUSED || !prepare(client) ||
        !(client->transport->ops->flags & CEL_TRANSPORT_FANOUT)) {
        return;
    }
    struct sent *m = make(client, b, e);
    if (m) {
        b->n_posts++;
        s->adding = true;
        put(client, m);
        s->adding = false;
    }
}

void cel_sent_events_lost(celery_client *client)
{
    client->events.state = CEL_SENT_UNKNOWN;
    each_waiting(&client->events, end);
}

void cel_sent_events_fini(celery_client *client)
{
    cel_event_source_fini(&client->events.source);
}
