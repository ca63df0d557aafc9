/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sources and the run loop.  One thread owns a loop; cel_loop_wake() alone may be called
 * from others and from signal handlers.
 */
#ifndef CEL_LOOP_LOOP_H
#define CEL_LOOP_LOOP_H

#include <celery/error.h>
#include <stdint.h>

struct cel_loop;
struct cel_source;

enum cel_io { CEL_READ = 1 << 0, CEL_WRITE = 1 << 1, CEL_HANGUP = 1 << 2 };

typedef void (*cel_io_fn)(void *ctx, int fd, unsigned ready); /* enum cel_io bits */
typedef void (*cel_timer_fn)(void *ctx);
typedef void (*cel_signal_fn)(void *ctx, int signo);
typedef void (*cel_child_fn)(void *ctx, int pid, int wait_status);
typedef void (*cel_hook_fn)(void *ctx);

celery_status cel_loop_new(struct cel_loop **ret_loop, celery_error *err);
struct cel_loop *cel_loop_free(struct cel_loop *loop);

/* Run until cel_loop_stop(); or make one pass, waiting at most timeout seconds (< 0: ever). */
celery_status cel_loop_run(struct cel_loop *loop);
celery_status cel_loop_pass(struct cel_loop *loop, double timeout);
void cel_loop_stop(struct cel_loop *loop);

/*
 * Seconds on a clock that never goes back; inside a pass the same for all of it.
 */
double cel_loop_now(const struct cel_loop *loop);

/*
 * A descriptor that is readable when a pass has something to do (for a host's poll()); -1
 * when it could not be made.
 */
int cel_loop_fd(struct cel_loop *loop);

/*
 * Sources.  Each stays until cel_source_free(), which is legal from inside its own
 * callback and from any other.  A timer fires once; cel_source_rearm() sets it again.
 *
 * One io source for a descriptor; free it before the descriptor is closed.  Hang-ups and
 * errors are reported as CEL_HANGUP together with what was wanted, unless nothing was.
 * A signal's handler is installed with its first source and restored with the last; fn is
 * called once for each signal that came.  A child is waited for by the loop; it is reported
 * behind the io of the same pass, with wait_status -1 if somebody else has reaped it.
 */
celery_status cel_loop_add_io(struct cel_loop *loop, struct cel_source **ret_source,
                              int fd, unsigned wanted, cel_io_fn fn, void *ctx);
celery_status cel_loop_add_timer(struct cel_loop *loop, struct cel_source **ret_source,
                                 double at, cel_timer_fn fn, void *ctx);
celery_status cel_loop_add_signal(struct cel_loop *loop, struct cel_source **ret_source,
                                  int signo, cel_signal_fn fn, void *ctx);
celery_status cel_loop_add_child(struct cel_loop *loop, struct cel_source **ret_source,
                                 int pid, cel_child_fn fn, void *ctx);

/*
 * A hook runs at the end of a pass, before the loop waits again, in the order of
 * registration and only if cel_source_schedule() asked for it since: this is where what
 * a pass produced is put together and sent in one go.  A hook that schedules another makes
 * it run in the same pass.
 */
celery_status cel_loop_add_hook(struct cel_loop *loop, struct cel_source **ret_source,
                                cel_hook_fn fn, void *ctx);
void cel_source_schedule(struct cel_source *hook);

/* fn runs on the loop's thread after cel_loop_wake() was called (several may become one). */
celery_status cel_loop_add_wake(struct cel_loop *loop, struct cel_source **ret_source,
                                cel_hook_fn fn, void *ctx);

void cel_source_io(struct cel_source *io, unsigned wanted); /* change what is wanted */
void cel_source_rearm(struct cel_source *timer,
                      double at); /* loop time; earlier: at once */
void cel_source_disarm(struct cel_source *timer);
struct cel_source *cel_source_free(struct cel_source *source); /* NULL is harmless */

/* The only call another thread or a signal handler may make. */
void cel_loop_wake(struct cel_loop *loop);

#endif
