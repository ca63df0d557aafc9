/* SPDX-License-Identifier: BSD-3-Clause */
/* The parent's side of the prefork pool: shared by prefork.c, prefork_io.c, prefork_life.c. */
#ifndef CEL_POOL_PREFORK_PARENT_H
#define CEL_POOL_PREFORK_PARENT_H

#include "pool/crew.h"
#include "pool/prefork.h"

#define CEL_PREFORK_READ (64 * 1024) /* bytes of prefork.scratch */

enum cel_child_life {
    CEL_CHILD_NONE,    /* no process; maybe to be forked again at child.when */
    CEL_CHILD_ASKED,   /* the fork server was asked */
    CEL_CHILD_FORKED,  /* must show life before child.when */
    CEL_CHILD_UP,      /* serves */
    CEL_CHILD_LEAVING, /* must have ended by child.when */
};

/* The member of one slot; its process comes and goes. */
struct cel_child {
    struct cel_member member;
    enum cel_child_life life;
    int fd;
    struct cel_source *io;
    struct cel_buf in; /* the beginning of a frame */
    size_t sent;       /* of member.out */
    struct cel_outbox *outbox;
    double born;
    double when;
    unsigned failures; /* deaths at the start, in a row */
    bool timed_out;    /* killed for its hard limit */
    bool retry;        /* CEL_CHILD_NONE: fork it again at when */
};

struct cel_prefork {
    struct cel_pool pool;
    struct cel_crew crew;
    struct cel_server server;
    struct cel_source *control;
    struct cel_source *care;
    bool caring;
    struct cel_slot_page *pages;
    unsigned n_pages;
    unsigned slots; /* children there should be */
    unsigned next_number;
    char *scratch;
};

static inline struct cel_prefork *cel_prefork_of(struct cel_pool *p)
{
    return (struct cel_prefork *)p;
}

static inline struct cel_child *cel_child_of(struct cel_member *m)
{
    return (struct cel_child *)m;
}

static inline struct cel_prefork *cel_child_owner(struct cel_child *c)
{
    return cel_prefork_of(c->member.crew->pool);
}

/* Children that are in between are looked after by cel_prefork_on_care() before long. */
void cel_prefork_care_soon(struct cel_prefork *p);

/* ---- prefork_io.c ---- */

/* Empties; a buffer that one huge message made large gives its memory back. */
void cel_child_shrink(struct cel_buf *b);

/* Slots of cel_crew_ops. */
void cel_child_send(struct cel_member *m);
void cel_child_harvest(struct cel_member *m);

void cel_child_on_io(void *ctx, int fd, unsigned ready);

/* Has the fork server send a signal, unless the child is gone. */
void cel_child_signal(struct cel_child *c, int signo);

/* ---- prefork_life.c ---- */

celery_status cel_child_spawn(struct cel_child *c, celery_error *err);

/* The same; what fails is logged and tried again. */
void cel_child_respawn(struct cel_child *c);

void cel_child_close(struct cel_child *c);

/* It has sent its first frame. */
void cel_child_take_up(struct cel_child *c);

void cel_prefork_report(struct cel_prefork *p, const struct cel_report *report);
celery_status cel_prefork_watch_server(struct cel_prefork *p);
void cel_prefork_on_control(void *ctx, int fd, unsigned ready);
void cel_prefork_on_care(void *ctx);

#endif
