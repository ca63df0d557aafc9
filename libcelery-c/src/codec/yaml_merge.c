/* SPDX-License-Identifier: BSD-3-Clause */
/* yaml/constructor.py flatten_mapping(): later members win, so the first map comes last. */
#include "codec/yaml_merge.h"

#include "codec/doc_build.h"

static celery_status append_map(struct cel_node *merged, struct cel_node *map)
{
    if (map->kind != CELERY_KIND_OBJECT) {
        return CELERY_EMESSAGE;
    }
    for (struct cel_node *k = map->first, *next; k; k = next) {
        struct cel_node *value = k->next;
        next = value->next;
        if (cel_doc_add_member(merged, k, value) < 0) {
            return CELERY_ENOMEM;
        }
    }
    return CELERY_OK;
}

static celery_status prepend_map(struct cel_node *listed, struct cel_node *map)
{
    if (map->kind != CELERY_KIND_OBJECT) {
        return CELERY_EMESSAGE;
    }
    struct cel_node **end = &map->first;
    while (*end) {
        end = &(*end)->next;
    }
    *end = listed->first;
    listed->first = map->first;
    return CELERY_OK;
}

celery_status cel_yaml_merge(struct cel_arena *a, struct cel_node *merged,
                             struct cel_node *value)
{
    if (value->kind != CELERY_KIND_ARRAY) {
        return append_map(merged, value);
    }
    struct cel_node *listed = cel_node_new(a, CELERY_KIND_OBJECT);
    if (!listed) {
        return CELERY_ENOMEM;
    }
    for (struct cel_node *map = value->first, *next; map; map = next) {
        next = map->next;
        celery_status status = prepend_map(listed, map);
        if (status < 0) {
            return status;
        }
    }
    return append_map(merged, listed);
}
