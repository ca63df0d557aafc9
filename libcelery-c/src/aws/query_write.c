/* SPDX-License-Identifier: BSD-3-Clause */
#include "aws/query.h"

#include <stdio.h>

enum { DEPTH_MAX = 8 };

enum shape { LIST, MAP };

/* What is not NAME.member.1 (lists) or NAME.KEY (structures). */
static const struct row {
    enum cel_query_service service;
    const char *name;
    enum shape shape;
    const char *form; /* NULL: of the action, "SendMessageBatchRequestEntry" */
    const char *key;
    const char *value;
} rows[] = {
    {CEL_QUERY_SQS, "AttributeNames", LIST, "AttributeName", NULL, NULL},
    {CEL_QUERY_SQS, "MessageAttributeNames", LIST, "MessageAttributeName", NULL, NULL},
    {CEL_QUERY_SQS, "MessageSystemAttributeNames", LIST, "AttributeName", NULL, NULL},
    {CEL_QUERY_SQS, "Entries", LIST, NULL, NULL, NULL},
    {CEL_QUERY_SQS, "TagKeys", LIST, "TagKey", NULL, NULL},
    {CEL_QUERY_SQS, "Actions", LIST, "ActionName", NULL, NULL},
    {CEL_QUERY_SQS, "AWSAccountIds", LIST, "AWSAccountId", NULL, NULL},
    {CEL_QUERY_SQS, "Attributes", MAP, "Attribute", "Name", "Value"},
    {CEL_QUERY_SQS, "MessageAttributes", MAP, "MessageAttribute", "Name", "Value"},
    {CEL_QUERY_SQS, "MessageSystemAttributes", MAP, "MessageSystemAttribute", "Name",
     "Value"},
    {CEL_QUERY_SQS, "tags", MAP, "Tag", "Key", "Value"},
    {CEL_QUERY_SQS, "Tags", MAP, "Tag", "Key", "Value"},
    {CEL_QUERY_SNS, "Attributes", MAP, "Attributes.entry", "key", "value"},
    {CEL_QUERY_SNS, "MessageAttributes", MAP, "MessageAttributes.entry", "Name", "Value"},
};

/* Names from the outside in. */
struct path {
    const struct path *outer;
    struct cel_slice name;
    size_t index; /* 0: none */
};

struct writer {
    struct cel_buf *out;
    enum cel_query_service service;
    const char *action;
    unsigned depth;
};

static celery_status write_value(struct writer *w, const struct path *path,
                                 const struct cel_node *n);

void cel_query_escape(struct cel_buf *out, struct cel_slice text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            c == '-' || c == '_' || c == '.' || c == '~') {
            cel_buf_addc(out, (char)c);
        } else {
            cel_buf_addc(out, '%');
            cel_buf_addc(out, digits[c >> 4]);
            cel_buf_addc(out, digits[c & 15]);
        }
    }
}

static void write_path(struct writer *w, const struct path *path)
{
    if (path->outer) {
        write_path(w, path->outer);
        cel_buf_addc(w->out, '.');
    }
    cel_query_escape(w->out, path->name);
    if (path->index > 0) {
        cel_buf_addf(w->out, ".%zu", path->index);
    }
}

static const struct row *find(const struct writer *w, struct cel_slice name,
                              enum shape shape)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].service == w->service && rows[i].shape == shape &&
            cel_slice_is(name, rows[i].name)) {
            return &rows[i];
        }
    }
    return NULL;
}

static celery_status write_list(struct writer *w, const struct path *outer,
                                struct cel_slice name, const struct cel_node *list)
{
    const struct row *row = find(w, name, LIST);
    char form[96];
    size_t i = 0;

    if (row && row->form) {
        snprintf(form, sizeof form, "%s", row->form);
    } else if (row) {
        snprintf(form, sizeof form, "%sRequestEntry", w->action);
    } else {
        snprintf(form, sizeof form, "%.*s.member", (int)(name.len < 64 ? name.len : 64),
                 name.data);
    }
    for (const struct cel_node *n = cel_node_first(list); n; n = n->next) {
        struct path path = {outer, cel_slice_of(form), ++i};
        celery_status status = write_value(w, &path, n);

        if (status < 0) {
            return status;
        }
    }
    return CELERY_OK;
}

static celery_status write_map(struct writer *w, const struct path *outer,
                               const struct row *row, const struct cel_node *map)
{
    size_t i = 0;

    for (const struct cel_node *k = cel_node_first(map); k; k = k->next->next) {
        struct path entry = {outer, cel_slice_of(row->form), ++i};
        struct path key = {&entry, cel_slice_of(row->key), 0};
        struct path value = {&entry, cel_slice_of(row->value), 0};
        celery_status status = write_value(w, &key, k);

        if (status == CELERY_OK) {
            status = write_value(w, &value, k->next);
        }
        if (status < 0) {
            return status;
        }
    }
    return CELERY_OK;
}

static celery_status write_members(struct writer *w, const struct path *outer,
                                   const struct cel_node *object)
{
    celery_status status = CELERY_OK;

    if (w->depth == DEPTH_MAX) {
        return CELERY_EINVAL;
    }
    w->depth++;
    for (const struct cel_node *k = cel_node_first(object); k && status == CELERY_OK;
         k = k->next->next) {
        struct cel_slice name = cel_node_text(k);
        const struct row *map = find(w, name, MAP);
        struct path path = {outer, name, 0};

        if (k->next->kind == CELERY_KIND_ARRAY) {
            status = write_list(w, outer, name, k->next);
        } else if (k->next->kind == CELERY_KIND_OBJECT && map) {
            status = write_map(w, outer, map, k->next);
        } else {
            status = write_value(w, &path, k->next);
        }
    }
    w->depth--;
    return status;
}

static celery_status write_value(struct writer *w, const struct path *path,
                                 const struct cel_node *n)
{
    switch (n->kind) {
    case CELERY_KIND_NULL:
        return CELERY_OK;
    case CELERY_KIND_OBJECT:
        return write_members(w, path, n);
    case CELERY_KIND_ARRAY:
        return CELERY_EINVAL;
    default:
        break;
    }
    cel_buf_addc(w->out, '&');
    write_path(w, path);
    cel_buf_addc(w->out, '=');
    if (n->kind == CELERY_KIND_TRUE || n->kind == CELERY_KIND_FALSE) {
        cel_buf_adds(w->out, n->kind == CELERY_KIND_TRUE ? "true" : "false");
    } else {
        cel_query_escape(w->out, cel_node_text(n));
    }
    return CELERY_OK;
}

celery_status cel_query_write(struct cel_buf *out, enum cel_query_service service,
                              const char *action, const struct cel_node *params)
{
    static const char *const versions[] = {
        [CEL_QUERY_SQS] = "2012-11-05",
        [CEL_QUERY_SNS] = "2010-03-31",
        [CEL_QUERY_STS] = "2011-06-15",
    };
    struct writer w = {.out = out, .service = service, .action = action};

    if (!params || params->kind != CELERY_KIND_OBJECT) {
        return CELERY_EINVAL;
    }
    cel_buf_addf(out, "Action=%s&Version=%s", action, versions[service]);
    celery_status status = write_members(&w, NULL, params);
    return status == CELERY_OK && !cel_buf_ok(out) ? CELERY_ENOMEM : status;
}
