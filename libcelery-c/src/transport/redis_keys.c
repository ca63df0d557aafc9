/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/redis_keys.h"
#include "base/alloc.h"

void cel_redis_keys_fini(struct cel_redis_keys *k)
{
    cel_free(k->prefix);
    cel_free(k->sep);
    cel_free(k->unacked);
    cel_free(k->unacked_index);
    cel_free(k->unacked_mutex);
    cel_free(k->held);
    cel_free(k->leases);
    cel_free(k->starts);
    cel_free(k->fanout);
    *k = (struct cel_redis_keys){0};
}

size_t cel_redis_step(const struct cel_redis_keys *k, int priority)
{
    size_t step = 0;

    if (priority > 9) {
        priority = 9;
    }
    while (step + 1 < k->n_steps && k->steps[step + 1] <= priority) {
        step++;
    }
    return step;
}

/* kombu _q_for_pri: step 0 is the bare name. */
char *cel_redis_queue_key(const struct cel_redis_keys *k, struct cel_slice queue,
                          size_t step)
{
    struct cel_buf b = {0};

    cel_buf_adds(&b, k->prefix);
    cel_buf_add_slice(&b, queue);
    if (k->steps[step] > 0) {
        cel_buf_adds(&b, k->sep);
        cel_buf_add_int(&b, k->steps[step]);
    }
    return cel_buf_steal(&b);
}

static char *join(const char *a, const char *b, struct cel_slice c, const char *d)
{
    struct cel_buf text = {0};

    cel_buf_adds(&text, a);
    cel_buf_adds(&text, b);
    cel_buf_add_slice(&text, c);
    cel_buf_adds(&text, d);
    return cel_buf_steal(&text);
}

char *cel_redis_dead_key(const struct cel_redis_keys *k, struct cel_slice queue)
{
    return join(k->prefix, "", queue, ".celery-c.dead");
}

char *cel_redis_binding_key(const struct cel_redis_keys *k, struct cel_slice exchange)
{
    return join(k->prefix, "_kombu.binding.", exchange, "");
}

char *cel_redis_lease_key(const struct cel_redis_keys *k, const char *worker)
{
    return join(k->leases, worker, CEL_SLICE_NULL, "");
}

char *cel_redis_starts_key(const struct cel_redis_keys *k, const char *field)
{
    return join(k->starts, field, CEL_SLICE_NULL, "");
}

/* kombu _get_publish_topic, _get_subscribe_topic. */
char *cel_redis_channel(const struct cel_redis_keys *k, struct cel_slice exchange,
                        struct cel_slice routing_key, bool pattern)
{
    struct cel_buf b = {0};

    cel_buf_adds(&b, k->prefix);
    cel_buf_adds(&b, k->fanout);
    cel_buf_add_slice(&b, exchange);
    if (k->fanout_patterns && routing_key.len) {
        cel_buf_addc(&b, '/');
        for (size_t i = 0; i < routing_key.len; i++) {
            char c = routing_key.data[i];

            cel_buf_addc(&b, pattern && c == '#' ? '*' : c);
        }
    }
    return cel_buf_steal(&b);
}

static bool cut_front(struct cel_slice *s, const char *front)
{
    struct cel_slice prefix = cel_slice_of(front);

    if (!cel_slice_starts(*s, prefix)) {
        return false;
    }
    *s = cel_slice(s->data + prefix.len, s->len - prefix.len);
    return true;
}

bool cel_redis_channel_split(const struct cel_redis_keys *k, struct cel_slice channel,
                             struct cel_slice *ret_exchange,
                             struct cel_slice *ret_routing_key)
{
    const char *slash;

    if (!cut_front(&channel, k->prefix) || !cut_front(&channel, k->fanout)) {
        return false;
    }
    slash = channel.len ? memchr(channel.data, '/', channel.len) : NULL;
    *ret_exchange = channel;
    *ret_routing_key = CEL_SLICE("");
    if (slash) {
        ret_exchange->len = (size_t)(slash - channel.data);
        *ret_routing_key = cel_slice(slash + 1, channel.len - ret_exchange->len - 1);
    }
    return true;
}

celery_status cel_redis_member_write(struct cel_buf *out, const struct cel_redis_keys *k,
                                     struct cel_slice routing_key,
                                     struct cel_slice pattern, struct cel_slice queue)
{
    cel_buf_add_slice(out, routing_key);
    cel_buf_adds(out, k->sep);
    cel_buf_add_slice(out, pattern);
    cel_buf_adds(out, k->sep);
    return cel_buf_add_slice(out, queue);
}

bool cel_redis_member_split(const struct cel_redis_keys *k, struct cel_slice member,
                            struct cel_slice *ret_routing_key,
                            struct cel_slice *ret_queue)
{
    size_t sep_len = strlen(k->sep);
    const char *first, *second;

    first = sep_len ? memmem(member.data, member.len, k->sep, sep_len) : NULL;
    if (!first) {
        return false;
    }
    *ret_routing_key = cel_slice(member.data, (size_t)(first - member.data));
    first += sep_len;
    second = memmem(first, member.len - (size_t)(first - member.data), k->sep, sep_len);
    if (!second) {
        return false;
    }
    second += sep_len;
    *ret_queue = cel_slice(second, member.len - (size_t)(second - member.data));
    return true;
}
