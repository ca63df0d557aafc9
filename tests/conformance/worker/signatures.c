/* SPDX-License-Identifier: BSD-3-Clause */
/* Tasks that answer with signatures, or read them. */
#include "tasks.h"

#include <stdlib.h>
#include <string.h>

static celery_sig *adder(celery_error *err)
{
    return celery_sig_new(SUITE "add", err, NULL);
}

static celery_sig *chain_of_one(celery_error *err, celery_sig *give_sig)
{
    return celery_chain_of(err, &give_sig, 1);
}

static celery_sig *group_of_one(celery_error *err, celery_sig *give_sig)
{
    return celery_group_of(err, &give_sig, 1);
}

static celery_sig *chord_of_one(celery_error *err, celery_sig *give_sig)
{
    return celery_chord(err, give_sig, adder(err));
}

typedef celery_sig *(*wrapper)(celery_error *err, celery_sig *give_sig);

/* outer(inner([add.s()])); the names of both stand at the end of the task's name. */
static celery_outcome return_nested_signature(celery_task *task)
{
    static const struct {
        const char *name;
        wrapper wrap;
    } kinds[] = {
        {"chain", chain_of_one}, {"group", group_of_one}, {"chord", chord_of_one}};
    celery_error err = {0};
    const char *name = celery_task_name(task), *inner = strrchr(name, '_') + 1;
    celery_sig *sig = adder(&err);
    char *text;
    size_t len;
    celery_outcome outcome;

    if (celery_task_args(task, "") < 0) {
        celery_sig_free(sig);
        return CELERY_FAILED;
    }
    for (size_t i = 0; i < 3; i++) {
        sig = strcmp(inner, kinds[i].name) == 0 ? kinds[i].wrap(&err, sig) : sig;
    }
    for (size_t i = 0; i < 3; i++) {
        sig = strncmp(inner - 6, kinds[i].name, 5) == 0 ? kinds[i].wrap(&err, sig) : sig;
    }
    text = celery_sig_dumps(sig, &len, &err);
    celery_sig_free(sig);
    if (!text) {
        return celery_task_fail(task, "ValueError", "%s", err.message);
    }
    outcome = celery_task_return_text(task, text, len);
    free(text);
    return outcome;
}

/* Signature.from_dict(), which reads every signature of the tree. */
static celery_outcome rebuild_signature(celery_task *task)
{
    celery_error err = {0};
    const celery_value *dict;
    celery_sig *sig;
    char *text;
    size_t len;

    if (celery_task_args(task, "sig_dict:v", &dict) < 0) {
        return CELERY_FAILED;
    }
    text = celery_value_dumps(dict, &len);
    sig = celery_sig_loads(text, len, &err);
    free(text);
    if (!sig) {
        return celery_task_fail(task, "TypeError", "%s", err.message);
    }
    celery_sig_free(sig);
    return celery_task_return_none(task);
}

static const struct suite_task tasks[] = {
    {"return_nested_signature_chain_chain", return_nested_signature, NULL},
    {"return_nested_signature_chain_group", return_nested_signature, NULL},
    {"return_nested_signature_chain_chord", return_nested_signature, NULL},
    {"return_nested_signature_group_chain", return_nested_signature, NULL},
    {"return_nested_signature_group_group", return_nested_signature, NULL},
    {"return_nested_signature_group_chord", return_nested_signature, NULL},
    {"return_nested_signature_chord_chain", return_nested_signature, NULL},
    {"return_nested_signature_chord_group", return_nested_signature, NULL},
    {"return_nested_signature_chord_chord", return_nested_signature, NULL},
    {"rebuild_signature", rebuild_signature, NULL},
};

void register_signatures(celery_app *app)
{
    suite_register(app, tasks, sizeof tasks / sizeof tasks[0]);
}
