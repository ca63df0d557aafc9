/* SPDX-License-Identifier: BSD-3-Clause */
/* Documents from rows of celery_taskmeta (DatabaseBackend._get_task_meta_for). */
#include "backend/sql.h"
#include "base/error.h"
#include "base/iso8601.h"
#include "codec/pickle.h"

/*
 * Up to 5.6 always a pickle, since 5.7 what result_serializer writes (_decode_stored_result):
 * pickles begin with PROTO and end with STOP.
 */
celery_status cel_sql_decode(struct cel_sql_db *db, struct cel_arena *a,
                             const struct cel_sql_value *v, struct cel_node **ret_node,
                             celery_error *err)
{
    /* Nodes point into the bytes, which are the driver's. */
    char *bytes = cel_arena_strndup(a, v->data ? v->data : "", v->len);
    struct cel_slice s = cel_slice(bytes, v->len);

    if (!bytes) {
        return cel_error_nomem(err);
    }
    bool pickle =
        s.len >= 2 && (unsigned char)s.data[0] == 0x80 && s.data[s.len - 1] == '.';
    if (pickle || db->codec->decode(a, s, NULL, ret_node, err) < 0) {
        /* Protocols 0 and 1 have no mark of their own. */
        celery_error other = {0};
        celery_status status = cel_pickle_read(a, s, NULL, ret_node, &other);

        if (status < 0 && err && (pickle || err->status >= 0)) {
            *err = other;
        }
        return status < 0 && err && err->status < 0 ? err->status : status;
    }
    return CELERY_OK;
}

static struct cel_node *null_node(struct cel_arena *a)
{
    return cel_node_new(a, CELERY_KIND_NULL);
}

static struct cel_node *text_node(struct cel_arena *a, const struct cel_sql_value *v)
{
    return v->kind == CEL_SQL_TEXT || v->kind == CEL_SQL_BLOB
               ? cel_node_new_string(a, cel_slice(v->data, v->len))
               : null_node(a);
}

static struct cel_node *date_node(struct cel_arena *a, const struct cel_sql_value *v)
{
    char text[CEL_ISO8601_SIZE];
    int64_t us;
    bool aware;

    if (v->kind != CEL_SQL_TEXT ||
        !cel_iso8601_parse(cel_slice(v->data, v->len), &us, &aware)) {
        return null_node(a);
    }
    return cel_node_new_string(
        a, cel_slice(text, cel_iso8601_format(us, CEL_ISO_NAIVE, text)));
}

static struct cel_node *int_node(struct cel_arena *a, const struct cel_sql_value *v)
{
    int64_t number = v->number;

    if (v->kind == CEL_SQL_INT ||
        (v->kind == CEL_SQL_TEXT &&
         cel_slice_to_int(cel_slice(v->data, v->len), &number))) {
        return cel_node_new_int(a, number);
    }
    return null_node(a);
}

static struct cel_node *result_node(struct cel_sql_db *db, struct cel_arena *a,
                                    struct cel_slice status,
                                    const struct cel_sql_value *v, celery_error *err)
{
    struct cel_node *n = NULL;

    if (v->kind == CEL_SQL_NULL) {
        return null_node(a);
    }
    if (cel_sql_decode(db, a, v, &n, err) < 0) {
        return NULL;
    }
    if (cel_state_is_exception(status)) {
        struct cel_node *map = cel_pickle_exception(a, n);

        return map ? map : n;
    }
    return n;
}

/* Arguments, children: what cannot be read is left out, as the result is what matters. */
static struct cel_node *side_node(struct cel_sql_db *db, struct cel_arena *a,
                                  const struct cel_sql_value *v)
{
    struct cel_node *n = NULL;
    celery_error ignored = {0};

    if (v->kind == CEL_SQL_NULL || cel_sql_decode(db, a, v, &n, &ignored) < 0) {
        return null_node(a);
    }
    return n;
}

/* Each stamp is a key of its own beside the others. */
static bool put_stamps(struct cel_arena *a, struct cel_node *doc,
                       const struct cel_node *stored)
{
    const struct cel_node *names = cel_node_get(stored, CEL_SLICE("stamped_headers"));
    const struct cel_node *stamps = cel_node_get(stored, CEL_SLICE("stamps"));

    if (!cel_node_truth(names)) {
        return true;
    }
    bool ok = cel_node_put(a, doc, CEL_SLICE("stamped_headers"),
                           cel_node_copy(a, names)) == CELERY_OK;
    for (const struct cel_node *k = cel_node_first(stamps), *v; ok && k; k = v->next) {
        v = k->next;
        ok = stamps->kind == CELERY_KIND_OBJECT &&
             cel_node_put(a, doc, cel_node_text(k), cel_node_copy(a, v)) == CELERY_OK;
    }
    return ok;
}

static struct cel_node *node_of(struct cel_sql_db *db, struct cel_arena *a,
                                enum cel_sql_column column, struct cel_slice status,
                                const struct cel_sql_value *v, celery_error *err)
{
    switch (column) {
    case CEL_COL_RESULT:
        return result_node(db, a, status, v, err);
    case CEL_COL_DATE_DONE:
        return date_node(a, v);
    case CEL_COL_RETRIES:
        return int_node(a, v);
    case CEL_COL_ARGS:
    case CEL_COL_KWARGS:
    case CEL_COL_CHILDREN:
    case CEL_COL_STAMPS:
        return side_node(db, a, v);
    default:
        return text_node(a, v);
    }
}

struct cel_node *cel_sql_doc(struct cel_sql_db *db, struct cel_arena *a,
                             const struct cel_sql_value *columns, size_t n,
                             celery_error *err)
{
    struct cel_node *doc = cel_node_new(a, CELERY_KIND_OBJECT);
    struct cel_slice status =
        n > 1 ? cel_slice(columns[1].data, columns[1].len) : CEL_SLICE_NULL;
    size_t at = 0;

    for (int i = 0; i < CEL_SQL_COLUMNS && doc; i++) {
        if (!cel_sql_uses(db, i) || at >= n) {
            continue;
        }
        struct cel_node *value = node_of(db, a, i, status, &columns[at++], err);

        if (!value) {
            return NULL;
        }
        bool ok = i == CEL_COL_STAMPS
                      ? put_stamps(a, doc, value)
                      : cel_node_put(a, doc, cel_slice_of(cel_sql_column_names[i]),
                                     value) == CELERY_OK;
        if (!ok) {
            cel_error_nomem(err);
            return NULL;
        }
    }
    return doc;
}
