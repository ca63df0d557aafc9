/* SPDX-License-Identifier: BSD-3-Clause */
/* From a connection to one that may be used: AUTH, name, database, who the server is. */
#include "net/redis_priv.h"

#include "base/error.h"
#include "base/log.h"

#include <stdio.h>

static void say_hello(struct cel_redis *r);

static const char *text_of(const struct cel_resp *reply)
{
    return cel_log_safe(cel_resp_text(reply));
}

bool cel_redis_error_is(const struct cel_resp *reply, const char *code)
{
    struct cel_slice text = cel_resp_text(reply);
    size_t len = strlen(code);

    return cel_resp_kind(reply) == CEL_RESP_ERROR && text.len >= len &&
           memcmp(text.data, code, len) == 0 &&
           (text.len == len || text.data[len] == ' ');
}

static bool error_is_any(const struct cel_resp *reply, const char *const codes[4])
{
    for (size_t i = 0; i < 4; i++) {
        if (cel_redis_error_is(reply, codes[i])) {
            return true;
        }
    }
    return false;
}

bool cel_redis_error_is_failover(const struct cel_resp *reply)
{
    static const char *const codes[] = {"READONLY", "LOADING", "MASTERDOWN", "UNBLOCKED"};

    return error_is_any(reply, codes);
}

bool cel_redis_error_is_cluster(const struct cel_resp *reply)
{
    static const char *const codes[] = {"MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN"};

    return error_is_any(reply, codes);
}

static bool contains(struct cel_slice text, const char *part)
{
    return text.len > 0 && memmem(text.data, text.len, part, strlen(part)) != NULL;
}

/* Where the password of this server is set. */
static const char *password_setting(const struct cel_redis *r)
{
    return r->role == CEL_REDIS_SENTINEL ? "sentinel_kwargs of the transport options"
                                         : r->target.setting;
}

/* Errors that any command of the log-in can bring.  True when it was one: all is over. */
static bool is_fatal(struct cel_redis *r, const struct cel_resp *reply)
{
    if (r->state != CEL_REDIS_LOGIN) {
        return true;
    }
    if (cel_redis_error_is(reply, "NOAUTH")) {
        cel_redis_fail(r, CELERY_EAUTH,
                       "%s (the server wants a password: put it into %s)", text_of(reply),
                       password_setting(r));
        return true;
    }
    if (cel_redis_error_is_failover(reply) ||
        (cel_resp_kind(reply) == CEL_RESP_ERROR &&
         contains(cel_resp_text(reply), "max number of clients"))) {
        cel_redis_fail(r, CELERY_ECONNECT, "%s", text_of(reply));
        return true;
    }
    if (cel_redis_error_is(reply, "DENIED")) {
        cel_redis_fail(r, CELERY_EAUTH, "%s", text_of(reply));
        return true;
    }
    return false;
}

static void auth(struct cel_redis *r, bool with_user);

static void on_auth(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct cel_redis *r = ctx;

    if (err || r->state != CEL_REDIS_LOGIN) {
        return;
    }
    if (cel_resp_kind(reply) != CEL_RESP_ERROR) {
        say_hello(r);
    } else if (contains(cel_resp_text(reply), "without any password configured") ||
               contains(cel_resp_text(reply), "no password is set")) {
        cel_redis_fail(r, CELERY_EAUTH,
                       "%s (the server has no password: take it out of %s)",
                       text_of(reply), password_setting(r));
    } else if (!is_fatal(r, reply)) {
        cel_redis_fail(r, CELERY_EAUTH, "%s (check the password in %s)", text_of(reply),
                       password_setting(r));
    }
}

/* Servers before 6.0 know no users: redis-py then sends the password alone. */
static void on_auth_user(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct cel_redis *r = ctx;

    if (!err && r->state == CEL_REDIS_LOGIN && cel_resp_kind(reply) == CEL_RESP_ERROR &&
        contains(cel_resp_text(reply), "wrong number of arguments")) {
        auth(r, false);
    } else {
        on_auth(ctx, reply, err);
    }
}

static void must(struct cel_redis *r, celery_status status)
{
    if (status < 0 && r->state == CEL_REDIS_LOGIN) {
        cel_redis_fail(r, status, "cannot log in: %s", celery_status_text(status));
    }
}

static void auth(struct cel_redis *r, bool with_user)
{
    const char *password = r->target.password ? r->target.password : "";
    struct cel_slice with[] = {CEL_SLICE("AUTH"), cel_slice_of(r->target.user),
                               cel_slice_of(password)};
    struct cel_slice without[] = {CEL_SLICE("AUTH"), cel_slice_of(password)};

    must(r, with_user ? cel_redis_queue(r, on_auth_user, r, 3, with)
                      : cel_redis_queue(r, on_auth, r, 2, without));
}

/* Errors of commands that an ACL may forbid do not matter. */
static void on_optional(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    if (!err) {
        is_fatal(ctx, reply);
    }
}

static void on_client_id(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct cel_redis *r = ctx;

    if (!err && !is_fatal(r, reply)) {
        r->client_id = cel_resp_int(reply);
    }
}

static void refuse_cluster(struct cel_redis *r)
{
    cel_redis_fail(r, CELERY_ENOTSUP, CEL_REDIS_CLUSTER_TEXT ": change %s",
                   r->target.setting);
}

static void on_select(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct cel_redis *r = ctx;

    if (err || is_fatal(r, reply) || cel_resp_kind(reply) != CEL_RESP_ERROR) {
        return;
    }
    if (cel_redis_error_is(reply, "NOPERM")) {
        cel_redis_fail(r, CELERY_EAUTH, "%s", text_of(reply));
    } else if (contains(cel_resp_text(reply), "cluster mode")) {
        refuse_cluster(r);
    } else {
        cel_redis_fail(r, CELERY_ECONFIG,
                       "%s (there is no database %d: change the number in %s)",
                       text_of(reply), r->target.db, r->target.setting);
    }
}

/* The value of "name:value\r\n" in what INFO says. */
static struct cel_slice info_value(struct cel_slice info, const char *name)
{
    size_t len = strlen(name);
    struct cel_slice line;

    while (cel_slice_split(&info, '\n', &line)) {
        if (line.len > len && memcmp(line.data, name, len) == 0 &&
            line.data[len] == ':') {
            return cel_slice_trim(cel_slice(line.data + len + 1, line.len - len - 1));
        }
    }
    return CEL_SLICE_NULL;
}

/* "7.0.15": 70015 */
static int version_number(struct cel_slice text)
{
    int number = 0;

    for (int i = 0; i < 3; i++) {
        struct cel_slice part = CEL_SLICE_NULL;
        int64_t value = 0;
        if (cel_slice_split(&text, '.', &part) && !cel_slice_to_int(part, &value)) {
            return 0;
        }
        if (value < 0 || value > 99) {
            return 0;
        }
        number = number * 100 + (int)value;
    }
    return number;
}

static void on_info(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct cel_redis *r = ctx;

    if (err || is_fatal(r, reply)) {
        return;
    }
    struct cel_slice info = cel_resp_text(reply);
    if (cel_resp_kind(reply) != CEL_RESP_STRING) {
        return; /* an ACL may forbid INFO */
    }
    r->version = version_number(info_value(info, "redis_version"));
    struct cel_slice mode = info_value(info, "redis_mode");
    if (cel_slice_is(mode, "cluster")) {
        refuse_cluster(r);
    } else if (cel_slice_is(mode, "sentinel") && r->role != CEL_REDIS_SENTINEL) {
        cel_redis_fail(r, CELERY_ECONFIG,
                       "this is a Sentinel: use sentinel:// in %s and set master_name",
                       r->target.setting);
    }
}

/* A promoted replica is slow to be known everywhere: the sentinel may name the old master. */
static void on_role(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct cel_redis *r = ctx;

    if (err || is_fatal(r, reply)) {
        return;
    }
    const struct cel_resp *role = cel_resp_at(reply, 0);
    if (cel_resp_kind(reply) == CEL_RESP_ARRAY &&
        !cel_slice_is(cel_resp_text(role), "master")) {
        cel_redis_fail(r, CELERY_ECONNECT, "the server that the sentinel named is a %s",
                       text_of(role));
    }
}

/* The last of the commands: all others went well. */
static void on_ping(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct cel_redis *r = ctx;

    if (!err && !is_fatal(r, reply)) {
        cel_redis_logged_in(r);
    }
}

static void send_words(struct cel_redis *r, cel_redis_fn fn, const char *a, const char *b,
                       const char *c)
{
    struct cel_slice argv[] = {cel_slice_of(a), cel_slice_of(b), cel_slice_of(c)};
    size_t argc = c ? 3 : b ? 2 : 1;

    if (r->state == CEL_REDIS_LOGIN) {
        must(r, cel_redis_queue(r, fn, r, argc, argv));
    }
}

/* All in one round trip; the answers come in this order. */
static void say_hello(struct cel_redis *r)
{
    char db[12];

    if (r->target.client_name) {
        send_words(r, on_optional, "CLIENT", "SETNAME", r->target.client_name);
    }
    if (r->target.db != 0 && r->role != CEL_REDIS_SENTINEL) {
        snprintf(db, sizeof db, "%d", r->target.db);
        send_words(r, on_select, "SELECT", db, NULL);
    }
    send_words(r, on_client_id, "CLIENT", "ID", NULL);
    send_words(r, on_info, "INFO", "server", NULL);
    if (r->role == CEL_REDIS_MASTER) {
        send_words(r, on_role, "ROLE", NULL, NULL);
    }
    send_words(r, on_ping, "PING", NULL, NULL);
}

void cel_redis_login(struct cel_redis *r)
{
    if (r->target.user || r->target.password) {
        auth(r, r->target.user != NULL);
    } else {
        say_hello(r);
    }
}
