/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"
#include "pool/prefork.h"
#include "pool/serve.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE (64 * 1024)

struct child {
    int socket;
    struct cel_outbox *outbox;
    struct cel_serve serve;
};

/* The one thing a signal handler can find its way by. */
static struct cel_serve *serving;

static void on_nudge(int signo)
{
    int saved = errno;
    if (serving) {
        cel_serve_nudge(serving);
    }
    errno = saved;
}

/* celery/concurrency/prefork.py process_initializer: defaults, and SIGINT ignored. */
static void set_signals(void)
{
    for (int signo = 1; signo < NSIG; signo++) {
        signal(signo, SIG_DFL);
    }
    signal(SIGINT, SIG_IGN);
    signal(SIGPIPE, SIG_IGN); /* as in any Python process */
    struct sigaction action = {.sa_handler = on_nudge, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* ---- the socket ---- */

static bool fill(void *ctx, struct cel_buf *in)
{
    struct child *c = ctx;
    if (__fpending(stdout) > 0) {
        fflush(stdout);
    }
    if (cel_buf_reserve(in, READ_SIZE, NULL) < 0) {
        return false;
    }
    ssize_t n;
    do {
        n = read(c->socket, in->data + in->len, in->cap - in->len);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        return false;
    }
    in->len += (size_t)n;
    return true;
}

static void write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            _exit(0); /* the parent gave us up */
        }
        bytes += n;
        len -= (size_t)n;
    }
}

static void send_outbox(void *ctx)
{
    struct child *c = ctx;
    struct cel_outbox *box = c->outbox;
    uint32_t len = atomic_load_explicit(&box->len, memory_order_relaxed);
    write_all(c->socket, box->bytes, len);
    atomic_fetch_add(&box->turn, 1);
    atomic_store(&box->len, 0);
    atomic_thread_fence(memory_order_seq_cst);
}

static void put(void *ctx, struct cel_buf *out)
{
    struct child *c = ctx;
    struct cel_outbox *box = c->outbox;
    uint32_t len = atomic_load_explicit(&box->len, memory_order_relaxed);
    if (out->len > CEL_OUTBOX_SIZE - len) {
        send_outbox(c);
        len = 0;
    }
    if (out->len > CEL_OUTBOX_SIZE) {
        write_all(c->socket, out->data, out->len);
        cel_buf_fini(out);
        cel_buf_init(out, 0);
        return;
    }
    memcpy(box->bytes + len, out->data, out->len);
    atomic_store_explicit(&box->len, len + (uint32_t)out->len, memory_order_release);
    cel_buf_clear(out);
}

void cel_child_name(char name[CEL_POOL_NAME], unsigned number)
{
    snprintf(name, CEL_POOL_NAME, "ForkPoolWorker-%u", number);
}

_Noreturn void cel_child_main(const struct cel_child_boot *boot)
{
    char name[CEL_POOL_NAME];
    cel_child_name(name, boot->number);
    cel_log_set_process(name);

    struct child child = {.socket = boot->socket, .outbox = &boot->page->outbox};
    struct cel_serve_io io = {&child, fill, put, send_outbox};
    if (cel_serve_init(&child.serve, boot->options, &boot->page->board, &io) < 0) {
        _exit(1);
    }
    serving = &child.serve;
    set_signals();
    bool ok = cel_serve_run(&child.serve);
    fflush(NULL);
    _exit(ok ? 0 : 1);
}
