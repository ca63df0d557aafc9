/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows of celery_taskmeta (DatabaseBackend._update_result). */
#include "backend/sql.h"
#include "base/error.h"
#include "base/iso8601.h"
#include "codec/pickle.h"

struct cel_sql_value cel_sql_text(struct cel_slice text)
{
    return (struct cel_sql_value){.kind = text.data ? CEL_SQL_TEXT : CEL_SQL_NULL,
                                  .data = text.data,
                                  .len = text.len};
}

/* Always with its fraction, so that SQLite, which compares texts, puts dates in order. */
struct cel_sql_value cel_sql_date(struct cel_arena *a, int64_t us)
{
    char text[CEL_ISO8601_SIZE + 8];

    if (us == INT64_MIN) {
        return (struct cel_sql_value){.kind = CEL_SQL_NULL};
    }
    size_t len = cel_iso8601_format(us, CEL_ISO_NAIVE, text);
    text[10] = ' ';
    if (len == 19) {
        memcpy(text + len, ".000000", 8);
        len += 7;
    }
    return cel_sql_text(cel_slice(cel_arena_strndup(a, text, len), len));
}

/* ---- texts ---- */

/* Bytes of the next character; lone surrogates and NUL are 3 and 1 that no database takes. */
static size_t step(struct cel_slice s, size_t at, bool *ret_bad)
{
    unsigned char c = (unsigned char)s.data[at];
    size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    *ret_bad =
        c == 0 || (c == 0xed && at + 1 < s.len && (unsigned char)s.data[at + 1] >= 0xa0);
    return len < s.len - at ? len : s.len - at;
}

static bool is_clean(struct cel_slice s, size_t most_chars, size_t most_bytes)
{
    size_t chars = 0;

    if (most_bytes && s.len > most_bytes) {
        return false;
    }
    for (size_t at = 0; at < s.len; chars++) {
        bool bad;

        at += step(s, at, &bad);
        if (bad) {
            return false;
        }
    }
    return !most_chars || chars <= most_chars;
}

/*
 * What a text column takes: as Python's backslashreplace writes what UTF-8 has not, and cut at
 * what the column holds; a traceback that is cut keeps its end.
 */
static struct cel_sql_value text_value(struct cel_sql_db *db, struct cel_arena *a,
                                       enum cel_sql_column column, struct cel_slice s)
{
    size_t most_chars = db->task.most_chars[column];
    size_t most_bytes = db->task.most_bytes[column];
    struct cel_buf *out = &db->scratch;
    size_t chars = 0;

    if (!s.data || is_clean(s, most_chars, most_bytes)) {
        return cel_sql_text(s);
    }
    if (most_bytes && s.len > most_bytes) {
        size_t skip = s.len - most_bytes;

        while (skip < s.len && ((unsigned char)s.data[skip] & 0xc0) == 0x80) {
            skip++;
        }
        s = cel_slice(s.data + skip, s.len - skip);
    }
    cel_buf_clear(out);
    for (size_t at = 0; at < s.len && (!most_chars || chars < most_chars); chars++) {
        bool bad;
        size_t len = step(s, at, &bad);

        if (bad && s.data[at] == 0) {
            cel_buf_adds(out, "\\x00");
        } else if (bad && len == 3) {
            cel_buf_addf(out, "\\ud%x%02x", (unsigned char)s.data[at + 1] >> 2 & 0xf,
                         ((unsigned char)s.data[at + 1] & 3) << 6 |
                             ((unsigned char)s.data[at + 2] & 0x3f));
        } else if (!bad) {
            cel_buf_add(out, s.data + at, len);
        }
        at += len;
    }
    if (!cel_buf_ok(out)) {
        return cel_sql_text(CEL_SLICE_NULL);
    }
    size_t len = most_bytes && out->len > most_bytes ? most_bytes : out->len;
    return cel_sql_text(cel_slice(cel_arena_strndup(a, cel_buf_cstr(out), len), len));
}

static celery_status set_text(struct cel_sql_db *db, struct cel_sql_job *job,
                              enum cel_sql_column column, struct cel_slice s,
                              struct cel_sql_value *ret, celery_error *err)
{
    *ret = text_value(db, &job->arena, column, s);
    return !s.data || ret->data ? CELERY_OK : cel_error_nomem(err);
}

/* ---- values of other kinds ---- */

static celery_status keep_blob(struct cel_sql_db *db, struct cel_sql_job *job,
                               enum cel_sql_column column, struct cel_sql_value *ret,
                               celery_error *err)
{
    struct cel_buf *out = &db->scratch;
    size_t most = db->task.most_bytes[column];
    char *bytes;

    if (!cel_buf_ok(out)) {
        return cel_error_nomem(err);
    }
    /* Arguments that do not fit are left out: the result is what matters. */
    if (most && out->len > most && column != CEL_COL_RESULT) {
        return CELERY_OK;
    }
    if (most && out->len > most) {
        return cel_error_set(
            err, CELERY_ELIMIT,
            "%zu bytes for %s do not fit %s.%s, which holds %zu: ALTER TABLE %s MODIFY %s "
            "LONGBLOB",
            out->len, cel_sql_column_names[column], db->task.name,
            cel_sql_column_names[column], most, db->task.name,
            cel_sql_column_names[column]);
    }
    bytes = cel_arena_strndup(&job->arena, out->data ? out->data : "", out->len);
    if (!bytes) {
        return cel_error_nomem(err);
    }
    *ret = (struct cel_sql_value){.kind = CEL_SQL_BLOB, .data = bytes, .len = out->len};
    return CELERY_OK;
}

/* Python's None is no pickle but NULL (sqlalchemy PickleType). */
static celery_status result_value(struct cel_sql_db *db, struct cel_sql_job *job,
                                  struct cel_sql_value *ret, celery_error *err)
{
    const struct cel_task_meta *m = &job->meta;
    struct cel_node *n = NULL;
    celery_status status;

    if (m->result_json.len == 0 || cel_slice_is(m->result_json, "null")) {
        return CELERY_OK;
    }
    status = cel_json_parse(&job->arena, m->result_json, NULL, &n, err);
    cel_buf_clear(&db->scratch);
    if (status == CELERY_OK) {
        status = cel_state_is_exception(m->status)
                     ? cel_pickle_write_exception(&db->scratch, n, err)
                     : cel_pickle_write(&db->scratch, n, err);
    }
    return status == CELERY_OK ? keep_blob(db, job, CEL_COL_RESULT, ret, err) : status;
}

/* As result_serializer writes it: JSON is there already. */
static celery_status encoded(struct cel_sql_db *db, struct cel_sql_job *job,
                             struct cel_slice json, enum cel_sql_column column,
                             struct cel_sql_value *ret, celery_error *err)
{
    struct cel_node *n = NULL;
    celery_status status = CELERY_OK;

    if (json.len == 0) {
        return CELERY_OK;
    }
    cel_buf_clear(&db->scratch);
    if (db->codec == &cel_codec_json) {
        cel_buf_add_slice(&db->scratch, json);
    } else {
        status = cel_json_parse(&job->arena, json, NULL, &n, err);
        if (status == CELERY_OK) {
            status = db->codec->encode(&db->scratch, n, err);
        }
    }
    return status == CELERY_OK ? keep_blob(db, job, column, ret, err) : status;
}

/* DatabaseBackend._update_result of 5.7: what stamps there are, else NULL. */
static celery_status stamps_value(struct cel_sql_db *db, struct cel_sql_job *job,
                                  struct cel_sql_value *ret, celery_error *err)
{
    struct cel_node *map = cel_node_new(&job->arena, CELERY_KIND_OBJECT);
    const struct cel_task_meta *m = &job->meta;

    if (!cel_node_truth(m->stamps)) {
        return CELERY_OK;
    }
    if (cel_node_put(&job->arena, map, CEL_SLICE("stamped_headers"),
                     cel_node_copy(&job->arena, m->stamped_headers)) < 0 ||
        cel_node_put(&job->arena, map, CEL_SLICE("stamps"),
                     cel_node_copy(&job->arena, m->stamps)) < 0) {
        return cel_error_nomem(err);
    }
    cel_buf_clear(&db->scratch);
    celery_status status = db->codec->encode(&db->scratch, map, err);
    return status == CELERY_OK ? keep_blob(db, job, CEL_COL_STAMPS, ret, err) : status;
}

static struct cel_slice children_of(const struct cel_task_meta *m)
{
    return cel_slice_is(m->children_json, "[]") || cel_slice_is(m->children_json, "null")
               ? CEL_SLICE_NULL
               : m->children_json;
}

/* One column. */
static celery_status one(struct cel_sql_db *db, struct cel_sql_job *job,
                         enum cel_sql_column column, struct cel_sql_value *ret,
                         celery_error *err)
{
    const struct cel_task_meta *m = &job->meta;

    *ret = (struct cel_sql_value){.kind = CEL_SQL_NULL};
    switch (column) {
    case CEL_COL_TASK_ID:
        *ret = cel_sql_text(m->task_id);
        return is_clean(m->task_id, db->task.most_chars[column], 0)
                   ? CELERY_OK
                   : cel_error_set(err, CELERY_ELIMIT,
                                   "the task's id does not fit %s.task_id",
                                   db->task.name);
    case CEL_COL_STATUS:
        return set_text(db, job, column, m->status, ret, err);
    case CEL_COL_RESULT:
        return result_value(db, job, ret, err);
    case CEL_COL_DATE_DONE:
        *ret = cel_sql_date(&job->arena, m->date_done_us);
        return m->date_done_us == INT64_MIN || ret->data ? CELERY_OK
                                                         : cel_error_nomem(err);
    case CEL_COL_TRACEBACK:
        return set_text(db, job, column, m->traceback, ret, err);
    case CEL_COL_CHILDREN:
        return encoded(db, job, children_of(m), column, ret, err);
    default:
        break;
    }
    if (!m->extended) {
        return CELERY_OK;
    }
    switch (column) {
    case CEL_COL_NAME:
        return set_text(db, job, column, m->name, ret, err);
    case CEL_COL_ARGS:
        return encoded(db, job, m->args_json, column, ret, err);
    case CEL_COL_KWARGS:
        return encoded(db, job, m->kwargs_json, column, ret, err);
    case CEL_COL_WORKER:
        return set_text(db, job, column, m->worker, ret, err);
    case CEL_COL_RETRIES:
        if (m->retries != INT64_MIN) {
            *ret = (struct cel_sql_value){.kind = CEL_SQL_INT, .number = m->retries};
        }
        return CELERY_OK;
    case CEL_COL_QUEUE:
        return set_text(db, job, column, m->queue, ret, err);
    case CEL_COL_STAMPS:
        return stamps_value(db, job, ret, err);
    default:
        return CELERY_OK;
    }
}

celery_status cel_sql_row(struct cel_sql_db *db, struct cel_sql_job *job,
                          struct cel_sql_value *values, celery_error *err)
{
    celery_status status = CELERY_OK;

    for (int i = 0; i < CEL_SQL_COLUMNS && status == CELERY_OK; i++) {
        if (cel_sql_uses(db, i)) {
            status = one(db, job, i, values++, err);
        }
    }
    return status;
}
