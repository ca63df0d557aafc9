/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/map.h"
#include "base/alloc.h"
#include <pthread.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

struct cel_map_slot {
    char *key; /* NULL: free; DELETED: was in use */
    size_t len;
    uint64_t hash;
    void *value;
};

static char deleted_mark;
#define DELETED (&deleted_mark)

enum { FIRST_CAP = 8 };

static uint64_t seed[2];

static void make_seed(void)
{
    if (getrandom(seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        seed[0] = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec;
        seed[1] = (uint64_t)(uintptr_t)&now ^ (uint64_t)getpid() << 40;
    }
}

static inline uint64_t rotl(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

/* The byte order of the machine goes into the result, which never leaves the process. */
uint64_t cel_hash(struct cel_slice bytes)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_seed);
    uint64_t v[4] = {
        seed[0] ^ 0x736f6d6570736575u,
        seed[1] ^ 0x646f72616e646f6du,
        seed[0] ^ 0x6c7967656e657261u,
        seed[1] ^ 0x7465646279746573u,
    };
    const char *at = bytes.data;
    uint64_t word;
    for (size_t left = bytes.len / 8; left > 0; left--, at += 8) {
        memcpy(&word, at, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = 0;
    if (bytes.len % 8 > 0) {
        memcpy(&word, at, bytes.len % 8);
    }
    word |= (uint64_t)bytes.len << 56;
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void cel_map_fini(struct cel_map *m)
{
    for (size_t i = 0; i < m->cap; i++) {
        if (m->slots[i].key != DELETED) {
            cel_free(m->slots[i].key);
        }
    }
    cel_free(m->slots);
    *m = (struct cel_map){0};
}

static struct cel_map_slot *find(const struct cel_map *m, struct cel_slice key,
                                 uint64_t hash)
{
    if (m->cap == 0) {
        return NULL;
    }
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct cel_map_slot *slot = &m->slots[i];
        if (!slot->key) {
            return NULL;
        }
        if (slot->key != DELETED && slot->hash == hash &&
            cel_slice_eq(cel_slice(slot->key, slot->len), key)) {
            return slot;
        }
    }
}

static struct cel_map_slot *find_free(struct cel_map_slot *slots, size_t cap,
                                      uint64_t hash)
{
    size_t i = hash & (cap - 1);
    while (slots[i].key && slots[i].key != DELETED) {
        i = (i + 1) & (cap - 1);
    }
    return &slots[i];
}

/* At most three quarters of the slots are in use or marked. */
static bool make_room(struct cel_map *m)
{
    if (m->count + m->tombs + 1 <= m->cap / 4 * 3) {
        return true;
    }
    size_t cap = m->cap ? m->cap : FIRST_CAP;
    while (m->count + 1 > cap / 2) {
        cap *= 2;
    }
    struct cel_map_slot *slots = cel_calloc(cap, sizeof *slots);
    if (!slots) {
        return false;
    }
    for (size_t i = 0; i < m->cap; i++) {
        struct cel_map_slot *old = &m->slots[i];
        if (old->key && old->key != DELETED) {
            *find_free(slots, cap, old->hash) = *old;
        }
    }
    cel_free(m->slots);
    m->slots = slots;
    m->cap = cap;
    m->tombs = 0;
    return true;
}

celery_status cel_map_set(struct cel_map *m, struct cel_slice key, void *value,
                          void **ret_old)
{
    uint64_t hash = cel_hash(key);
    struct cel_map_slot *slot = find(m, key, hash);
    if (ret_old) {
        *ret_old = slot ? slot->value : NULL;
    }
    if (slot) {
        slot->value = value;
        return CELERY_OK;
    }
    char *copy = make_room(m) ? cel_strndup(key.data, key.len) : NULL;
    if (!copy) {
        return CELERY_ENOMEM;
    }
    slot = find_free(m->slots, m->cap, hash);
    m->tombs -= slot->key == DELETED;
    *slot = (struct cel_map_slot){copy, key.len, hash, value};
    m->count++;
    return CELERY_OK;
}

void *cel_map_get(const struct cel_map *m, struct cel_slice key)
{
    if (m->count == 0) {
        return NULL;
    }
    struct cel_map_slot *slot = find(m, key, cel_hash(key));
    return slot ? slot->value : NULL;
}

void *cel_map_del(struct cel_map *m, struct cel_slice key)
{
    struct cel_map_slot *slot = m->count ? find(m, key, cel_hash(key)) : NULL;
    if (!slot) {
        return NULL;
    }
    void *value = slot->value;
    cel_free(slot->key);
    *slot = (struct cel_map_slot){.key = DELETED};
    m->count--;
    m->tombs++;
    return value;
}

bool cel_map_next(const struct cel_map *m, size_t *at, struct cel_slice *ret_key,
                  void **ret_value)
{
    for (; *at < m->cap; (*at)++) {
        const struct cel_map_slot *slot = &m->slots[*at];
        if (slot->key && slot->key != DELETED) {
            if (ret_key) {
                *ret_key = cel_slice(slot->key, slot->len);
            }
            if (ret_value) {
                *ret_value = slot->value;
            }
            (*at)++;
            return true;
        }
    }
    return false;
}
