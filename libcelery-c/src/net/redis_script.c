/* SPDX-License-Identifier: BSD-3-Clause */
/* EVALSHA, and EVAL when the server has forgotten the script. */
#include "net/redis_priv.h"

#include "net/sha1.h"

#include <stdio.h>

#define KEEP_MEMORY (1024u * 1024)
#define MOST_WORDS  32

/* Moves what is still needed to the front when most of the buffer is not. */
static void tidy_kept(struct cel_redis *r)
{
    if (r->kept_done == r->kept.len) {
        r->kept_done = 0;
        if (r->kept.cap > KEEP_MEMORY) {
            cel_buf_fini(&r->kept);
        } else {
            cel_buf_clear(&r->kept);
        }
    } else if (r->kept_done > r->kept.len / 2 && r->kept_done > 4096) {
        cel_buf_drop(&r->kept, r->kept_done);
        r->kept_done = 0;
    }
}

void cel_redis_drop_kept(struct cel_redis *r, const struct cel_redis_pending *p)
{
    if (p->kept > 0) {
        r->kept_done += p->kept;
        tidy_kept(r);
    }
}

/*
 * The words behind the SHA are kept until the answer is there: a restart or SCRIPT FLUSH may
 * have made the server forget the script, and then they go out once more.
 */
celery_status cel_redis_eval(struct cel_redis *r, struct cel_redis_script *script,
                             cel_redis_fn fn, void *ctx, size_t n_keys, size_t argc,
                             const struct cel_slice *argv)
{
    char number[24];

    if (r->state != CEL_REDIS_OPEN) {
        return CELERY_ECLOSED;
    }
    if (!*script->sha) {
        cel_sha1_hex(cel_slice_of(script->text), script->sha);
    }
    struct cel_redis_pending *p = cel_redis_begin(r, argc + 3);
    if (!p) {
        return CELERY_ELIMIT;
    }
    struct cel_buf *out = cel_conn_out(r->conn);
    int n = snprintf(number, sizeof number, "%zu", n_keys);
    cel_resp_word(out, CEL_SLICE("EVALSHA"));
    cel_resp_word(out, cel_slice(script->sha, 40));
    size_t from = out->len;
    celery_status status = cel_resp_word(out, cel_slice(number, (size_t)n));
    for (size_t i = 0; i < argc && status == CELERY_OK; i++) {
        status = cel_resp_word(out, argv[i]);
    }
    if (status == CELERY_OK) {
        p->fn = fn;
        p->ctx = ctx;
        p->script = script;
        p->kept = out->len - from;
        p->kept_argc = argc + 1;
        status = cel_buf_add(&r->kept, out->data + from, p->kept);
        r->kept.failed = false;
    }
    return cel_redis_end(r, p, status);
}

bool cel_redis_eval_again(struct cel_redis *r, const struct cel_redis_pending *p,
                          const struct cel_resp *reply)
{
    if (!cel_redis_error_is(reply, "NOSCRIPT") || r->state != CEL_REDIS_OPEN) {
        return false;
    }
    struct cel_redis_pending *again = cel_redis_begin(r, p->kept_argc + 2);
    if (!again) {
        return false;
    }
    struct cel_buf *out = cel_conn_out(r->conn);
    again->fn = p->fn;
    again->ctx = p->ctx;
    cel_resp_word(out, CEL_SLICE("EVAL"));
    cel_resp_word(out, cel_slice_of(p->script->text));
    celery_status status = cel_buf_add(out, r->kept.data + r->kept_done, p->kept);
    if (cel_redis_end(r, again, status) < 0) {
        return false;
    }
    cel_redis_drop_kept(r, p);
    return true;
}
