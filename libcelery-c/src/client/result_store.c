/* SPDX-License-Identifier: BSD-3-Clause */
/* Results as text, and groups in the backend (Backend.save_group, restore_group). */
#include "base/alloc.h"
#include "base/error.h"
#include "client/result.h"
#include <stdlib.h>

/* ---- text ---- */

char *celery_result_dumps(const celery_result *result, size_t *ret_len)
{
    struct cel_buf out = {0};
    char *text = NULL;
    if (result && cel_result_write_tuple(&out, result) == CELERY_OK) {
        text = malloc(out.len + 1);
    }
    if (text) {
        memcpy(text, out.data, out.len);
        text[out.len] = '\0';
        if (ret_len) {
            *ret_len = out.len;
        }
    }
    cel_buf_fini(&out);
    return text;
}

/* Nodes point into text; both go with the result. */
static celery_result *from_text(celery_client *client, struct cel_slice text,
                                celery_error *err)
{
    struct cel_arena tree = {0};
    struct cel_node *tuple = NULL;
    celery_result *r = NULL;
    char *copy = cel_arena_strndup(&tree, text.data, text.len);
    celery_status status =
        copy ? cel_json_parse(&tree, cel_slice(copy, text.len), NULL, &tuple, err)
             : cel_error_nomem(err);
    if (status == CELERY_OK) {
        status = cel_result_check_tuple(tuple, err);
    }
    if (status == CELERY_OK) {
        r = cel_result_from_tuple(client, tuple, err);
    }
    if (r) {
        r->tree = tree;
    } else {
        cel_arena_fini(&tree);
    }
    return r;
}

celery_result *celery_result_loads(celery_client *client, const char *json, size_t len,
                                   celery_error *err)
{
    if (!client) {
        return NULL;
    }
    if (!json) {
        cel_error_set(err, CELERY_EINVAL, "no text of a result");
        return NULL;
    }
    return from_text(client, cel_slice(json, len), err);
}

/* ---- saved groups ---- */

static void begin_save(struct cel_backend *b, struct cel_gather *g, void *ctx)
{
    b->ops->note(b, ctx, cel_gather_one(g));
}

static celery_status check_group(const celery_result *r, celery_error *err)
{
    if (!r) {
        return CELERY_EINVAL;
    }
    if (!r->group) {
        return cel_error_set(err, CELERY_EINVAL, "task %s is no group", r->id);
    }
    if (!cel_result_can_ask(r, err)) {
        return r->client ? CELERY_ECONFIG : CELERY_ECLOSED;
    }
    return CELERY_OK;
}

celery_status celery_result_save(celery_result *group, celery_error *err)
{
    celery_status status = check_group(group, err);
    struct cel_buf out = {0};
    if (status < 0) {
        return status;
    }
    if (cel_result_write_tuple(&out, group) < 0) {
        cel_buf_fini(&out);
        return cel_error_nomem(err);
    }
    struct cel_group_note note = {.kind = CEL_NOTE_SAVE_GROUP,
                                  .group_id = cel_slice_of(group->id),
                                  .json = cel_buf_slice(&out)};
    status = cel_client_ask(group->client, begin_save, &note, NULL, err);
    cel_buf_fini(&out);
    return status;
}

static void begin_delete(struct cel_backend *b, struct cel_gather *g, void *ctx)
{
    b->ops->forget_group(b, cel_slice_of(ctx), cel_gather_one(g));
}

celery_status celery_result_delete(celery_result *group, celery_error *err)
{
    celery_status status = check_group(group, err);
    return status < 0 ? status
                      : cel_client_ask(group->client, begin_delete, group->id, NULL, err);
}

static void begin_restore(struct cel_backend *b, struct cel_gather *g, void *ctx)
{
    b->ops->load_group(b, cel_slice_of(ctx), cel_gather_one(g));
}

void cel_result_group_loaded(void *ctx, struct cel_slice group_id,
                             const struct cel_node *tuple)
{
    celery_client *client = ctx;
    cel_buf_clear(&client->restored);
    if (tuple) {
        cel_json_write(&client->restored, tuple);
    }
}

celery_result *celery_result_restore(celery_client *client, const char *group_id,
                                     celery_error *err)
{
    if (!client) {
        return NULL;
    }
    if (!group_id || !*group_id || !client->backend) {
        cel_error_set(err, client->backend ? CELERY_EINVAL : CELERY_ECONFIG, "%s",
                      client->backend ? "a saved group needs an id"
                                      : "no result backend: open the client with the URL "
                                        "of one");
        return NULL;
    }
    cel_buf_clear(&client->restored);
    celery_result *group = NULL;
    if (cel_client_ask(client, begin_restore, (void *)group_id, NULL, err) == CELERY_OK) {
        if (!cel_buf_ok(&client->restored)) {
            cel_error_nomem(err);
        } else if (client->restored.len == 0) {
            cel_error_set(err, CELERY_NONE, "no group %s is saved", group_id);
        } else {
            group = from_text(client, cel_buf_slice(&client->restored), err);
        }
    }
    cel_buf_fini(&client->restored);
    return group;
}
