/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The MD5 of message attributes, as Amazon's manual of SQS has it ("Calculating the MD5 message
 * digest for message attributes"): by name, the length and bytes of name, type and value.
 */
#include "base/alloc.h"
#include "base/base64.h"
#include "transport/sqs_entry.h"
#include <stdlib.h>

enum { MOST = 10 /* that a message may have */ };

struct attribute {
    struct cel_slice name;
    const struct cel_node *value;
};

static int by_name(const void *a, const void *b)
{
    const struct attribute *x = a, *y = b;
    size_t len = x->name.len < y->name.len ? x->name.len : y->name.len;
    int order = memcmp(x->name.data, y->name.data, len);

    return order ? order : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

static void put(struct cel_buf *b, const void *bytes, size_t len)
{
    const char size[4] = {(char)(len >> 24), (char)(len >> 16), (char)(len >> 8),
                          (char)len};

    cel_buf_add(b, size, sizeof size);
    cel_buf_add(b, bytes, len);
}

static bool put_binary(struct cel_buf *b, struct cel_slice text)
{
    char *bytes = cel_alloc(text.len / 4 * 3 + 3);
    size_t len = 0;
    bool ok = bytes && cel_base64_decode(text, bytes, &len);

    if (ok) {
        cel_buf_addc(b, 2);
        put(b, bytes, len);
    }
    cel_free(bytes);
    return ok;
}

/* False: of a kind that is not known here. */
static bool put_attribute(struct cel_buf *b, const struct attribute *a)
{
    const struct cel_node *type = cel_node_get(a->value, CEL_SLICE("DataType"));
    const struct cel_node *text = cel_node_get(a->value, CEL_SLICE("StringValue"));
    const struct cel_node *bytes = cel_node_get(a->value, CEL_SLICE("BinaryValue"));
    struct cel_slice kind = cel_node_text(type);

    if (!cel_node_is_string(type)) {
        return false;
    }
    put(b, a->name.data, a->name.len);
    put(b, kind.data, kind.len);
    if (cel_slice_starts(kind, CEL_SLICE("Binary"))) {
        return cel_node_is_string(bytes) && put_binary(b, cel_node_text(bytes));
    }
    cel_buf_addc(b, 1);
    put(b, cel_node_text(text).data, cel_node_text(text).len);
    return cel_node_is_string(text);
}

bool cel_sqs_attributes_md5(const struct cel_node *map, char ret_md5[CEL_MD5_HEX])
{
    struct attribute list[MOST];
    struct cel_buf b = {0};
    size_t n = 0;
    bool known = map && map->kind == CELERY_KIND_OBJECT && map->size > 0;

    for (const struct cel_node *k = known ? cel_node_first(map) : NULL; k && known;
         k = k->next->next) {
        known = n < MOST;
        if (known) {
            list[n++] = (struct attribute){cel_node_text(k), k->next};
        }
    }
    if (known) {
        qsort(list, n, sizeof list[0], by_name);
    }
    for (size_t i = 0; i < n && known; i++) {
        known = put_attribute(&b, &list[i]);
    }
    known = known && cel_buf_ok(&b);
    if (known) {
        cel_md5_hex(cel_buf_slice(&b), ret_md5);
    }
    cel_buf_fini(&b);
    return known;
}
