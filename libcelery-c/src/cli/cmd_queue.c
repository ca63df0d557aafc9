/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * celery-c queue: numbered messages through a queue of Amazon SQS, standard or FIFO, so that
 * their order and their duplicates can be watched.
 */
#include "cli/json_out.h"
#include "cli/progress.h"
#include "cli/queue_seen.h"
#include "cli/session.h"

#include <celery/sqs.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { COUNT_MAX = 1000000, POLL_SECONDS = 20, TEXT_MAX = 512 };

struct queue_args {
    const char *client_name;
    const char *prepend;
    const char *group;
    int64_t count;
    double idle;
    bool json;
};

#define FIELD(member) offsetof(struct queue_args, member)
#define SENDING       "Sending Options"
#define RECEIVING     "Receiving Options"

/* clang-format off */
static const struct opt options[] = {
    {0, "count", OPT_INT, FIELD(count), "N", "How many messages: 100 are sent; received are any number.", NULL},
    {0, "client-name", OPT_TEXT, FIELD(client_name), "NAME", "Stands in each message, to tell senders apart.", SENDING},
    {0, "prepend", OPT_TEXT, FIELD(prepend), "TEXT", "In front of each message: new texts, that a FIFO queue has not seen.", SENDING},
    {0, "group", OPT_TEXT, FIELD(group), "ID", "Message group; FIFO queues use \"default\" without it.", SENDING},
    {0, "idle", OPT_SECONDS, FIELD(idle), "SECONDS", "End after so long without a message.", RECEIVING},
    {'j', "json", OPT_SWITCH, FIELD(json), NULL, "One JSON object for each message.", RECEIVING},
    {0, NULL, 0, 0, NULL, NULL, NULL},
};

static const struct verb verbs[] = {
    {"send", "QUEUE", "Send numbered messages."},
    {"receive", "QUEUE", "Show messages as they come, and delete them."},
    {NULL, NULL, NULL},
};
/* clang-format on */

static celery_sqs *current; /* what a signal stops */

static void on_signal(int signo)
{
    celery_sqs_stop(current);
}

static void stop_on_signals(celery_sqs *queue)
{
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};

    current = queue;
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
}

/* ---- send ---- */

/* Messages first to first + n - 1. */
static celery_status send_batch(celery_sqs *queue, const struct queue_args *a,
                                int64_t first, size_t n, celery_error *err)
{
    char lines[CELERY_SQS_BATCH][TEXT_MAX];
    celery_sqs_text texts[CELERY_SQS_BATCH];

    for (size_t i = 0; i < n; i++) {
        snprintf(lines[i], sizeof lines[i], "%s%s: Message %" PRId64,
                 a->prepend ? a->prepend : "", a->client_name, first + (int64_t)i);
        texts[i] = (celery_sqs_text){.text = lines[i], .group = a->group};
    }
    return celery_sqs_send(queue, texts, n, NULL, err);
}

static int send(const struct line *line, celery_sqs *queue, const struct queue_args *a)
{
    struct progress bar;
    celery_error err = {0};
    celery_status status = CELERY_OK;
    int64_t total = a->count ? a->count : 100, sent = 0;

    progress_begin(&bar, "Sending Messages", &line->globals);
    while (status == CELERY_OK && sent < total) {
        size_t n =
            total - sent < CELERY_SQS_BATCH ? (size_t)(total - sent) : CELERY_SQS_BATCH;

        status = send_batch(queue, a, sent, n, &err);
        sent += status == CELERY_OK ? (int64_t)n : 0;
        progress_set(&bar, (uint64_t)sent, (uint64_t)total);
    }
    progress_end(&bar);
    printf("Sent %" PRId64 " %s.\n", sent, sent == 1 ? "message" : "messages");
    if (status == CELERY_OK && celery_sqs_is_fifo(queue)) {
        printf(
            "A FIFO queue drops what it has seen in the last five minutes: --prepend makes "
            "messages new.\n");
    }
    return status < 0 ? session_failed(&err, 1) : 0;
}

/* ---- receive ---- */

struct receiving {
    const struct queue_args *args;
    struct term out;
    struct seen *seen;
    bool failed;
};

static void print_json(struct receiving *r, const celery_sqs_message *m,
                       const struct sight *sight)
{
    char *text = text_escape(m->text, m->text_len);
    json_t *line =
        json_pack("{s:s?, s:s, s:s?, s:i, s:f, s:b, s:b}", "text", text, "id", m->id,
                  "group", m->group, "receives", (int)m->receives, "sent", m->sent,
                  "duplicate", (int)sight->again, "late", (int)(sight->behind >= 0));

    r->failed |= !json_out(line);
    free(text);
}

static void print_text(struct receiving *r, const celery_sqs_message *m,
                       const struct sight *sight)
{
    char now[32];

    text_time((double)time(NULL), now);
    fprintf(r->out.out, "[%s] ", strlen(now) > 11 ? now + 11 : now);
    text_print(r->out.out, m->text, m->text_len);
    if (sight->again) {
        fprintf(r->out.out, "  %sdelivered again%s", term_on(&r->out, STYLE_RED),
                term_off(&r->out));
    } else if (sight->behind >= 0) {
        fprintf(r->out.out, "  %sout of order, after %" PRId64 "%s",
                term_on(&r->out, STYLE_YELLOW), sight->behind, term_off(&r->out));
    }
    fputc('\n', r->out.out);
}

static void on_message(void *ctx, const celery_sqs_message *m)
{
    struct receiving *r = ctx;
    struct sight sight = seen_message(r->seen, m->id, m->text, m->text_len);

    if (r->args->json) {
        print_json(r, m, &sight);
    } else {
        print_text(r, m, &sight);
    }
    fflush(stdout);
}

static double clock_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Seconds to wait for the next ones; -1: it was idle for long enough. */
static int patience(const struct queue_args *a, double last)
{
    double left = a->idle < 0 ? POLL_SECONDS : a->idle - (clock_now() - last);

    if (left <= 0) {
        return -1;
    }
    return left > POLL_SECONDS ? POLL_SECONDS : left < 1 ? 1 : (int)left;
}

static celery_status receive_all(celery_sqs *queue, struct receiving *r,
                                 celery_error *err)
{
    double last = clock_now();
    celery_status status = CELERY_OK;

    while (status == CELERY_OK && !r->failed) {
        size_t n = 0;
        int seconds = patience(r->args, last);

        if (seconds < 0 ||
            (r->args->count > 0 && r->seen->n_received >= (uint64_t)r->args->count)) {
            break;
        }
        status = celery_sqs_receive(queue, seconds, on_message, r, &n, err);
        last = n > 0 ? clock_now() : last;
    }
    return status == CELERY_ECLOSED ? CELERY_OK : status; /* Ctrl-C is the usual end */
}

static int receive(struct session *s, celery_sqs *queue, const struct queue_args *a)
{
    struct receiving r = {.args = a, .out = s->out, .seen = calloc(1, sizeof *r.seen)};
    celery_error err = {0};

    if (!r.seen) {
        fprintf(stderr, "Error: out of memory\n");
        return 1;
    }
    if (!a->json) {
        printf("Waiting for messages...\n");
        fflush(stdout);
    }
    celery_status status = receive_all(queue, &r, &err);
    if (!a->json) {
        printf("Received %" PRIu64 ": %" PRIu64 " out of order, %" PRIu64
               " delivered again.\n",
               r.seen->n_received, r.seen->n_late, r.seen->n_again);
    }
    free(r.seen);
    return status < 0 ? session_failed(&err, 1) : r.failed;
}

/* ---- both ---- */

static int check(const struct line *line, struct queue_args *a)
{
    if (line->n_words != 2 || !opt_verb(&cmd_queue, line->words[0])) {
        return opt_usage(line->program, &cmd_queue,
                         "say what to do with which queue: send QUEUE or receive QUEUE");
    }
    if (a->count < 0 || a->count > COUNT_MAX) {
        return opt_invalid(line, "count", "0 to %d", COUNT_MAX);
    }
    if (strlen(a->client_name) + (a->prepend ? strlen(a->prepend) : 0) > TEXT_MAX - 64) {
        return opt_usage(line->program, &cmd_queue,
                         "--client-name and --prepend have more than %d bytes",
                         TEXT_MAX - 64);
    }
    return OPT_GO;
}

static int with_queue(struct session *s, const struct line *line,
                      const struct queue_args *a)
{
    celery_error err = {0};
    celery_sqs *queue = celery_sqs_open(s->app, line->words[1], &err);
    int code;

    if (!queue) {
        return session_failed(&err, 1);
    }
    stop_on_signals(queue);
    if (!a->json) {
        printf("Connected to ");
        text_print(stdout, line->words[1], strlen(line->words[1]));
        printf(" in %s (%s queue)\n", celery_sqs_region(queue),
               celery_sqs_is_fifo(queue) ? "FIFO" : "standard");
        fflush(stdout);
    }
    code =
        strcmp(line->words[0], "send") == 0 ? send(line, queue, a) : receive(s, queue, a);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    celery_sqs_close(queue);
    return code;
}

static int run(int argc, char **argv)
{
    struct queue_args a = {.client_name = "celery-c", .idle = -1};
    struct line line;
    struct session s;
    int code = opt_parse(&cmd_queue, argc, argv, &a, &line);

    if (code == OPT_GO) {
        code = check(&line, &a);
    }
    if (code != OPT_GO) {
        return code;
    }
    code = session_app(&s, &line);
    if (code == OPT_GO) {
        code = with_queue(&s, &line, &a);
    }
    session_end(&s);
    return code;
}

const struct command cmd_queue = {
    .name = "queue",
    .group = "Messages",
    .summary = "Watch order and duplicates of an Amazon SQS queue.",
    .about =
        "  Sends numbered messages to a queue, or shows what comes: which arrive out of\n"
        "  order, and which a second time.  Not tasks: do not use it on a worker's queue.",
    .words = "send|receive QUEUE",
    .verbs = verbs,
    .options = options,
    .run = run,
};
