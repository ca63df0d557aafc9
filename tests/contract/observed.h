/* SPDX-License-Identifier: BSD-3-Clause */
/* What tests of backends see: how operations end, and what is told of results. */
#ifndef TESTS_CONTRACT_OBSERVED_H
#define TESTS_CONTRACT_OBSERVED_H

#include "backend/backend.h"

/* How operations ended, added up. */
struct seen {
    int answers;
    int errors;
    celery_status status; /* of the last error */
    int64_t sum;
    char message[sizeof((celery_error *)NULL)->message];
};

void on_done(void *seen, const celery_error *err, int64_t answer);
struct cel_done to(struct seen *seen);

/* What a backend told. */
struct told {
    int metas, missing, lost;
    char last_id[64];
    char last_status[64];
    char last_result[64];
};

/* Their context is a struct told. */
extern const struct cel_backend_events told_events;

/* Until a counter is there; fails the test otherwise. */
void run_until(struct cel_loop *loop, const int *counter, int want);

/* Long enough for anything that should not come. */
void run_quiet(struct cel_loop *loop);

/* Ids of their own for each test: the server stays. */
const char *fresh_id(char id[32]);

#endif
