/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Elections under way: who stands for each, and when it is decided.  Bounded in number and in
 * time; no I/O.
 */
#ifndef CEL_WORKER_ELECTION_H
#define CEL_WORKER_ELECTION_H

#include "base/list.h"
#include "base/slice.h"
#include <celery/error.h>

/* So many at a time, and so large a text of what is to be done. */
enum { CEL_ELECTIONS_MAX = 256, CEL_ELECTION_ACTION_MAX = 256 * 1024 };

/* Seconds until it is decided without those who say nothing, and until it is forgotten. */
#define CEL_ELECTION_WAIT 1.0
#define CEL_ELECTION_AGE  60.0

struct cel_election {
    struct cel_list node;
    char *id;
    bool ours;          /* we stand for it, so we have to know who won */
    bool over;          /* we do; it stays while acks are owed to others */
    size_t candidates;  /* whose worker-elect came */
    size_t acks;        /* that came */
    size_t owed;        /* that we have not sent yet */
    double began;       /* loop time */
    int64_t best_clock; /* of the candidate who wins so far */
    char *best;         /* "node.pid"; NULL: nobody yet */
    char *topic;
    char *action; /* JSON */
};

struct cel_elections {
    struct cel_list list; /* the oldest first */
    size_t n;
};

void cel_elections_init(struct cel_elections *e);
void cel_elections_fini(struct cel_elections *e);

/* The one with that id; make: a new one if need be, for which the oldest may have to go. */
struct cel_election *cel_election_get(struct cel_elections *e, struct cel_slice id,
                                      bool make, double now);

/* A candidate; all is copied.  CELERY_ENOMEM, CELERY_ELIMIT: the action is too long. */
celery_status cel_election_stand(struct cel_election *e, int64_t clock,
                                 struct cel_slice name, struct cel_slice topic,
                                 struct cel_slice action);

/*
 * Whether the winner is known, with so many other workers alive: all have stood, or
 * those who did have had their time.
 */
bool cel_election_decided(const struct cel_election *e, size_t others, double now);

void cel_election_end(struct cel_elections *e, struct cel_election *give_election);

/* The next one of ours that is decided; forgets those that grew too old.  NULL: none. */
struct cel_election *cel_election_due(struct cel_elections *e, size_t others, double now);

#endif
