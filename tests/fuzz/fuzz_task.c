/* SPDX-License-Identifier: BSD-3-Clause */
/* Headers, a newline, a body: any task call; what is read can be sent and read again. */
#include "message/envelope_json.h"
#include "message/task.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const accept_all[] = {"json", "yaml", "msgpack", NULL};
static const struct cel_call_limits limits = {
    .json = {.depth = 200}, .max_body = 1 << 20, .accept = accept_all};

static void send_again(const struct cel_task_call *call)
{
    struct cel_task_send send = {.call = *call};
    struct cel_envelope *env = NULL;
    struct cel_task_call again;
    if (cel_task_send_envelope(&send, &env, NULL) != CELERY_OK ||
        cel_task_call_read(env, &limits, &again, NULL) != CEL_CALL_OK ||
        !cel_slice_eq(again.id, call->id) || again.eta_us != call->eta_us ||
        cel_task_call_body(&env->arena, env->body, env->content_type, CEL_SLICE_NULL,
                           &limits, &again, NULL) != CEL_CALL_OK ||
        !cel_node_equal(again.args, call->args)) {
        abort();
    }
    cel_envelope_free(env);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cel_slice body = cel_slice((const char *)data, size), headers;
    struct cel_envelope *env = cel_envelope_new();
    struct cel_json_limits any = {0};
    struct cel_node *doc = NULL;
    struct cel_task_call call;

    if (!cel_slice_split(&body, '\n', &headers) ||
        cel_json_parse(&env->arena, headers, &any, &doc, NULL) != CELERY_OK) {
        cel_envelope_free(env);
        return 0;
    }
    env->headers = doc->kind == CELERY_KIND_OBJECT ? doc : NULL;
    env->content_type = CEL_SLICE("application/json");
    env->body = body;
    enum cel_call_fault fault = cel_task_call_read(env, &limits, &call, NULL);
    if (fault == CEL_CALL_OK) {
        if (call.id.len == 0 || call.task.len == 0 || call.retries < 0) {
            abort();
        }
        fault = cel_task_call_body(&env->arena, env->body, env->content_type,
                                   call.compression, &limits, &call, NULL);
    }
    if (fault == CEL_CALL_OK) {
        if (call.args->kind != CELERY_KIND_ARRAY ||
            call.kwargs->kind != CELERY_KIND_OBJECT) {
            abort();
        }
        send_again(&call);
    }
    cel_envelope_free(env);
    return 0;
}
