/* SPDX-License-Identifier: BSD-3-Clause */
/* kombu's typed values as the objects they stand for: __reduce_ex__(4) of each class. */
#include "codec/pickle_opcodes.h"
#include "codec/pickle_out.h"

#include "base/iso8601.h"
#include <stdio.h>

/* The bytes of datetime.__getstate__(): year, month, day, hour, minute, second, microsecond. */
enum { DATE_BYTES = 4, TIME_BYTES = 6 };

static unsigned digits(const char *text, size_t n)
{
    unsigned value = 0;
    for (size_t i = 0; i < n; i++) {
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    return value;
}

static void to_state(int64_t us, unsigned char state[DATE_BYTES + TIME_BYTES])
{
    char text[CEL_ISO8601_SIZE]; /* 2026-11-22T13:02:13.615386 */
    size_t len = cel_iso8601_format(us, CEL_ISO_NAIVE, text);
    unsigned year = digits(text, 4);
    unsigned fraction = len > 20 ? digits(text + 20, 6) : 0;
    state[0] = (unsigned char)(year >> 8);
    state[1] = (unsigned char)year;
    for (size_t i = 0; i < 5; i++) {
        state[2 + i] = (unsigned char)digits(text + 5 + 3 * i, 2);
    }
    state[7] = (unsigned char)(fraction >> 16);
    state[8] = (unsigned char)(fraction >> 8);
    state[9] = (unsigned char)fraction;
}

static void put_zero(struct cel_pickle_out *o)
{
    cel_pickle_put_int(o, CEL_SLICE("0"), NULL);
}

/* datetime.timezone.utc: timezone(timedelta(0, 0, 0)), one object for all of the document */
static void put_utc(struct cel_pickle_out *o)
{
    cel_pickle_put_class(o, "datetime", "timezone");
    cel_pickle_put_class(o, "datetime", "timedelta");
    put_zero(o);
    put_zero(o);
    put_zero(o);
    cel_pickle_end_tuple(o, 3);
    cel_pickle_op(o, CEL_PK_REDUCE);
    cel_pickle_memoize(o);
    cel_pickle_end_tuple(o, 1);
    cel_pickle_op(o, CEL_PK_REDUCE);
    cel_pickle_memoize(o);
}

static void put_state(struct cel_pickle_out *o, const char *name,
                      const unsigned char *state, size_t len, bool utc)
{
    cel_pickle_put_class(o, "datetime", name);
    cel_pickle_put_bytes(o, cel_slice((const char *)state, len));
    if (utc) {
        put_utc(o);
    }
    cel_pickle_end_tuple(o, utc ? 2 : 1);
    cel_pickle_op(o, CEL_PK_REDUCE);
    cel_pickle_memoize(o);
}

/* An offset other than UTC's is lost, the instant is not. */
static bool put_datetime(struct cel_pickle_out *o, const struct cel_node *v)
{
    unsigned char state[DATE_BYTES + TIME_BYTES];
    int64_t us;
    bool aware;
    if (!cel_node_is_string(v) || !cel_iso8601_parse(cel_node_text(v), &us, &aware)) {
        return false;
    }
    to_state(us, state);
    put_state(o, "datetime", state, sizeof state, aware);
    return true;
}

static bool put_date(struct cel_pickle_out *o, const struct cel_node *v)
{
    unsigned char state[DATE_BYTES + TIME_BYTES];
    int64_t us;
    bool aware;
    if (!cel_node_is_string(v) || !cel_iso8601_parse(cel_node_text(v), &us, &aware)) {
        return false;
    }
    to_state(us, state);
    put_state(o, "date", state, DATE_BYTES, false);
    return true;
}

static bool put_time(struct cel_pickle_out *o, const struct cel_node *v)
{
    unsigned char state[DATE_BYTES + TIME_BYTES];
    char text[48];
    int64_t us;
    bool aware;
    struct cel_slice part = cel_node_text(v);
    if (!cel_node_is_string(v) || part.len < 5 || part.len > 32) {
        return false;
    }
    int len = snprintf(text, sizeof text, "2000-01-01T%.*s", (int)part.len, part.data);
    if (!cel_iso8601_parse(cel_slice(text, (size_t)len), &us, &aware) || aware) {
        return false; /* a time of a zone stays what it is */
    }
    to_state(us, state);
    put_state(o, "time", state + DATE_BYTES, TIME_BYTES, false);
    return true;
}

static bool put_decimal(struct cel_pickle_out *o, const struct cel_node *v)
{
    if (!cel_node_is_string(v)) {
        return false;
    }
    cel_pickle_put_class(o, "decimal", "Decimal");
    cel_pickle_put_string(o, cel_node_text(v));
    cel_pickle_end_tuple(o, 1);
    cel_pickle_op(o, CEL_PK_REDUCE);
    cel_pickle_memoize(o);
    return true;
}

/* The 128 bits of a UUID, little-endian with a byte for the sign. */
static bool to_uuid(struct cel_slice hex, unsigned char bytes[17])
{
    static const char alphabet[] = "0123456789abcdef";
    size_t n = 0;
    memset(bytes, 0, 17);
    for (size_t i = hex.len; i > 0; i--) {
        char c = hex.data[i - 1];
        char lower = c >= 'A' && c <= 'F' ? (char)(c | 0x20) : c;
        const char *at = c == '\0' ? NULL : strchr(alphabet, lower);
        if (at && n < 32) {
            bytes[n / 2] |= (unsigned char)((at - alphabet) << (n % 2 * 4));
            n++;
        } else if (c != '-') {
            return false;
        }
    }
    return n == 32;
}

static bool put_uuid(struct cel_pickle_out *o, const struct cel_node *v)
{
    unsigned char bytes[17];
    const struct cel_node *hex = cel_node_get(v, CEL_SLICE("hex"));
    if (!cel_node_is_string(hex) || !to_uuid(cel_node_text(hex), bytes)) {
        return false;
    }
    cel_pickle_put_class(o, "uuid", "UUID");
    cel_pickle_end_tuple(o, 0);
    cel_pickle_op(o, CEL_PK_NEWOBJ);
    cel_pickle_memoize(o);
    cel_pickle_op(o, CEL_PK_EMPTY_DICT);
    cel_pickle_memoize(o);
    cel_pickle_put_shared(o, 'm', CEL_SLICE("int"));
    cel_pickle_put_long(o, bytes, sizeof bytes);
    cel_pickle_op(o, CEL_PK_SETITEM);
    cel_pickle_op(o, CEL_PK_BUILD);
    return true;
}

static bool put_typed_bytes(struct cel_pickle_out *o, const struct cel_node *n)
{
    struct cel_arena arena = {0};
    struct cel_slice bytes;
    bool is = cel_json_bytes(&arena, n, &bytes);
    if (is) {
        cel_pickle_put_bytes(o, bytes);
    }
    cel_arena_fini(&arena);
    return is;
}

bool cel_pickle_put_typed(struct cel_pickle_out *o, const struct cel_node *n)
{
    static const struct {
        const char *type;
        bool (*put)(struct cel_pickle_out *o, const struct cel_node *value);
    } types[] = {
        {"datetime", put_datetime}, {"date", put_date}, {"time", put_time},
        {"decimal", put_decimal},   {"uuid", put_uuid},
    };
    struct cel_slice type;
    const struct cel_node *value;
    if (!cel_json_typed(n, &type, &value)) {
        return false;
    }
    if (cel_json_check_types(n, NULL) < 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (cel_slice_is(type, types[i].type)) {
            return types[i].put(o, value);
        }
    }
    return put_typed_bytes(o, n);
}
