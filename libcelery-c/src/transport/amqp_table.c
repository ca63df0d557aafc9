/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_table.h"

#include "base/error.h"
#include "base/iso8601.h"
#include "base/module.h"
#include "base/utf8.h"
#include "codec/doc_build.h"
#include "transport/amqp_codec.h"
#include "transport/amqp_decimal.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

/* ---- reading ---- */

struct reader {
    struct cel_arena *arena;
    const char *fault;
};

static struct cel_node *new_text(struct reader *r, celery_kind kind,
                                 struct cel_slice text)
{
    struct cel_node *n = cel_node_new(r->arena, kind);

    if (n) {
        n->text = text.data;
        n->size = (uint32_t)text.len;
    }
    return n;
}

/* py-amqp writes lone surrogates, which a repr of arguments may have (surrogatepass). */
static bool is_text(struct cel_slice text)
{
    size_t at = 0;

    if (cel_utf8_valid(text)) {
        return true;
    }
    while (at < text.len) {
        if (cel_utf8_next(text, &at) < 0) {
            return false;
        }
    }
    return true;
}

/* Text stays where it is; what is no text is bytes (amqp/serialization.py _read_item). */
static struct cel_node *read_text(struct reader *r, amqp_bytes_t bytes)
{
    struct cel_slice text = cel_amqp_slice(bytes);
    struct cel_node *n = new_text(r, CELERY_KIND_STRING, text);

    if (n && cel_doc_plain(text.data, text.len)) {
        n->flags |= CEL_NODE_PLAIN;
    } else if (n && !is_text(text)) {
        n->kind = CELERY_KIND_BYTES;
    }
    return n;
}

static struct cel_node *read_int(struct reader *r, int64_t value)
{
    static const char digits[] = "0123456789";

    if (value >= 0 && value <= 9) {
        return new_text(r, CELERY_KIND_INT, cel_slice(digits + value, 1));
    }
    return cel_node_new_int(r->arena, value);
}

static struct cel_node *copy_text(struct reader *r, celery_kind kind,
                                  struct cel_slice text)
{
    char *copy = cel_arena_strndup(r->arena, text.data, text.len);

    return copy ? new_text(r, kind, cel_slice(copy, text.len)) : NULL;
}

static struct cel_node *read_unsigned(struct reader *r, uint64_t value)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRIu64, value);

    return copy_text(r, CELERY_KIND_INT, cel_slice(text, (size_t)len));
}

/* A naive datetime in UTC for Python; beyond its years, where Python fails, a number. */
static struct cel_node *read_time(struct reader *r, uint64_t seconds)
{
    char text[CEL_ISO8601_SIZE];

    if (seconds > UINT64_C(253402300799)) {
        return read_unsigned(r, seconds);
    }
    size_t len = cel_iso8601_format((int64_t)seconds * 1000000, CEL_ISO_NAIVE, text);
    return cel_doc_typed(r->arena, "datetime",
                         cel_node_new_string(r->arena, cel_slice(text, len)));
}

static struct cel_node *read_decimal(struct reader *r, amqp_decimal_t decimal)
{
    char text[CEL_AMQP_DECIMAL_SIZE];
    size_t len = cel_amqp_decimal_text((int32_t)decimal.value, decimal.decimals, text);

    return cel_doc_typed(r->arena, "decimal",
                         cel_node_new_string(r->arena, cel_slice(text, len)));
}

static struct cel_node *read_value(struct reader *r, const amqp_field_value_t *v);

static struct cel_node *read_array(struct reader *r, const amqp_array_t *array)
{
    struct cel_node *n = cel_node_new(r->arena, CELERY_KIND_ARRAY);

    for (int i = 0; n && i < array->num_entries; i++) {
        if (cel_node_append(n, read_value(r, &array->entries[i])) < 0) {
            n = NULL;
        }
    }
    return n;
}

static struct cel_node *read_table(struct reader *r, const amqp_table_t *table)
{
    struct cel_node *n = cel_node_new(r->arena, CELERY_KIND_OBJECT);

    for (int i = 0; n && i < table->num_entries; i++) {
        struct cel_node *key = read_text(r, table->entries[i].key);
        if (key && key->kind != CELERY_KIND_STRING) {
            r->fault = "a name that is not UTF-8";
            continue;
        }
        if (cel_doc_add_member(n, key, read_value(r, &table->entries[i].value)) < 0) {
            n = NULL;
        }
    }
    return n && cel_doc_unique_keys(n) == CELERY_OK ? n : NULL;
}

/* l and L are both signed for RabbitMQ and for py-amqp, which writes L. */
static struct cel_node *read_number(struct reader *r, const amqp_field_value_t *v)
{
    switch (v->kind) {
    case AMQP_FIELD_KIND_I8:
        return read_int(r, v->value.i8);
    case AMQP_FIELD_KIND_U8:
        return read_int(r, v->value.u8);
    case AMQP_FIELD_KIND_I16:
        return read_int(r, v->value.i16);
    case AMQP_FIELD_KIND_U16:
        return read_int(r, v->value.u16);
    case AMQP_FIELD_KIND_I32:
        return read_int(r, v->value.i32);
    case AMQP_FIELD_KIND_U32:
        return read_int(r, v->value.u32);
    case AMQP_FIELD_KIND_I64:
        return read_int(r, v->value.i64);
    case AMQP_FIELD_KIND_U64:
        return read_int(r, (int64_t)v->value.u64);
    case AMQP_FIELD_KIND_F32:
        return cel_node_new_double(r->arena, (double)v->value.f32);
    case AMQP_FIELD_KIND_F64:
        return cel_node_new_double(r->arena, v->value.f64);
    default:
        return cel_node_new(r->arena, CELERY_KIND_NULL);
    }
}

static struct cel_node *read_value(struct reader *r, const amqp_field_value_t *v)
{
    switch (v->kind) {
    case AMQP_FIELD_KIND_UTF8:
        return read_text(r, v->value.bytes);
    case AMQP_FIELD_KIND_BYTES:
        return new_text(r, CELERY_KIND_BYTES, cel_amqp_slice(v->value.bytes));
    case AMQP_FIELD_KIND_BOOLEAN:
        return cel_node_new_bool(r->arena, v->value.boolean != 0);
    case AMQP_FIELD_KIND_TIMESTAMP:
        return read_time(r, v->value.u64);
    case AMQP_FIELD_KIND_DECIMAL:
        return read_decimal(r, v->value.decimal);
    case AMQP_FIELD_KIND_TABLE:
        return read_table(r, &v->value.table);
    case AMQP_FIELD_KIND_ARRAY:
        return read_array(r, &v->value.array);
    default:
        return read_number(r, v);
    }
}

struct cel_node *cel_amqp_table_read(struct cel_arena *arena, const amqp_table_t *table,
                                     const char **ret_fault)
{
    struct reader r = {arena, NULL};
    struct cel_node *n = read_table(&r, table);

    if (r.fault) {
        *ret_fault = r.fault;
    }
    return n;
}

/* ---- making ---- */

struct maker {
    struct cel_arena *arena;
    celery_error *err;
    size_t size;
    unsigned depth;
};

static celery_status make_value(struct maker *m, const struct cel_node *n,
                                amqp_field_value_t *v);

static celery_status enter(struct maker *m)
{
    if (++m->depth > CEL_AMQP_MAX_DEPTH) {
        return cel_error_set(m->err, CELERY_EINVAL,
                             "headers and arguments may be nested %d deep",
                             CEL_AMQP_MAX_DEPTH);
    }
    m->size += 4;
    return CELERY_OK;
}

static celery_status make_array(struct maker *m, const struct cel_node *n,
                                amqp_array_t *array)
{
    celery_status st = enter(m);
    int i = 0;

    *array = (amqp_array_t){0};
    if (st < 0 || n->size == 0) {
        m->depth--;
        return st;
    }
    array->entries = n->size <= INT32_MAX / sizeof *array->entries
                         ? cel_arena_alloc(m->arena, n->size * sizeof *array->entries)
                         : NULL;
    if (!array->entries) {
        return cel_error_nomem(m->err);
    }
    for (const struct cel_node *child = n->first; child && st == CELERY_OK;
         child = child->next) {
        st = make_value(m, child, &array->entries[i++]);
    }
    array->num_entries = i;
    m->depth--;
    return st;
}

static celery_status make_entry(struct maker *m, const struct cel_node *key,
                                amqp_table_entry_t *entry)
{
    if (key->size > UINT8_MAX) {
        return cel_error_set(m->err, CELERY_EINVAL,
                             "a header name of %u bytes; AMQP takes 255", key->size);
    }
    entry->key = cel_amqp_bytes(cel_node_text(key));
    m->size += 1 + key->size;
    return make_value(m, key->next, &entry->value);
}

static celery_status make_table(struct maker *m, const struct cel_node *n,
                                amqp_table_t *table)
{
    celery_status st = enter(m);
    int i = 0;

    *table = (amqp_table_t){0};
    if (st < 0 || !n || n->size == 0) {
        m->depth--;
        return st;
    }
    table->entries = n->size <= INT32_MAX / sizeof *table->entries
                         ? cel_arena_alloc(m->arena, n->size * sizeof *table->entries)
                         : NULL;
    if (!table->entries) {
        return cel_error_nomem(m->err);
    }
    for (const struct cel_node *key = n->first; key && st == CELERY_OK;
         key = key->next->next) {
        st = make_entry(m, key, &table->entries[i++]);
    }
    table->num_entries = i;
    m->depth--;
    return st;
}

/* I for what has 31 bits, L beyond; -2**31 is L too (amqp/serialization.py _write_item). */
static celery_status make_int(struct maker *m, const struct cel_node *n,
                              amqp_field_value_t *v)
{
    int64_t value;

    if (!cel_slice_to_int(cel_node_text(n), &value)) {
        return cel_error_set(m->err, CELERY_EINVAL,
                             "an integer over 64 bits (%.*s) is no value of AMQP",
                             n->size < 40 ? (int)n->size : 40, n->text);
    }
    bool is_long = value > INT32_MAX || value < -INT32_MAX;
    v->kind = is_long ? AMQP_FIELD_KIND_U64 : AMQP_FIELD_KIND_I32;
    if (is_long) {
        v->value.u64 = (uint64_t)value;
    } else {
        v->value.i32 = (int32_t)value;
    }
    m->size += is_long ? 8 : 4;
    return CELERY_OK;
}

static void make_text(struct maker *m, struct cel_slice text, int kind,
                      amqp_field_value_t *v)
{
    v->kind = (uint8_t)kind;
    v->value.bytes = cel_amqp_bytes(text);
    m->size += 4 + text.len;
}

/* Datetimes, decimals and bytes as kombu's JSON has them. */
static bool make_typed(struct maker *m, const struct cel_node *n, amqp_field_value_t *v)
{
    struct cel_slice type, bytes;
    const struct cel_node *value;
    int64_t us;
    int32_t digits;
    bool aware;

    if (!cel_json_typed(n, &type, &value)) {
        return false;
    }
    if (cel_slice_is(type, "datetime") && cel_node_is_string(value) &&
        cel_iso8601_parse(cel_node_text(value), &us, &aware) && us >= 0) {
        v->kind = AMQP_FIELD_KIND_TIMESTAMP;
        v->value.u64 = (uint64_t)us / 1000000;
        m->size += 8;
        return true;
    }
    if (cel_slice_is(type, "decimal") &&
        cel_amqp_decimal_parse(cel_node_text(value), &digits,
                               &v->value.decimal.decimals)) {
        v->kind = AMQP_FIELD_KIND_DECIMAL;
        v->value.decimal.value = (uint32_t)digits;
        m->size += 5;
        return true;
    }
    if (cel_json_bytes(m->arena, n, &bytes)) {
        make_text(m, bytes, AMQP_FIELD_KIND_BYTES, v);
        return true;
    }
    return false;
}

static celery_status make_object(struct maker *m, const struct cel_node *n,
                                 amqp_field_value_t *v)
{
    if (make_typed(m, n, v)) {
        return CELERY_OK;
    }
    v->kind = AMQP_FIELD_KIND_TABLE;
    return make_table(m, n, &v->value.table);
}

static celery_status make_value(struct maker *m, const struct cel_node *n,
                                amqp_field_value_t *v)
{
    m->size++;
    switch ((celery_kind)n->kind) {
    case CELERY_KIND_FALSE:
    case CELERY_KIND_TRUE:
        v->kind = AMQP_FIELD_KIND_BOOLEAN;
        v->value.boolean = n->kind == CELERY_KIND_TRUE;
        m->size++;
        return CELERY_OK;
    case CELERY_KIND_INT:
        return make_int(m, n, v);
    case CELERY_KIND_FLOAT:
        v->kind = AMQP_FIELD_KIND_F64;
        v->value.f64 = cel_node_double(n, 0);
        m->size += 8;
        return CELERY_OK;
    case CELERY_KIND_STRING:
        make_text(m, cel_node_text(n), AMQP_FIELD_KIND_UTF8, v);
        return CELERY_OK;
    case CELERY_KIND_BYTES:
        make_text(m, cel_node_text(n), AMQP_FIELD_KIND_BYTES, v);
        return CELERY_OK;
    case CELERY_KIND_ARRAY:
        v->kind = AMQP_FIELD_KIND_ARRAY;
        return make_array(m, n, &v->value.array);
    case CELERY_KIND_OBJECT:
        return make_object(m, n, v);
    default:
        v->kind = AMQP_FIELD_KIND_VOID;
        return CELERY_OK;
    }
}

celery_status cel_amqp_table_make(struct cel_arena *arena, const struct cel_node *object,
                                  amqp_table_t *ret_table, size_t *ret_size,
                                  celery_error *err)
{
    struct maker m = {.arena = arena, .err = err};
    const struct cel_node *n =
        object && object->kind == CELERY_KIND_OBJECT ? object : NULL;
    celery_status st = make_table(&m, n, ret_table);

    *ret_size = m.size;
    return st;
}

/* ---- the library itself ---- */

static _Atomic(const struct cel_amqp_driver *) loaded;

const struct cel_amqp_driver *cel_amqp_driver(celery_error *err)
{
    const struct cel_amqp_driver *driver = atomic_load(&loaded);

    if (!driver) {
        driver = cel_module_load("rabbitmq", "amqp", err);
        atomic_store(&loaded, driver); /* the same, whoever comes second */
    }
    return driver;
}
