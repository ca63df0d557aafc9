/* SPDX-License-Identifier: BSD-3-Clause */
/* The queue of calls: who waits for credentials, who is under way, who tries again. */
#include "aws/client_priv.h"

#include "base/alloc.h"
#include "base/error.h"

enum { TRIES = 3, ANSWER_NODES_MAX = 256 << 20 };
static const double first_pause = 0.1;
static const double pause_when_throttled = 1;
static const double longest_pause = 20;

static void on_reply(void *ctx, const struct cel_web_reply *reply);

/* ---- the end of a call ---- */

static void call_free(struct cel_aws_call *call)
{
    cel_list_remove(&call->link);
    cel_web_cancel(call->web);
    cel_source_free(call->timer);
    cel_free(call->action);
    cel_buf_fini(&call->params);
    cel_buf_fini(&call->body);
    cel_free(call);
}

/* fn may free the client: nothing of it is touched afterwards. */
static void finish(struct cel_aws_call *call, const struct cel_aws_answer *answer)
{
    cel_list_remove(&call->link);
    call->fn(call->ctx, answer);
    call_free(call);
}

static void finish_error(struct cel_aws_call *call, const celery_error *err, bool again)
{
    struct cel_aws_answer answer = {.err = err, .code = "", .again = again};

    finish(call, &answer);
}

static void finish_ready(struct cel_aws_call *call)
{
    static const struct cel_node nothing = {.kind = CELERY_KIND_OBJECT};
    struct cel_aws_answer answer = {.result = &nothing, .code = ""};

    finish(call, &answer);
}

/* ---- trying ---- */

static void wait_for_keys(struct cel_aws_call *call)
{
    call->state = CEL_CALL_WAITING;
    cel_source_schedule(call->aws->hook);
}

static void on_pause_over(void *ctx)
{
    wait_for_keys(ctx);
}

static celery_status pause_call(struct cel_aws_call *call, bool throttled)
{
    struct cel_loop *loop = call->aws->loop;

    if (throttled) {
        call->backoff.base = pause_when_throttled;
    }
    double at = cel_loop_now(loop) + cel_backoff_next(&call->backoff);
    if (!call->timer) {
        celery_status status =
            cel_loop_add_timer(loop, &call->timer, at, on_pause_over, call);

        if (status < 0) {
            return status;
        }
    } else {
        cel_source_rearm(call->timer, at);
    }
    call->state = CEL_CALL_PAUSED;
    return CELERY_OK;
}

static void try_call(struct cel_aws_call *call, const struct cel_aws_keys *keys)
{
    celery_error err = {0};

    if (!call->action) {
        finish_ready(call);
        return;
    }
    call->state = CEL_CALL_FLYING;
    call->generation = cel_credentials_generation(call->aws->credentials);
    celery_status status = cel_aws_send(call, keys, on_reply);
    if (status < 0) {
        cel_error_set(&err, status, "%s %s: %s", call->aws->service, call->action,
                      status == CELERY_ENOMEM ? "out of memory" : "not a JSON object");
        finish_error(call, &err, status == CELERY_ENOMEM);
    }
}

static struct cel_aws_call *first_waiting(struct cel_aws *aws)
{
    struct cel_list *it;
    struct cel_list *tmp;

    cel_list_foreach(it, tmp, &aws->calls) {
        struct cel_aws_call *call = cel_container_of(it, struct cel_aws_call, link);

        if (call->state == CEL_CALL_WAITING) {
            return call;
        }
    }
    return NULL;
}

/*
 * Ends or starts all that waits.  Functions of others may free the client: a flag on our stack
 * tells.
 */
static void drain(struct cel_aws *aws, const celery_error *err)
{
    struct cel_aws_call *call;
    bool gone = false;
    bool *outer = aws->gone;

    aws->gone = &gone;
    while (!gone && (call = first_waiting(aws)) != NULL) {
        if (err) {
            finish_error(call, err,
                         celery_error_retriable(err) || err->status == CELERY_EUNCERTAIN);
        } else {
            const struct cel_aws_keys *keys = cel_credentials_get(aws->credentials);

            if (!keys) {
                break;
            }
            try_call(call, keys);
        }
    }
    if (!gone) {
        aws->gone = outer;
    } else if (outer) {
        *outer = true;
    }
}

void cel_aws_on_hook(void *ctx)
{
    drain(ctx, NULL);
}

void cel_aws_on_credentials(void *ctx, const celery_error *err)
{
    celery_error copy = err ? *err : (celery_error){0};

    drain(ctx, err ? &copy : NULL);
}

/* ---- answers ---- */

static void refuse(struct cel_aws_call *call, struct cel_aws_reading *r, int status)
{
    struct cel_aws_answer answer = {
        .err = &r->err,
        .code = r->code,
        .http_status = status,
        .again = r->verdict == CEL_AWS_LATER,
    };

    r->err.code = status;
    if (call->unsure && r->verdict == CEL_AWS_LATER) {
        r->err.status = CELERY_EUNCERTAIN;
    }
    finish(call, &answer);
}

/* True when the call goes on. */
static bool try_again(struct cel_aws_call *call, const struct cel_aws_reading *r)
{
    struct cel_aws *aws = call->aws;

    switch (r->verdict) {
    case CEL_AWS_PROTOCOL:
        aws->query = true;
        wait_for_keys(call);
        return true;
    case CEL_AWS_CLOCK:
        if (call->corrected) {
            return false;
        }
        call->corrected = true;
        aws->skew = r->skew;
        wait_for_keys(call);
        return true;
    case CEL_AWS_RELOAD:
        if (call->reloaded) {
            return false;
        }
        call->reloaded = true;
        cel_credentials_expire(aws->credentials, call->generation);
        wait_for_keys(call);
        return true;
    case CEL_AWS_LATER:
        if (call->tries <= 1) {
            return false;
        }
        call->tries--;
        return pause_call(call, r->throttled) == CELERY_OK;
    default:
        return false;
    }
}

static void on_reply(void *ctx, const struct cel_web_reply *reply)
{
    struct cel_aws_call *call = ctx;
    struct cel_arena arena = {0};
    struct cel_aws_reading reading = {0};

    call->web = NULL;
    cel_arena_init(&arena, ANSWER_NODES_MAX);
    cel_aws_read(call, reply, &arena, &reading);
    call->unsure = call->unsure || reading.unsure;
    if (reading.verdict == CEL_AWS_DONE) {
        struct cel_aws_answer answer = {
            .result = reading.result, .code = "", .http_status = reply->status};

        finish(call, &answer);
    } else if (!try_again(call, &reading)) {
        refuse(call, &reading, reply->status);
    }
    cel_arena_fini(&arena);
}

/* ---- calls ---- */

static struct cel_aws_call *call_new(struct cel_aws *aws, cel_aws_fn fn, void *ctx)
{
    struct cel_aws_call *call = cel_calloc(1, sizeof *call);

    if (call) {
        call->aws = aws;
        call->backoff = (struct cel_backoff)CEL_BACKOFF_INIT(first_pause, longest_pause);
        call->fn = fn;
        call->ctx = ctx;
        cel_list_append(&aws->calls, &call->link);
        wait_for_keys(call);
    }
    return call;
}

struct cel_aws_call *cel_aws_ready(struct cel_aws *aws, cel_aws_fn fn, void *ctx)
{
    return call_new(aws, fn, ctx);
}

struct cel_aws_call *cel_aws_call(struct cel_aws *aws, const struct cel_aws_request *r,
                                  cel_aws_fn fn, void *ctx)
{
    struct cel_aws_call *call = call_new(aws, fn, ctx);

    if (!call) {
        return NULL;
    }
    call->action = cel_strdup(r->action);
    call->timeout = r->timeout;
    call->tries = r->tries ? r->tries : TRIES;
    call->long_poll = r->long_poll;
    cel_buf_add_slice(&call->params, r->params);
    if (!call->action || !cel_buf_ok(&call->params)) {
        call_free(call);
        return NULL;
    }
    return call;
}

struct cel_aws_call *cel_aws_cancel(struct cel_aws_call *call)
{
    if (call) {
        call_free(call);
    }
    return NULL;
}

const char *cel_aws_endpoint(const struct cel_aws *aws)
{
    return aws->endpoint;
}

const char *cel_aws_region_of(const struct cel_aws *aws)
{
    return aws->region;
}

uint64_t cel_aws_requests(const struct cel_aws *aws)
{
    return aws->requests;
}
