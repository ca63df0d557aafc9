/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/outcome.h"
#include "cli/json_out.h"
#include "cli/session.h"

#include <stdlib.h>
#include <string.h>

static int no_memory(void)
{
    fprintf(stderr, "Error: out of memory\n");
    return 1;
}

int outcome_id_json(const celery_result *result)
{
    return json_out(json_pack("{ss}", "task_id", celery_result_id(result))) ? 0
                                                                            : no_memory();
}

/* print(value): a text as it is, everything else as its repr(). */
static int print_value(const celery_value *value)
{
    size_t len = 0;
    char *text;

    if (celery_value_kind(value) == CELERY_KIND_STRING) {
        const char *string = celery_value_text(value, &len);

        text_print_lines(stdout, string ? string : "", len);
        putchar('\n');
        return 0;
    }
    text = value ? celery_value_repr(value, 0) : strdup("None");
    if (!text) {
        return no_memory();
    }
    text_print_lines(stdout, text, strlen(text));
    putchar('\n');
    free(text);
    return 0;
}

static int print_traceback(const celery_result *result)
{
    const char *text = celery_result_traceback(result);

    if (text) {
        text_print_lines(stdout, text, strlen(text));
    }
    putchar('\n');
    return 0;
}

/* The stored document; before there is one, what upstream's AsyncResult shows. */
static int print_json(const celery_result *result, const char *state)
{
    const celery_value *document = celery_result_document(result);

    if (document) {
        return json_out_value(document) ? 0 : no_memory();
    }
    return json_out(json_pack("{ss ss sn}", "task_id", celery_result_id(result), "status",
                              state ? state : "PENDING", "result"))
               ? 0
               : no_memory();
}

int outcome_wait(celery_result *result, double timeout, bool json, bool traceback)
{
    celery_error err = {0};
    bool ended = celery_result_join(result, timeout, &err) == CELERY_OK;

    if (!ended) {
        return session_failed(&err, 1);
    }
    if (traceback) {
        return print_traceback(result);
    }
    json_decref(celery_result_wait(result, 0, &err)); /* what it failed with */
    bool failed = err.status == CELERY_ETASK || err.status == CELERY_EREVOKED;
    if (json) {
        return print_json(result, NULL) || failed ? 1 : 0;
    }
    return failed ? session_failed(&err, 1) : print_value(celery_result_value(result));
}

int outcome_now(celery_result *result, bool json, bool traceback)
{
    celery_error err = {0};
    const char *state = celery_result_state(result, &err);

    if (!state) {
        return session_failed(&err, 1);
    }
    if (json) {
        return print_json(result, state);
    }
    if (traceback) {
        return print_traceback(result);
    }
    if (strcmp(state, "SUCCESS") == 0 || strcmp(state, "FAILURE") == 0 ||
        strcmp(state, "REVOKED") == 0) {
        return outcome_wait(result, 0, false, false);
    }
    text_print(stdout, state, strlen(state));
    putchar('\n');
    return 0;
}
