/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/redis_score.h"
#include "base/alloc.h"

void cel_redis_score_free_finished(struct cel_redis_transport *r)
{
    struct cel_list *first;

    for (first = cel_list_first(&r->settling.finished); first;
         first = cel_list_first(&r->settling.finished)) {
        cel_redis_score_free(cel_container_of(first, struct cel_redis_score, node));
    }
    r->settling.n_finished = 0;
}

static void drop_current(struct cel_redis_transport *r)
{
    struct cel_redis_score *score = r->claiming.score;

    r->claiming.score = NULL;
    if (score) {
        cel_redis_score_release(r, score);
    }
}

struct cel_redis_score *cel_redis_score_set(struct cel_redis_transport *r,
                                            struct cel_slice text)
{
    struct cel_redis_score *score = r->claiming.score;

    if (score && cel_slice_is(text, score->text)) {
        return score;
    }
    score = cel_calloc(1, sizeof *score);
    if (!score || text.len >= sizeof score->text) {
        cel_free(score);
        return NULL;
    }
    memcpy(score->text, text.data, text.len);
    cel_list_init(&score->node);
    cel_list_append(&r->settling.scores, &score->live);
    score->count = 1;
    drop_current(r);
    r->claiming.score = score;
    return score;
}

void cel_redis_score_part(struct cel_redis_transport *r)
{
    struct cel_redis_score *score = r->claiming.score;
    const struct cel_list *scores = &r->settling.scores;

    if (!score || score->count - 1 != score->sent || r->settling.renewing > 0) {
        return;
    }
    for (const struct cel_list *it = scores->next; it != scores; it = it->next) {
        const struct cel_redis_score *s =
            cel_container_of(it, struct cel_redis_score, live);

        if (s != score && s->count != s->sent) {
            return;
        }
    }
    drop_current(r);
    r->settling.let_go = true;
    r->claiming.lease_at = -1e9;
}

void cel_redis_score_let_go(struct cel_redis_transport *r)
{
    if (r->claiming.in_flight == 0) {
        cel_redis_score_part(r);
    }
}

void cel_redis_score_reset(struct cel_redis_transport *r)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &r->settling.scores) {
        cel_container_of(it, struct cel_redis_score, live)->lost = true;
    }
    drop_current(r);
    cel_redis_score_free_finished(r);
    r->settling.let_go = false;
}

void cel_redis_score_free(struct cel_redis_score *score)
{
    cel_list_remove(&score->live);
    cel_list_remove(&score->node);
    cel_free(score);
}

bool cel_redis_score_is_known(const struct cel_redis_transport *r, struct cel_slice text)
{
    const struct cel_list *head = &r->settling.scores;

    for (const struct cel_list *it = head->next; it != head; it = it->next) {
        const struct cel_redis_score *score =
            cel_container_of(it, struct cel_redis_score, live);

        if (!score->lost && cel_slice_is(text, score->text)) {
            return true;
        }
    }
    return false;
}

void cel_redis_score_release(struct cel_redis_transport *r, struct cel_redis_score *score)
{
    if (--score->count > 0) {
        return;
    }
    if (score->told || score->lost) {
        cel_redis_score_free(score);
        return;
    }
    cel_list_append(&r->settling.finished, &score->node);
    r->settling.n_finished++;
    cel_source_schedule(r->flush);
}
