/* SPDX-License-Identifier: BSD-3-Clause */
/* celery-c purge: erases all messages of task queues (celery/bin/purge.py). */
#include "cli/confirm.h"
#include "cli/names.h"
#include "cli/session.h"

#include <celery/queue.h>
#include <stdlib.h>
#include <string.h>

struct purge_args {
    const char *queues;
    const char *exclude;
    bool force;
};

#define FIELD(member) offsetof(struct purge_args, member)
#define PURGING       "Purging Options"

/* clang-format off */
static const struct opt options[] = {
    {'f', "force", OPT_SWITCH, FIELD(force), NULL, "Do not ask.", PURGING},
    {'Q', "queues", OPT_TEXT, FIELD(queues), "A,B", "Queues to purge; default: all of the settings.", PURGING},
    {'X', "exclude-queues", OPT_TEXT, FIELD(exclude), "A,B", "Queues not to purge.", PURGING},
    {0, NULL, 0, 0, NULL, NULL, NULL},
};
/* clang-format on */

static void add_queue(void *ctx, const char *name)
{
    names_add(ctx, name, strlen(name));
}

/* The queues of the settings or of -Q, without those of -X, sorted, each once. */
static int choose(struct session *s, const struct purge_args *a, struct names *ret)
{
    celery_error err = {0};
    struct names out = {0};

    if (a->queues) {
        names_split(ret, a->queues);
    } else if (celery_client_queues(s->client, add_queue, ret, &err) < 0) {
        return session_failed(&err, 1);
    }
    if (a->exclude) {
        names_split(&out, a->exclude);
        names_without(ret, &out);
    }
    names_sort(ret);
    ret->failed |= out.failed;
    names_fini(&out);
    if (ret->failed) {
        fprintf(stderr, "Error: out of memory\n");
        return 1;
    }
    return OPT_GO;
}

static int ask(const struct session *s, const struct names *queues)
{
    char *question = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&question, &len);
    int code = 1;

    if (!out) {
        return code;
    }
    fprintf(out, "%sWARNING%s:This will remove all tasks from %s: ",
            term_on(&s->err, STYLE_RED), term_off(&s->err),
            queues->n == 1 ? "queue" : "queues");
    for (size_t i = 0; i < queues->n; i++) {
        fputs(i ? ", " : "", out);
        text_print(out, queues->names[i], strlen(queues->names[i]));
    }
    fprintf(out, ".\n         There is no undo for this operation!\n\n"
                 "(to skip this prompt use the -f option)\n"
                 "Are you sure you want to delete all tasks?");
    if (fclose(out) == 0) {
        code = confirm_ask(question);
    }
    free(question);
    return code;
}

static int purge(struct session *s, const struct names *queues)
{
    const char *plural = queues->n == 1 ? "queue" : "queues";
    celery_error err = {0};
    size_t sum = 0;

    for (size_t i = 0; i < queues->n; i++) {
        size_t n = 0;

        if (celery_client_purge(s->client, queues->names[i], &n, &err) < 0) {
            if (sum > 0) {
                printf("Purged %zu messages before this:\n", sum);
                fflush(stdout);
            }
            return session_failed(&err, 1);
        }
        sum += n;
    }
    if (sum > 0) {
        printf("Purged %zu %s from %zu known task %s.\n", sum,
               sum == 1 ? "message" : "messages", queues->n, plural);
    } else {
        printf("No messages purged from %zu %s.\n", queues->n, plural);
    }
    return 0;
}

static int run(int argc, char **argv)
{
    struct purge_args a = {0};
    struct names queues = {0};
    struct line line;
    struct session s;
    int code = opt_parse(&cmd_purge, argc, argv, &a, &line);

    if (code == OPT_GO) {
        code = confirm_possible(&line, a.force);
    }
    if (code != OPT_GO) {
        return code;
    }
    code = session_client(&s, &line, 1);
    if (code == OPT_GO) {
        code = choose(&s, &a, &queues);
    }
    if (code == OPT_GO && queues.n == 0) {
        code = 0; /* as upstream: nothing is said */
    }
    if (code == OPT_GO && !a.force) {
        code = ask(&s, &queues);
    }
    if (code == OPT_GO) {
        code = purge(&s, &queues);
    }
    names_fini(&queues);
    session_end(&s);
    return code;
}

const struct command cmd_purge = {
    .name = "purge",
    .group = "Messages",
    .summary = "Erase all messages from all known task queues.",
    .about = "  There is no undo for this.  Messages that workers hold are not touched.",
    .options = options,
    .run = run,
};
