/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls a service as a program of its own would, so that tests can put environments, files and
 * servers around it:
 *
 *   aws_call [--service S] [--endpoint URL] [--region R] [--key K --secret S] [--role ARN]
 *            [--ca FILE] [--insecure] [--timeout S] [--tries N] [--poll] [--cancel S]
 *            [--together]
 *            ACTION PARAMS [ACTION PARAMS ...]
 *
 * Writes one line of JSON for each call, in order (with --together in that in which they
 * end); "-" as ACTION only looks for credentials,
 * "sleep" with seconds waits.
 */
#include "aws/client.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/slice.h"

struct run {
    struct cel_loop *loop;
    struct cel_aws *aws;
    struct cel_aws_call *call;
    struct cel_source *timer;
    struct cel_aws_request request;
    double cancel;
    bool together;
    size_t left; /* of those that are under way together */
    char **at;
    char **end;
    int failed;
};

static void next(struct run *r);

static void print(const struct cel_aws_answer *a)
{
    struct cel_buf line = {0};

    cel_buf_addf(&line, "{\"ok\": %s, \"http\": %d, \"again\": %s, \"code\": ",
                 a->err ? "false" : "true", a->http_status, a->again ? "true" : "false");
    cel_json_write_string(&line, cel_slice_of(a->code));
    if (a->err) {
        cel_buf_addf(&line, ", \"status\": \"%s\", \"error\": ",
                     celery_status_name(a->err->status));
        cel_json_write_string(&line, cel_slice_of(a->err->message));
    } else {
        cel_buf_adds(&line, ", \"result\": ");
        cel_json_write(&line, a->result);
    }
    cel_buf_adds(&line, "}");
    printf("%s\n", cel_buf_cstr(&line));
    fflush(stdout);
    cel_buf_fini(&line);
}

static void on_answer(void *ctx, const struct cel_aws_answer *answer)
{
    struct run *r = ctx;

    r->call = NULL;
    cel_source_disarm(r->timer);
    print(answer);
    r->failed |= answer->err != NULL;
    if (!r->together) {
        next(r);
    } else if (--r->left == 0) {
        cel_loop_stop(r->loop);
    }
}

static void on_time(void *ctx)
{
    struct run *r = ctx;

    if (r->call) {
        r->call = cel_aws_cancel(r->call);
        puts("{\"cancelled\": true}");
        fflush(stdout);
    }
    next(r);
}

static void next(struct run *r)
{
    if (r->at >= r->end) {
        cel_loop_stop(r->loop);
        return;
    }
    const char *action = r->at[0];
    double seconds = 0;
    r->request.action = action;
    r->request.params = cel_slice_of(r->at[1]);
    r->at += 2;
    if (strcmp(action, "sleep") == 0) {
        cel_slice_to_double(r->request.params, &seconds);
        cel_source_rearm(r->timer, cel_loop_now(r->loop) + seconds);
    } else if (strcmp(action, "-") == 0) {
        r->call = cel_aws_ready(r->aws, on_answer, r);
    } else {
        r->call = cel_aws_call(r->aws, &r->request, on_answer, r);
    }
    if (r->cancel > 0 && r->call) {
        cel_source_rearm(r->timer, cel_loop_now(r->loop) + r->cancel);
    }
}

static void start_all(struct run *r)
{
    for (; r->at < r->end; r->at += 2) {
        r->request.action = r->at[0];
        r->request.params = cel_slice_of(r->at[1]);
        r->left += cel_aws_call(r->aws, &r->request, on_answer, r) != NULL;
    }
}

static double number(const char *text)
{
    double value = 0;

    cel_slice_to_double(cel_slice_of(text), &value);
    return value;
}

static const struct option longs[] = {
    {"service", 1, NULL, 's'},  {"endpoint", 1, NULL, 'e'}, {"region", 1, NULL, 'r'},
    {"key", 1, NULL, 'k'},      {"secret", 1, NULL, 'x'},   {"role", 1, NULL, 'a'},
    {"ca", 1, NULL, 'c'},       {"insecure", 0, NULL, 'i'}, {"timeout", 1, NULL, 't'},
    {"tries", 1, NULL, 'n'},    {"poll", 0, NULL, 'p'},     {"cancel", 1, NULL, 'q'},
    {"together", 0, NULL, 'g'}, {NULL, 0, NULL, 0},
};

static bool read_options(int argc, char **argv, struct cel_aws_options *o, struct run *r)
{
    int c;

    while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
        switch (c) {
        case 's':
            o->service = optarg;
            break;
        case 'e':
            o->endpoint = optarg;
            break;
        case 'r':
            o->region = optarg;
            break;
        case 'k':
            o->access_key = optarg;
            break;
        case 'x':
            o->secret_key = optarg;
            break;
        case 'a':
            o->role_arn = optarg;
            break;
        case 'c':
            o->ca_file = optarg;
            break;
        case 'i':
            o->no_verify = true;
            break;
        case 't':
            r->request.timeout = number(optarg);
            break;
        case 'n':
            r->request.tries = (unsigned)number(optarg);
            break;
        case 'p':
            r->request.long_poll = true;
            break;
        case 'g':
            r->together = true;
            break;
        case 'q':
            r->cancel = number(optarg);
            break;
        default:
            return false;
        }
    }
    r->at = argv + optind;
    r->end = argv + argc;
    return (argc - optind) % 2 == 0;
}

int main(int argc, char **argv)
{
    struct run r = {.request.timeout = 5};
    struct cel_aws_options options = {.service = "sqs"};
    celery_error err = {0};

    if (!read_options(argc, argv, &options, &r) || cel_loop_new(&r.loop, &err) < 0 ||
        cel_loop_add_timer(r.loop, &r.timer, 0, on_time, &r) < 0) {
        fprintf(stderr, "aws_call: %s\n", err.status ? err.message : "wrong arguments");
        return 2;
    }
    cel_source_disarm(r.timer);
    if (cel_aws_new(r.loop, &options, &r.aws, &err) < 0) {
        fprintf(stderr, "aws_call: %s\n", err.message);
        cel_source_free(r.timer);
        cel_loop_free(r.loop);
        return 2;
    }
    if (r.together) {
        start_all(&r);
    } else {
        next(&r);
    }
    cel_loop_run(r.loop);
    fprintf(stderr, "requests: %llu\n", (unsigned long long)cel_aws_requests(r.aws));
    cel_aws_free(r.aws);
    cel_source_free(r.timer);
    cel_loop_free(r.loop);
    return r.failed;
}
