/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/election.h"
#include "base/alloc.h"

void cel_elections_init(struct cel_elections *e)
{
    cel_list_init(&e->list);
    e->n = 0;
}

static struct cel_election *election_of(struct cel_list *node)
{
    return cel_container_of(node, struct cel_election, node);
}

static void forget_candidate(struct cel_election *e)
{
    cel_free(e->best);
    cel_free(e->topic);
    cel_free(e->action);
    e->best = e->topic = e->action = NULL;
}

void cel_election_end(struct cel_elections *e, struct cel_election *give_election)
{
    cel_list_remove(&give_election->node);
    e->n--;
    forget_candidate(give_election);
    cel_free(give_election->id);
    cel_free(give_election);
}

void cel_elections_fini(struct cel_elections *e)
{
    struct cel_list *it;

    while ((it = cel_list_first(&e->list))) {
        cel_election_end(e, election_of(it));
    }
}

static struct cel_election *new_election(struct cel_elections *e, struct cel_slice id,
                                         double now)
{
    struct cel_election *made = cel_calloc(1, sizeof *made);

    if (!made) {
        return NULL;
    }
    made->id = cel_strndup(id.data, id.len);
    if (!made->id) {
        cel_free(made);
        return NULL;
    }
    if (e->n >= CEL_ELECTIONS_MAX) {
        cel_election_end(e, election_of(cel_list_first(&e->list)));
    }
    made->began = now;
    cel_list_append(&e->list, &made->node);
    e->n++;
    return made;
}

struct cel_election *cel_election_get(struct cel_elections *e, struct cel_slice id,
                                      bool make, double now)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &e->list) {
        if (cel_slice_is(id, election_of(it)->id)) {
            return election_of(it);
        }
    }
    return make ? new_election(e, id, now) : NULL;
}

/* kombu/clocks.py LamportClock.sort_heap(): by the clock, then by the name. */
static bool is_better(const struct cel_election *e, int64_t clock, struct cel_slice name)
{
    if (!e->best || clock != e->best_clock) {
        return !e->best || clock < e->best_clock;
    }
    size_t len = strlen(e->best);
    int differ = memcmp(name.data, e->best, name.len < len ? name.len : len);
    return differ < 0 || (differ == 0 && name.len < len);
}

celery_status cel_election_stand(struct cel_election *e, int64_t clock,
                                 struct cel_slice name, struct cel_slice topic,
                                 struct cel_slice action)
{
    if (action.len > CEL_ELECTION_ACTION_MAX) {
        return CELERY_ELIMIT;
    }
    if (is_better(e, clock, name)) {
        forget_candidate(e);
        e->best_clock = clock;
        e->best = cel_strndup(name.data, name.len);
        e->topic = cel_strndup(topic.data, topic.len);
        e->action = cel_strndup(action.data, action.len);
        if (!e->best || !e->topic || !e->action) {
            forget_candidate(e);
            return CELERY_ENOMEM;
        }
    }
    e->candidates++;
    return CELERY_OK;
}

bool cel_election_decided(const struct cel_election *e, size_t others, double now)
{
    if (!e->ours || e->over || !e->best || e->acks < 1) {
        return false;
    }
    return e->candidates > others || now - e->began >= CEL_ELECTION_WAIT;
}

struct cel_election *cel_election_due(struct cel_elections *e, size_t others, double now)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &e->list) {
        struct cel_election *one = election_of(it);

        if (cel_election_decided(one, others, now)) {
            return one;
        }
        if (now - one->began >= CEL_ELECTION_AGE) {
            cel_election_end(e, one);
        }
    }
    return NULL;
}
