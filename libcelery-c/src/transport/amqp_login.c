/* SPDX-License-Identifier: BSD-3-Clause */
/* From the protocol header to connection.open-ok, and what else channel 0 says. */
#include "transport/amqp_conn_priv.h"

#include "base/error.h"
#include "base/log.h"

#include <math.h>

/* Smaller frames are not allowed (specification, connection.tune). */
#define FRAME_MIN 4096

/* Straight into the outgoing buffer: the frames of channels wait until open-ok. */
static void send_now(struct cel_amqp_conn *c, const struct cel_amqp_method *method)
{
    struct cel_buf *out = cel_conn_out(c->conn);
    size_t before = out->len;
    celery_error err = {0};

    if (cel_amqp_method_put(out, 0, method, &err) < 0) {
        cel_amqp_fail(c, err.status, "%s", err.message);
        return;
    }
    c->put += out->len - before;
    cel_conn_flush_later(c->conn);
}

void cel_amqp_hello(struct cel_amqp_conn *c)
{
    struct cel_buf *out = cel_conn_out(c->conn);

    c->phase = CEL_AMQP_GREETING;
    cel_amqp_put_hello(out);
    c->put += out->len;
    cel_conn_flush_later(c->conn);
    cel_amqp_due(c, c->deadline);
}

/* ---- start, start-ok ---- */

static void copy_text(char *to, size_t size, const struct cel_node *node)
{
    struct cel_slice text = cel_node_text(node);
    size_t n = 0;

    /* It comes from outside and ends up in log lines. */
    for (size_t i = 0; i < text.len && n + 1 < size; i++) {
        if (text.data[i] > ' ' && text.data[i] < 0x7f) {
            to[n++] = text.data[i];
        }
    }
    to[n] = '\0';
}

static int leading_int(const char **at)
{
    int value = 0;

    while (**at >= '0' && **at <= '9' && value < 10000) {
        value = value * 10 + (**at - '0');
        (*at)++;
    }
    return value;
}

static void read_server(struct cel_amqp_conn *c, const struct cel_node *properties)
{
    struct cel_amqp_server *s = &c->server;
    const struct cel_node *can = cel_node_get(properties, CEL_SLICE("capabilities"));

    copy_text(s->product, sizeof s->product,
              cel_node_get(properties, CEL_SLICE("product")));
    copy_text(s->version, sizeof s->version,
              cel_node_get(properties, CEL_SLICE("version")));
    const char *at = s->version;
    s->major = leading_int(&at);
    if (*at == '.') {
        at++;
        s->minor = leading_int(&at);
    }
    s->confirms =
        cel_node_bool(cel_node_get(can, CEL_SLICE("publisher_confirms")), false);
    s->nack = cel_node_bool(cel_node_get(can, CEL_SLICE("basic.nack")), false);
    s->cancel_notify =
        cel_node_bool(cel_node_get(can, CEL_SLICE("consumer_cancel_notify")), false);
    s->blocked = cel_node_bool(cel_node_get(can, CEL_SLICE("connection.blocked")), false);
    c->refuses_aloud = cel_node_bool(
        cel_node_get(can, CEL_SLICE("authentication_failure_close")), false);
}

static struct cel_node *capabilities(struct cel_arena *a)
{
    /* py-amqp announces the first three; the others say what else is used here. */
    static const char *const names[] = {
        "consumer_cancel_notify", "connection.blocked", "authentication_failure_close",
        "publisher_confirms",     "basic.nack",         "exchange_exchange_bindings",
    };
    struct cel_node *map = cel_node_new(a, CELERY_KIND_OBJECT);

    for (size_t i = 0; map && i < sizeof names / sizeof names[0]; i++) {
        if (cel_node_put(a, map, cel_slice_of(names[i]), cel_node_new_bool(a, true)) <
            0) {
            return NULL;
        }
    }
    return map;
}

static const struct cel_node *client_properties(struct cel_amqp_conn *c)
{
    struct cel_arena *a = &c->arena;
    struct cel_node *map = cel_node_new(a, CELERY_KIND_OBJECT);
    bool ok =
        map &&
        cel_node_put(a, map, CEL_SLICE("product"),
                     cel_node_new_string(a, CEL_SLICE("libcelery-c"))) == CELERY_OK &&
        cel_node_put(a, map, CEL_SLICE("product_version"),
                     cel_node_new_string(a, cel_slice_of(CELERY_VERSION))) == CELERY_OK &&
        cel_node_put(a, map, CEL_SLICE("capabilities"), capabilities(a)) == CELERY_OK &&
        (!c->name ||
         cel_node_put(a, map, CEL_SLICE("connection_name"),
                      cel_node_new_string(a, cel_slice_of(c->name))) == CELERY_OK);
    return ok ? map : NULL;
}

static void add_plain_member(struct cel_buf *b, const char *key, const char *value)
{
    size_t n = strlen(value);
    const char head[] = {'S', (char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};

    cel_buf_addc(b, (char)strlen(key));
    cel_buf_adds(b, key);
    cel_buf_add(b, head, sizeof head);
    cel_buf_adds(b, value);
}

/* As amqp/sasl.py has them; AMQPLAIN is a table without its length. */
static celery_status respond(const struct cel_amqp_conn *c, struct cel_buf *b)
{
    if (strcmp(c->mechanism, "AMQPLAIN") == 0) {
        add_plain_member(b, "LOGIN", c->user);
        add_plain_member(b, "PASSWORD", c->password);
    } else if (strcmp(c->mechanism, "PLAIN") == 0) {
        cel_buf_addc(b, '\0');
        cel_buf_adds(b, c->user);
        cel_buf_addc(b, '\0');
        cel_buf_adds(b, c->password);
    }
    return cel_buf_ok(b) ? CELERY_OK : CELERY_ENOMEM;
}

static bool mechanism_known(const struct cel_amqp_conn *c)
{
    return strcmp(c->mechanism, "PLAIN") == 0 || strcmp(c->mechanism, "AMQPLAIN") == 0 ||
           strcmp(c->mechanism, "EXTERNAL") == 0;
}

static bool offered(struct cel_slice mechanisms, const char *wanted)
{
    struct cel_slice part;

    while (cel_slice_split(&mechanisms, ' ', &part)) {
        if (cel_slice_is(part, wanted)) {
            return true;
        }
    }
    return false;
}

static void send_start_ok(struct cel_amqp_conn *c)
{
    struct cel_buf response = {0};
    struct cel_amqp_method ok = {
        .id = CEL_AMQP_CONNECTION_START_OK,
        .table = client_properties(c),
        .mechanism = cel_slice_of(c->mechanism),
        .text = CEL_SLICE("en_US"),
    };

    if (!ok.table || respond(c, &response) < 0) {
        cel_amqp_fail(c, CELERY_ENOMEM, "out of memory");
    } else {
        ok.response = cel_buf_slice(&response);
        c->phase = CEL_AMQP_LOGIN;
        send_now(c, &ok);
    }
    cel_buf_fini(&response);
}

static void on_start(struct cel_amqp_conn *c, const struct cel_amqp_method *m)
{
    read_server(c, m->table);
    if (!mechanism_known(c)) {
        cel_amqp_fail(c, CELERY_ECONFIG,
                      "broker_login_method is %s: PLAIN, AMQPLAIN and EXTERNAL are known",
                      cel_log_safe(cel_slice_of(c->mechanism)));
    } else if (!offered(m->mechanism, c->mechanism)) {
        cel_amqp_fail(c, CELERY_EAUTH,
                      "the broker does not offer the login method %s, it has: %s%s",
                      c->mechanism, cel_log_safe(m->mechanism),
                      strcmp(c->mechanism, "EXTERNAL") == 0
                          ? "; enable its plugin rabbitmq_auth_mechanism_ssl"
                          : "");
    } else {
        send_start_ok(c);
    }
}

/* ---- tune, open ---- */

static uint32_t smaller(uint32_t ours, uint32_t theirs)
{
    return theirs != 0 && theirs < ours ? theirs : ours; /* 0: no limit */
}

/* amqp/connection.py Connection._on_tune: whoever asks for none is not asked again. */
static uint16_t agree_on_heartbeat(double asked, uint16_t theirs)
{
    double ours = ceil(asked);

    if (!(ours >= 1)) {
        return 0;
    }
    uint16_t seconds = ours > UINT16_MAX ? UINT16_MAX : (uint16_t)ours;
    return theirs != 0 && theirs < seconds ? theirs : seconds;
}

static void on_tune(struct cel_amqp_conn *c, const struct cel_amqp_method *m)
{
    uint16_t heartbeat = agree_on_heartbeat(c->asked_heartbeat, m->heartbeat);

    if (m->frame_max != 0 && m->frame_max < FRAME_MIN) {
        cel_amqp_fail(c, CELERY_EPROTO,
                      "the broker wants frames of at most %u bytes, less than %u",
                      m->frame_max, FRAME_MIN);
        return;
    }
    c->frame_max = smaller(c->frame_max, m->frame_max);
    c->channel_max = (uint16_t)smaller(c->channel_max, m->channel_max);
    c->heartbeat = heartbeat;
    if (c->n_channels > (size_t)c->channel_max + 1) {
        cel_amqp_fail(c, CELERY_ELIMIT, "the broker allows %u channels only",
                      c->channel_max);
        return;
    }
    send_now(c, &(struct cel_amqp_method){
                    .id = CEL_AMQP_CONNECTION_TUNE_OK,
                    .channel_max = c->channel_max,
                    .frame_max = c->frame_max,
                    .heartbeat = heartbeat,
                });
    if (c->phase == CEL_AMQP_LOGIN) {
        c->phase = CEL_AMQP_ENTERING;
        cel_amqp_start_beat(c);
        send_now(c, &(struct cel_amqp_method){
                        .id = CEL_AMQP_CONNECTION_OPEN,
                        .vhost = cel_slice_of(c->vhost),
                    });
    }
}

/* What was asked for before goes out now; its time runs from now. */
static bool send_early(struct cel_amqp_conn *c)
{
    struct cel_buf *out = cel_conn_out(c->conn);
    size_t before = out->len;
    bool ok = cel_buf_ok(&c->early) &&
              cel_buf_add_slice(out, cel_buf_slice(&c->early)) == CELERY_OK;

    cel_buf_fini(&c->early);
    cel_amqp_wrote(c, out, before);
    for (size_t i = 1; i < c->n_channels; i++) {
        struct cel_list *it, *tmp;
        if (!c->channels[i]) {
            continue;
        }
        cel_list_foreach(it, tmp, &c->channels[i]->ops) {
            struct cel_amqp_op *op = cel_container_of(it, struct cel_amqp_op, link);
            op->end = c->put;
        }
    }
    return ok;
}

static void on_open_ok(struct cel_amqp_conn *c)
{
    c->phase = CEL_AMQP_UP;
    c->unblocked_at = cel_loop_now(c->loop);
    cel_amqp_due(c, c->unblocked_at + fmin(c->rpc_timeout, c->confirm_timeout));
    if (!send_early(c)) {
        cel_amqp_fail(c, CELERY_ENOMEM, "out of memory");
        return;
    }
    c->events->opened(c->ctx);
    cel_amqp_pump_all(c);
}

/* ---- at any time ---- */

static void on_close(struct cel_amqp_conn *c, const struct cel_amqp_method *m)
{
    celery_error err = {0};

    cel_amqp_explain_close(c, m, &err);
    send_now(c, &(struct cel_amqp_method){.id = CEL_AMQP_CONNECTION_CLOSE_OK});
    if (c->phase != CEL_AMQP_OVER) {
        cel_conn_flush(c->conn);
    }
    cel_amqp_break(c, &err);
}

static void set_blocked(struct cel_amqp_conn *c, bool blocked, struct cel_slice reason)
{
    bool changed = c->blocked != blocked;

    c->blocked = blocked;
    /* A broker that is blocked reads nothing, for as long as it takes, and is not dead. */
    cel_conn_set_user_timeout(c->conn, blocked ? 0 : CEL_AMQP_USER_TIMEOUT);
    if (!blocked) {
        c->unblocked_at = cel_loop_now(c->loop);
        cel_amqp_due(c, c->unblocked_at + fmin(c->rpc_timeout, c->confirm_timeout));
    }
    if (changed && c->events->blocked) {
        c->events->blocked(c->ctx, blocked, reason);
    }
    if (!c->blocked) {
        cel_amqp_pump_all(c);
    }
}

/* Methods of the handshake, each in its phase only; false: not one of them. */
static bool step(struct cel_amqp_conn *c, const struct cel_amqp_method *m)
{
    if (m->id == CEL_AMQP_CONNECTION_START && c->phase == CEL_AMQP_GREETING) {
        on_start(c, m);
    } else if (m->id == CEL_AMQP_CONNECTION_TUNE && c->phase == CEL_AMQP_LOGIN) {
        on_tune(c, m);
    } else if (m->id == CEL_AMQP_CONNECTION_OPEN_OK && c->phase == CEL_AMQP_ENTERING) {
        on_open_ok(c);
    } else if (m->id == CEL_AMQP_CONNECTION_SECURE && c->phase == CEL_AMQP_LOGIN) {
        cel_amqp_fail(c, CELERY_EAUTH, "the broker asks for more than %s has to say",
                      c->mechanism);
    } else {
        return false;
    }
    return true;
}

void cel_amqp_conn_method(struct cel_amqp_conn *c, const struct cel_amqp_method *m)
{
    if (m->id == CEL_AMQP_CONNECTION_CLOSE) {
        on_close(c, m);
    } else if (m->id == CEL_AMQP_CONNECTION_BLOCKED && c->phase == CEL_AMQP_UP) {
        set_blocked(c, true, m->text);
    } else if (m->id == CEL_AMQP_CONNECTION_UNBLOCKED && c->phase == CEL_AMQP_UP) {
        set_blocked(c, false, CEL_SLICE_NULL);
    } else if (!step(c, m)) {
        cel_amqp_fail(c, CELERY_EPROTO, "%s comes out of place",
                      cel_amqp_method_name(m->id));
    }
}
