/* SPDX-License-Identifier: BSD-3-Clause */
/* Tasks, as their events tell of them (celery/events/state.py Task.event). */
#include "base/alloc.h"
#include "base/error.h"
#include "client/state.h"
#include <math.h>

/* TASK_EVENT_TO_STATE, with what the event's time is kept as. */
static const struct kind {
    const char *subject;
    const char *state;
    size_t time; /* a double of celery_state_task */
} kinds[] = {
    {"sent", "PENDING", offsetof(celery_state_task, sent)},
    {"received", "RECEIVED", offsetof(celery_state_task, received)},
    {"started", "STARTED", offsetof(celery_state_task, started)},
    {"succeeded", "SUCCESS", offsetof(celery_state_task, succeeded)},
    {"failed", "FAILURE", offsetof(celery_state_task, failed)},
    {"retried", "RETRY", offsetof(celery_state_task, retried)},
    {"revoked", "REVOKED", offsetof(celery_state_task, revoked)},
    {"rejected", "REJECTED", offsetof(celery_state_task, rejected)},
};

/* The texts of a task; of kept ones also a late task-received tells (Task.merge_rules). */
static const struct text {
    const char *name;
    size_t offset; /* a const char * of celery_state_task */
    bool kept;
} texts[] = {
    {"name", offsetof(celery_state_task, name), true},
    {"args", offsetof(celery_state_task, args), true},
    {"kwargs", offsetof(celery_state_task, kwargs), true},
    {"eta", offsetof(celery_state_task, eta), true},
    {"expires", offsetof(celery_state_task, expires), true},
    {"parent_id", offsetof(celery_state_task, parent_id), true},
    {"root_id", offsetof(celery_state_task, root_id), true},
    {"result", offsetof(celery_state_task, result), false},
    {"exception", offsetof(celery_state_task, exception), false},
    {"traceback", offsetof(celery_state_task, traceback), false},
    {"queue", offsetof(celery_state_task, queue), false},
    {"exchange", offsetof(celery_state_task, exchange), false},
    {"routing_key", offsetof(celery_state_task, routing_key), false},
};

#define N_KINDS (sizeof kinds / sizeof kinds[0])
#define N_TEXTS (sizeof texts / sizeof texts[0])

static const char **text_at(celery_state_task *t, size_t i)
{
    return (const char **)(void *)((char *)t + texts[i].offset);
}

struct cel_state_task *cel_state_task_free(struct cel_state_task *t)
{
    if (t) {
        for (size_t i = 0; i < N_TEXTS; i++) {
            cel_free((void *)*text_at(&t->pub, i));
        }
        cel_free((void *)t->pub.uuid);
        cel_free((void *)t->pub.worker);
        cel_free((void *)t->pub.client);
        cel_free(t);
    }
    return NULL;
}

/* A place in celery/states.py PRECEDENCE; lower is stronger. */
static int precedence(const char *state)
{
    static const char *const order[] = {
        "SUCCESS",  "FAILURE",  NULL,    "REVOKED", "STARTED",
        "RECEIVED", "REJECTED", "RETRY", "PENDING",
    };

    for (int i = 0; i < (int)(sizeof order / sizeof order[0]); i++) {
        if (order[i] && strcmp(order[i], state) == 0) {
            return i;
        }
    }
    return 2; /* None: any other state */
}

/* ---- texts ---- */

celery_status cel_state_set_text(const char **text, struct cel_slice value)
{
    char *copy = NULL;

    if (value.data) {
        copy = cel_strndup(value.data, value.len);
        if (!copy) {
            return CELERY_ENOMEM;
        }
        for (size_t i = 0; i < value.len; i++) {
            copy[i] = copy[i] ? copy[i] : ' '; /* C has no other way to have all of it */
        }
    }
    cel_free((void *)*text);
    *text = copy;
    return CELERY_OK;
}

/* At most max bytes, and no half letter at the end. */
static struct cel_slice cut(struct cel_slice text, size_t max)
{
    if (text.len > max) {
        text.len = max;
        while (text.len > 0 && ((unsigned char)text.data[text.len] & 0xC0) == 0x80) {
            text.len--;
        }
    }
    return text;
}

/* Texts as they are, null as none, what should be a text and is not as JSON. */
static celery_status take_text(struct cel_state_task *t, size_t i,
                               const struct cel_node *value)
{
    const char **text = text_at(&t->pub, i);
    bool long_one = strcmp(texts[i].name, "traceback") == 0;
    size_t max = long_one ? CEL_STATE_TRACEBACK : CEL_STATE_TEXT;
    size_t before = *text ? strlen(*text) : 0;
    struct cel_buf json = {0};
    struct cel_slice s = CEL_SLICE_NULL;

    if (cel_node_is_string(value)) {
        s = cel_node_text(value);
        s = s.data ? s : CEL_SLICE("");
    } else if (!cel_node_is_null(value)) {
        if (cel_json_write(&json, value) < 0) {
            cel_buf_fini(&json);
            return CELERY_ENOMEM;
        }
        s = cel_buf_slice(&json);
    }
    celery_status status = cel_state_set_text(text, cut(s, max));
    cel_buf_fini(&json);
    if (status == CELERY_OK) {
        t->bytes = t->bytes - before + (*text ? strlen(*text) : 0);
    }
    return status;
}

static celery_status take_texts(struct cel_state_task *t, const struct cel_node *fields,
                                bool kept_only)
{
    for (size_t i = 0; i < N_TEXTS; i++) {
        const struct cel_node *value = cel_node_get(fields, cel_slice_of(texts[i].name));

        if (value && (texts[i].kept || !kept_only) && take_text(t, i, value) < 0) {
            return CELERY_ENOMEM;
        }
    }
    return CELERY_OK;
}

/* ---- events ---- */

static void take_retries(celery_state_task *t, const struct cel_node *fields)
{
    const struct cel_node *value = cel_node_get(fields, CEL_SLICE("retries"));

    if (value) {
        t->retries = cel_node_int(value, -1);
    }
}

static void take_rest(celery_state_task *t, const celery_event *event)
{
    const struct cel_node *runtime = cel_node_get(event->fields, CEL_SLICE("runtime"));
    double seconds = cel_node_double(runtime, -1);

    if (runtime) {
        t->runtime = isfinite(seconds) && seconds >= 0 ? seconds : -1;
    }
    t->timestamp = event->timestamp;
    t->clock = event->clock;
}

static const struct kind *find_kind(const char *subject)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        if (strcmp(kinds[i].subject, subject) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

/* An event that upstream does not know makes a state of its own: type_.upper(). */
static void upper(const char *subject, char *text, size_t size)
{
    size_t n = 0;

    for (; subject[n] && n + 1 < size; n++) {
        char c = subject[n];

        text[n] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    text[n] = 0;
}

/* The event happened before those that are known already. */
static bool is_late(const struct cel_state_task *t, const char *state)
{
    return strcmp(state, "RETRY") != 0 && strcmp(t->pub.state, "RETRY") != 0 &&
           precedence(state) > precedence(t->pub.state);
}

celery_status cel_state_task_merge(struct cel_state_task *t, const char *subject,
                                   const celery_event *event, celery_error *err)
{
    const struct kind *kind = find_kind(subject);
    bool by_client = strcmp(subject, "sent") == 0;
    char custom[sizeof t->custom];
    bool late, kept_only;

    upper(kind ? kind->state : subject, custom, sizeof custom);
    late = is_late(t, custom);
    kept_only = late && strcmp(custom, "RECEIVED") == 0;
    if (kind) {
        *(double *)(void *)((char *)&t->pub + kind->time) = event->timestamp;
    }
    if (!late) {
        memcpy(t->custom, custom, sizeof custom);
        t->pub.state = t->custom;
    }
    if (!kept_only) {
        take_rest(&t->pub, event);
    }
    take_retries(&t->pub, event->fields);
    if (take_texts(t, event->fields, kept_only) < 0 ||
        cel_state_set_text(by_client ? &t->pub.client : &t->pub.worker,
                           cel_slice_of(event->hostname)) < 0) {
        return cel_error_nomem(err);
    }
    return CELERY_OK;
}
