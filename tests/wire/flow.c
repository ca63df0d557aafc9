/* SPDX-License-Identifier: BSD-3-Clause */
#include "flow.h"

#include "backend/redis.h"
#include "message/envelope_json.h"
#include "same.h"
#include "step.h"
#include "worker/chord_error.h"
#include "worker/report.h"

celery_status flow_register(struct flow *f)
{
    static const char *const names[] = {"add",     "mul",    "tsum", "collect",
                                        "nothing", "values", "fail", "miss",
                                        "eb",      "again",  "swap", "grow"};
    const struct cel_node *conf = recipe_get(f->recipe, "conf");
    celery_status st = CELERY_OK;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        celery_app_task(f->app, names[i], outcome_task);
    }
    for (const struct cel_node *k = cel_node_first(conf); k && st == CELERY_OK;
         k = k->next->next) {
        const char *key = cel_arena_strndup(&f->r.a, k->text, k->size);

        st = celery_app_set(f->app, key, cel_node_truth(k->next) ? "true" : "false",
                            &f->r.err);
    }
    return st;
}

/* ---- recorded events ---- */

static bool is_kind(const struct cel_node *event, const char *kind)
{
    return cel_slice_is(cel_node_text(case_get(event, "kind")), kind);
}

static bool is_effect(const struct cel_node *event)
{
    return is_kind(event, "publish") || is_kind(event, "size") ||
           is_kind(event, "save") || is_kind(event, "grow") || is_kind(event, "child");
}

static const struct cel_node *event_of(const struct step *s, const char *kind,
                                       struct cel_slice id, const char *score)
{
    for (const struct cel_node *k = cel_node_first(s->events); k; k = k->next) {
        if (is_kind(k, kind) && cel_slice_eq(cel_node_text(case_get(k, "id")), id) &&
            (!score || cel_slice_is(cel_node_text(case_get(k, "score")), score))) {
            return k;
        }
    }
    return NULL;
}

static size_t count_of(const struct step *s, const char *kind)
{
    size_t n = 0;

    for (const struct cel_node *k = cel_node_first(s->events); k; k = k->next) {
        n += is_kind(k, kind);
    }
    return n;
}

/* ---- what is stored ---- */

static void same_recorded(const struct cel_node *event, struct cel_slice id,
                          struct cel_buf *made)
{
    if (!event) {
        fail_msg("not recorded for %.*s: %s", (int)id.len, id.data, cel_buf_cstr(made));
    }
    struct cel_slice want = cel_node_text(case_get(event, "text"));

    if (!cel_slice_eq(want, cel_buf_slice(made))) {
        fail_msg("%.*s:\nrecorded %.*s\nmade     %s", (int)id.len, id.data, (int)want.len,
                 want.data, cel_buf_cstr(made));
    }
}

static void same_meta(struct step *s, const struct cel_task_meta *made)
{
    struct cel_task_meta meta = *made;
    struct cel_buf out = {0};

    if (meta.traceback.len) {
        meta.traceback = CEL_SLICE("traceback");
    }
    assert_int_equal(cel_meta_write(&out, &meta, NULL, NULL), CELERY_OK);
    same_recorded(event_of(s, "stored", meta.task_id, NULL), meta.task_id, &out);
    s->stored++;
    cel_buf_fini(&out);
}

/* ---- chords ---- */

struct part {
    struct cel_chord_part told;
    const struct cel_node *body;
};

/* Its effects come behind those of the step until now. */
static void add_effects(struct step *s, struct cel_effects *more)
{
    cel_buf_add_slice(&s->effects.bytes, cel_buf_slice(&more->bytes));
    s->effects.n += more->n;
    cel_effects_fini(more);
}

static void fail_chord(struct step *s, const struct part *p, const struct cel_node *last,
                       bool saved)
{
    const struct cel_node *map = last->next->next;
    struct cel_effects more = {0};
    const struct cel_continue_exc exc = cel_chord_exception(&s->r, p->told.group_id, map);
    struct cel_slice text =
        saved ? cel_chord_raised(&s->r, "Join error: ", map, &exc)
              : cel_chord_dependency(&s->r, cel_node_text(last), map, &exc);

    assert_int_equal(cel_chord_fail(&s->r, p->told.group_id, p->body, text, &exc, &more),
                     CELERY_OK);
    add_effects(s, &more);
}

static void call_body(struct step *s, const struct part *p,
                      const struct cel_node *results)
{
    struct cel_effects more = {0};

    if (cel_continue_chord(cel_follow_canvas(&s->w), &s->f->r.a, cel_follow_call(&s->r),
                           p->body, results, cel_follow_priority(&s->r), &more,
                           &s->f->r.err) < 0) {
        fail_msg("%s", s->f->r.err.message);
    }
    add_effects(s, &more);
}

/* The recorded parts: [1, task id, state, result]; the first failed one fails the chord. */
static void end_chord(struct step *s, const struct part *p, const struct cel_node *chord)
{
    struct cel_node *results = cel_node_new(&s->f->r.a, CELERY_KIND_ARRAY);
    bool saved = cel_node_truth(case_get(chord, "saved"));

    for (const struct cel_node *k = cel_node_first(case_get(chord, "parts")); k;
         k = k->next) {
        const struct cel_node *id = cel_node_first(k)->next;

        if (cel_slice_is(cel_node_text(id->next), "FAILURE")) {
            fail_chord(s, p, id, saved);
            return;
        }
        cel_node_append(results, cel_node_copy(&s->f->r.a, id->next->next));
    }
    if (saved) {
        assert_true(chord->next && is_kind(chord->next, "joined"));
        call_body(s, p, case_get(chord->next, "json"));
    } else {
        call_body(s, p, results);
    }
}

static void count_part(struct step *s, const struct part *p)
{
    struct cel_buf out = {0};
    char score[24] = "+inf";

    if (p->told.group_index >= 0) {
        snprintf(score, sizeof score, "%d", (int)p->told.group_index);
    }
    assert_int_equal(cel_redis_write_part(&cel_codec_json, &out, &p->told, &s->f->r.err),
                     CELERY_OK);
    const struct cel_node *event = event_of(s, "part", p->told.group_id, score);

    same_recorded(event, p->told.task_id, &out);
    cel_buf_fini(&out);
    s->parts++;
    if (event->next && is_kind(event->next, "chord")) {
        end_chord(s, p, event->next);
    }
}

static void own_part(struct step *s)
{
    const struct cel_request *r = &s->r;
    const struct cel_task_call *call = cel_follow_call(&s->r);
    bool good = r->outcome.kind == CEL_OUTCOME_SUCCESS;

    if (!cel_follow_is_part(&s->r) || (!good && r->outcome.kind != CEL_OUTCOME_FAILURE)) {
        return;
    }
    count_part(
        s, &(struct part){{.group_id = call->group,
                           .task_id = call->id,
                           .group_index = call->group_index,
                           .state = good ? CEL_SLICE("SUCCESS") : CEL_SLICE("FAILURE"),
                           .result_json = good ? r->outcome.result_json
                                               : cel_report_exception(&s->r)},
                          case_get(call->embed, "chord")});
}

/* ---- failures of others: as worker/reporting.c stores them ---- */

static void tell_end(struct step *s, const struct cel_follow_end *e)
{
    const struct cel_task_meta meta = {
        .task_id = e->copy.task_id,
        .status = CEL_SLICE("FAILURE"),
        .result_json = cel_report_exception_json(&s->r, &e->exc),
        .traceback = e->exc.traceback,
        .children_json = cel_report_children(
            &s->r, e->copy.trail, e->copy.trail ? e->copy.children : CEL_SLICE_NULL),
        .group_id = e->copy.group_id,
        .parent_id = e->copy.parent_id,
        .date_done_us = (int64_t)(RECIPE_NOW * 1e6),
    };

    if (e->store) {
        same_meta(s, &meta);
    }
    if (e->copy.chord && e->copy.group_id.len > 0) {
        count_part(s, &(struct part){{.group_id = e->copy.group_id,
                                      .task_id = e->copy.task_id,
                                      .group_index = e->copy.group_index,
                                      .state = CEL_SLICE("FAILURE"),
                                      .result_json = meta.result_json},
                                     e->copy.chord});
    }
}

static void tell_others(struct step *s)
{
    struct cel_list *it;

    assert_int_equal(cel_follow_failure(&s->r), CELERY_OK);
    while (s->r.follow && (it = cel_list_first(&s->r.follow->ends))) {
        struct cel_follow_end *e = cel_container_of(it, struct cel_follow_end, node);

        cel_list_remove(it);
        tell_end(s, e);
    }
    if (s->r.follow) {
        add_effects(s, &s->r.follow->errbacks);
        s->r.follow->errbacks = (struct cel_effects){0};
    }
}

/* ---- a step ---- */

/* The recorded message as it came from the broker. */
static void receive(struct step *s, const struct cel_node *m)
{
    static const char *const accept[] = {"json", NULL};
    struct cel_buf body = {0}, raw = {0}, headers = {0};
    struct cel_arena *a = &s->f->r.a;
    celery_error err = {0};
    struct cel_job *job = &s->r.job;

    cel_json_write(&body, case_get(m, "body"));
    cel_json_write(&headers, case_get(m, "headers"));
    cel_buf_adds(&raw, "{\"body\": ");
    cel_json_write_string(&raw, cel_buf_slice(&body));
    cel_buf_adds(&raw, ", \"content-encoding\": \"utf-8\", \"content-type\": "
                       "\"application/json\", \"headers\": ");
    cel_buf_add_slice(&raw, cel_buf_slice(&headers));
    cel_buf_adds(&raw, ", \"properties\": {\"correlation_id\": ");
    cel_json_write(&raw, case_get(m, "correlation_id"));
    cel_buf_adds(&raw, ", \"reply_to\": ");
    cel_json_write(&raw, case_get(m, "reply_to"));
    cel_buf_adds(&raw, ", \"delivery_mode\": 2, \"delivery_info\": {\"exchange\": ");
    cel_json_write(&raw, case_get(m, "exchange"));
    cel_buf_adds(&raw, ", \"routing_key\": ");
    cel_json_write(&raw, case_get(m, "routing_key"));
    cel_buf_addf(&raw, "}, \"priority\": %d, \"delivery_tag\": \"tag\"}}",
                 (int)cel_node_int(case_get(m, "priority"), 0));
    struct cel_slice text = {cel_arena_strndup(a, raw.data, raw.len), raw.len};

    s->w.policy.limits = (struct cel_call_limits){.accept = accept};
    if (cel_envelope_read(text, &s->r.envelope, &err) < 0 ||
        cel_task_call_read(s->r.envelope, &s->w.policy.limits, &job->call, &err) !=
            CEL_CALL_OK) {
        fail_msg("%s", err.message);
    }
    job->headers =
        (struct cel_slice){cel_arena_strndup(a, headers.data, headers.len), headers.len};
    job->body = s->r.envelope->body;
    job->content_type = s->r.envelope->content_type;
    job->correlation_id = s->r.envelope->correlation_id;
    job->reply_to = s->r.envelope->reply_to;
    job->exchange = s->r.envelope->exchange;
    job->routing_key = s->r.envelope->routing_key;
    job->priority = s->r.envelope->priority;
    job->task = cel_app_find_task(s->f->app, job->call.task);
    cel_buf_fini(&body);
    cel_buf_fini(&headers);
    cel_buf_fini(&raw);
}

/* A child of a task that failed, behind the last document that could name it. */
static bool is_unnamed(const struct step *s, const struct cel_node *event)
{
    bool named = s->r.outcome.kind != CEL_OUTCOME_FAILURE || !is_kind(event, "child");

    for (const struct cel_node *k = event; k && !named; k = k->next) {
        named = is_kind(k, "stored");
    }
    return !named;
}

static void same_effects(struct step *s)
{
    struct cel_slice rest = cel_buf_slice(&s->effects.bytes);
    struct cel_effect e;
    size_t n = 0;

    for (const struct cel_node *k = cel_node_first(s->events); k; k = k->next) {
        if (is_effect(k) && !is_unnamed(s, k)) {
            assert_true(cel_effects_next(&rest, &e, NULL));
            same_effect(&s->f->r.a, k, &e, s->origin);
            n++;
        }
    }
    assert_int_equal(n, s->effects.n);
}

/* As cel_carry_start() does. */
static void note_children(struct step *s)
{
    struct cel_slice rest = cel_buf_slice(&s->effects.bytes);
    struct cel_buf *children = &cel_follow_get(&s->r)->children;
    struct cel_effect e;

    while (cel_effects_next(&rest, &e, NULL)) {
        if (e.kind == CEL_EFFECT_CHILD) {
            cel_buf_adds(children, children->len > 0 ? ", " : "");
            cel_buf_add_slice(children, e.json);
        }
    }
}

static void run_step(struct flow *f, const struct cel_node *recorded)
{
    struct step s = {.f = f,
                     .events = case_get(recorded, "effects"),
                     .w = {.app = f->app,
                           .router = f->router,
                           .canvas = f->canvas,
                           .hostname = (char *)"w1@here"},
                     .origin = "gen1@here"};

    const struct cel_task_policy policy = {
        .store_errors_even_if_ignored =
            cel_config_bool(f->app->config, "task_store_errors_even_if_ignored")};

    s.r.w = &s.w;
    s.r.policy = &policy;
    receive(&s, f->sent[cel_node_int(case_get(recorded, "runs"), 0)]);
    s.r.job.extended = cel_config_bool(f->app->config, "result_extended");
    outcome_make(&s, recorded);
    note_children(&s);
    if (cel_report_meta(&s.r)) {
        same_meta(&s, &s.r.store.meta);
    }
    own_part(&s);
    tell_others(&s);
    same_effects(&s);
    assert_int_equal(s.stored, count_of(&s, "stored"));
    assert_int_equal(s.parts, count_of(&s, "part"));
    cel_effects_fini(&s.effects);
    cel_follow_fini(&s.r);
    cel_envelope_free(s.r.envelope);
}

static void add_sent(struct flow *f, const struct cel_node *events)
{
    for (const struct cel_node *k = cel_node_first(events); k; k = k->next) {
        if (is_kind(k, "publish")) {
            assert_true(f->n_sent < FLOW_MESSAGES);
            f->sent[f->n_sent++] = k;
        }
    }
}

void flow_run(struct flow *f)
{
    add_sent(f, case_get(f->recorded, "effects"));
    for (const struct cel_node *k = cel_node_first(case_get(f->recorded, "steps")); k;
         k = k->next) {
        if (!case_get(k, "elsewhere")) {
            run_step(f, k);
            add_sent(f, case_get(k, "effects"));
        }
    }
}
