/* SPDX-License-Identifier: BSD-3-Clause */
#include "canvas/chain_text.h"

#include "base/alloc.h"
#include "canvas/sig.h"
#include "codec/json_raw.h"

/* An embed that has nothing but a chain, as json.dumps() of Celery's writes it. */
static const char before[] = "{\"callbacks\": null, \"errbacks\": null, \"chain\": [";
static const char behind[] = "], \"chord\": null}]";

/* A body of fewer bytes is parsed in no time. */
enum { WORTH = 2048 };

/* ---- signatures that cel_canvas_check() would find nothing wrong with ---- */

static const char *skip_options(const char *p, const char *end)
{
    struct cel_raw_keys seen;

    seen.n = 0;
    for (p++; p && p < end && *p != '}';) {
        p = cel_json_skip_same_key(p, end, &seen);
        if (!p || p == end || *p != '"' ||
            !cel_canvas_is_text_option(seen.keys[seen.n - 1])) {
            return NULL;
        }
        p = cel_json_skip_comma(cel_json_skip_same(p, end), end, '}');
    }
    return p && p < end ? p + 1 : NULL;
}

static const char *skip_member(struct cel_slice key, const char *p, const char *end,
                               bool *has_task)
{
    bool good = p < end;

    if (good && cel_slice_is(key, "options")) {
        return *p == '{' ? skip_options(p, end) : NULL;
    }
    if (good && cel_slice_is(key, "task")) {
        good = *p == '"' && end - p > 1 && p[1] != '"';
        *has_task = true;
    } else if (good && cel_slice_is(key, "args")) {
        good = *p == '[';
    } else if (good && cel_slice_is(key, "kwargs")) {
        good = *p == '{';
    } else if (good && cel_slice_is(key, "subtask_type")) {
        good = *p == 'n';
    }
    return good ? cel_json_skip_same(p, end) : NULL;
}

static const char *skip_signature(const char *p, const char *end)
{
    struct cel_raw_keys seen;
    bool has_task = false;

    seen.n = 0;
    if (*p != '{') {
        return NULL;
    }
    for (p++; p && p < end && *p != '}';) {
        p = cel_json_skip_same_key(p, end, &seen);
        p = p ? skip_member(seen.keys[seen.n - 1], p, end, &has_task) : NULL;
        p = cel_json_skip_comma(p, end, '}');
    }
    return p && p < end && has_task ? p + 1 : NULL;
}

/* ---- what the last chain was ---- */

/* A longer text is looked through each time. */
enum { SEEN_MAX = 128 * 1024, SEEN_STEPS = 1024 };

void cel_chain_seen_fini(struct cel_chain_seen *seen)
{
    cel_buf_fini(&seen->text);
    cel_free(seen->starts);
    *seen = (struct cel_chain_seen){0};
}

static void forget(struct cel_chain_seen *seen)
{
    cel_buf_clear(&seen->text);
    seen->n = 0;
}

/* Notes a step that begins at a place of the text. */
static void note(struct cel_chain_seen *seen, size_t at)
{
    if (!seen->starts) {
        seen->starts = cel_calloc(SEEN_STEPS, sizeof *seen->starts);
    }
    if (seen->starts && seen->n < SEEN_STEPS) {
        seen->starts[seen->n] = (uint32_t)at;
    }
    seen->n++;
}

static void keep(struct cel_chain_seen *seen, struct cel_slice steps)
{
    if (steps.len > SEEN_MAX || !seen->starts || seen->n > SEEN_STEPS ||
        cel_buf_add_slice(&seen->text, steps) < 0) {
        forget(seen);
    }
}

/* The beginning of what is known, up to the end of a step: where that one begins. */
static const char *find_known(const struct cel_chain_seen *seen, struct cel_slice steps)
{
    size_t end = seen->text.len;

    if (seen->n == 0 || steps.len > end ||
        memcmp(steps.data, seen->text.data, steps.len) != 0) {
        return NULL;
    }
    for (size_t i = seen->n; i > 0 && end >= steps.len; i--) {
        if (end == steps.len) {
            return steps.data + seen->starts[i - 1];
        }
        end = i > 1 ? seen->starts[i - 1] - 2 : 0;
    }
    return NULL;
}

/* Where the last step begins; NULL: not all of the text is such signatures. */
static const char *look_through(struct cel_chain_seen *seen, const char *p,
                                const char *end)
{
    const char *text = p;

    for (;;) {
        const char *start = p;

        note(seen, (size_t)(start - text));

        p = p < end ? skip_signature(p, end) : NULL;
        if (!p || p == end) {
            return p ? start : NULL;
        }
        p = cel_json_skip_comma(p, end, ']');
        if (!p || *p == ']') {
            return NULL;
        }
    }
}

static const char *find_last(struct cel_chain_seen *seen, struct cel_slice steps)
{
    const char *last = find_known(seen, steps);

    if (last) {
        return last;
    }
    forget(seen);
    last = look_through(seen, steps.data, steps.data + steps.len);
    if (last) {
        keep(seen, steps);
    } else {
        forget(seen);
    }
    return last;
}

/* ---- the body ---- */

/* The steps' text, if all the body is there for is them. */
static bool cut(struct cel_slice body, struct cel_slice *ret_steps)
{
    const size_t front = sizeof before - 1, tail = sizeof behind - 1;
    const char *end = body.data + body.len - tail, *at;

    if (body.len < WORTH || memcmp(end, behind, tail) != 0) {
        return false;
    }
    at = memmem(body.data, body.len - tail, before, front);
    if (!at) {
        return false;
    }
    *ret_steps = cel_slice(at + front, (size_t)(end - at) - front);
    return true;
}

/* The body with an empty chain: small, and wrong wherever the whole would be. */
static char *without(struct cel_arena *a, struct cel_slice body, struct cel_slice steps,
                     size_t *ret_len)
{
    size_t head = (size_t)(steps.data - body.data);
    char *text;

    *ret_len = body.len - steps.len;
    text = cel_arena_alloc(a, *ret_len);
    if (text) {
        memcpy(text, body.data, head);
        memcpy(text + head, steps.data + steps.len, *ret_len - head);
    }
    return text;
}

static bool read_text(struct cel_chain_seen *seen, struct cel_arena *a,
                      struct cel_slice body, struct cel_slice content_type,
                      const struct cel_call_limits *limits, struct cel_task_call *call)
{
    struct cel_task_call short_call = *call;
    struct cel_slice steps;
    celery_error err = {0};
    size_t len;

    if (!cut(body, &steps)) {
        return false;
    }
    const char *last = find_last(seen, steps);
    char *text = last ? without(a, body, steps, &len) : NULL;

    if (!text || cel_task_call_body(a, cel_slice(text, len), content_type, CEL_SLICE_NULL,
                                    limits, &short_call, &err) != CEL_CALL_OK) {
        return false;
    }
    struct cel_node *embed = cel_node_shallow(a, short_call.embed);
    struct cel_node *chain = cel_json_raw(a, steps);
    const struct cel_node *empty = cel_node_get(embed, CEL_SLICE("chain"));

    if (!embed || !chain || !empty) {
        return false;
    }
    for (struct cel_node *k = embed->first; k; k = k->next->next) {
        if (k->next == empty) {
            chain->next = empty->next;
            k->next = chain;
        }
    }
    short_call.embed = embed;
    short_call.chain_last = (size_t)(last - steps.data);
    *call = short_call;
    return true;
}

/* What the parser would count and refuse is left to it. */
static bool within(struct cel_slice body, const struct cel_call_limits *limits)
{
    struct cel_json_limits full = cel_doc_limits(&limits->json);

    return body.len < full.elements && full.depth > CEL_RAW_DEPTH + 4 &&
           (limits->max_body == 0 || body.len <= limits->max_body);
}

enum cel_call_fault cel_chain_text_body(struct cel_chain_seen *seen, struct cel_arena *a,
                                        struct cel_slice body,
                                        struct cel_slice content_type,
                                        struct cel_slice compression,
                                        const struct cel_call_limits *limits,
                                        struct cel_task_call *call, celery_error *err)
{
    if (compression.len == 0 && call->protocol == 2 && within(body, limits) &&
        cel_slice_is(content_type, "application/json") &&
        read_text(seen, a, body, content_type, limits, call)) {
        return CEL_CALL_OK;
    }
    return cel_task_call_body(a, body, content_type, compression, limits, call, err);
}
