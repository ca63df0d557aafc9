/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes between the parent and a child. */
#include "base/log.h"
#include "pool/prefork_parent.h"
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>

#define KEEP_BUFFER (256 * 1024)

void cel_child_signal(struct cel_child *c, int signo)
{
    struct cel_order order = {
        .type = CEL_ORDER_SIGNAL,
        .slot = c->member.index,
        .pid = c->member.pid,
        .signo = signo,
    };
    if (c->member.pid > 0) {
        cel_server_order(&cel_child_owner(c)->server, &order, -1, NULL);
    }
}

void cel_child_shrink(struct cel_buf *b)
{
    if (b->cap > KEEP_BUFFER) {
        cel_buf_fini(b);
        cel_buf_init(b, 0);
    } else {
        cel_buf_clear(b);
    }
}

void cel_child_send(struct cel_member *m)
{
    struct cel_child *c = cel_child_of(m);
    if (c->fd < 0) {
        return;
    }
    while (c->sent < m->out.len) {
        ssize_t n = send(c->fd, m->out.data + c->sent, m->out.len - c->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            c->sent += (size_t)n;
        } else if (errno == EAGAIN) {
            cel_source_io(c->io, CEL_READ | CEL_WRITE);
            return;
        } else if (errno != EINTR) {
            break; /* it is dying; the fork server will tell */
        }
    }
    c->sent = 0;
    cel_child_shrink(&m->out);
    cel_source_io(c->io, CEL_READ);
}

/* It sends what no child of ours sends: its memory is not to be trusted any more. */
static void distrust(struct cel_child *c)
{
    cel_log(CELERY_LOG_ERROR,
            "pool: process %d broke the protocol of its pipe: killing it", c->member.pid);
    cel_child_signal(c, SIGKILL);
}

static bool take_bytes(struct cel_child *c, const char *bytes, size_t len)
{
    struct cel_slice rest = cel_slice(bytes, len);
    if (c->in.len > 0) {
        if (cel_buf_add(&c->in, bytes, len) < 0) {
            return false;
        }
        rest = cel_buf_slice(&c->in);
    }
    if (cel_crew_input(&c->member, &rest) != CELERY_OK) {
        return false;
    }
    if (cel_child_owner(c)->crew.stopped) {
        return true;
    }
    if (c->in.len > 0) {
        cel_buf_drop(&c->in, c->in.len - rest.len);
        if (c->in.len == 0) {
            cel_child_shrink(&c->in);
        }
        return true;
    }
    return rest.len == 0 || cel_buf_add(&c->in, rest.data, rest.len) >= 0;
}

/* Reads until there is nothing more now, or only once.  False: the end of the stream. */
static bool receive(struct cel_child *c, bool all)
{
    struct cel_prefork *p = cel_child_owner(c);
    while (c->fd >= 0 && !p->crew.stopped) {
        ssize_t n = recv(c->fd, p->scratch, CEL_PREFORK_READ, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            return true;
        }
        if (n <= 0) {
            return false;
        }
        if (!take_bytes(c, p->scratch, (size_t)n)) {
            distrust(c);
            return false;
        }
        if (!all && n < CEL_PREFORK_READ) {
            return true;
        }
    }
    return true;
}

void cel_child_on_io(void *ctx, int fd, unsigned ready)
{
    struct cel_child *c = ctx;
    if (c->life == CEL_CHILD_ASKED) {
        return; /* its pid is still to come */
    }
    if (ready & (CEL_READ | CEL_HANGUP)) {
        if (!receive(c, false)) {
            /* Closed, on purpose or by a task: of no use any more.  Its end is reported. */
            c->io = cel_source_free(c->io);
            c->member.up = false;
            cel_child_signal(c, SIGKILL);
            return;
        }
        cel_child_take_up(c);
    }
    if ((ready & CEL_WRITE) && !cel_child_owner(c)->crew.stopped && c->io) {
        cel_child_send(&c->member);
    }
}

/*
 * Reads what the child has put into its outbox and not sent, after all that it has sent.
 * If it sends right now, the copy is worthless and the bytes come over the socket.
 */
void cel_child_harvest(struct cel_member *m)
{
    struct cel_child *c = cel_child_of(m);
    struct cel_prefork *p = cel_child_owner(c);
    receive(c, true);
    uint32_t turn = atomic_load(&c->outbox->turn);
    uint32_t len = atomic_load_explicit(&c->outbox->len, memory_order_acquire);
    if (len == 0 || len > CEL_OUTBOX_SIZE || p->crew.stopped) {
        return;
    }
    memcpy(p->scratch, c->outbox->bytes, len);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&c->outbox->turn) == turn) {
        struct cel_slice rest = cel_slice(p->scratch, len);
        cel_crew_input(m, &rest);
    }
}
