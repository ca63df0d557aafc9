/* SPDX-License-Identifier: BSD-3-Clause */
/* celery-c result: prints how a task ended (celery/bin/result.py). */
#include "cli/outcome.h"
#include "cli/session.h"

#include <string.h>

struct result_args {
    bool traceback;
    bool wait;
    bool no_wait;
    bool json;
    double timeout; /* < 0: none */
};

#define FIELD(member) offsetof(struct result_args, member)
#define RESULT        "Result Options"

/* clang-format off */
static const struct opt options[] = {
    {'t', "task", OPT_IGNORED_VALUE, 0, "NAME", "Accepted: no backend here needs the task's name.", RESULT},
    {0, "traceback", OPT_SWITCH, FIELD(traceback), NULL, "Show the traceback instead.", RESULT},
    {0, "wait", OPT_SWITCH, FIELD(wait), NULL, "Wait for its end (the default, as in Celery).", RESULT},
    {0, "no-wait", OPT_SWITCH, FIELD(no_wait), NULL, "Show the state of a task that has not ended.", RESULT},
    {0, "timeout", OPT_SECONDS, FIELD(timeout), "SECONDS", "Wait at most so long.", RESULT},
    {0, "json", OPT_SWITCH, FIELD(json), NULL, "Print the stored document.", RESULT},
    {0, NULL, 0, 0, NULL, NULL, NULL},
};
/* clang-format on */

static int print(struct session *s, const struct result_args *a, const char *id)
{
    celery_error err = {0};
    celery_result *result = celery_result_new(s->client, id, &err);
    int code;

    if (!result) {
        return session_failed(&err, 1);
    }
    /* Upstream's .traceback is what is there now, .get() waits. */
    if (a->no_wait || (a->traceback && !a->wait && a->timeout < 0)) {
        code = outcome_now(result, a->json, a->traceback);
    } else {
        code = outcome_wait(result, a->timeout, a->json, a->traceback);
    }
    celery_result_free(result);
    return code;
}

static int run(int argc, char **argv)
{
    struct result_args a = {.timeout = -1};
    struct line line;
    struct session s;
    int code = opt_parse(&cmd_result, argc, argv, &a, &line);

    if (code != OPT_GO) {
        return code;
    }
    if (a.no_wait && (a.wait || a.timeout >= 0)) {
        return opt_usage(line.program, &cmd_result,
                         "--no-wait with --wait or --timeout: say one of them");
    }
    code = session_results(&s, &line);
    if (code == OPT_GO) {
        code = print(&s, &a, line.words[0]);
    }
    session_end(&s);
    return code;
}

const struct command cmd_result = {
    .name = "result",
    .group = "Tasks",
    .summary = "Print the return value of a task.",
    .words = "TASK_ID",
    .options = options,
    .run = run,
};
