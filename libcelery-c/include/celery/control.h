/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Remote control: commands to workers, of C and of Python, and their answers
 * (celery/app/control.py Control.broadcast(), Inspect), and commands of one's own for the
 * workers of an application.  Stable.
 *
 *     celery_replies *r = celery_control(client, "rate_limit", NULL, &err, "{s:s,s:s}",
 *                                        "task_name", "mail", "rate_limit", "10/m");
 *     for (size_t i = 0; i < celery_replies_count(r); i++) {
 *         printf("%s\n", celery_reply_node(r, i));
 *     }
 *     celery_replies_free(r);
 *
 * A call belongs to the thread of its client.  A call on a NULL client fails and leaves err
 * alone.
 */
#ifndef CELERY_CONTROL_H
#define CELERY_CONTROL_H

#include <celery/client.h>

CELERY_BEGIN_DECLS

/* The answers to one command.  Belongs to the caller, not to the client, and may outlive it. */
typedef struct celery_replies celery_replies;

/*
 * Is given each answer as it comes: the node's name and the value, both borrowed for the call.
 * Runs inside celery_control(), in its thread; may use the client, but not call
 * celery_control() with it again.  False: no more answers are waited for.
 */
typedef bool (*celery_reply_fn)(void *ctx, const char *node, const celery_value *value);

/* Whom a command is for and how long answers are waited for; {0} or NULL: all, a second. */
typedef struct celery_control_options {
    const char *const *destination; /* node names, ended by NULL; NULL or empty: all */
    const char *pattern;            /* of node names; needs no destination */
    const char *matcher;            /* "glob" (or NULL) or "pcre" */
    /*
     * Seconds, over 0; 0: 1.  Time without any answer after which no more are expected, as in
     * kombu/pidbox.py Mailbox._collect(); all answers together may take ten times as long.
     */
    double timeout;
    /*
     * So many answers are enough; 0: as many as there are in destination, otherwise no
     * limit but 10,000 answers and 256 MiB.
     */
    size_t limit;
    celery_reply_fn reply; /* may be NULL */
    void *ctx;             /* for it */
} celery_control_options;

/*
 * Sends a command and collects the answers (broadcast(reply=True)).  fmt and its arguments
 * give the command's arguments by name in the format of jansson's json_pack(), always an
 * object: "{s:i}", "n", 2; NULL or "" for none; "O" with a json_t of one's own.
 *
 * The caller frees what is returned; that nobody answered is no error but has no replies.  NULL
 * with err: CELERY_EINVAL (options, arguments), CELERY_ENOTSUP (the transport has no
 * broadcasts), CELERY_ECONNECT and its like, CELERY_EUNCERTAIN (the connection was lost
 * while the command was sent), CELERY_ECLOSED (it was lost before all had answered; the
 * function of the options has got what came).
 *
 * What "error" there is in an answer is the worker's word; see celery_value_get().  Answers
 * to earlier commands, and what is no answer, are not given.
 */
CELERY_API celery_replies *celery_control(celery_client *client, const char *command,
                                          const celery_control_options *options,
                                          celery_error *err, const char *fmt, ...);

/*
 * The same without answers (broadcast(reply=False)): returns when the broker has it.  Whoever is
 * not connected now does not hear it.  Of the options only the address counts.
 */
CELERY_API celery_status celery_control_send(celery_client *client, const char *command,
                                             const celery_control_options *options,
                                             celery_error *err, const char *fmt, ...);

/*
 * Control.revoke() of n task ids: discard them, with terminate also end those that run, by
 * that signal (NULL: "SIGTERM").  Without answers.  See celery_result_revoke().
 */
CELERY_API celery_status celery_control_revoke(celery_client *client,
                                               const char *const *task_ids, size_t n,
                                               bool terminate, const char *signal,
                                               const celery_control_options *options,
                                               celery_error *err);

/* ---- answers ---- */

/* In the order they came.  A node that answered twice is there twice.  NULL: 0. */
CELERY_API size_t celery_replies_count(const celery_replies *replies);

/* Of answer i, borrowed from replies; NULL when there is no such answer. */
CELERY_API const char *celery_reply_node(const celery_replies *replies, size_t i);
CELERY_API const celery_value *celery_reply_value(const celery_replies *replies,
                                                  size_t i);

/* The last answer of a node, or NULL. */
CELERY_API const celery_value *celery_replies_get(const celery_replies *replies,
                                                  const char *node);

/*
 * How many answers could not be read or were too many; *ret_why (may be NULL): why the
 * first of them, borrowed, or NULL.
 */
CELERY_API size_t celery_replies_dropped(const celery_replies *replies,
                                         const char **ret_why);

/* Harmless on NULL. */
CELERY_API void celery_replies_free(celery_replies *replies);

/* ---- what there is to say ---- */

/* One command that every worker knows (celery/worker/control.py Panel.meta).  Static. */
typedef struct celery_control_method {
    const char *name;
    bool changes; /* `celery control`; otherwise `celery inspect` */
    bool hidden;  /* workers use it among themselves */
    /*
     * The names of what may be given as words, in their order, each with its type: "max:int
     * min:int".  Types are str, int, float and bool.
     */
    const char *parameters;
    const char *variadic;  /* the name that gets all further words as a list; or NULL */
    const char *signature; /* "<task_name> <soft_secs> [hard_secs]"; "" without words */
    const char *help;      /* one line */
} celery_control_method;

/* All of them in the order of their names; ends with a row whose name is NULL. */
CELERY_API const celery_control_method *celery_control_methods(void);

/* The one of that name, or NULL. */
CELERY_API const celery_control_method *celery_control_method_named(const char *name);

/*
 * The command's arguments from words, as the command line of Celery reads them
 * (celery/bin/control.py _compile_arguments()); a new reference.  NULL with err
 * (CELERY_EINVAL): too many words, or one that is not of its type.
 */
CELERY_API json_t *celery_control_arguments(const celery_control_method *method,
                                            const char *const *words, size_t n,
                                            celery_error *err);

/* ---- commands of one's own ---- */

/*
 * Carries out a command in a worker.  arguments is an object, borrowed for the call, that has
 * been checked against the parameters.  The answer (new reference; taken by the worker), or
 * NULL: with err set the answer is {"error": err->message}, otherwise null.
 *
 * Runs in the thread of the worker's loop: while it runs no message is received or settled and
 * no heartbeat is sent, so it must not wait for anything.  It must not use the worker.
 */
typedef json_t *(*celery_control_fn)(void *ctx, const celery_value *arguments,
                                     celery_error *err);

/*
 * Registers a command (Panel.register()), before a worker or client is made from the app.  It
 * replaces Celery's of that name.
 *
 * parameters: names; required ones, then "|", then optional ones; "*" at the end: any others
 * too ("queue | seconds *"; NULL: none).  Each may have a type for celery_control_arguments(),
 * "seconds:float".  reads_only: it changes nothing, so that `celery-c inspect` offers it, and a
 * worker with worker_remote_control_read_only carries it out.
 *
 * CELERY_EINVAL: an empty or double name, wrong parameters, or the app is in use.  As with
 * celery_app_task() a failure is also remembered by the app if err is NULL.
 */
CELERY_API celery_status celery_app_control_command(celery_app *app, const char *name,
                                                    const char *parameters,
                                                    bool reads_only, celery_control_fn fn,
                                                    void *ctx, celery_error *err);

/* The i-th of them as celery_control_method, for tools; NULL: there are no more. */
CELERY_API const celery_control_method *celery_app_control_method(const celery_app *app,
                                                                  size_t i);

CELERY_END_DECLS

#endif
