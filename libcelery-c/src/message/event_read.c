/* SPDX-License-Identifier: BSD-3-Clause */
/* Events of others: whatever is in them, reading ends and nothing else happens. */
#include "base/error.h"
#include "message/event.h"
#include "message/task_fields.h"

celery_status cel_event_read(struct cel_envelope *env,
                             const struct cel_call_limits *limits,
                             struct cel_event_batch *ret, celery_error *err)
{
    struct cel_node *body = NULL;
    celery_status status = cel_body_decode(env, limits, &body, err);

    *ret = (struct cel_event_batch){0};
    if (status < 0) {
        return status;
    }
    if (body->kind == CELERY_KIND_OBJECT) {
        *ret = (struct cel_event_batch){.next = body, .left = 1};
        return CELERY_OK;
    }
    if (body->kind != CELERY_KIND_ARRAY) {
        return cel_error_set(err, CELERY_EMESSAGE, "an event is a map or a list of maps");
    }
    *ret = (struct cel_event_batch){.next = cel_node_first(body), .left = body->size};
    return CELERY_OK;
}

static struct cel_slice text_of(const struct cel_node *map, const char *name)
{
    const struct cel_node *n = cel_node_get(map, cel_slice_of(name));

    return cel_node_is_string(n) ? cel_node_text(n) : CEL_SLICE_NULL;
}

static int64_t int_of(const struct cel_node *map, const char *name, int64_t otherwise)
{
    return cel_node_int(cel_node_get(map, cel_slice_of(name)), otherwise);
}

static bool read_one(const struct cel_node *map, struct cel_event *ret)
{
    if (map->kind != CELERY_KIND_OBJECT) {
        return false;
    }
    *ret = (struct cel_event){
        .type = text_of(map, "type"),
        .hostname = text_of(map, "hostname"),
        .uuid = text_of(map, "uuid"),
        .clock = int_of(map, "clock", 0),
        .pid = int_of(map, "pid", 0),
        .utcoffset = cel_node_double(cel_node_get(map, CEL_SLICE("utcoffset")),
                                     cel_event_utcoffset()),
        .timestamp = cel_node_double(cel_node_get(map, CEL_SLICE("timestamp")), 0),
        .fields = map,
    };
    return ret->type.len > 0;
}

bool cel_event_next(struct cel_event_batch *batch, struct cel_event *ret)
{
    while (batch->left > 0 && batch->next) {
        const struct cel_node *map = batch->next;

        batch->next = --batch->left > 0 ? map->next : NULL;
        if (read_one(map, ret)) {
            return true;
        }
    }
    return false;
}

double cel_event_time(const struct cel_event *e)
{
    return e->timestamp - (e->utcoffset - cel_event_utcoffset()) * 3600;
}
