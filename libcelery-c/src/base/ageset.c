/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/ageset.h"
#include "base/alloc.h"
#include "base/list.h"
#include "base/map.h"

struct member {
    struct cel_list node; /* in order of adding, oldest first */
    double added;
    size_t len;
    char text[];
};

struct cel_ageset {
    struct cel_map by_text; /* struct member */
    struct cel_list by_age;
    size_t max;
    double age;
};

struct cel_ageset *cel_ageset_new(size_t max, double age)
{
    struct cel_ageset *s = cel_calloc(1, sizeof *s);
    if (s) {
        cel_list_init(&s->by_age);
        s->max = max;
        s->age = age;
    }
    return s;
}

static struct member *oldest(const struct cel_ageset *s)
{
    return s->by_age.next == &s->by_age
               ? NULL
               : cel_container_of(s->by_age.next, struct member, node);
}

static void drop(struct cel_ageset *s, struct member *m)
{
    cel_map_del(&s->by_text, cel_slice(m->text, m->len));
    cel_list_remove(&m->node);
    cel_free(m);
}

struct cel_ageset *cel_ageset_free(struct cel_ageset *s)
{
    if (s) {
        while (oldest(s)) {
            drop(s, oldest(s));
        }
        cel_map_fini(&s->by_text);
        cel_free(s);
    }
    return NULL;
}

static void purge(struct cel_ageset *s, double now)
{
    for (struct member *m = oldest(s); m && m->added + s->age <= now; m = oldest(s)) {
        drop(s, m);
    }
}

celery_status cel_ageset_add(struct cel_ageset *s, struct cel_slice text, double now)
{
    return cel_ageset_add_aged(s, text, now, now);
}

celery_status cel_ageset_add_aged(struct cel_ageset *s, struct cel_slice text,
                                  double added, double now)
{
    purge(s, now);
    struct member *m = cel_map_get(&s->by_text, text);
    if (!m) {
        m = cel_alloc(sizeof *m + text.len);
        if (!m) {
            return CELERY_ENOMEM;
        }
        cel_list_init(&m->node);
        m->len = text.len;
        if (text.len > 0) {
            memcpy(m->text, text.data, text.len);
        }
        if (cel_map_set(&s->by_text, text, m, NULL) < 0) {
            cel_free(m);
            return CELERY_ENOMEM;
        }
    }
    /* Said again: young again. */
    m->added = added;
    cel_list_remove(&m->node);
    cel_list_append(&s->by_age, &m->node);
    while (s->max > 0 && s->by_text.count > s->max) {
        drop(s, oldest(s));
    }
    return CELERY_OK;
}

bool cel_ageset_has(struct cel_ageset *s, struct cel_slice text, double now)
{
    if (s->by_text.count == 0) {
        return false;
    }
    purge(s, now);
    return cel_map_get(&s->by_text, text) != NULL;
}

void cel_ageset_remove(struct cel_ageset *s, struct cel_slice text)
{
    struct member *m = cel_map_get(&s->by_text, text);
    if (m) {
        drop(s, m);
    }
}

size_t cel_ageset_count(const struct cel_ageset *s)
{
    return s->by_text.count;
}

bool cel_ageset_next(const struct cel_ageset *s, void **at, struct cel_slice *ret_member,
                     double *ret_added)
{
    const struct cel_list *node = *at ? ((struct cel_list *)*at)->next : s->by_age.next;
    if (node == &s->by_age) {
        return false;
    }
    const struct member *m = cel_container_of(node, struct member, node);
    *at = (void *)&m->node;
    if (ret_member) {
        *ret_member = cel_slice(m->text, m->len);
    }
    if (ret_added) {
        *ret_added = m->added;
    }
    return true;
}
