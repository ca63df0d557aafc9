/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/task.h: events of the program's own (celery/app/task.py Task.send_event). */
#include "message/event.h"
#include "pool/task.h"

/* What the sender's side adds itself; in Python a second one is a TypeError. */
static bool is_taken(struct cel_slice name)
{
    static const char *const names[] = {"hostname", "utcoffset", "pid", "clock",
                                        "uuid",     "timestamp", "type"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (cel_slice_is(name, names[i])) {
            return true;
        }
    }
    return false;
}

static celery_status write_members(struct cel_buf *out, struct cel_slice id,
                                   const struct cel_node *fields)
{
    cel_event_text(out, "uuid", id);
    for (const struct cel_node *k = cel_node_first(fields), *v; k; k = v->next) {
        v = k->next;
        if (is_taken(cel_node_text(k))) {
            return CELERY_EINVAL;
        }
        cel_buf_adds(out, ", ");
        cel_json_write_string(out, cel_node_text(k));
        cel_buf_adds(out, ": ");
        cel_json_write(out, v);
    }
    return cel_buf_ok(out) ? CELERY_OK : CELERY_ENOMEM;
}

static celery_status send(celery_task *task, const char *type,
                          const struct cel_node *fields)
{
    struct cel_effects effects;
    struct cel_buf members = {0};
    celery_error err = {0};

    cel_task_effects_init(&effects);
    celery_status st = write_members(&members, task->call.id, fields);
    if (st == CELERY_OK) {
        st = cel_effects_add(&effects,
                             &(struct cel_effect){.kind = CEL_EFFECT_EVENT,
                                                  .id = cel_slice_of(type),
                                                  .json = cel_buf_slice(&members)});
    }
    if (st == CELERY_OK) {
        st = cel_task_send_effects(task, &effects, &err);
    }
    cel_effects_fini(&effects);
    cel_buf_fini(&members);
    return st;
}

celery_status celery_task_send_event(celery_task *task, const char *type,
                                     json_t *give_fields)
{
    const struct cel_node *fields =
        give_fields ? cel_doc_from_json(&task->arena, give_fields) : NULL;
    bool given = give_fields != NULL;
    bool is_map = !given || json_is_object(give_fields);
    char key[CEL_EVENT_TYPE_MAX];

    json_decref(give_fields);
    if (!is_map || !cel_event_routing_key(type, key)) {
        return CELERY_EINVAL;
    }
    return given && !fields ? CELERY_ENOMEM : send(task, type, fields);
}
