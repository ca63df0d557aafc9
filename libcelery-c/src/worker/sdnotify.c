/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/sdnotify.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "worker/worker.h"
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define STATUS_INTERVAL 5.0 /* seconds */

struct cel_sdnotify {
    int fd;
    struct sockaddr_un address;
    unsigned address_len;
    double watchdog; /* seconds after which the manager ends a silent service; 0: never */
    struct cel_source *timer;
    bool told_ready;
    bool moved; /* the manager thinks of another process */
};

bool cel_sdnotify_address(const char *text, struct sockaddr_un *ret, unsigned *ret_len)
{
    size_t len = text ? strlen(text) : 0;

    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len < 2 || len >= sizeof ret->sun_path || (text[0] != '/' && text[0] != '@')) {
        return false;
    }
    memcpy(ret->sun_path, text, len);
    size_t size = offsetof(struct sockaddr_un, sun_path) + len;
    if (text[0] == '@') {
        ret->sun_path[0] = '\0'; /* an abstract name has no end but its length */
    } else {
        size++;
    }
    *ret_len = (unsigned)size;
    return true;
}

double cel_sdnotify_watchdog(const char *usec, const char *watchdog_pid, int pid)
{
    int64_t value;
    int64_t owner;

    if (!usec || !cel_slice_to_int(cel_slice_of(usec), &value) || value <= 0) {
        return 0;
    }
    if (watchdog_pid &&
        (!cel_slice_to_int(cel_slice_of(watchdog_pid), &owner) || owner != pid)) {
        return 0;
    }
    return (double)value / 1e6;
}

/* A manager that does not read is not waited for. */
static void send_text(const struct cel_sdnotify *n, const char *text)
{
    while (sendto(n->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                  (const struct sockaddr *)&n->address, n->address_len) < 0 &&
           errno == EINTR) {
    }
}

static const char *status_text(const struct celery_worker *w, char *text, size_t size)
{
    const char *what = w->shutdown == CEL_SHUTDOWN_COLD   ? "Stopping"
                       : w->shutdown != CEL_SHUTDOWN_NONE ? "Draining"
                       : cel_vitals_ready(w)              ? "Consuming"
                       : w->was_ready                     ? "Broker away"
                                                          : "Starting";

    snprintf(text, size, "%s: %zu running, %zu held, %llu received", what, w->n_running,
             w->n_requests - w->n_running, (unsigned long long)w->counts.received);
    return text;
}

static void send_status(const struct celery_worker *w, const char *first)
{
    char status[128];
    char text[256];

    snprintf(text, sizeof text, "%sSTATUS=%s\n", first,
             status_text(w, status, sizeof status));
    send_text(w->sdnotify, text);
}

/* Fires on the loop: if the loop is stuck, the manager hears nothing. */
static void on_timer(void *ctx)
{
    struct celery_worker *w = ctx;
    struct cel_sdnotify *n = w->sdnotify;
    double interval = n->watchdog > 0 && n->watchdog / 3 < STATUS_INTERVAL
                          ? n->watchdog / 3
                          : STATUS_INTERVAL;

    send_status(w, n->watchdog > 0 ? "WATCHDOG=1\n" : "");
    cel_source_rearm(n->timer, cel_loop_now(w->loop) + interval);
}

void cel_sdnotify_ready(struct celery_worker *w)
{
    char first[32];

    if (w->sdnotify && !w->sdnotify->told_ready) {
        w->sdnotify->told_ready = true;
        snprintf(first, sizeof first, "MAINPID=%d\n", (int)getpid());
        send_status(w, w->sdnotify->moved ? first : "");
        send_status(w, "READY=1\n");
    }
}

void cel_sdnotify_ending(struct celery_worker *w, bool reload)
{
    char first[80] = "STOPPING=1\n";
    struct timespec now;

    if (reload && clock_gettime(CLOCK_MONOTONIC, &now) == 0) {
        snprintf(first, sizeof first, "RELOADING=1\nMONOTONIC_USEC=%lld\n",
                 (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    }
    if (w->sdnotify) {
        send_status(w, first);
    }
}

static celery_status open_socket(struct celery_worker *w, celery_error *err)
{
    struct cel_sdnotify *n = w->sdnotify;

    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (n->fd < 0) {
        return cel_error_sys(err, CELERY_ESYSTEM, errno, "NOTIFY_SOCKET");
    }
    n->watchdog = cel_sdnotify_watchdog(
        getenv("WATCHDOG_USEC"), n->moved ? NULL : getenv("WATCHDOG_PID"), (int)getpid());
    return cel_loop_add_timer(w->loop, &n->timer, 0, on_timer, w) < 0
               ? cel_error_nomem(err)
               : CELERY_OK;
}

celery_status cel_sdnotify_start(struct celery_worker *w, bool moved, celery_error *err)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    unsigned len;

    if (!name || !*name) {
        return CELERY_OK;
    }
    if (!cel_sdnotify_address(name, &address, &len)) {
        cel_log(CELERY_LOG_WARNING, "NOTIFY_SOCKET is no address of a Unix socket");
        return CELERY_OK;
    }
    w->sdnotify = cel_calloc(1, sizeof *w->sdnotify);
    if (!w->sdnotify) {
        return cel_error_nomem(err);
    }
    w->sdnotify->address = address;
    w->sdnotify->address_len = len;
    w->sdnotify->moved = moved;
    return open_socket(w, err);
}

void cel_sdnotify_stop(struct celery_worker *w)
{
    if (w->sdnotify) {
        cel_source_free(w->sdnotify->timer);
        if (w->sdnotify->fd >= 0) {
            close(w->sdnotify->fd);
        }
        cel_free(w->sdnotify);
        w->sdnotify = NULL;
    }
}
