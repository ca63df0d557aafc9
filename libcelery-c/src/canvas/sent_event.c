/* SPDX-License-Identifier: BSD-3-Clause */
/* task_send_sent_event: what is told of a message (celery/app/amqp.py send_task_message). */
#include "canvas/effects.h"
#include "message/event.h"

static void add_header(struct cel_buf *out, const struct cel_envelope *env,
                       const char *field, const char *header)
{
    struct cel_buf json = {0};

    cel_json_write(&json, cel_envelope_header(env, cel_slice_of(header)));
    cel_event_json(out, field, json.len > 0 ? cel_buf_slice(&json) : CEL_SLICE("null"));
    out->failed = out->failed || json.failed;
    cel_buf_fini(&json);
}

celery_status cel_effects_sent(struct cel_effects *list, const struct cel_envelope *env,
                               struct cel_slice queue, struct cel_slice exchange,
                               struct cel_slice routing_key)
{
    static const struct {
        const char *field, *header;
    } fields[] = {
        {"uuid", "id"},         {"root_id", "root_id"}, {"parent_id", "parent_id"},
        {"name", "task"},       {"args", "argsrepr"},   {"kwargs", "kwargsrepr"},
        {"retries", "retries"}, {"eta", "eta"},         {"expires", "expires"},
    };
    struct cel_buf out = {0};
    celery_status status = CELERY_ENOMEM;

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        add_header(&out, env, fields[i].field, fields[i].header);
    }
    cel_event_text(&out, "queue",
                   queue.len > 0 || exchange.len > 0 ? queue : routing_key);
    cel_event_text(&out, "exchange", exchange.data ? exchange : CEL_SLICE(""));
    cel_event_text(&out, "routing_key", routing_key);
    if (cel_buf_ok(&out)) {
        status = cel_effects_add(list, &(struct cel_effect){.kind = CEL_EFFECT_EVENT,
                                                            .id = CEL_SLICE("task-sent"),
                                                            .json = cel_buf_slice(&out)});
    }
    cel_buf_fini(&out);
    return status;
}
