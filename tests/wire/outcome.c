/* SPDX-License-Identifier: BSD-3-Clause */
#include "step.h"

#include "canvas/running.h"
#include "pool/run_task.h"

static const struct cel_node *retry_options;

celery_outcome outcome_task(celery_task *task)
{
    for (const struct cel_node *k = cel_node_first(retry_options); k; k = k->next->next) {
        char name[40] = "";

        memcpy(name, k->text, k->size < 39 ? k->size : 39);
        if (strcmp(name, "countdown") != 0) {
            assert_int_equal(celery_task_retry_set_value(task, name, k->next), CELERY_OK);
        }
    }
    return celery_task_retry_exc(task,
                                 cel_node_double(case_get(retry_options, "countdown"), 0),
                                 "ValueError", "again");
}

static struct cel_slice json_of(struct step *s, const struct cel_node *n)
{
    struct cel_buf out = {0};

    assert_int_equal(cel_json_write(&out, n), CELERY_OK);
    struct cel_slice text = {cel_arena_strndup(&s->f->r.a, out.data, out.len), out.len};
    cel_buf_fini(&out);
    return text;
}

/* Where the running task itself applies signatures. */
static struct cel_canvas running(struct step *s)
{
    struct cel_canvas c = s->f->canvas;

    c.running_id = s->r.job.call.id;
    c.running_root = s->r.job.call.root_id;
    c.running_priority = cel_node_new_int(&s->f->r.a, s->r.job.priority);
    return c;
}

static struct cel_sig *signature(struct step *s, const struct cel_node *recipe)
{
    struct cel_sig *sig = recipe_build(&s->f->r, recipe);

    assert_non_null(sig);
    return cel_sig_clone(&s->f->r.a, sig, NULL, NULL);
}

static void check(struct step *s, celery_status status)
{
    if (status < 0) {
        fail_msg("%s", s->f->r.err.message);
    }
}

static void replace(struct step *s, const struct cel_node *recipe)
{
    const struct cel_canvas c = running(s);
    struct cel_task_call call = *cel_follow_call(&s->r);

    call.replaced_task_nesting = cel_node_int(
        cel_envelope_header(s->r.envelope, CEL_SLICE("replaced_task_nesting")), 0);
    check(s, cel_sig_replace(&c, &s->f->r.a, &call, signature(s, recipe), &s->effects,
                             &s->f->r.err));
    s->r.outcome.kind = CEL_OUTCOME_IGNORE;
}

static void add_to_chord(struct step *s, const struct cel_node *recipe)
{
    const struct cel_canvas c = running(s);
    struct cel_node *tuple = NULL;

    check(s,
          cel_sig_add_to_chord(&c, &s->f->r.a, cel_follow_call(&s->r),
                               signature(s, recipe), &s->effects, &tuple, &s->f->r.err));
}

static void retry(struct step *s, const struct cel_node *options)
{
    static const char *const accept[] = {"json", NULL};
    const struct cel_call_limits limits = {.accept = accept};
    const struct cel_run_hooks hooks = {0};
    struct cel_runner *runner = cel_runner_new(s->f->app, "w1@here", &limits, &hooks);
    struct cel_outcome outcome;

    retry_options = options;
    cel_runner_run(runner, &s->r.job, &outcome);
    assert_int_equal(outcome.kind, CEL_OUTCOME_RETRY);
    s->r.outcome = (struct cel_outcome){.kind = CEL_OUTCOME_RETRY};
    outcome.exc_type = outcome.exc_type.len ? outcome.exc_type : CEL_SLICE_NULL;
    struct cel_slice *texts[] = {&outcome.exc_type, &outcome.exc_module,
                                 &outcome.exc_args};
    struct cel_slice *kept[] = {&s->r.outcome.exc_type, &s->r.outcome.exc_module,
                                &s->r.outcome.exc_args};
    for (size_t i = 0; i < 3; i++) {
        *kept[i] = (struct cel_slice){
            cel_arena_strndup(&s->f->r.a, texts[i]->data, texts[i]->len), texts[i]->len};
    }
    s->r.outcome.traceback = CEL_SLICE("traceback");
    cel_buf_add_slice(&s->effects.bytes, outcome.effects);
    s->effects.n += 2; /* the message and the child */
    s->origin = NULL;
    cel_runner_free(runner);
}

static void succeed(struct step *s, const struct cel_node *result)
{
    s->r.outcome.kind = CEL_OUTCOME_SUCCESS;
    s->r.outcome.result_json = json_of(s, result);
    check(s,
          cel_continue_success(&s->w.canvas, &s->f->r.a, cel_follow_call(&s->r), result,
                               cel_follow_priority(&s->r), &s->effects, &s->f->r.err));
}

static void raise_it(struct step *s, const struct cel_node *raised)
{
    s->r.outcome.kind = CEL_OUTCOME_FAILURE;
    s->r.outcome.exc_type = cel_node_text(case_get(raised, "type"));
    s->r.outcome.exc_module = CEL_SLICE("builtins");
    s->r.outcome.exc_args = json_of(s, case_get(raised, "args"));
    s->r.outcome.traceback = CEL_SLICE("traceback");
}

void outcome_make(struct step *s, const struct cel_node *recorded)
{
    const struct cel_node *n;

    if ((n = case_get(recorded, "add_to_chord"))) {
        add_to_chord(s, n);
    }
    if ((n = case_get(recorded, "replace"))) {
        replace(s, n);
    } else if ((n = case_get(recorded, "retry"))) {
        retry(s, n);
    } else if ((n = case_get(recorded, "raised"))) {
        raise_it(s, n);
    } else {
        n = case_get(recorded, "returned");
        assert_non_null(n);
        succeed(s, n);
    }
}
