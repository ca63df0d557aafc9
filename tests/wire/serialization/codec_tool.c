/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs one conversion of the codec folder on each record of standard input, for the
 * scripts that compare with Python.  A record is a length (4 bytes, big endian) and as many
 * bytes; the answer is a status (1 byte, 0 or the negated celery_status), a length and bytes.
 */
#include "base/arena.h"
#include "codec/codec.h"

#include <stdio.h>
#include <stdlib.h>

typedef celery_status (*convert_fn)(struct cel_arena *a, struct cel_slice in,
                                    struct cel_buf *out, celery_error *err);

static celery_status convert_json(struct cel_arena *a, struct cel_slice in,
                                  struct cel_buf *out, celery_error *err)
{
    struct cel_node *n;
    celery_status status = cel_json_parse(a, in, NULL, &n, err);
    return status < 0 ? status : cel_json_write(out, n);
}

static celery_status convert_double(struct cel_arena *a, struct cel_slice in,
                                    struct cel_buf *out, celery_error *err)
{
    for (size_t i = 0; i + sizeof(double) <= in.len; i += sizeof(double)) {
        double value;
        memcpy(&value, in.data + i, sizeof value);
        cel_json_write_double(out, value);
        cel_buf_addc(out, '\n');
    }
    return CELERY_OK;
}

/* A limit of 4 bytes, big endian, in front of the JSON. */
static size_t take_limit(struct cel_slice *in)
{
    size_t limit = 0;
    for (int i = 0; i < 4 && in->len > 0; i++) {
        limit = limit << 8 | (unsigned char)in->data[0];
        in->data++;
        in->len--;
    }
    return limit;
}

static celery_status convert_repr(struct cel_arena *a, struct cel_slice in,
                                  struct cel_buf *out, celery_error *err)
{
    size_t limit = take_limit(&in);
    struct cel_node *n;
    celery_status status = cel_json_parse(a, in, NULL, &n, err);
    return status < 0 ? status : cel_repr(out, n, limit);
}

static celery_status convert_saferepr(struct cel_arena *a, struct cel_slice in,
                                      struct cel_buf *out, celery_error *err)
{
    size_t limit = take_limit(&in);
    bool tuple = in.len > 0 && in.data[0] == 't';
    struct cel_node *n;
    celery_status status =
        cel_json_parse(a, cel_slice(in.data + 1, in.len - 1), NULL, &n, err);
    return status < 0 ? status : cel_saferepr(out, n, limit, 0, tuple);
}

static celery_status convert_types(struct cel_arena *a, struct cel_slice in,
                                   struct cel_buf *out, celery_error *err)
{
    struct cel_node *n;
    celery_status status = cel_json_parse(a, in, NULL, &n, err);
    return status < 0 ? status : cel_json_check_types(n, err);
}

static celery_status decode_with(const char *name, struct cel_arena *a,
                                 struct cel_slice in, struct cel_buf *out,
                                 celery_error *err)
{
    struct cel_node *n;
    celery_status status =
        cel_codec_find(cel_slice_of(name))->decode(a, in, NULL, &n, err);
    return status < 0 ? status : cel_json_write(out, n);
}

static celery_status encode_with(const char *name, struct cel_arena *a,
                                 struct cel_slice in, struct cel_buf *out,
                                 celery_error *err)
{
    const struct cel_codec *codec = cel_codec_find(cel_slice_of(name));
    struct cel_node *n;
    celery_status status = codec ? cel_json_parse(a, in, NULL, &n, err) : CELERY_ENOTSUP;
    return status < 0 ? status : codec->encode(out, n, err);
}

static celery_status convert_from_msgpack(struct cel_arena *a, struct cel_slice in,
                                          struct cel_buf *out, celery_error *err)
{
    return decode_with("msgpack", a, in, out, err);
}

static celery_status convert_to_msgpack(struct cel_arena *a, struct cel_slice in,
                                        struct cel_buf *out, celery_error *err)
{
    return encode_with("msgpack", a, in, out, err);
}

static celery_status convert_from_yaml(struct cel_arena *a, struct cel_slice in,
                                       struct cel_buf *out, celery_error *err)
{
    return decode_with("yaml", a, in, out, err);
}

static celery_status convert_to_yaml(struct cel_arena *a, struct cel_slice in,
                                     struct cel_buf *out, celery_error *err)
{
    return encode_with("yaml", a, in, out, err);
}

/* "name\n" and the bytes. */
static const struct cel_compression *take_compression(struct cel_slice *in)
{
    struct cel_slice name;
    cel_slice_split(in, '\n', &name);
    return cel_compression_find(name);
}

static celery_status convert_compress(struct cel_arena *a, struct cel_slice in,
                                      struct cel_buf *out, celery_error *err)
{
    const struct cel_compression *c = take_compression(&in);
    return c ? c->compress(out, in, err) : CELERY_ENOTSUP;
}

static celery_status convert_decompress(struct cel_arena *a, struct cel_slice in,
                                        struct cel_buf *out, celery_error *err)
{
    const struct cel_compression *c = take_compression(&in);
    out->max = (size_t)1 << 20;
    return c ? c->decompress(out, in, err) : CELERY_ENOTSUP;
}

static const struct {
    const char *name;
    convert_fn convert;
} conversions[] = {
    {"json", convert_json},
    {"double", convert_double},
    {"repr", convert_repr},
    {"saferepr", convert_saferepr},
    {"types", convert_types},
    {"from_msgpack", convert_from_msgpack},
    {"to_msgpack", convert_to_msgpack},
    {"from_yaml", convert_from_yaml},
    {"to_yaml", convert_to_yaml},
    {"compress", convert_compress},
    {"decompress", convert_decompress},
};

static bool read_exactly(void *bytes, size_t len)
{
    return fread(bytes, 1, len, stdin) == len;
}

static void write_length(size_t len)
{
    for (int shift = 24; shift >= 0; shift -= 8) {
        putchar((int)(len >> shift & 255));
    }
}

static void answer(convert_fn convert, struct cel_slice in)
{
    struct cel_arena a;
    cel_arena_init(&a, 0);
    struct cel_buf out = {0};
    celery_error err = {0};
    celery_status status = convert(&a, in, &out, &err);
    struct cel_slice text = status < 0 ? cel_slice_of(err.message) : cel_buf_slice(&out);
    putchar(-status);
    write_length(text.len);
    fwrite(text.data, 1, text.len, stdout);
    fflush(stdout);
    cel_buf_fini(&out);
    cel_arena_fini(&a);
}

int main(int argc, char **argv)
{
    convert_fn convert = NULL;
    for (size_t i = 0; argc == 2 && i < sizeof conversions / sizeof *conversions; i++) {
        if (strcmp(argv[1], conversions[i].name) == 0) {
            convert = conversions[i].convert;
        }
    }
    if (!convert) {
        fprintf(stderr, "usage: codec_tool CONVERSION < records\n");
        return 2;
    }
    unsigned char head[4];
    while (read_exactly(head, sizeof head)) {
        size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 |
                     (size_t)head[2] << 8 | (size_t)head[3];
        char *bytes =
            malloc(len + 1); /* exactly sized, so that sanitizers see overruns */
        if (!bytes || !read_exactly(bytes, len)) {
            free(bytes);
            return 1;
        }
        answer(convert, cel_slice(bytes, len));
        free(bytes);
    }
    return 0;
}
