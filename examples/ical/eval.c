/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests: reads the argument of the task as one line of JSON and prints
 * {"status", "result"} or {"status", "exc_type", "exc_message"} as another.
 * Options are those of ical-worker.
 */
#include "codec/doc.h"
#include "create.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_answer(bool done, const struct ical_writer *w)
{
    struct text line = {0};

    if (done) {
        text_adds(&line, "{\"status\": \"SUCCESS\", \"result\": ");
        text_add_json(&line, w->out.data, w->out.len);
    } else {
        text_adds(&line, "{\"status\": \"FAILURE\", \"exc_type\": ");
        text_add_json(&line, w->exception.type, strlen(w->exception.type));
        text_adds(&line, ", \"exc_message\": ");
        exception_args(&w->exception, &line);
    }
    text_adds(&line, "}\n");
    fwrite(line.data, 1, line.len, stdout);
    text_free(&line);
}

int main(int argc, char **argv)
{
    struct ical_options o;
    struct ical_writer w = {0};
    struct cel_arena a = {0};
    char *line = NULL, why[240];
    size_t size = 0;
    ssize_t len;

    ical_options_init(&o);
    if (!ical_options_argv(&o, &argc, argv, why, sizeof why)) {
        fprintf(stderr, "ical-eval: %s\n", why);
        return 2;
    }
    while ((len = getline(&line, &size, stdin)) > 0) {
        struct cel_node *tasks = NULL;
        celery_error err = {0};

        if (cel_json_parse(&a, cel_slice(line, (size_t)len), NULL, &tasks, &err) < 0) {
            fprintf(stderr, "ical-eval: %s\n", err.message);
            return 1;
        }
        bool done = ical_create(&o, tasks, &w);

        print_answer(done, &w);
        cel_arena_reset(&a);
    }
    free(line);
    ical_free(&w);
    cel_arena_fini(&a);
    return 0;
}
