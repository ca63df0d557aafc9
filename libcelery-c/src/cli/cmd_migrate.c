/* SPDX-License-Identifier: BSD-3-Clause */
/* celery-c migrate: tasks from one broker to another (celery/bin/migrate.py). */
#include "cli/progress.h"
#include "cli/session.h"

#include <celery/queue.h>
#include <signal.h>
#include <string.h>

struct migrate_args {
    const char *queues;
    const char *tasks;
    int64_t limit;
    double timeout;
    bool move;
    bool forever;
};

#define FIELD(member) offsetof(struct migrate_args, member)
#define MIGRATION     "Migration Options"

/* clang-format off */
static const struct opt options[] = {
    {'n', "limit", OPT_INT, FIELD(limit), "N", "Migrate so many tasks.", MIGRATION},
    {'t', "timeout", OPT_SECONDS, FIELD(timeout), "SECONDS", "End when no task came for so long; default: 1.", MIGRATION},
    {'a', "ack-messages", OPT_SWITCH, FIELD(move), NULL, "Acknowledge at the source: move, not copy.", MIGRATION},
    {'T', "tasks", OPT_TEXT, FIELD(tasks), "A,B", "Only tasks of these names.", MIGRATION},
    {'Q', "queues", OPT_TEXT, FIELD(queues), "A,B:C", "Queues, and after a colon their new names; default: all of the settings.", MIGRATION},
    {'F', "forever", OPT_SWITCH, FIELD(forever), NULL, "Go on until it is interrupted.", MIGRATION},
    {0, NULL, 0, 0, NULL, NULL, NULL},
};
/* clang-format on */

/* Ctrl-C ends a migration in good order: what is under way is confirmed and settled. */
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

struct showing {
    struct progress progress;
    bool quiet;
    uint64_t limit;
};

/* "Migrating task 3/10: proj.add[id]", as upstream has it with the whole body. */
static bool on_task(void *ctx, const celery_migrated *now)
{
    struct showing *s = ctx;
    uint64_t total = now->total > now->count ? now->total : now->count;

    total = s->limit && s->limit < total ? s->limit : total;
    if (now->task && !s->quiet && s->progress.off) {
        printf("Migrating task %zu/%zu: %s[%s]\n", now->count, now->total, now->task,
               now->task_id ? now->task_id : "?");
    }
    progress_set(&s->progress, now->count, total);
    return !interrupted;
}

static int end(const struct migrate_args *a, const celery_migrated *done,
               celery_status status, const celery_error *err)
{
    if (status == CELERY_OK || done->count > 0) {
        printf("%s %zu task%s", a->move ? "Moved" : "Copied", done->count,
               done->count == 1 ? "" : "s");
        if (done->skipped > 0) {
            printf(", left %zu where %s", done->skipped,
                   done->skipped == 1 ? "it was" : "they were");
        }
        printf(".\n");
        fflush(stdout);
    }
    if (status < 0) {
        return session_failed(err, err->status == CELERY_ECONFIG ? EXIT_USAGE : 1);
    }
    if (interrupted && !a->forever) {
        fprintf(stderr, "Aborted!\n");
        return 1;
    }
    return 0;
}

static int migrate(struct session *s, const struct migrate_args *a)
{
    struct showing showing = {.quiet = s->line->globals.quiet,
                              .limit = (uint64_t)a->limit};
    const celery_migration m = {
        .queues = a->queues,
        .tasks = a->tasks,
        .limit = (size_t)a->limit,
        .timeout = a->timeout,
        .forever = a->forever,
        .move = a->move,
        .on_task = on_task,
        .ctx = &showing,
    };
    celery_migrated done = {0};
    celery_error err = {0};

    catch_signals();
    progress_begin(&showing.progress, "Migrating", &s->line->globals);
    celery_status status =
        celery_migrate(s->app, s->line->words[0], s->line->words[1], &m, &done, &err);
    progress_end(&showing.progress);
    return end(a, &done, status, &err);
}

static int run(int argc, char **argv)
{
    struct migrate_args a = {.timeout = 1};
    struct line line;
    struct session s;
    int code = opt_parse(&cmd_migrate, argc, argv, &a, &line);

    if (code != OPT_GO) {
        return code;
    }
    if (a.limit < 0) {
        return opt_invalid(&line, "limit", "it is less than 0.");
    }
    code = session_app(&s, &line);
    if (code == OPT_GO) {
        code = migrate(&s, &a);
    }
    session_end(&s);
    return code;
}

const struct command cmd_migrate = {
    .name = "migrate",
    .group = "Messages",
    .summary = "Migrate tasks from one broker to another.",
    .about =
        "  SOURCE and DESTINATION are broker URLs.  Each task is confirmed by the\n"
        "  destination before it is acknowledged at the source (-a); without -a they\n"
        "  are copied.  Messages that workers hold are not migrated.",
    .words = "SOURCE DESTINATION",
    .options = options,
    .run = run,
};
