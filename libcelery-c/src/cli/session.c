/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/session.h"
#include "cli/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int session_failed(const celery_error *err, int code)
{
    const char *text = err->message[0] ? err->message : celery_status_text(err->status);

    fprintf(stderr, "Error: ");
    text_print(stderr, text, strlen(text));
    fputc('\n', stderr);
    return code;
}

static const char *app_name(const struct globals *g)
{
    const char *name = g->app;

    if (!name) {
        name = getenv("CELERY_APP");
    }
    if (!name) {
        name = getenv("APP");
    }
    return name && *name ? name : NULL;
}

static celery_status set(celery_app *app, const char *key, const char *value,
                         celery_error *err)
{
    return value ? celery_app_set(app, key, value, err) : CELERY_OK;
}

int session_app(struct session *s, const struct line *line)
{
    const struct globals *g = &line->globals;
    const char *name = app_name(g);
    celery_error err = {0};

    *s = (struct session){.line = line};
    s->out = term_of(stdout, g->no_color);
    s->err = term_of(stderr, g->no_color);
    if (g->workdir && chdir(g->workdir) < 0) {
        return opt_invalid(line, "workdir", "%s: %s", g->workdir, strerror(errno));
    }
    s->app = name ? load_app(name) : celery_app_new("celery-c");
    if (!s->app) {
        return EXIT_USAGE;
    }
    if ((g->config && celery_app_load(s->app, g->config, &err) < 0) ||
        set(s->app, "broker_url", g->broker, &err) < 0 ||
        set(s->app, "result_backend", g->backend, &err) < 0) {
        return session_failed(&err, EXIT_USAGE);
    }
    return OPT_GO;
}

static int open_client(struct session *s,
                       celery_client *(*open)(celery_app *app, celery_error *err),
                       int code_offline)
{
    celery_error err = {0};

    s->client = open(s->app, &err);
    if (!s->client) {
        return session_failed(&err,
                              err.status == CELERY_ECONFIG ? EXIT_USAGE : code_offline);
    }
    return OPT_GO;
}

int session_open(struct session *s, int code_offline)
{
    return open_client(s, celery_client_open_app, code_offline);
}

int session_client(struct session *s, const struct line *line, int code_offline)
{
    int code = session_app(s, line);

    return code == OPT_GO ? session_open(s, code_offline) : code;
}

int session_results(struct session *s, const struct line *line)
{
    int code = session_app(s, line);

    return code == OPT_GO ? open_client(s, celery_client_open_results, 1) : code;
}

void session_end(struct session *s)
{
    celery_client_close(s->client);
    celery_app_free(s->app);
    s->client = NULL;
    s->app = NULL;
}
