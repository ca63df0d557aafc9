/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/banner.h"

#include "app/builtin.h"
#include "base/alloc.h"
#include "worker/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void masked(const char *text, char *out, size_t size)
{
    struct cel_url **urls = NULL;
    size_t n = 0;

    if (!text || !*text) {
        snprintf(out, size, "disabled://");
        return;
    }
    if (cel_url_parse_list(text, &urls, &n, NULL) < 0 || n == 0) {
        cel_url_mask(text, out, size);
        return;
    }
    cel_url_text(urls[0], out, size);
    for (size_t i = 0; i < n; i++) {
        cel_url_free(urls[i]);
    }
    cel_free(urls);
}

static void print_queues(const struct celery_worker *w)
{
    printf(" -------------- [queues]\n");
    for (size_t i = 0; i < cel_router_count(w->router); i++) {
        const struct cel_queue *q = cel_router_at(w->router, i);

        printf("                .> %-16s exchange=%s(%s) key=%s\n", q->name, q->exchange,
               q->exchange_type, q->routing_key);
    }
    printf("\n");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void print_tasks(const struct celery_worker *w)
{
    const char **names = calloc(w->app->n_tasks + 1, sizeof *names);

    if (!names) {
        return;
    }
    for (size_t i = 0; i < w->app->n_tasks; i++) {
        names[i] = w->app->tasks[i]->name;
    }
    qsort(names, w->app->n_tasks, sizeof *names, by_name);
    printf("[tasks]\n");
    for (size_t i = 0; i < w->app->n_tasks; i++) {
        if (!cel_builtin_is(names[i])) {
            printf("  . %s\n", names[i]);
        }
    }
    printf("\n");
    free(names);
}

static void print_concurrency(const struct celery_worker *w)
{
    const struct cel_autoscale *a = &w->policy.autoscale;

    printf("- *** --- * --- .> concurrency: ");
    if (a->max > 0) {
        printf("{min=%u, max=%u}", a->min, a->max);
    } else {
        printf("%u", w->policy.concurrency);
    }
    printf(" (%s)\n", w->pool->ops->name);
}

void cel_banner(const struct celery_worker *w, celery_log_level level)
{
    const struct cel_config *c = w->app->config;
    char platform[200];
    char transport[256];
    char results[256];
    char when[32];
    time_t now = time(NULL);
    struct tm tm;

    cel_platform(platform, sizeof platform);
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime_r(&now, &tm));
    const char *broker = cel_config_text(c, "broker_url");
    masked(broker ? broker : "amqp://guest@localhost//", transport, sizeof transport);
    masked(cel_config_text(c, "result_backend"), results, sizeof results);
    printf(" \n -------------- %s v%s (libcelery-c)\n", w->hostname, celery_version());
    printf("--- ***** ----- \n-- ******* ---- %s %s\n", platform, when);
    printf("- *** --- * --- \n- ** ---------- [config]\n");
    printf("- ** ---------- .> app:         %s:%p\n", w->app->name, (const void *)w->app);
    printf("- ** ---------- .> transport:   %s\n", transport);
    printf("- ** ---------- .> results:     %s\n", results);
    print_concurrency(w);
    printf("-- ******* ---- .> task events: OFF\n--- ***** ----- \n");
    print_queues(w);
    if (level <= CELERY_LOG_INFO) {
        print_tasks(w);
    }
    fflush(stdout);
}
