/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What most commands begin with: the application with its settings, and a client.
 *
 *     struct session s;
 *     int code = session_client(&s, &line);     or session_app() when no client is needed
 *
 *     if (code == OPT_GO) {
 *         code = ... s.client ...
 *     }
 *     session_end(&s);
 *     return code;
 */
#ifndef CEL_CLI_SESSION_H
#define CEL_CLI_SESSION_H

#include "cli/opt.h"
#include "cli/text.h"
#include <celery/client.h>

struct session {
    const struct line *line;
    struct term out; /* standard output and standard error, with -C */
    struct term err;
    celery_app *app;
    celery_client *client;
};

/*
 * Goes to --workdir; loads the application of -A (or of CELERY_APP or APP), or makes an empty
 * one; reads --config; sets broker_url and result_backend from -b and --result-backend, which
 * win over CELERY_BROKER_URL and CELERY_RESULT_BACKEND, which win over the file.  OPT_GO, or
 * EXIT_USAGE after a message.  session_end() follows even if this fails.
 */
int session_app(struct session *s, const struct line *line);

/*
 * session_app() and a client that is connected to the broker.  OPT_GO, EXIT_USAGE, or
 * code_offline after one line (1 for most commands, EXIT_UNAVAILABLE for remote control).
 */
int session_client(struct session *s, const struct line *line, int code_offline);

/* The second half of that: when the application was given more settings in between. */
int session_open(struct session *s, int code_offline);

/* session_app() and a client that reads results: the broker need not be there. */
int session_results(struct session *s, const struct line *line);

/* Closes and frees all. */
void session_end(struct session *s);

/* "Error: <message>" in one line, escaped, on standard error.  Returns code. */
int session_failed(const celery_error *err, int code);

#endif
