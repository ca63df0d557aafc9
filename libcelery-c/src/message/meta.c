/* SPDX-License-Identifier: BSD-3-Clause */
#include "message/meta.h"
#include "base/error.h"
#include "base/iso8601.h"

static const char *const ready[] = {"SUCCESS", "FAILURE", "REVOKED", NULL};
static const char *const exceptional[] = {"RETRY", "FAILURE", "REVOKED", NULL};

static bool is_one_of(struct cel_slice word, const char *const *words)
{
    for (; *words; words++) {
        if (cel_slice_is(word, *words)) {
            return true;
        }
    }
    return false;
}

bool cel_state_is_ready(struct cel_slice state)
{
    return is_one_of(state, ready);
}

bool cel_state_is_exception(struct cel_slice state)
{
    return is_one_of(state, exceptional);
}

struct cel_slice cel_meta_status(const struct cel_node *doc)
{
    const struct cel_node *status = cel_node_get(doc, CEL_SLICE("status"));
    return cel_node_is_string(status) ? cel_node_text(status) : CEL_SLICE_NULL;
}

/* ---- writing ---- */

static void add_key(struct cel_buf *out, const char *key)
{
    (void)cel_buf_adds(out, ", \"");
    (void)cel_buf_adds(out, key);
    (void)cel_buf_add(out, "\": ", 3);
}

static void add_json(struct cel_buf *out, const char *key, struct cel_slice json)
{
    add_key(out, key);
    (void)cel_buf_add_slice(out, json.len ? json : CEL_SLICE("null"));
}

static void add_text(struct cel_buf *out, const char *key, struct cel_slice text)
{
    add_key(out, key);
    if (text.data) {
        (void)cel_json_write_string(out, text);
    } else {
        (void)cel_buf_adds(out, "null");
    }
}

static void add_date(struct cel_buf *out, int64_t us)
{
    char text[CEL_ISO8601_SIZE];
    struct cel_slice date = CEL_SLICE_NULL;
    if (us != INT64_MIN) {
        date = cel_slice(text, cel_iso8601_format(us, CEL_ISO_OFFSET, text));
    }
    add_text(out, "date_done", date);
}

/* Each stamp is a key of its own beside the others (Backend._get_result_meta). */
static void add_extended(struct cel_buf *out, const struct cel_task_meta *meta)
{
    add_text(out, "name", meta->name);
    add_json(out, "args", meta->args_json);
    add_json(out, "kwargs", meta->kwargs_json);
    add_text(out, "worker", meta->worker);
    add_key(out, "retries");
    if (meta->retries == INT64_MIN) {
        (void)cel_buf_adds(out, "null");
    } else {
        (void)cel_buf_add_int(out, meta->retries);
    }
    add_text(out, "queue", meta->queue);
    if (!cel_node_truth(meta->stamps)) {
        return;
    }
    add_key(out, "stamped_headers");
    (void)cel_json_write(out, meta->stamped_headers);
    for (const struct cel_node *k = cel_node_first(meta->stamps), *v; k; k = v->next) {
        v = k->next;
        (void)cel_buf_add(out, ", ", 2);
        (void)cel_json_write_string(out, cel_node_text(k));
        (void)cel_buf_add(out, ": ", 2);
        (void)cel_json_write(out, v);
    }
}

static celery_status write_json(struct cel_buf *out, const struct cel_task_meta *meta)
{
    size_t room = 384 + meta->result_json.len + meta->traceback.len;
    (void)cel_buf_reserve(out, room, NULL);
    (void)cel_buf_adds(out, "{\"status\": ");
    (void)cel_json_write_string(out, meta->status);
    add_json(out, "result", meta->result_json);
    add_text(out, "traceback", meta->traceback);
    add_json(out, "children", meta->children_json);
    add_date(out, meta->date_done_us);
    if (meta->group_id.len) {
        add_text(out, "group_id", meta->group_id);
    }
    if (meta->parent_id.len) {
        add_text(out, "parent_id", meta->parent_id);
    }
    if (meta->extended) {
        add_extended(out, meta);
    }
    add_text(out, "task_id", meta->task_id);
    (void)cel_buf_addc(out, '}');
    return cel_buf_ok(out) ? CELERY_OK : out->max ? CELERY_ELIMIT : CELERY_ENOMEM;
}

/* Other serializers get the same document by way of its JSON text. */
static celery_status write_other(struct cel_buf *out, const struct cel_task_meta *meta,
                                 const struct cel_codec *codec, celery_error *err)
{
    struct cel_buf json = {0};
    struct cel_arena a;
    struct cel_json_limits limits = {0};
    struct cel_node *doc = NULL;
    cel_arena_init(&a, 0);
    celery_status st = write_json(&json, meta);
    if (st == CELERY_OK) {
        st = cel_json_parse(&a, cel_buf_slice(&json), &limits, &doc, err);
    }
    if (st == CELERY_OK) {
        st = codec->encode(out, doc, err);
    }
    cel_arena_fini(&a);
    cel_buf_fini(&json);
    return st;
}

celery_status cel_meta_write(struct cel_buf *out, const struct cel_task_meta *meta,
                             const struct cel_codec *codec, celery_error *err)
{
    if (codec && codec != &cel_codec_json) {
        return write_other(out, meta, codec, err);
    }
    celery_status st = write_json(out, meta);
    if (st < 0) {
        return cel_error_set(err, st, "result document of %zu bytes", out->len);
    }
    return st;
}
