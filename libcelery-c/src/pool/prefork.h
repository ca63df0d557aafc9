/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the three kinds of processes of the prefork pool share: the parent (prefork.c), the
 * fork server (prefork_server.c) and the children (prefork_child.c).
 *
 * The fork server is forked before the process has threads or connections and does nothing
 * but fork children and wait for them; so a child that is replaced after hours is as clean
 * as the first.  Whoever's parent dies gets SIGKILL: children by the server, the server by
 * the worker.
 */
#ifndef CEL_POOL_PREFORK_H
#define CEL_POOL_PREFORK_H

#include "pool/board.h"
#include "pool/pool.h"
#include <sys/types.h>

#define CEL_OUTBOX_SIZE (32 * 1024)

/*
 * Frames that a child has made and not sent yet.  They are here and not in its own memory so
 * that the parent can have them when the child dies, or does not come back from the next
 * task.  Written by the child alone.
 */
struct cel_outbox {
    _Atomic uint32_t turn; /* changes before bytes are overwritten */
    _Atomic uint32_t len;
    char bytes[CEL_OUTBOX_SIZE];
};

/* Memory that parent and child of one slot share; inherited through the fork server. */
struct cel_slot_page {
    _Alignas(64) struct cel_board board;
    _Alignas(64) struct cel_outbox outbox;
};

/* ---- parent and fork server: packets over a socket of SOCK_SEQPACKET ---- */

enum cel_order_type {
    CEL_ORDER_FORK,   /* comes with the child's end of its socket */
    CEL_ORDER_SIGNAL, /* to the child of the slot, if it is still this pid */
};

struct cel_order {
    uint32_t type;
    uint32_t slot;
    uint32_t number; /* FORK: of "ForkPoolWorker-N" */
    int32_t pid;
    int32_t signo;
};

enum cel_report_type { CEL_REPORT_FORKED, CEL_REPORT_FAILED, CEL_REPORT_EXITED };

struct cel_report {
    uint32_t type;
    uint32_t slot;
    int32_t pid;
    int32_t status; /* EXITED: of waitpid(); FAILED: errno */
};

#define CEL_SERVER_KEEP 64

struct cel_server {
    pid_t pid;   /* 0: none */
    int control; /* non-blocking */
    /* What was open at the first start: the program's own, for its tasks to use. */
    int keep[CEL_SERVER_KEEP];
    unsigned n_keep;
};

/*
 * Forks the server.  pages: n_slots of them, in shared memory.  server is zeroed for the
 * first time; later, when another takes the place of one that died, whatever has been
 * opened since the first start is closed in it.
 */
celery_status cel_server_start(const struct cel_pool_options *options,
                               struct cel_slot_page *pages, unsigned n_slots,
                               struct cel_server *server, celery_error *err);

/* Sends an order; give_fd (or -1) goes along and is closed here. */
celery_status cel_server_order(struct cel_server *server, const struct cel_order *order,
                               int give_fd, celery_error *err);

/* CELERY_NONE: nothing there; CELERY_ECLOSED: the server is gone. */
celery_status cel_server_report(struct cel_server *server, struct cel_report *ret_report);

/* Children end: idle ones at once, others by SIGKILL after a moment.  Waits for that. */
void cel_server_stop(struct cel_server *server);

/* ---- the child ---- */

/* What multiprocessing calls it in Celery's log: "ForkPoolWorker-1". */
void cel_child_name(char name[CEL_POOL_NAME], unsigned number);

struct cel_child_boot {
    const struct cel_pool_options *options;
    struct cel_slot_page *page;
    int socket;
    unsigned number;
};

/* Runs jobs until its socket is closed. */
_Noreturn void cel_child_main(const struct cel_child_boot *boot);

/* SIGKILL when the parent process dies; false if it is dead already. */
bool cel_die_with_parent(pid_t parent);

#endif
