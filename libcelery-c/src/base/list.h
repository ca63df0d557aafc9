/* SPDX-License-Identifier: BSD-3-Clause */
/* Intrusive doubly linked list with a head node. */
#ifndef CEL_BASE_LIST_H
#define CEL_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct cel_list {
    struct cel_list *prev;
    struct cel_list *next;
};

#define cel_container_of(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* Safe against removal of the current node.  `it` and `tmp` are struct cel_list *. */
#define cel_list_foreach(it, tmp, head)                           \
    for ((it) = (head)->next, (tmp) = (it)->next; (it) != (head); \
         (it) = (tmp), (tmp) = (it)->next)

static inline void cel_list_init(struct cel_list *head)
{
    head->prev = head;
    head->next = head;
}

static inline bool cel_list_empty(const struct cel_list *head)
{
    return head->next == head;
}

static inline void cel_list_insert_before(struct cel_list *where, struct cel_list *node)
{
    node->prev = where->prev;
    node->next = where;
    where->prev->next = node;
    where->prev = node;
}

static inline void cel_list_append(struct cel_list *head, struct cel_list *node)
{
    cel_list_insert_before(head, node);
}

static inline void cel_list_prepend(struct cel_list *head, struct cel_list *node)
{
    cel_list_insert_before(head->next, node);
}

/* Removing a node twice is harmless: it is left linked to itself. */
static inline void cel_list_remove(struct cel_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    cel_list_init(node);
}

/* The first node, or NULL. */
static inline struct cel_list *cel_list_first(struct cel_list *head)
{
    return cel_list_empty(head) ? NULL : head->next;
}

#endif
