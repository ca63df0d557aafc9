/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/revoked.h"

#include "base/error.h"
#include "message/task_fields.h"

/* A stamp with its header. */
#define STAMP_MAX 1024

celery_status cel_revoked_init(struct cel_revoked *r, celery_error *err)
{
    r->ids = cel_ageset_new(CEL_REVOKES_MAX, CEL_REVOKE_EXPIRES);
    r->stamps = cel_ageset_new(CEL_REVOKES_MAX, CEL_REVOKE_EXPIRES);
    return r->ids && r->stamps ? CELERY_OK : cel_error_nomem(err);
}

void cel_revoked_fini(struct cel_revoked *r)
{
    r->ids = cel_ageset_free(r->ids);
    r->stamps = cel_ageset_free(r->stamps);
}

celery_status cel_revoked_add(struct cel_revoked *r, struct cel_slice id, double now)
{
    if (id.len == 0 || id.len > CEL_ID_MAX) {
        return CELERY_ELIMIT;
    }
    r->changed = true;
    return cel_ageset_add(r->ids, id, now);
}

static bool stamp_key(struct cel_buf *out, struct cel_slice header,
                      const struct cel_node *stamp)
{
    cel_buf_init(out, STAMP_MAX);
    cel_buf_add_slice(out, header);
    cel_buf_addc(out, '\0');
    return stamp && cel_json_write(out, stamp) == CELERY_OK && cel_buf_ok(out);
}

celery_status cel_revoked_add_stamp(struct cel_revoked *r, struct cel_slice header,
                                    const struct cel_node *stamp, double now)
{
    struct cel_buf key;
    celery_status status = CELERY_ELIMIT;

    if (stamp_key(&key, header, stamp)) {
        r->changed = true;
        status = cel_ageset_add(r->stamps, cel_buf_slice(&key), now);
    }
    cel_buf_fini(&key);
    return status;
}

static bool has_stamp(struct cel_revoked *r, struct cel_slice header,
                      const struct cel_node *stamp, double now)
{
    struct cel_buf key;
    bool has = stamp_key(&key, header, stamp) &&
               cel_ageset_has(r->stamps, cel_buf_slice(&key), now);

    cel_buf_fini(&key);
    return has;
}

/* celery/worker/request.py Request.revoked(): stamps are one value or a list of them. */
static bool is_stamped(struct cel_revoked *r, const struct cel_task_call *call,
                       double now)
{
    for (const struct cel_node *h = cel_node_first(call->stamped_headers); h;
         h = h->next) {
        struct cel_slice header = cel_node_text(h);
        const struct cel_node *stamps = cel_node_get(call->stamps, header);

        if (stamps && stamps->kind != CELERY_KIND_ARRAY &&
            has_stamp(r, header, stamps, now)) {
            return true;
        }
        for (const struct cel_node *s = cel_node_first(stamps); s; s = s->next) {
            if (stamps->kind == CELERY_KIND_ARRAY && has_stamp(r, header, s, now)) {
                return true;
            }
        }
    }
    return false;
}

bool cel_revoked_has_id(struct cel_revoked *r, struct cel_slice id, double now)
{
    return cel_ageset_count(r->ids) > 0 && cel_ageset_has(r->ids, id, now);
}

bool cel_revoked_has(struct cel_revoked *r, const struct cel_task_call *call, double now)
{
    if (cel_revoked_has_id(r, call->id, now)) {
        return true;
    }
    return call->stamped_headers && cel_ageset_count(r->stamps) > 0 &&
           is_stamped(r, call, now);
}
