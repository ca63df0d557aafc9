/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls under way, so that the end of a connection ends them. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/md5.h"
#include "transport/sqs_state.h"

/* Seconds for each try of a call, besides what a long poll waits. */
#define TIMEOUT 20.0

struct cel_sqs_call {
    struct cel_list node;
    struct cel_sqs *s;
    struct cel_aws_call *call;
    cel_sqs_fn fn;
    void *ctx;
    struct cel_sqs_call **named;
};

static void end(struct cel_sqs_call *give_call, const struct cel_aws_answer *answer)
{
    cel_sqs_fn fn = give_call->fn;
    void *ctx = give_call->ctx;

    cel_list_remove(&give_call->node);
    if (give_call->named) {
        *give_call->named = NULL;
    }
    cel_free(give_call);
    fn(ctx, answer);
}

static void fail(cel_sqs_fn fn, void *ctx, celery_status status, const char *text)
{
    celery_error err = {0};

    cel_error_set(&err, status, "%s", text);
    fn(ctx, &(struct cel_aws_answer){.err = &err, .code = ""});
}

static void on_answer(void *ctx, const struct cel_aws_answer *answer)
{
    struct cel_sqs_call *call = ctx;

    if (answer->http_status) {
        call->s->last_answer = cel_loop_now(call->s->base.loop);
    }
    call->call = NULL;
    end(call, answer);
}

static struct cel_sqs_call *start(struct cel_sqs *s, struct cel_aws *aws,
                                  const struct cel_aws_request *r)
{
    struct cel_sqs_call *call = cel_calloc(1, sizeof *call);

    if (!call) {
        return NULL;
    }
    call->s = s;
    call->call = cel_aws_call(aws, r, on_answer, call);
    if (!call->call) {
        cel_free(call);
        return NULL;
    }
    cel_list_append(&s->calls, &call->node);
    return call;
}

void cel_sqs_call(struct cel_sqs *s, struct cel_aws *aws, const char *action,
                  int64_t wait, cel_sqs_fn fn, void *ctx, struct cel_sqs_call **ret_call)
{
    struct cel_aws_request r = {
        .action = action,
        .params = cel_buf_slice(&s->params),
        .timeout = TIMEOUT + (double)(wait > 0 ? wait : 0),
        .tries = wait >= 0 ? 1 : CEL_SQS_TRIES,
        .long_poll = wait > 0,
    };
    bool good = cel_buf_ok(&s->params) && s->connected;
    struct cel_sqs_call *call = good ? start(s, aws, &r) : NULL;

    cel_buf_clear(&s->params);
    if (!call) {
        if (s->connected) {
            fail(fn, ctx, CELERY_ENOMEM, "out of memory");
        } else {
            fail(fn, ctx, CELERY_ECLOSED, "not connected to the broker");
        }
        return;
    }
    call->fn = fn;
    call->ctx = ctx;
    call->named = ret_call;
    if (ret_call) {
        *ret_call = call;
    }
}

void cel_sqs_call_cancel(struct cel_sqs_call *call)
{
    static const celery_error err = {CELERY_ECLOSED, 0, "connection closed"};

    call->call = cel_aws_cancel(call->call);
    end(call, &(struct cel_aws_answer){.err = &err, .code = ""});
}

void cel_sqs_calls_reset(struct cel_sqs *s)
{
    struct cel_list *first;

    while ((first = cel_list_first(&s->calls))) {
        cel_sqs_call_cancel(cel_container_of(first, struct cel_sqs_call, node));
    }
}

/* ---- what the service says ---- */

/* The second one is the older protocol's. */
bool cel_sqs_is_missing(const struct cel_aws_answer *a)
{
    return strstr(a->code, "QueueDoesNotExist") || strstr(a->code, "NonExistentQueue");
}

bool cel_sqs_is_denied(const struct cel_aws_answer *a)
{
    return strncmp(a->code, "AccessDenied", strlen("AccessDenied")) == 0;
}

/* ---- writing parameters ---- */

void cel_sqs_param_text(struct cel_buf *b, const char *name, struct cel_slice text)
{
    cel_buf_addf(b, ", \"%s\": ", name);
    cel_json_write_string(b, text);
}

void cel_sqs_params(struct cel_sqs_queue *q)
{
    struct cel_buf *b = &q->s->params;

    cel_buf_clear(b);
    cel_buf_adds(b, "{\"QueueUrl\": ");
    cel_json_write_string(b, cel_slice_of(q->url));
}

/* ---- reading a batch's answer ---- */

static const struct cel_node *find_entry(const struct cel_node *list, size_t i)
{
    int64_t id;

    for (const struct cel_node *n = cel_node_first(list); n; n = n->next) {
        if (cel_slice_to_int(cel_node_text(cel_node_get(n, CEL_SLICE("Id"))), &id) &&
            id == (int64_t)i) {
            return n;
        }
    }
    return NULL;
}

void cel_sqs_entries(const struct cel_node *result, size_t n, cel_sqs_entry_fn fn,
                     void *ctx)
{
    static const struct cel_node none = {.kind = CELERY_KIND_OBJECT};
    const struct cel_node *done = cel_node_get(result, CEL_SLICE("Successful"));
    const struct cel_node *failed = cel_node_get(result, CEL_SLICE("Failed"));

    for (size_t i = 0; i < n; i++) {
        const struct cel_node *good = find_entry(done, i);
        const struct cel_node *bad = good ? NULL : find_entry(failed, i);

        fn(ctx, i, good, good ? NULL : bad ? bad : &none);
    }
}

bool cel_sqs_md5_fits(const struct cel_node *md5, struct cel_slice bytes)
{
    struct cel_slice said = cel_node_text(md5);
    char hex[CEL_MD5_HEX];

    if (!cel_node_is_string(md5)) {
        return true;
    }
    cel_md5_hex(bytes, hex);
    return cel_slice_eq(said, cel_slice(hex, sizeof hex));
}

bool cel_sqs_entry_is_final(const struct cel_node *failed)
{
    const struct cel_node *fault = cel_node_get(failed, CEL_SLICE("SenderFault"));
    struct cel_slice text = cel_node_text(fault);

    return cel_node_is_string(fault) ? cel_slice_is(text, "true")
                                     : cel_node_bool(fault, false);
}

void cel_sqs_entry_error(const struct cel_node *failed, const char *what,
                         celery_error *err)
{
    struct cel_slice code = cel_node_text(cel_node_get(failed, CEL_SLICE("Code")));
    struct cel_slice text = cel_node_text(cel_node_get(failed, CEL_SLICE("Message")));
    char shown[160];

    snprintf(shown, sizeof shown, "%.*s", (int)(text.len < 150 ? text.len : 150),
             text.data ? text.data : "no answer");
    for (char *c = shown; *c; c++) {
        *c = (unsigned char)*c < ' ' ? ' ' : *c;
    }
    cel_error_set(err,
                  cel_sqs_entry_is_final(failed) ? CELERY_ENOTSUP : CELERY_EUNCERTAIN,
                  "%s: %.*s%s%s", what, (int)(code.len < 60 ? code.len : 60),
                  code.data ? code.data : "", code.len ? ": " : "", shown);
}
