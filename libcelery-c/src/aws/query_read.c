/* SPDX-License-Identifier: BSD-3-Clause */
#include "aws/query.h"

#include "aws/xml.h"
#include "base/error.h"

enum shape { LIST, MAP };

/* Elements of SQS that stand for members of a list or a map that has no element of its own. */
static const struct row {
    const char *action; /* NULL: any */
    const char *element;
    const char *name;
    enum shape shape;
    const char *key;
} rows[] = {
    {"ListQueues", "QueueUrl", "QueueUrls", LIST, NULL},
    {"ListDeadLetterSourceQueues", "QueueUrl", "queueUrls", LIST, NULL},
    {NULL, "Message", "Messages", LIST, NULL},
    {NULL, "SendMessageBatchResultEntry", "Successful", LIST, NULL},
    {NULL, "DeleteMessageBatchResultEntry", "Successful", LIST, NULL},
    {NULL, "ChangeMessageVisibilityBatchResultEntry", "Successful", LIST, NULL},
    {NULL, "BatchResultErrorEntry", "Failed", LIST, NULL},
    {NULL, "Attribute", "Attributes", MAP, "Name"},
    {NULL, "MessageAttribute", "MessageAttributes", MAP, "Name"},
    {NULL, "Tag", "Tags", MAP, "Key"},
};

/* Where others are empty, nothing shows that they are lists. */
static const char *const lists[] = {"Topics", "Subscriptions", "Successful", "Failed",
                                    "Tags"};

/* JSON's names of what the query protocol calls otherwise. */
static const struct {
    const char *query;
    const char *json;
} codes[] = {
    {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"},
    {"NonExistentQueue", "QueueDoesNotExist"},
    {"QueueAlreadyExists", "QueueNameExists"},
    {"AWS.SimpleQueueService.QueueDeletedRecently", "QueueDeletedRecently"},
    {"AWS.SimpleQueueService.MessageNotInflight", "MessageNotInflight"},
    {"AWS.SimpleQueueService.EmptyBatchRequest", "EmptyBatchRequest"},
    {"AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "BatchEntryIdsNotDistinct"},
    {"AWS.SimpleQueueService.BatchRequestTooLong", "BatchRequestTooLong"},
    {"AWS.SimpleQueueService.InvalidBatchEntryId", "InvalidBatchEntryId"},
    {"AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
     "TooManyEntriesInBatchRequest"},
    {"AWS.SimpleQueueService.PurgeQueueInProgress", "PurgeQueueInProgress"},
    {"AWS.SimpleQueueService.UnsupportedOperation", "UnsupportedOperation"},
};

struct builder {
    struct cel_arena *arena;
    enum cel_query_service service;
    const char *action;
};

static struct cel_node *build(struct builder *b, const struct cel_xml *x);

static const struct row *find(const struct builder *b, struct cel_slice element)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (b->service == CEL_QUERY_SQS && cel_slice_is(element, rows[i].element) &&
            (!rows[i].action || strcmp(rows[i].action, b->action) == 0)) {
            return &rows[i];
        }
    }
    return NULL;
}

static struct cel_node *build_text(struct builder *b, const struct cel_xml *x)
{
    if (cel_slice_is(x->name, "SenderFault")) {
        return cel_node_new_bool(b->arena, cel_slice_is(x->text, "true"));
    }
    return cel_node_new_string(b->arena, x->text);
}

static struct cel_node *build_list(struct builder *b, const struct cel_xml *x)
{
    struct cel_node *list = cel_node_new(b->arena, CELERY_KIND_ARRAY);

    for (const struct cel_xml *c = x->first; c; c = c->next) {
        if (!list || cel_node_append(list, build(b, c)) < 0) {
            return NULL;
        }
    }
    return list;
}

/* The other element beside the key, whatever it is called. */
static celery_status put_entry(struct builder *b, struct cel_node *map,
                               const struct cel_xml *entry, const char *key)
{
    const struct cel_xml *k = cel_xml_child(entry, key);
    const struct cel_xml *v = cel_xml_child(entry, key[0] == 'k' ? "value" : "Value");

    if (!k || !v) {
        return CELERY_OK;
    }
    return cel_node_put(b->arena, map, k->text, build(b, v));
}

static struct cel_node *build_map(struct builder *b, const struct cel_xml *x)
{
    struct cel_node *map = cel_node_new(b->arena, CELERY_KIND_OBJECT);

    for (const struct cel_xml *c = x->first; c; c = c->next) {
        if (!map || put_entry(b, map, c, cel_xml_child(c, "key") ? "key" : "Name") < 0) {
            return NULL;
        }
    }
    return map;
}

static celery_status put_flat(struct builder *b, struct cel_node *object,
                              const struct row *row, const struct cel_xml *x)
{
    struct cel_slice name = cel_slice_of(row->name);
    struct cel_node *into = (struct cel_node *)cel_node_get(object, name);

    if (!into) {
        into = cel_node_new(b->arena,
                            row->shape == LIST ? CELERY_KIND_ARRAY : CELERY_KIND_OBJECT);
        if (!into || cel_node_put(b->arena, object, name, into) < 0) {
            return CELERY_ENOMEM;
        }
    }
    return row->shape == LIST ? cel_node_append(into, build(b, x))
                              : put_entry(b, into, x, row->key);
}

static struct cel_node *build_object(struct builder *b, const struct cel_xml *x)
{
    struct cel_node *object = cel_node_new(b->arena, CELERY_KIND_OBJECT);

    for (const struct cel_xml *c = x->first; c && object; c = c->next) {
        const struct row *row = find(b, c->name);
        celery_status status = row ? put_flat(b, object, row, c)
                                   : cel_node_put(b->arena, object, c->name, build(b, c));

        if (status < 0) {
            return NULL;
        }
    }
    return object;
}

static struct cel_node *build(struct builder *b, const struct cel_xml *x)
{
    for (size_t i = 0; i < sizeof lists / sizeof lists[0] && b->service != CEL_QUERY_SQS;
         i++) {
        if (cel_slice_is(x->name, lists[i])) {
            return build_list(b, x);
        }
    }
    if (!x->first) {
        return build_text(b, x);
    }
    if (cel_slice_is(x->first->name, "member")) {
        return build_list(b, x);
    }
    return cel_slice_is(x->first->name, "entry") ? build_map(b, x) : build_object(b, x);
}

celery_status cel_query_read(struct cel_arena *a, struct cel_slice text,
                             enum cel_query_service service, const char *action,
                             struct cel_node **ret_node, celery_error *err)
{
    struct builder b = {a, service, action};
    struct cel_xml *root = NULL;
    celery_status status = cel_xml_parse(a, text, &root, err);

    if (status < 0) {
        return status;
    }
    /* <SendMessageResponse><SendMessageResult>...</SendMessageResult><ResponseMetadata>... */
    for (const struct cel_xml *c = root->first; c; c = c->next) {
        if (cel_slice_ends(c->name, CEL_SLICE("Result"))) {
            *ret_node = build_object(&b, c);
            return *ret_node ? CELERY_OK : cel_error_nomem(err);
        }
    }
    if (!cel_slice_ends(root->name, CEL_SLICE("Response"))) {
        return cel_error_set(err, CELERY_EMESSAGE, "not an answer of the service");
    }
    *ret_node = cel_node_new(a, CELERY_KIND_OBJECT);
    return *ret_node ? CELERY_OK : cel_error_nomem(err);
}

bool cel_query_error(struct cel_arena *a, struct cel_slice text,
                     struct cel_slice *ret_code, struct cel_slice *ret_message)
{
    struct cel_xml *root = NULL;
    const struct cel_xml *error;
    const struct cel_xml *code;
    const struct cel_xml *message;

    if (cel_xml_parse(a, text, &root, NULL) < 0) {
        return false;
    }
    error = cel_slice_is(root->name, "Error") ? root : cel_xml_child(root, "Error");
    if (!error) {
        /* <Response><Errors><Error> of old ones */
        error = cel_xml_child(cel_xml_child(root, "Errors"), "Error");
    }
    code = cel_xml_child(error, "Code");
    message = cel_xml_child(error, "Message");
    *ret_code = code ? code->text : CEL_SLICE_NULL;
    *ret_message = message ? message->text : CEL_SLICE_NULL;
    return code != NULL;
}

struct cel_slice cel_query_code(struct cel_slice code)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (cel_slice_is(code, codes[i].query)) {
            return cel_slice_of(codes[i].json);
        }
    }
    return code;
}

enum cel_query_service cel_query_service(const char *name)
{
    return strcmp(name, "sqs") == 0   ? CEL_QUERY_SQS
           : strcmp(name, "sns") == 0 ? CEL_QUERY_SNS
                                      : CEL_QUERY_STS;
}
