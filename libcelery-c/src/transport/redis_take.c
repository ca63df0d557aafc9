/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/redis_take.h"
#include "base/alloc.h"
#include "net/sha1.h"
#include "transport/redis_claim.h"
#include "transport/redis_deliver.h"
#include "transport/redis_op.h"
#include "transport/redis_score.h"
#include "transport/redis_wait.h"

/* A message on its way. */
struct taking {
    struct cel_redis_transport *r;
    struct cel_done done;
    struct cel_redis_queue *queue;
    size_t step;
    struct cel_redis_claim claim; /* what this is as a claim: one that came short */
    char field[CEL_UUID_SIZE];    /* of its own: nobody has another value there */
    size_t len;                   /* of the message, which is in value behind a bracket */
    struct cel_buf value;         /* of unacked */
};

/* What claiming would cut out of kombu's bytes: exchange and routing key at their end. */
struct tail {
    struct cel_slice exchange, routing_key;
};

/* Cuts a text up to its closing quote, if nothing in it is escaped. */
static bool cut_text(struct cel_slice *rest, const char *front, struct cel_slice *ret)
{
    struct cel_slice start = cel_slice_of(front);
    const char *end;

    if (!cel_slice_starts(*rest, start)) {
        return false;
    }
    *rest = cel_slice(rest->data + start.len, rest->len - start.len);
    end = rest->len > 0 ? memchr(rest->data, '"', rest->len) : NULL;
    if (!end || memchr(rest->data, '\\', (size_t)(end - rest->data))) {
        return false;
    }
    *ret = cel_slice(rest->data, (size_t)(end - rest->data));
    *rest = cel_slice(end + 1, rest->len - ret->len - 1);
    return true;
}

/* "delivery_info": {"exchange": "", "routing_key": "q"}, ..., "delivery_tag": "tag"}} */
static bool read_tail(struct cel_slice text, struct tail *ret)
{
    enum { TAIL = 400 };
    static const char info[] = "\"delivery_info\": {", tag[] = "\"delivery_tag\": ";
    size_t skip = text.len > TAIL ? text.len - TAIL : 0;
    struct cel_slice rest = cel_slice(text.data + skip, text.len - skip), own;
    const char *at = memmem(rest.data, rest.len, info, sizeof info - 1);

    if (!at) {
        return false;
    }
    at += sizeof info - 1;
    rest = cel_slice(at, (size_t)(text.data + text.len - at));
    if (!cut_text(&rest, "\"exchange\": \"", &ret->exchange) ||
        !cut_text(&rest, ", \"routing_key\": \"", &ret->routing_key)) {
        return false;
    }
    at = memmem(rest.data, rest.len, tag, sizeof tag - 1);
    if (!at) {
        return false;
    }
    rest = cel_slice(at, (size_t)(text.data + text.len - at));
    return cut_text(&rest, "\"delivery_tag\": \"", &own) && cel_slice_is(rest, "}}") &&
           own.len > 0;
}

static struct cel_redis_queue *consumed(const struct cel_redis_transport *r,
                                        struct cel_slice name)
{
    for (size_t i = 0; i < r->claiming.n_order; i++) {
        if (cel_slice_is(name, r->claiming.order[i]->name)) {
            return r->claiming.order[i];
        }
    }
    return NULL;
}

/* A claim that is on its way is one more look, which mostly brings nothing. */
const char *cel_redis_quiet(const struct cel_transport *t, const char *queue)
{
    const struct cel_redis_transport *r = (const struct cel_redis_transport *)t;
    const struct cel_redis_queue *q = consumed(r, cel_slice_of(queue));
    bool quiet = r->connected && r->failure.status == CELERY_OK && r->waiting.drained &&
                 r->waiting.tracking == CEL_REDIS_TRACKING_ON;

    return q && quiet ? q->name : NULL;
}

/*
 * A claim would go out now, and nothing says that there is anything for it.  One that is on its
 * way is before us: what it leaves waits for the script.
 */
static struct cel_redis_queue *empty_queue(const struct cel_redis_transport *r,
                                           struct cel_slice name)
{
    if (r->claiming.take_forbidden || r->claiming.flowing || r->waiting.delayed ||
        r->claiming.taking || r->settling.renewing > 0 || r->failure.status < 0 ||
        cel_redis_claim_room(r) == 0) {
        return NULL;
    }
    return consumed(r, name);
}

/* It is ours now: as after a claim. */
static void took(const struct taking *t, struct cel_slice score)
{
    struct cel_redis_transport *r = t->r;
    struct cel_redis_arrival a = {r, cel_redis_score_set(r, score), t->queue, t->step};

    if (t->claim.leased) {
        r->claiming.lease_at = cel_loop_now(r->base.loop);
    }
    if (cel_redis_deliver(&a, cel_slice_of(t->field),
                          cel_slice(t->value.data + 1, t->len), NULL) < 0) {
        cel_redis_abandon_text(r, CELERY_ENOMEM, "taking messages");
    }
}

static void drop(struct taking *t)
{
    cel_buf_fini(&t->value);
    cel_free(t);
}

/* The script's answer, without its transaction; err: there is none. */
static void end(struct taking *t, const struct cel_resp *reply, const celery_error *err)
{
    struct cel_redis_transport *r = t->r;
    unsigned connects = r->connects;
    celery_error why = {0};
    bool failed = cel_redis_check(r, reply, err, "publishing", &why) < 0;
    struct cel_slice score = cel_resp_text(reply);

    r->claiming.taking = false;
    r->claiming.in_flight--;
    r->claiming.requested--;
    if (!err) {
        r->claiming.answered = cel_loop_now(r->base.loop);
        cel_source_schedule(r->flush);
    }
    cel_done(t->done, failed ? &why : NULL, 0);
    if (!failed && r->connects == connects) {
        if (score.len > 0) {
            took(t, score);
        } else {
            cel_redis_wait_own(r);
        }
        if (score.len > 0 && r->connects == connects) {
            cel_redis_rest(r->main);
            cel_redis_wait_answered(r, &t->claim, 1, false);
        }
    }
    drop(t);
}

static void on_script(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    end(ctx, reply, err);
}

static void script_words(struct taking *t)
{
    struct cel_redis_transport *r = t->r;
    struct cel_redis_args *a = &r->args;

    cel_redis_args_adds(a, r->keys.unacked);
    cel_redis_args_adds(a, r->keys.unacked_index);
    cel_redis_args_adds(a, r->keys.held);
    cel_redis_args_adds(a, r->lease_key);
    cel_redis_args_adds(a, t->queue->keys[t->step]);
    for (size_t s = 0; s < r->keys.n_steps; s++) {
        for (size_t i = 0; i < r->claiming.n_order; i++) {
            cel_redis_args_adds(a, r->claiming.order[i]->keys[s]);
        }
    }
    cel_redis_args_adds(a, t->field);
    cel_redis_args_add_int(a, (int64_t)t->len + 1);
    cel_redis_args_adds(a, r->worker);
    cel_redis_args_add_int(a, t->claim.leased ? cel_redis_lease(r) : 0);
    cel_redis_args_adds(a, cel_redis_claim_score(r));
}

static size_t n_keys(const struct cel_redis_transport *r)
{
    return 5 + r->keys.n_steps * r->claiming.n_order;
}

/* The value went in and the script did not run, because the server has forgotten it. */
static void run_again(struct taking *t, const struct cel_resp *reply)
{
    struct cel_redis_transport *r = t->r;

    r->claiming.take_known = false;
    cel_redis_args_clear(&r->args);
    script_words(t);
    if (cel_redis_send_script(r, &r->scripts.take, n_keys(r), on_script, t) < 0) {
        end(t, reply, NULL);
    }
}

/* Nothing names the value, and nobody will settle it. */
static void remove_value(struct taking *t)
{
    cel_redis_commandf(t->r->main, NULL, NULL, "HDEL %s %s", t->r->keys.unacked,
                       t->field);
}

/* Out of memory, mostly: it says more than the EXECABORT that follows. */
static void on_value(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct cel_redis_transport *r = ctx;

    r->claiming.refused = (celery_error){0};
    if (!err) {
        (void)cel_redis_check(r, reply, NULL, "publishing", &r->claiming.refused);
    }
}

/*
 * Where an ACL forbids transactions, their parts were carried out one by one: what came of that
 * is found as the rest of a lost connection is, and from then on messages are pushed.
 */
static void on_multi(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct cel_redis_transport *r = ctx;
    celery_error why = {0};

    if (!err && cel_redis_check(r, reply, NULL, "publishing", &why) < 0) {
        r->claiming.take_forbidden = true;
        cel_redis_abandon(r, &why);
    }
}

/* What EXEC answers: the replies to HSET and to the script. */
static void on_taken(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct taking *t = ctx;
    const struct cel_resp *answer = cel_resp_at(reply, 1);
    bool failed = !err && cel_resp_kind(answer) == CEL_RESP_ERROR;

    if (failed && cel_slice_starts(cel_resp_text(answer), CEL_SLICE("NOSCRIPT"))) {
        run_again(t, answer);
        return;
    }
    if (failed) {
        remove_value(t);
    } else if (!err && cel_resp_size(reply) == 2) {
        t->r->claiming.take_known = true;
    } else if (!err && t->r->claiming.refused.status < 0) {
        err = &t->r->claiming.refused;
    }
    end(t, answer ? answer : reply, err);
}

/* The script by its hash, once this server is known to have it. */
static celery_status send_script(struct taking *t)
{
    struct cel_redis_transport *r = t->r;
    struct cel_redis_script *script = &r->scripts.take;
    struct cel_redis_args *a = &r->args;

    if (!*script->sha) {
        cel_sha1_hex(cel_slice_of(script->text), script->sha);
    }
    cel_redis_args_clear(a);
    cel_redis_args_adds(a, r->claiming.take_known ? "EVALSHA" : "EVAL");
    cel_redis_args_adds(a, r->claiming.take_known ? script->sha : script->text);
    cel_redis_args_add_int(a, (int64_t)n_keys(r));
    script_words(t);
    return cel_redis_send(r, NULL, NULL);
}

celery_status cel_redis_send_word(struct cel_redis_transport *r, const char *word,
                                  cel_redis_fn fn, void *ctx)
{
    cel_redis_args_clear(&r->args);
    cel_redis_args_adds(&r->args, word);
    return cel_redis_send(r, fn, ctx);
}

celery_status cel_redis_send_multi(struct cel_redis_transport *r)
{
    return cel_redis_send_word(r, "MULTI", on_multi, r);
}

static celery_status send_value(struct taking *t)
{
    struct cel_redis_args *a = &t->r->args;

    cel_redis_args_clear(a);
    cel_redis_args_adds(a, "HSET");
    cel_redis_args_adds(a, t->r->keys.unacked);
    cel_redis_args_adds(a, t->field);
    cel_redis_args_add(a, cel_buf_slice(&t->value));
    return cel_redis_send(t->r, on_value, t->r);
}

/* CELERY_NONE: nothing was sent. */
static celery_status send_all(struct taking *t)
{
    struct cel_redis_transport *r = t->r;

    if (cel_redis_send_multi(r) < 0) {
        return CELERY_NONE;
    }
    celery_status status = send_value(t);

    if (status == CELERY_OK) {
        status = send_script(t);
    }
    return status == CELERY_OK ? cel_redis_send_word(r, "EXEC", on_taken, t) : status;
}

static struct taking *make(struct cel_redis_transport *r, struct cel_slice text,
                           const struct tail *tail)
{
    struct taking *t = cel_calloc(1, sizeof *t);

    if (!t) {
        return NULL;
    }
    cel_buf_reserve(&t->value, text.len + tail->exchange.len + tail->routing_key.len + 16,
                    NULL);
    cel_buf_addc(&t->value, '[');
    cel_buf_add_slice(&t->value, text);
    cel_buf_adds(&t->value, ", \"");
    cel_buf_add_slice(&t->value, tail->exchange);
    cel_buf_adds(&t->value, "\", \"");
    cel_buf_add_slice(&t->value, tail->routing_key);
    cel_buf_adds(&t->value, "\"]");
    if (!cel_buf_ok(&t->value)) {
        drop(t);
        return NULL;
    }
    t->r = r;
    t->len = text.len;
    cel_uuid4(t->field);
    return t;
}

bool cel_redis_take(struct cel_redis_transport *r, struct cel_slice queue, size_t step,
                    struct cel_slice text, struct cel_done done)
{
    struct cel_redis_queue *q = empty_queue(r, queue);
    struct taking *t = NULL;
    struct tail tail;

    if (q && text.len <= r->base.max_message && read_tail(text, &tail)) {
        t = make(r, text, &tail);
    }
    if (!t) {
        return false;
    }
    t->done = done;
    t->queue = q;
    t->step = step;
    t->claim = (struct cel_redis_claim){
        .armed = r->waiting.tracking == CEL_REDIS_TRACKING_ON,
        .leased = cel_redis_claim_leases(r),
        .by_wake = r->waiting.woken,
        .max = 2,
        .wakes = r->waiting.wakes,
    };
    celery_status status = send_all(t);

    if (status != CELERY_OK) {
        drop(t);
        if (status == CELERY_NONE) {
            return false;
        }
        /* Half a transaction: nothing else may follow it. */
        cel_redis_abandon_text(r, status, "publishing");
        cel_redis_fail_op(done, status, "publishing");
        return true;
    }
    r->claiming.taking = true;
    r->waiting.woken = r->waiting.pushed = false;
    r->claiming.in_flight++;
    r->claiming.requested++;
    /* A chain waits for this answer; what else the pass brings goes out while it comes. */
    cel_redis_flush(r->main);
    return true;
}
