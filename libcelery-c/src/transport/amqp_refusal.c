/* SPDX-License-Identifier: BSD-3-Clause */
/* Why a connection or a channel is gone, in words that say what to change. */
#include "transport/amqp_conn_priv.h"

#include "base/error.h"
#include "base/log.h"
#include "base/map.h"

enum {
    INVALID_PATH = 402,
    ACCESS_REFUSED = 403,
    NOT_FOUND = 404,
    RESOURCE_LOCKED = 405,
    PRECONDITION_FAILED = 406,
    FRAME_ERROR = 501,
    UNEXPECTED_FRAME = 505,
    NOT_ALLOWED = 530,
    NOT_IMPLEMENTED = 540,
};

static celery_status status_of(unsigned code)
{
    if (code == ACCESS_REFUSED || code == NOT_ALLOWED) {
        return CELERY_EAUTH;
    }
    if (code >= FRAME_ERROR && code <= UNEXPECTED_FRAME) {
        return CELERY_EPROTO;
    }
    return code == NOT_IMPLEMENTED ? CELERY_ENOTSUP : CELERY_ECLOSED;
}

static void explain_login(const struct cel_amqp_conn *c, celery_error *err)
{
    if (strcmp(c->mechanism, "EXTERNAL") == 0) {
        cel_error_set(err, CELERY_EAUTH,
                      "%s: login was refused with mechanism EXTERNAL: no user of the "
                      "broker has the name of the client certificate, or none was sent",
                      c->text);
    } else {
        cel_error_set(err, CELERY_EAUTH,
                      "%s: login was refused for user %s with mechanism %s: check user "
                      "and password",
                      c->text, cel_log_safe(cel_slice_of(c->user)), c->mechanism);
    }
}

/* RabbitMQ: "vhost x not found", "access to vhost 'x' refused for user 'y'", its limits. */
static void explain_vhost(const struct cel_amqp_conn *c, const struct cel_amqp_method *m,
                          celery_error *err)
{
    cel_error_set(err, CELERY_EAUTH,
                  "%s: vhost %s was refused: it does not exist, or the user may not use "
                  "it (%u %s)",
                  c->text, cel_log_safe(cel_slice_of(c->vhost)), m->code,
                  cel_log_safe(m->text));
}

void cel_amqp_explain_close(const struct cel_amqp_conn *c,
                            const struct cel_amqp_method *m, celery_error *err)
{
    if (c->phase == CEL_AMQP_LOGIN && m->code == ACCESS_REFUSED) {
        explain_login(c, err);
    } else if (c->phase == CEL_AMQP_ENTERING &&
               (m->code == NOT_ALLOWED || m->code == INVALID_PATH ||
                m->code == ACCESS_REFUSED || m->code == NOT_FOUND)) {
        explain_vhost(c, m, err);
    } else {
        cel_error_set(err, status_of(m->code),
                      "%s: the broker closed the connection: %u %s", c->text, m->code,
                      cel_log_safe(m->text));
    }
    err->code = m->code;
}

void cel_amqp_explain_lost(const struct cel_amqp_conn *c, const celery_error *why,
                           celery_error *err)
{
    bool hung_up = why->status == CELERY_ECLOSED;

    if (c->phase == CEL_AMQP_GREETING && hung_up) {
        cel_error_set(
            err, CELERY_ECONNECT,
            "%s: the server hung up without a greeting: is it the right port%s?", c->text,
            c->tls ? "" : ", and one without TLS");
    } else if (c->phase == CEL_AMQP_LOGIN && hung_up && !c->refuses_aloud) {
        explain_login(c, err);
    } else if (c->phase == CEL_AMQP_ENTERING && hung_up) {
        cel_error_set(err, CELERY_ECLOSED,
                      "%s: the server hung up when vhost %s was to be opened", c->text,
                      cel_log_safe(cel_slice_of(c->vhost)));
    } else {
        *err = *why;
        cel_error_prefix(err, why->status, "%s: ", c->text);
        err->code = why->code;
    }
}

/* RabbitMQ: "message size 9 is larger than configured max size 5"; 0: not that. */
static int64_t size_limit(const struct cel_amqp_method *m)
{
    static const char words[] = "max size ";
    struct cel_slice text = m->text;
    size_t n = sizeof words - 1;
    int64_t limit = 0;

    for (; text.len > n; text.data++, text.len--) {
        if (memcmp(text.data, words, n) == 0) {
            cel_slice_to_int(cel_slice(text.data + n, text.len - n), &limit);
            break;
        }
    }
    return m->code == PRECONDITION_FAILED && limit > 0 ? limit : 0;
}

/* RabbitMQ: "no exchange 'x' in vhost '/'"; the first text in quotes, or nothing. */
static struct cel_slice quoted(struct cel_slice text)
{
    struct cel_slice before, part;
    bool some = cel_slice_split(&text, '\'', &before) &&
                cel_slice_split(&text, '\'', &part) && text.len > 0;

    return some ? part : CEL_SLICE_NULL;
}

static bool about_publish(const struct cel_amqp_method *m)
{
    return ((uint32_t)m->class_id << 16 | m->method_id) == CEL_AMQP_BASIC_PUBLISH;
}

bool cel_amqp_complains_of(const struct cel_amqp_method *m, uint64_t exchange,
                           size_t size)
{
    int64_t limit = size_limit(m);
    struct cel_slice name = quoted(m->text);

    if (!about_publish(m)) {
        return false;
    }
    if (limit > 0) {
        return size > (uint64_t)limit;
    }
    return (m->code == NOT_FOUND || m->code == ACCESS_REFUSED) && name.len > 0 &&
           cel_hash(name) == exchange;
}

void cel_amqp_explain_channel(const struct cel_amqp_method *m, celery_error *err)
{
    celery_status status = CELERY_ENOTSUP;

    if (m->code == ACCESS_REFUSED) {
        status = CELERY_EAUTH;
    } else if (m->code == PRECONDITION_FAILED || m->code == RESOURCE_LOCKED) {
        status = CELERY_ECONFIG;
    }
    if (m->class_id) {
        if (about_publish(m) && size_limit(m) > 0) {
            status = CELERY_ELIMIT;
        }
        cel_error_set(err, status, "the broker refused %s: %u %s",
                      cel_amqp_method_name((uint32_t)m->class_id << 16 | m->method_id),
                      m->code, cel_log_safe(m->text));
    } else { /* of its own accord */
        cel_error_set(err, status, "%u %s", m->code, cel_log_safe(m->text));
    }
    err->code = m->code;
}
