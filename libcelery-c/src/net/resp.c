/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/resp.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"

#include <hiredis/hiredis.h>
#include <stdio.h>

#define FEED_AT_ONCE       (64u * 1024)
#define MOST_ELEMENTS      1000000u /* of one reply, at all depths together */
#define MOST_DEPTH         8
#define MOST_BULKS_A_REPLY 8 /* a whole reply may be so many times the largest bulk */
#define LONGEST_LINE       (64u * 1024)
#define KEEP_MEMORY        (1024u * 1024)

/* createArray's second parameter was an int before hiredis 1.0. */
#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

struct cel_resp_reader {
    redisReader *redis;
    /*
     * hiredis's own functions with createArray replaced.  The struct is copied whole, as it
     * has grown members between versions.
     */
    redisReplyObjectFunctions functions;
    void *(*create_array)(const redisReadTask *, element_count);
    size_t max_bulk;
    size_t reply_bytes; /* fed since the last complete reply */
    size_t reply_elements;
    bool too_many;
};

enum cel_resp_kind cel_resp_kind(const struct cel_resp *r)
{
    if (!r) {
        return CEL_RESP_NIL;
    }
    switch (((const redisReply *)r)->type) {
    case REDIS_REPLY_STRING:
        return CEL_RESP_STRING;
    case REDIS_REPLY_ARRAY:
        return CEL_RESP_ARRAY;
    case REDIS_REPLY_INTEGER:
        return CEL_RESP_INT;
    case REDIS_REPLY_STATUS:
        return CEL_RESP_STATUS;
    case REDIS_REPLY_ERROR:
        return CEL_RESP_ERROR;
    default:
        return CEL_RESP_NIL;
    }
}

struct cel_slice cel_resp_text(const struct cel_resp *r)
{
    switch (cel_resp_kind(r)) {
    case CEL_RESP_STRING:
    case CEL_RESP_STATUS:
    case CEL_RESP_ERROR:
        return cel_slice(((const redisReply *)r)->str,
                         (size_t)((const redisReply *)r)->len);
    default:
        return CEL_SLICE_NULL;
    }
}

int64_t cel_resp_int(const struct cel_resp *r)
{
    return cel_resp_kind(r) == CEL_RESP_INT ? ((const redisReply *)r)->integer : 0;
}

size_t cel_resp_size(const struct cel_resp *r)
{
    return cel_resp_kind(r) == CEL_RESP_ARRAY ? ((const redisReply *)r)->elements : 0;
}

const struct cel_resp *cel_resp_at(const struct cel_resp *r, size_t i)
{
    if (i >= cel_resp_size(r)) {
        return NULL;
    }
    return (const struct cel_resp *)((const redisReply *)r)->element[i];
}

void cel_resp_free(struct cel_resp *r)
{
    if (r) {
        freeReplyObject(r);
    }
}

/* Refuses before hiredis allocates for a number that the server only announced. */
static void *create_array(const redisReadTask *task, element_count n)
{
    struct cel_resp_reader *reader = task->privdata;
    size_t count = (size_t)n;
    unsigned depth = 1;

    for (const redisReadTask *up = task->parent; up; up = up->parent) {
        depth++;
    }
    if (depth > MOST_DEPTH || count > MOST_ELEMENTS - reader->reply_elements) {
        reader->too_many = true;
        return NULL;
    }
    reader->reply_elements += count;
    return reader->create_array(task, n);
}

static bool redis_reader_new(struct cel_resp_reader *reader)
{
    reader->redis = redisReaderCreate();
    if (!reader->redis) {
        return false;
    }
    reader->functions = *reader->redis->fn;
    reader->create_array = reader->functions.createArray;
    reader->functions.createArray = create_array;
    reader->redis->fn = &reader->functions;
    reader->redis->privdata = reader;
    /* Otherwise hiredis frees and grows its buffer again each time it runs empty. */
    reader->redis->maxbuf = 0;
    return true;
}

struct cel_resp_reader *cel_resp_reader_new(size_t max_bulk)
{
    struct cel_resp_reader *reader = cel_calloc(1, sizeof *reader);

    if (reader && !redis_reader_new(reader)) {
        return cel_resp_reader_free(reader);
    }
    if (reader) {
        reader->max_bulk = max_bulk;
    }
    return reader;
}

struct cel_resp_reader *cel_resp_reader_free(struct cel_resp_reader *reader)
{
    if (reader) {
        if (reader->redis) {
            redisReaderFree(reader->redis);
        }
        cel_free(reader);
    }
    return NULL;
}

celery_status cel_resp_feed(struct cel_resp_reader *reader, struct cel_slice bytes,
                            celery_error *err)
{
    if (!reader->redis) {
        return cel_error_nomem(err);
    }
    reader->reply_bytes += bytes.len;
    /* hiredis is slow with large pieces: it moves what is behind a reply to the front. */
    while (bytes.len > 0) {
        size_t n = bytes.len < FEED_AT_ONCE ? bytes.len : FEED_AT_ONCE;
        if (redisReaderFeed(reader->redis, bytes.data, n) != REDIS_OK) {
            return cel_error_nomem(err);
        }
        bytes = cel_slice(bytes.data + n, bytes.len - n);
    }
    return CELERY_OK;
}

static celery_status too_large(const struct cel_resp_reader *reader, celery_error *err)
{
    return cel_error_set(
        err, CELERY_EPROTO,
        "the server sends a reply that is too large (limit: %zu bytes a value)",
        reader->max_bulk);
}

/*
 * The reply is not complete.  What is left in hiredis's buffer begins behind the type
 * character of an item: a bulk's length and what came of it, or a line without an end.
 */
static celery_status check_pending(const struct cel_resp_reader *reader,
                                   celery_error *err)
{
    const redisReader *redis = reader->redis;
    size_t len = redis->len - redis->pos;

    if (len == 0) {
        return CELERY_NONE;
    }
    const char *at = redis->buf + redis->pos;
    const char *end = memchr(at, '\r', len < LONGEST_LINE ? len : LONGEST_LINE);
    if (!end && len >= LONGEST_LINE) {
        return cel_error_set(err, CELERY_EPROTO,
                             "the server sends a line without an end");
    }
    int64_t announced = 0;
    if (end && cel_slice_to_int(cel_slice(at, (size_t)(end - at)), &announced) &&
        announced > 0 && (uint64_t)announced > reader->max_bulk) {
        return too_large(reader, err);
    }
    if (reader->reply_bytes / MOST_BULKS_A_REPLY > reader->max_bulk + LONGEST_LINE) {
        return too_large(reader, err);
    }
    return CELERY_NONE;
}

/* hiredis never shrinks its buffer with maxbuf 0: start afresh after a large reply. */
static void give_back_memory(struct cel_resp_reader *reader)
{
    if (reader->reply_bytes > KEEP_MEMORY && reader->redis->pos == reader->redis->len) {
        redisReaderFree(reader->redis);
        reader->redis = NULL;
        redis_reader_new(reader); /* a failure shows at the next feed */
    }
}

celery_status cel_resp_next(struct cel_resp_reader *reader, struct cel_resp **ret_reply,
                            celery_error *err)
{
    void *reply = NULL;

    if (!reader->redis) {
        return CELERY_NONE;
    }
    if (redisReaderGetReply(reader->redis, &reply) != REDIS_OK) {
        if (reader->too_many) {
            return too_large(reader, err);
        }
        return cel_error_set(err, CELERY_EPROTO,
                             "not a Redis server, or its data is damaged: %s",
                             cel_log_safe(cel_slice_of(reader->redis->errstr)));
    }
    if (!reply) {
        return check_pending(reader, err);
    }
    give_back_memory(reader);
    reader->reply_bytes = reader->redis ? reader->redis->len - reader->redis->pos : 0;
    reader->reply_elements = 0;
    *ret_reply = reply;
    return CELERY_OK;
}

static char *put_number(char *at, char type, size_t number)
{
    char digits[24];
    size_t n = 0;

    do {
        digits[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    *at++ = type;
    while (n > 0) {
        *at++ = digits[--n];
    }
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

#define NUMBER_SIZE 24 /* "$18446744073709551615\r\n" */

celery_status cel_resp_begin(struct cel_buf *out, size_t argc)
{
    celery_status status = cel_buf_reserve(out, NUMBER_SIZE, NULL);

    if (status == CELERY_OK) {
        out->len = (size_t)(put_number(out->data + out->len, '*', argc) - out->data);
    }
    return status;
}

celery_status cel_resp_word(struct cel_buf *out, struct cel_slice word)
{
    celery_status status = cel_buf_reserve(out, NUMBER_SIZE + word.len + 2, NULL);

    if (status < 0) {
        return status;
    }
    char *at = put_number(out->data + out->len, '$', word.len);
    if (word.len > 0) {
        memcpy(at, word.data, word.len);
    }
    at += word.len;
    *at++ = '\r';
    *at++ = '\n';
    out->len = (size_t)(at - out->data);
    return CELERY_OK;
}

celery_status cel_resp_command(struct cel_buf *out, size_t argc,
                               const struct cel_slice *argv)
{
    size_t before = out->len;
    bool failed = out->failed;
    celery_status status = cel_resp_begin(out, argc);

    for (size_t i = 0; i < argc && status == CELERY_OK; i++) {
        status = cel_resp_word(out, argv[i]);
    }
    if (status < 0) {
        out->len = before;
        out->failed = failed;
    }
    return status;
}
