/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/wire.h"

#define ABSENT UINT32_MAX /* length of {NULL, 0} */

struct header {
    uint32_t length; /* of the payload */
    uint32_t number;
    uint32_t type;
};

/* Payloads are a fixed part, with the lengths of its texts last, and then the texts. */
enum {
    JOB_TEXTS = 17,
    STATE_TEXTS = 2,
    EFFECTS_TEXTS = 1,
    DONE_TEXTS = 10,
};

enum job_flags {
    JOB_REDELIVERED = 1 << 0,
    JOB_EXTENDED = 1 << 1,
    JOB_WANT_REPR = 1 << 2,
    JOB_BRIEF = 1 << 3,
};

struct job_part {
    uint64_t number;
    int64_t retries;
    int64_t group_index;
    double soft_limit;
    double hard_limit;
    double time_limit;
    double soft_time_limit;
    uint32_t seq;
    uint32_t task;
    int32_t priority;
    uint16_t flags;
    uint16_t protocol;
    uint32_t lengths[JOB_TEXTS];
};

struct state_part {
    uint32_t seq;
    uint32_t lengths[STATE_TEXTS];
};

struct effects_part {
    uint32_t seq;
    uint32_t lengths[EFFECTS_TEXTS];
};

struct done_part {
    double countdown;
    double runtime;
    int64_t max_rss_kib;
    uint32_t seq;
    uint16_t kind;
    uint16_t fault;
    uint32_t follows;
    uint32_t lengths[DONE_TEXTS];
};

static void job_texts(struct cel_job *job, struct cel_slice *texts[JOB_TEXTS])
{
    struct cel_slice *all[JOB_TEXTS] = {
        &job->call.id,          &job->call.root_id, &job->call.parent_id,
        &job->call.group,       &job->call.eta,     &job->call.expires,
        &job->call.compression, &job->call.task,    &job->correlation_id,
        &job->reply_to,         &job->exchange,     &job->routing_key,
        &job->content_type,     &job->headers,      &job->call.traceparent,
        &job->call.tracestate,  &job->body,
    };
    memcpy(texts, all, sizeof all);
}

static void done_texts(struct cel_outcome *o, struct cel_slice *texts[DONE_TEXTS])
{
    struct cel_slice *all[DONE_TEXTS] = {
        &o->result_json, &o->repr,   &o->exc_type,  &o->exc_module,  &o->exc_args,
        &o->traceback,   &o->reason, &o->args_json, &o->kwargs_json, &o->effects,
    };
    memcpy(texts, all, sizeof all);
}

/* ---- writing ---- */

static celery_status write_frame(struct cel_buf *out, enum cel_frame_type type,
                                 uint32_t number, void *part, size_t part_size,
                                 uint32_t *lengths, struct cel_slice *const *texts,
                                 size_t n_texts)
{
    size_t size = part_size;
    for (size_t i = 0; i < n_texts; i++) {
        if (texts[i]->len > CEL_FRAME_MAX - size) {
            return CELERY_ELIMIT;
        }
        size += texts[i]->len;
        lengths[i] = texts[i]->data ? (uint32_t)texts[i]->len : ABSENT;
    }
    struct header header = {(uint32_t)size, number, type};
    celery_status status = cel_buf_reserve(out, sizeof header + size, NULL);
    if (status < 0) {
        return status;
    }
    char *at = out->data + out->len;
    memcpy(at, &header, sizeof header);
    at += sizeof header;
    if (part_size > 0) {
        memcpy(at, part, part_size);
        at += part_size;
    }
    for (size_t i = 0; i < n_texts; i++) {
        if (texts[i]->len > 0) {
            memcpy(at, texts[i]->data, texts[i]->len);
            at += texts[i]->len;
        }
    }
    out->len += sizeof header + size;
    return CELERY_OK;
}

celery_status cel_wire_write_job(struct cel_buf *out, uint32_t number, uint32_t seq,
                                 bool brief, const struct cel_job *job)
{
    struct job_part part = {
        .number = job->number,
        .retries = job->call.retries,
        .group_index = job->call.group_index,
        .soft_limit = job->soft_limit,
        .hard_limit = job->hard_limit,
        .time_limit = job->call.time_limit,
        .soft_time_limit = job->call.soft_time_limit,
        .seq = seq,
        .task = job->task->index,
        .priority = job->priority,
        .flags =
            (uint16_t)((job->redelivered ? JOB_REDELIVERED : 0) |
                       (job->extended ? JOB_EXTENDED : 0) |
                       (job->want_repr ? JOB_WANT_REPR : 0) | (brief ? JOB_BRIEF : 0)),
        .protocol = (uint16_t)job->call.protocol,
    };
    struct cel_slice *texts[JOB_TEXTS];
    job_texts((struct cel_job *)job, texts);
    return write_frame(out, CEL_FRAME_JOB, number, &part, sizeof part, part.lengths,
                       texts, JOB_TEXTS);
}

celery_status cel_wire_write_up(struct cel_buf *out, uint32_t number)
{
    return write_frame(out, CEL_FRAME_UP, number, NULL, 0, NULL, NULL, 0);
}

celery_status cel_wire_write_state(struct cel_buf *out, uint32_t number,
                                   const struct cel_wire_state *state)
{
    struct state_part part = {.seq = state->seq};
    struct cel_wire_state copy = *state;
    struct cel_slice *texts[STATE_TEXTS] = {&copy.state, &copy.meta_json};
    return write_frame(out, CEL_FRAME_STATE, number, &part, sizeof part, part.lengths,
                       texts, STATE_TEXTS);
}

celery_status cel_wire_write_effects(struct cel_buf *out, uint32_t number, uint32_t seq,
                                     struct cel_slice effects)
{
    struct effects_part part = {.seq = seq};
    struct cel_slice *texts[EFFECTS_TEXTS] = {&effects};
    return write_frame(out, CEL_FRAME_EFFECTS, number, &part, sizeof part, part.lengths,
                       texts, EFFECTS_TEXTS);
}

celery_status cel_wire_write_done(struct cel_buf *out, uint32_t number, uint32_t seq,
                                  const struct cel_outcome *outcome)
{
    struct done_part part = {
        .countdown = outcome->countdown,
        .runtime = outcome->runtime,
        .max_rss_kib = outcome->max_rss_kib,
        .seq = seq,
        .kind = (uint16_t)outcome->kind,
        .fault = (uint16_t)outcome->fault,
        .follows = outcome->follows,
    };
    struct cel_slice *texts[DONE_TEXTS];
    done_texts((struct cel_outcome *)outcome, texts);
    return write_frame(out, CEL_FRAME_DONE, number, &part, sizeof part, part.lengths,
                       texts, DONE_TEXTS);
}

/* ---- reading ---- */

celery_status cel_frame_next(struct cel_slice *rest, struct cel_frame *ret_frame)
{
    struct header header;
    if (rest->len < sizeof header) {
        return CELERY_NONE;
    }
    memcpy(&header, rest->data, sizeof header);
    if (header.length > CEL_FRAME_MAX || header.type < CEL_FRAME_JOB ||
        header.type > CEL_FRAME_EFFECTS) {
        return CELERY_EPROTO;
    }
    if (rest->len - sizeof header < header.length) {
        return CELERY_NONE;
    }
    ret_frame->type = (enum cel_frame_type)header.type;
    ret_frame->number = header.number;
    ret_frame->payload = cel_slice(rest->data + sizeof header, header.length);
    rest->data += sizeof header + header.length;
    rest->len -= sizeof header + header.length;
    return CELERY_OK;
}

static bool read_part(struct cel_slice *rest, void *part, size_t size)
{
    if (rest->len < size) {
        return false;
    }
    memcpy(part, rest->data, size);
    rest->data += size;
    rest->len -= size;
    return true;
}

static bool read_texts(struct cel_slice rest, const uint32_t *lengths,
                       struct cel_slice *const *ret_texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (lengths[i] == ABSENT) {
            *ret_texts[i] = CEL_SLICE_NULL;
            continue;
        }
        if (lengths[i] > rest.len) {
            return false;
        }
        *ret_texts[i] = cel_slice(rest.data, lengths[i]);
        rest.data += lengths[i];
        rest.len -= lengths[i];
    }
    return rest.len == 0;
}

bool cel_wire_read_job(const celery_app *app, struct cel_slice payload,
                       struct cel_wire_job *ret_job)
{
    struct job_part part;
    if (!read_part(&payload, &part, sizeof part) || part.task >= app->n_tasks) {
        return false;
    }
    memset(ret_job, 0, sizeof *ret_job);
    struct cel_job *job = &ret_job->job;
    struct cel_slice *texts[JOB_TEXTS];
    job_texts(job, texts);
    if (!read_texts(payload, part.lengths, texts, JOB_TEXTS)) {
        return false;
    }
    ret_job->seq = part.seq;
    ret_job->brief = part.flags & JOB_BRIEF;
    job->task = app->tasks[part.task];
    job->number = (unsigned long)part.number;
    job->call.retries = part.retries;
    job->call.group_index = part.group_index;
    job->call.time_limit = part.time_limit;
    job->call.soft_time_limit = part.soft_time_limit;
    job->call.eta_us = INT64_MIN;
    job->call.expires_us = INT64_MIN;
    job->call.ignore_result = CEL_UNSET;
    job->call.protocol = part.protocol;
    job->soft_limit = part.soft_limit;
    job->hard_limit = part.hard_limit;
    job->priority = part.priority;
    job->redelivered = part.flags & JOB_REDELIVERED;
    job->extended = part.flags & JOB_EXTENDED;
    job->want_repr = part.flags & JOB_WANT_REPR;
    return true;
}

bool cel_wire_read_state(struct cel_slice payload, struct cel_wire_state *ret_state)
{
    struct state_part part;
    struct cel_slice *texts[STATE_TEXTS] = {&ret_state->state, &ret_state->meta_json};
    if (!read_part(&payload, &part, sizeof part) ||
        !read_texts(payload, part.lengths, texts, STATE_TEXTS)) {
        return false;
    }
    ret_state->seq = part.seq;
    return true;
}

bool cel_wire_read_effects(struct cel_slice payload, uint32_t *ret_seq,
                           struct cel_slice *ret_effects)
{
    struct effects_part part;
    struct cel_slice *texts[EFFECTS_TEXTS] = {ret_effects};
    if (!read_part(&payload, &part, sizeof part) ||
        !read_texts(payload, part.lengths, texts, EFFECTS_TEXTS)) {
        return false;
    }
    *ret_seq = part.seq;
    return true;
}

bool cel_wire_read_done(struct cel_slice payload, uint32_t *ret_seq,
                        struct cel_outcome *ret_outcome)
{
    struct done_part part;
    struct cel_slice *texts[DONE_TEXTS];
    if (!read_part(&payload, &part, sizeof part) || part.kind > CEL_OUTCOME_MALFORMED ||
        part.fault > CEL_CALL_CONTENT) {
        return false;
    }
    memset(ret_outcome, 0, sizeof *ret_outcome);
    done_texts(ret_outcome, texts);
    if (!read_texts(payload, part.lengths, texts, DONE_TEXTS)) {
        return false;
    }
    *ret_seq = part.seq;
    ret_outcome->kind = (enum cel_outcome_kind)part.kind;
    ret_outcome->fault = (enum cel_call_fault)part.fault;
    ret_outcome->follows = part.follows;
    ret_outcome->countdown = part.countdown;
    ret_outcome->runtime = part.runtime;
    ret_outcome->max_rss_kib = (long)part.max_rss_kib;
    return true;
}
