/* SPDX-License-Identifier: BSD-3-Clause */
/* The list as bytes: kind, number, then five texts with their lengths. */
#include "canvas/effects.h"
#include "message/envelope_json.h"

#include <string.h>

enum { TEXTS = 5 };

static void add_number(struct cel_buf *out, uint64_t n)
{
    char bytes[8];

    memcpy(bytes, &n, sizeof bytes); /* both ends are one machine */
    cel_buf_add(out, bytes, sizeof bytes);
}

static void add_text(struct cel_buf *out, struct cel_slice text)
{
    add_number(out, text.len);
    cel_buf_add(out, text.data, text.len);
}

static bool take_number(struct cel_slice *rest, uint64_t *ret)
{
    if (rest->len < sizeof *ret) {
        return false;
    }
    memcpy(ret, rest->data, sizeof *ret);
    *rest = cel_slice(rest->data + sizeof *ret, rest->len - sizeof *ret);
    return true;
}

static void texts_of(struct cel_effect *e, struct cel_slice *ret[TEXTS])
{
    ret[0] = &e->id;
    ret[1] = &e->json;
    ret[2] = &e->queue;
    ret[3] = &e->exchange;
    ret[4] = &e->routing_key;
}

celery_status cel_effects_add(struct cel_effects *list, const struct cel_effect *effect)
{
    struct cel_effect e = *effect;
    struct cel_slice *texts[TEXTS];
    size_t before = list->bytes.len;

    texts_of(&e, texts);
    add_number(&list->bytes, (uint64_t)e.kind);
    add_number(&list->bytes, (uint64_t)e.number);
    for (size_t i = 0; i < TEXTS; i++) {
        add_text(&list->bytes, *texts[i]);
    }
    if (!cel_buf_ok(&list->bytes)) {
        bool full = list->bytes.max && before + e.json.len > list->bytes.max;
        return full ? CELERY_ELIMIT : CELERY_ENOMEM;
    }
    list->n++;
    return CELERY_OK;
}

/* The envelope is written in its place, and its length put in front of it afterwards. */
celery_status cel_effects_publish(struct cel_effects *list, struct cel_slice id,
                                  const struct cel_envelope *envelope,
                                  struct cel_slice queue, struct cel_slice exchange,
                                  struct cel_slice routing_key)
{
    struct cel_buf *out = &list->bytes;
    size_t before = out->len;
    size_t start;
    celery_status status;

    add_number(out, CEL_EFFECT_PUBLISH);
    add_number(out, (uint64_t)envelope->priority);
    add_text(out, id);
    add_number(out, 0);
    start = out->len;
    status = cel_envelope_write(out, envelope);
    if (status == CELERY_OK && cel_buf_ok(out)) {
        uint64_t len = out->len - start;
        memcpy(out->data + start - sizeof len, &len, sizeof len);
    }
    add_text(out, queue);
    add_text(out, exchange);
    add_text(out, routing_key);
    if (status == CELERY_OK && !cel_buf_ok(out)) {
        status = out->max ? CELERY_ELIMIT : CELERY_ENOMEM;
    }
    if (status < 0) {
        out->len = before;
        return status;
    }
    list->n++;
    return CELERY_OK;
}

static bool take(struct cel_slice *rest, struct cel_effect *ret)
{
    struct cel_slice *texts[TEXTS];
    uint64_t kind;
    uint64_t number;

    if (!take_number(rest, &kind) || !take_number(rest, &number) ||
        kind < CEL_EFFECT_PUBLISH || kind > CEL_EFFECT_EVENT) {
        return false;
    }
    *ret = (struct cel_effect){.kind = (enum cel_effect_kind)kind,
                               .number = (int64_t)number};
    texts_of(ret, texts);
    for (size_t i = 0; i < TEXTS; i++) {
        uint64_t len;
        if (!take_number(rest, &len) || len > rest->len) {
            return false;
        }
        *texts[i] = cel_slice(rest->data, (size_t)len);
        *rest = cel_slice(rest->data + len, rest->len - (size_t)len);
    }
    return true;
}

bool cel_effects_next(struct cel_slice *rest, struct cel_effect *ret, bool *ret_bad)
{
    if (ret_bad) {
        *ret_bad = false;
    }
    if (rest->len == 0) {
        return false;
    }
    if (take(rest, ret)) {
        return true;
    }
    rest->len = 0;
    if (ret_bad) {
        *ret_bad = true;
    }
    return false;
}

void cel_effects_clear(struct cel_effects *list)
{
    cel_buf_clear(&list->bytes);
    list->n = 0;
}

void cel_effects_fini(struct cel_effects *list)
{
    cel_buf_fini(&list->bytes);
    list->n = 0;
}
