/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/redis_dead.h"
#include "base/clock.h"

celery_status cel_redis_dead_write(struct cel_buf *out, struct cel_slice reason,
                                   struct cel_slice queue, struct cel_slice raw)
{
    cel_buf_adds(out, "{\"reason\": ");
    cel_json_write_string(out, reason);
    cel_buf_addf(out, ", \"time\": %.6f, \"queue\": ", cel_clock_wall());
    cel_json_write_string(out, queue);
    cel_buf_adds(out, "}\n");
    return cel_buf_add_slice(out, raw);
}

bool cel_redis_dead_read(struct cel_arena *a, struct cel_slice entry,
                         struct cel_redis_dead *ret)
{
    const char *newline = entry.len ? memchr(entry.data, '\n', entry.len) : NULL;
    struct cel_node *head = NULL;
    size_t len;

    *ret = (struct cel_redis_dead){.raw = entry};
    if (!newline) {
        return false;
    }
    len = (size_t)(newline - entry.data);
    if (cel_json_parse(a, cel_slice(entry.data, len), NULL, &head, NULL) < 0 ||
        !cel_node_is_string(cel_node_get(head, CEL_SLICE("reason")))) {
        return false;
    }
    ret->reason = cel_node_text(cel_node_get(head, CEL_SLICE("reason")));
    ret->queue = cel_node_text(cel_node_get(head, CEL_SLICE("queue")));
    ret->time = cel_node_double(cel_node_get(head, CEL_SLICE("time")), 0);
    ret->raw = cel_slice(newline + 1, entry.len - len - 1);
    return true;
}
