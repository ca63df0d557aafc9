/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_scan.h"

#include "transport/amqp_codec.h"
#include "transport/amqp_wire.h"

struct scan {
    unsigned left; /* values that may still come */
    const char *why;
};

/* Sizes as RabbitMQ has them (rabbit_binary_parser.erl): s is a number of 16 bits. */
static size_t fixed_size(char type)
{
    switch (type) {
    case 't':
    case 'b':
    case 'B':
        return 1;
    case 's':
    case 'U': /* the specification's letter for it */
    case 'u':
        return 2;
    case 'I':
    case 'i':
    case 'f':
        return 4;
    case 'D':
        return 5;
    case 'l':
    case 'L':
    case 'd':
    case 'T':
        return 8;
    default:
        return 0;
    }
}

static bool is_nested(char type)
{
    return type == 'A' || type == 'F';
}

/* Bytes of the value (its type octet too) at the beginning; 0 with the reason in s. */
static size_t value_size(struct scan *s, struct cel_slice in)
{
    char type = in.len > 0 ? in.data[0] : 0;
    size_t size = fixed_size(type);

    if (size == 0 && type != 'V') {
        if (!is_nested(type) && type != 'S' && type != 'x') {
            s->why = in.len > 0 ? "a value of unknown type" : "a name without a value";
            return 0;
        }
        size = in.len < 5 ? 4 : (size_t)cel_amqp_get32(in.data + 1) + 4;
    }
    if (size > in.len - 1) {
        s->why = "a value that is longer than what it stands in";
        return 0;
    }
    return size + 1;
}

static struct cel_slice skip(struct cel_slice in, size_t n)
{
    return cel_slice(in.data + n, in.len - n);
}

/* The name at the beginning; its bytes with the length octet, or 0. */
static size_t name_size(struct scan *s, struct cel_slice in)
{
    size_t size = (size_t)(unsigned char)in.data[0] + 1;

    if (size > in.len) {
        s->why = "a name that is longer than its table";
        return 0;
    }
    return size;
}

static bool scan_inside(struct scan *s, struct cel_slice in, bool named, unsigned depth);

static bool scan_value(struct scan *s, struct cel_slice value, unsigned depth)
{
    if (s->left == 0) {
        s->why = "too many values";
        return false;
    }
    s->left--;
    if (value.data[0] == 'U') {
        *(char *)(uintptr_t)value.data = 's';
    }
    return !is_nested(value.data[0]) ||
           scan_inside(s, skip(value, 5), value.data[0] == 'F', depth + 1);
}

/* What stands in a table (named) or in an array. */
static bool scan_inside(struct scan *s, struct cel_slice in, bool named, unsigned depth)
{
    if (depth > CEL_AMQP_MAX_DEPTH) {
        s->why = "nested too deeply";
        return false;
    }
    while (in.len > 0) {
        size_t name = named ? name_size(s, in) : 0;
        if (named && name == 0) {
            return false;
        }
        in = skip(in, name);
        size_t size = value_size(s, in);
        if (size == 0 || !scan_value(s, cel_slice(in.data, size), depth)) {
            return false;
        }
        in = skip(in, size);
    }
    return true;
}

const char *cel_amqp_scan_table(char *table, size_t len, size_t *ret_size)
{
    struct scan s = {.left = CEL_AMQP_MAX_VALUES};

    if (len < 4 || cel_amqp_get32(table) > len - 4) {
        return "a table that is longer than its frame";
    }
    size_t inside = cel_amqp_get32(table);
    if (!scan_inside(&s, cel_slice(table + 4, inside), true, 1)) {
        return s.why;
    }
    *ret_size = inside + 4;
    return NULL;
}

size_t cel_amqp_salvage_table(char *table, size_t len, size_t *ret_was)
{
    struct scan s = {.left = CEL_AMQP_MAX_VALUES};
    size_t inside = cel_amqp_get32(table), kept = 4;
    bool ends = inside <= len - 4;
    struct cel_slice in = cel_slice(table + 4, ends ? inside : len - 4);

    while (in.len > 0) {
        size_t name = name_size(&s, in);
        size_t size = name > 0 ? value_size(&s, skip(in, name)) : 0;
        if (size == 0) {
            break;
        }
        if (scan_value(&s, cel_slice(in.data + name, size), 1)) {
            memmove(table + kept, in.data, name + size);
            kept += name + size;
        }
        in = skip(in, name + size);
    }
    cel_amqp_set32(table, (uint32_t)(kept - 4));
    *ret_was = ends ? inside + 4 : 0;
    return kept;
}
