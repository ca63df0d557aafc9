/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/uuid.h"
#include "base/clock.h"
#include "base/map.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <uuid/uuid.h>

/* Bytes fetched ahead, of one thread of one process. */
struct pool {
    unsigned char bytes[1024];
    size_t left;
    unsigned generation;
};

static _Thread_local struct pool pool;

/* Counts the forks behind us: a child must not use bytes that its parent uses too. */
static atomic_uint generation = 1;

static void count_fork(void)
{
    atomic_fetch_add(&generation, 1);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, count_fork);
}

/* Without getrandom() (a seccomp filter): unique, if not secret. */
static void fill_weak(unsigned char *bytes, size_t len)
{
    static atomic_ullong counter;
    for (size_t at = 0; at < len; at += 8) {
        struct {
            double mono, wall;
            unsigned long long count, pid;
        } mix = {cel_clock_mono(), cel_clock_wall(), atomic_fetch_add(&counter, 1),
                 (unsigned long long)getpid()};
        uint64_t hash = cel_hash(cel_slice((const char *)&mix, sizeof mix));
        memcpy(bytes + at, &hash, len - at < 8 ? len - at : 8);
    }
}

static void fill(unsigned char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = getrandom(bytes, len, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            fill_weak(bytes, len);
            return;
        }
        bytes += n;
        len -= (size_t)n;
    }
}

void cel_random(void *bytes, size_t len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    if (len > sizeof pool.bytes / 4) {
        fill(bytes, len);
        return;
    }
    unsigned now = atomic_load_explicit(&generation, memory_order_relaxed);
    if (pool.left < len || pool.generation != now) {
        fill(pool.bytes, sizeof pool.bytes);
        pool.left = sizeof pool.bytes;
        pool.generation = now;
    }
    unsigned char *from = pool.bytes + sizeof pool.bytes - pool.left;
    memcpy(bytes, from, len);
    memset(from, 0, len);
    pool.left -= len;
}

double cel_random_double(void)
{
    uint64_t bits;
    cel_random(&bits, sizeof bits);
    return (double)(bits >> 11) / 9007199254740992.0;
}

static void write_text(const unsigned char id[16], char text[CEL_UUID_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    char *at = text;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *at++ = '-';
        }
        *at++ = hex[id[i] >> 4];
        *at++ = hex[id[i] & 15];
    }
    *at = '\0';
}

void cel_uuid4(char text[CEL_UUID_SIZE])
{
    unsigned char id[16];
    cel_random(id, sizeof id);
    id[6] = (unsigned char)((id[6] & 0x0f) | 0x40);
    id[8] = (unsigned char)((id[8] & 0x3f) | 0x80);
    write_text(id, text);
}

void cel_uuid3_oid(const char *name, char text[CEL_UUID_SIZE])
{
    static const unsigned char namespace_oid[16] = {
        0x6b, 0xa7, 0xb8, 0x12, 0x9d, 0xad, 0x11, 0xd1,
        0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8,
    };
    uuid_t id;
    uuid_generate_md5(id, namespace_oid, name, strlen(name));
    write_text(id, text);
}
