/* SPDX-License-Identifier: BSD-3-Clause */
/* Stack, marks and memo.  Nothing of them is larger than the pickle is long. */
#include "codec/pickle_in.h"

#include "base/alloc.h"
#include "base/error.h"

/* Nodes that references may add, against documents that double with each line. */
enum { COPIES_MAX = 1 << 20 };

/* Marks of nodes that this reader alone looks at. */
enum {
    CLEAN = CEL_NODE_PLAIN | CEL_NODE_TAIL,
    SHARED = 1 << 7, /* something refers to it: whoever adds to it now makes a circle */
};

bool cel_pickle_fail(struct cel_pickle_in *r, const char *reason)
{
    r->status = cel_error_set(r->err, CELERY_EMESSAGE, "not a pickle: %s at byte %zu",
                              reason, r->len - r->rest.len);
    return false;
}

bool cel_pickle_refuse(struct cel_pickle_in *r, const char *reason)
{
    r->status = cel_error_set(r->err, CELERY_ELIMIT, "pickle %s", reason);
    return false;
}

bool cel_pickle_no_room(struct cel_pickle_in *r)
{
    r->status = cel_doc_refused(r->arena, 64, r->err);
    return false;
}

bool cel_pickle_take(struct cel_pickle_in *r, uint64_t n, struct cel_slice *ret)
{
    if (r->rest.len < n) {
        return cel_pickle_fail(r, "incomplete");
    }
    *ret = cel_slice(r->rest.data, (size_t)n);
    r->rest = cel_slice(r->rest.data + n, r->rest.len - (size_t)n);
    return true;
}

bool cel_pickle_take_line(struct cel_pickle_in *r, struct cel_slice *ret)
{
    const char *end = r->rest.len > 0 ? memchr(r->rest.data, '\n', r->rest.len) : NULL;
    struct cel_slice newline;
    if (!end) {
        return cel_pickle_fail(r, "incomplete line");
    }
    return cel_pickle_take(r, (uint64_t)(end - r->rest.data), ret) &&
           cel_pickle_take(r, 1, &newline);
}

bool cel_pickle_take_number(struct cel_pickle_in *r, size_t n, uint64_t *ret)
{
    struct cel_slice bytes;
    if (!cel_pickle_take(r, n, &bytes)) {
        return false;
    }
    *ret = 0;
    for (size_t i = 0; i < n; i++) {
        *ret |= (uint64_t)(unsigned char)bytes.data[i] << (8 * i);
    }
    return true;
}

/* Room for one more of n; what p points to may move. */
static bool grow(struct cel_pickle_in *r, void *p, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) {
        return true;
    }
    size_t more = *cap == 0 ? 32 : *cap * 2;
    more = more > n ? more : n + 1;
    void *block = *(void **)p;
    block = cel_realloc(block, more, size);
    if (!block) {
        r->status = cel_error_nomem(r->err);
        return false;
    }
    memset((char *)block + *cap * size, 0, (more - *cap) * size);
    *(void **)p = block;
    *cap = more;
    return true;
}

bool cel_pickle_push(struct cel_pickle_in *r, struct cel_node *node, size_t height)
{
    if (!node) {
        return cel_pickle_no_room(r);
    }
    if (r->left.elements == 0) {
        return cel_pickle_refuse(r, "has too many elements");
    }
    if (height > r->left.depth) {
        return cel_pickle_refuse(r, "is nested too deeply");
    }
    r->left.elements--;
    if (!grow(r, &r->stack, r->depth, &r->stack_cap, sizeof *r->stack)) {
        return false;
    }
    r->stack[r->depth++] = (struct cel_pickle_item){node, (uint32_t)height};
    return true;
}

static size_t bottom(const struct cel_pickle_in *r)
{
    return r->n_marks > 0 ? r->marks[r->n_marks - 1] : 0;
}

/* What leaves the stack changes no more. */
static bool release(struct cel_pickle_in *r, struct cel_pickle_item *item)
{
    struct cel_node *n = item->node;
    n->flags &= CLEAN;
    if (n->kind == CELERY_KIND_OBJECT && n->size > 1 && cel_doc_unique_keys(n) < 0) {
        return cel_pickle_no_room(r);
    }
    return true;
}

bool cel_pickle_pop(struct cel_pickle_in *r, struct cel_pickle_item *ret)
{
    if (r->depth <= bottom(r)) {
        return cel_pickle_fail(r, "nothing on the stack");
    }
    *ret = r->stack[--r->depth];
    return release(r, ret);
}

bool cel_pickle_top(struct cel_pickle_in *r, struct cel_pickle_item **ret)
{
    if (r->depth <= bottom(r)) {
        return cel_pickle_fail(r, "nothing on the stack");
    }
    *ret = &r->stack[r->depth - 1];
    if ((*ret)->node->flags & SHARED) {
        return cel_pickle_fail(r, "a value that contains itself");
    }
    return true;
}

bool cel_pickle_mark(struct cel_pickle_in *r)
{
    if (!grow(r, &r->marks, r->n_marks, &r->marks_cap, sizeof *r->marks)) {
        return false;
    }
    r->marks[r->n_marks++] = r->depth;
    return true;
}

bool cel_pickle_pop_mark(struct cel_pickle_in *r, struct cel_pickle_item **ret_items,
                         size_t *ret_n)
{
    if (r->n_marks == 0) {
        return cel_pickle_fail(r, "no mark on the stack");
    }
    size_t at = r->marks[--r->n_marks];
    *ret_items = r->stack + at;
    *ret_n = r->depth - at;
    r->depth = at;
    for (size_t i = 0; i < *ret_n; i++) {
        if (!release(r, *ret_items + i)) {
            return false;
        }
    }
    return true;
}

bool cel_pickle_memo_put(struct cel_pickle_in *r, uint64_t at)
{
    if (at > r->len) {
        return cel_pickle_fail(r, "memo beyond its end");
    }
    if (r->depth <= bottom(r)) {
        return cel_pickle_fail(r, "nothing on the stack");
    }
    if (!grow(r, &r->memo, (size_t)at, &r->memo_cap, sizeof(struct cel_node *))) {
        return false;
    }
    r->n_memo += r->memo[at] == NULL;
    r->memo[at] = r->stack[r->depth - 1].node;
    return true;
}

/* A copy that shares the texts. */
static struct cel_node *copy(struct cel_pickle_in *r, const struct cel_node *n,
                             size_t *height, size_t depth)
{
    if (r->copies++ == COPIES_MAX || r->left.elements == 0) {
        cel_pickle_refuse(r, "has references to too many elements");
        return NULL;
    }
    r->left.elements--;
    *height = depth > *height ? depth : *height;
    struct cel_node *twin = cel_node_new(r->arena, (celery_kind)n->kind);
    if (!twin) {
        cel_pickle_no_room(r);
        return NULL;
    }
    if (n->kind < CELERY_KIND_ARRAY) {
        *twin = *n;
        twin->flags &= CLEAN;
        twin->next = NULL;
        return twin;
    }
    for (const struct cel_node *child = n->first; child; child = child->next) {
        struct cel_node *c = copy(r, child, height, depth + 1);
        if (!c || cel_node_append(twin, c) < 0) {
            return NULL;
        }
    }
    twin->size = n->size; /* members, where elements were counted */
    return twin;
}

bool cel_pickle_memo_get(struct cel_pickle_in *r, uint64_t at)
{
    struct cel_node *n = at < r->memo_cap ? r->memo[at] : NULL;
    size_t height = 0;
    if (!n) {
        return cel_pickle_fail(r, "nothing in the memo");
    }
    struct cel_node *twin = copy(r, n, &height, n->kind >= CELERY_KIND_ARRAY);
    if (!twin) {
        return false;
    }
    n->flags |= SHARED;
    return cel_pickle_push(r, twin, height);
}
