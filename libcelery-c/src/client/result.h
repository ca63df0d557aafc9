/* SPDX-License-Identifier: BSD-3-Clause */
/* Futures of tasks and groups: what the files that implement them share. */
#ifndef CEL_CLIENT_RESULT_H
#define CEL_CLIENT_RESULT_H

#include "base/list.h"
#include "client/client.h"

struct celery_result {
    struct cel_list node;        /* in tracked->results; a group: in client->groups */
    celery_client *client;       /* NULL: closed */
    struct cel_tracked *tracked; /* NULL: a group */
    char *id;
    bool group;
    bool ignored;  /* sent with ignore_result: nothing will come */
    bool reported; /* the backend has said something since it was asked */
    bool ready;

    celery_result *owner; /* the group it is a part of */
    celery_result *parent;
    const struct cel_node *parent_tuple; /* made into parent when somebody asks */
    celery_result **children;            /* a task: made when somebody asks */
    size_t n_children;

    /* a group */
    size_t n_ready;
    celery_result *failed;      /* the first part known to have failed, however deep */
    struct cel_list ended;      /* parts that nobody was handed yet */
    struct cel_list ended_node; /* in the list of owner */

    struct cel_arena tree;  /* the tuples it was made from, if they are its own */
    struct cel_arena arena; /* of all below */
    const struct cel_node *doc;
    const char *state;
    const char *traceback;
    const char *exc_type;
    const char *exc_module;
    const char *date_done;
};

/* ---- result.c ---- */

/* A group without parts; the caller puts them in with cel_result_adopt(). */
celery_result *cel_result_new_group(celery_client *client, struct cel_slice id,
                                    size_t room, celery_error *err);
void cel_result_adopt(celery_result *group, celery_result *give_child);
/* All parts are in: an empty group has ended. */
void cel_result_complete(celery_result *group);

const struct cel_node *cel_result_member(const celery_result *r, const char *key);
/* A task that ended in FAILURE or REVOKED. */
bool cel_result_propagates(const celery_result *r);
/* As if nothing were known of a task. */
void cel_result_clear(celery_result *r);
void cel_result_unwatch(celery_result *r);

/* ---- result_tree.c ---- */

/*
 * result_from_tuple(); the tuple is borrowed as long as the result lives.  CELERY_EMESSAGE:
 * it is none.  Parents are made, and looked at, when somebody asks for them.
 */
celery_result *cel_result_from_tuple(celery_client *client, const struct cel_node *tuple,
                                     celery_error *err);
/* The whole tuple, with all parents. */
celery_status cel_result_check_tuple(const struct cel_node *tuple, celery_error *err);
/* as_tuple() as JSON text. */
celery_status cel_result_write_tuple(struct cel_buf *out, const celery_result *r);

/* The tasks of a group however deep, or the task itself: fn for each. */
void cel_result_each_task(celery_result *r, void (*fn)(celery_result *task, void *ctx),
                          void *ctx);

/* ---- result_ask.c ---- */

/* Whether there is a client with a backend. */
bool cel_result_can_ask(const celery_result *r, celery_error *err);

/* Operations of the backend that somebody waits for together. */
struct cel_gather {
    size_t left;
    celery_error err;
    int64_t sum; /* of the answers */
};
struct cel_done cel_gather_one(struct cel_gather *g);

/* Begins operations, when the backend is there, and waits for all of them. */
celery_status cel_client_ask(celery_client *client,
                             void (*begin)(struct cel_backend *b, struct cel_gather *g,
                                           void *ctx),
                             void *ctx, int64_t *ret_sum, celery_error *err);

/* ---- result_wait.c ---- */

/* "ValueError: text" of a task that failed. */
void cel_result_set_task_error(const celery_result *r, celery_error *err);

#endif
