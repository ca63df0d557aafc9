/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A recorded workflow.  Each step's message is read as a worker reads it, its task ends as it
 * did, and what follows is made by the functions that the worker calls; it is compared with what
 * Celery sent, noted and stored.
 */
#ifndef TESTS_WIRE_FLOW_H
#define TESTS_WIRE_FLOW_H

#include "recipe.h"

#define FLOW_MESSAGES 100

struct flow {
    struct recipes r;
    celery_app *app;
    struct cel_router *router;
    struct cel_canvas canvas;
    const struct cel_node *recorded;
    const struct cel_node *recipe;
    const struct cel_node *sent[FLOW_MESSAGES]; /* recorded messages in order */
    size_t n_sent;
};

/* The tasks that record_canvas.py registers, and the settings of the case. */
celery_status flow_register(struct flow *f);

/* Every step of f->recorded. */
void flow_run(struct flow *f);

#endif
