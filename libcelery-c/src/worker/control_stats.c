/* SPDX-License-Identifier: BSD-3-Clause */
/* What is asked about the worker (celery/worker/worker.py WorkController.stats). */
#include "base/alloc.h"
#include "worker/control_inspect.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static struct cel_node *integer(struct cel_control_call *c, int64_t value)
{
    return cel_node_new_int(c->arena, value);
}

/* ---- pool ---- */

static struct cel_node *processes(struct cel_control_call *c)
{
    struct cel_pool *p = c->w->pool;
    struct cel_node *list = cel_node_new(c->arena, CELERY_KIND_ARRAY);
    int *pids = cel_arena_alloc(c->arena, 4096 * sizeof *pids);
    size_t n = pids && p->ops->pids ? p->ops->pids(p, pids, 4096) : 0;

    if (p->ops == &cel_pool_solo && list &&
        cel_node_append(list, integer(c, getpid())) < 0) {
        return NULL;
    }
    for (size_t i = 0; i < n && list; i++) {
        if (cel_node_append(list, integer(c, pids[i])) < 0) {
            return NULL;
        }
    }
    return list;
}

static bool put_prefork(struct cel_control_call *c, struct cel_node *pool)
{
    const struct cel_config *config = c->w->app->config;
    struct cel_node *timeouts = cel_node_new(c->arena, CELERY_KIND_ARRAY);
    int64_t most = cel_config_int(config, "worker_max_tasks_per_child", 0);

    return timeouts &&
           cel_node_append(timeouts,
                           cel_node_new_double(
                               c->arena, cel_config_double(config, "task_soft_time_limit",
                                                           0))) == CELERY_OK &&
           cel_node_append(
               timeouts,
               cel_node_new_double(c->arena, cel_config_double(config, "task_time_limit",
                                                               0))) == CELERY_OK &&
           cel_control_put(c, pool, "processes", processes(c)) &&
           cel_control_put(c, pool, "max-tasks-per-child",
                           most > 0 ? integer(c, most) : cel_control_string(c, "N/A")) &&
           cel_control_put(c, pool, "put-guarded-by-semaphore",
                           cel_node_new_bool(c->arena, false)) &&
           cel_control_put(c, pool, "timeouts", timeouts) &&
           cel_control_put(c, pool, "writes", cel_control_string(c, "N/A"));
}

static bool put_solo(struct cel_control_call *c, struct cel_node *pool)
{
    return cel_control_put(c, pool, "processes", processes(c)) &&
           cel_control_put(c, pool, "max-tasks-per-child", cel_control_null(c)) &&
           cel_control_put(c, pool, "put-guarded-by-semaphore",
                           cel_node_new_bool(c->arena, true)) &&
           cel_control_put(c, pool, "timeouts",
                           cel_node_new(c->arena, CELERY_KIND_ARRAY));
}

/* Tools tell pools apart by Python's names for them. */
static struct cel_node *pool_info(struct cel_control_call *c)
{
    const struct cel_pool_ops *ops = c->w->pool->ops;
    struct cel_node *pool = cel_node_new(c->arena, CELERY_KIND_OBJECT);
    const struct cel_autoscale *a = &c->w->policy.autoscale;
    int64_t slots = a->max > 0 ? a->now : c->w->policy.concurrency;
    char name[80];

    snprintf(name, sizeof name, "celery.concurrency.%s:TaskPool",
             ops == &cel_pool_threads ? "thread" : ops->name);
    if (!pool ||
        !cel_control_put(c, pool, "implementation", cel_control_string(c, name)) ||
        !cel_control_put(c, pool, "max-concurrency", integer(c, slots))) {
        return NULL;
    }
    bool ok = ops == &cel_pool_prefork ? put_prefork(c, pool)
              : ops == &cel_pool_solo
                  ? put_solo(c, pool)
                  : cel_control_put(c, pool, "threads", integer(c, slots));
    return ok ? pool : NULL;
}

/* ---- broker: kombu/connection.py Connection.info(), without its passwords ---- */

static bool is_amqp(const struct cel_url *url)
{
    return strncmp(url->scheme, "amqp", 4) == 0 || strcmp(url->scheme, "pyamqp") == 0;
}

static bool is_tls(struct cel_control_call *c, const struct cel_url *url)
{
    return strcmp(url->scheme, "rediss") == 0 || strcmp(url->scheme, "amqps") == 0 ||
           cel_node_truth(cel_config_doc(c->w->app->config, "broker_use_ssl"));
}

static struct cel_node *virtual_host(struct cel_control_call *c,
                                     const struct cel_url *url)
{
    const char *path = url->path ? url->path : "";

    if (!is_amqp(url)) {
        path += *path == '/';
        return cel_control_string(c, *path ? path : "0");
    }
    return cel_control_string(c, path[0] == '/' && path[1] ? path + 1 : "/");
}

static struct cel_node *login_method(struct cel_control_call *c,
                                     const struct cel_url *url)
{
    const char *method = cel_config_text(c->w->app->config, "broker_login_method");

    return cel_control_string(c, method ? method : is_amqp(url) ? "PLAIN" : NULL);
}

static struct cel_node *alternates(struct cel_control_call *c)
{
    struct cel_node *list = cel_node_new(c->arena, CELERY_KIND_ARRAY);
    char text[300];

    for (size_t i = 1; list && i < cel_link_count_urls(c->w->link); i++) {
        cel_url_text(cel_link_url_at(c->w->link, i), text, sizeof text);
        if (cel_node_append(list, cel_control_string(c, text)) < 0) {
            return NULL;
        }
    }
    return list;
}

static struct cel_node *whole_or_double(struct cel_control_call *c, double value)
{
    return value == (double)(int64_t)value ? integer(c, (int64_t)value)
                                           : cel_node_new_double(c->arena, value);
}

static bool put_address(struct cel_control_call *c, struct cel_node *map,
                        const struct cel_url *url)
{
    const char *user = url->user ? url->user : is_amqp(url) ? "guest" : NULL;
    int port = url->port ? url->port : is_amqp(url) ? 5672 : 6379;

    return cel_control_put(c, map, "hostname", cel_control_string(c, url->host)) &&
           cel_control_put(c, map, "userid", cel_control_string(c, user)) &&
           cel_control_put(c, map, "virtual_host", virtual_host(c, url)) &&
           cel_control_put(c, map, "port", integer(c, port)) &&
           cel_control_put(c, map, "insist", cel_node_new_bool(c->arena, false)) &&
           cel_control_put(c, map, "ssl", cel_node_new_bool(c->arena, is_tls(c, url))) &&
           cel_control_put(c, map, "transport", cel_control_string(c, url->scheme));
}

static struct cel_node *broker_info(struct cel_control_call *c)
{
    const struct cel_config *config = c->w->app->config;
    const struct cel_url *url = cel_link_url_at(c->w->link, 0);
    struct cel_node *map = cel_node_new(c->arena, CELERY_KIND_OBJECT);
    const char *strategy = cel_config_text(config, "broker_failover_strategy");
    double heartbeat = cel_config_double(config, "broker_heartbeat", 0);

    return map && put_address(c, map, url) &&
                   cel_control_put(
                       c, map, "connect_timeout",
                       whole_or_double(c, cel_config_double(
                                              config, "broker_connection_timeout", 4))) &&
                   cel_control_put(c, map, "transport_options",
                                   cel_control_setting(c, "broker_transport_options")) &&
                   cel_control_put(c, map, "login_method", login_method(c, url)) &&
                   cel_control_put(c, map, "uri_prefix", cel_control_null(c)) &&
                   cel_control_put(c, map, "heartbeat",
                                   cel_node_new_double(c->arena, heartbeat)) &&
                   cel_control_put(
                       c, map, "failover_strategy",
                       cel_control_string(c, strategy ? strategy : "round-robin")) &&
                   cel_control_put(c, map, "alternates", alternates(c)) &&
                   cel_control_put(c, map, "credential_provider", cel_control_null(c))
               ? map
               : NULL;
}

/* ---- numbers ---- */

static struct cel_node *total(struct cel_control_call *c)
{
    const struct celery_worker *w = c->w;
    struct cel_node *map = cel_node_new(c->arena, CELERY_KIND_OBJECT);

    for (size_t i = 0; map && i < w->policy.n_tasks; i++) {
        if (w->policy.tasks[i].total > 0 &&
            !cel_control_put(c, map, w->app->tasks[i]->name,
                             integer(c, (int64_t)w->policy.tasks[i].total))) {
            return NULL;
        }
    }
    return map;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static struct cel_node *rusage(struct cel_control_call *c)
{
    struct rusage u = {0};
    struct cel_node *map = cel_node_new(c->arena, CELERY_KIND_OBJECT);

    getrusage(RUSAGE_SELF, &u);
    const struct {
        const char *name;
        long value;
    } rows[] = {
        {"maxrss", u.ru_maxrss}, {"ixrss", u.ru_ixrss},     {"idrss", u.ru_idrss},
        {"isrss", u.ru_isrss},   {"minflt", u.ru_minflt},   {"majflt", u.ru_majflt},
        {"nswap", u.ru_nswap},   {"inblock", u.ru_inblock}, {"oublock", u.ru_oublock},
        {"msgsnd", u.ru_msgsnd}, {"msgrcv", u.ru_msgrcv},   {"nsignals", u.ru_nsignals},
        {"nvcsw", u.ru_nvcsw},   {"nivcsw", u.ru_nivcsw},
    };
    if (!map ||
        !cel_control_put(c, map, "utime",
                         cel_node_new_double(c->arena, seconds(u.ru_utime))) ||
        !cel_control_put(c, map, "stime",
                         cel_node_new_double(c->arena, seconds(u.ru_stime)))) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!cel_control_put(c, map, rows[i].name, integer(c, rows[i].value))) {
            return NULL;
        }
    }
    return map;
}

static bool put_autoscaler(struct cel_control_call *c, struct cel_node *map)
{
    const struct cel_autoscale *a = &c->w->policy.autoscale;
    struct cel_node *info = cel_node_new(c->arena, CELERY_KIND_OBJECT);

    if (a->max == 0) {
        return true;
    }
    return info && cel_control_put(c, info, "max", integer(c, a->max)) &&
           cel_control_put(c, info, "min", integer(c, a->min)) &&
           cel_control_put(c, info, "current", integer(c, a->now)) &&
           cel_control_put(c, info, "qty", integer(c, (int64_t)c->w->n_running)) &&
           cel_control_put(c, map, "autoscaler", info);
}

struct cel_node *cel_control_stats(struct cel_control_call *c)
{
    struct celery_worker *w = c->w;
    struct cel_node *map = cel_node_new(c->arena, CELERY_KIND_OBJECT);
    double uptime = cel_loop_now(w->loop) - w->began_at;
    char clock[24];

    snprintf(clock, sizeof clock, "%llu", (unsigned long long)w->clock);
    return map && cel_control_put(c, map, "total", total(c)) &&
                   cel_control_put(c, map, "pid", integer(c, getpid())) &&
                   cel_control_put(c, map, "clock", cel_control_string(c, clock)) &&
                   cel_control_put(c, map, "uptime",
                                   integer(c, (int64_t)(uptime + 0.5))) &&
                   put_autoscaler(c, map) &&
                   cel_control_put(c, map, "pool", pool_info(c)) &&
                   cel_control_put(c, map, "broker", broker_info(c)) &&
                   cel_control_put(c, map, "prefetch_count",
                                   integer(c, cel_link_prefetch(w->link))) &&
                   cel_control_put(c, map, "rusage", rusage(c))
               ? map
               : NULL;
}

/* ---- memory: celery/utils/debug.py ---- */

static struct cel_node *memory(struct cel_control_call *c, const char *fmt)
{
    static const struct {
        double size;
        const char *name;
    } units[] = {{1 << 30, "GB"}, {1 << 20, "MB"}, {1 << 10, "KB"}, {1, "b"}};
    FILE *f = fopen("/proc/self/statm", "re");
    long pages = 0;
    size_t u = 0;
    char text[80], size[40];

    if (f) {
        if (fscanf(f, "%*d %ld", &pages) != 1) {
            pages = 0;
        }
        fclose(f);
    }
    double bytes = (double)pages * (double)sysconf(_SC_PAGESIZE);
    while (u < 3 && bytes < units[u].size) {
        u++;
    }
    snprintf(size, sizeof size, "%.5g%s", bytes / units[u].size, units[u].name);
    snprintf(text, sizeof text, "%s%s%s", fmt, size, *fmt ? ".\n" : "");
    return cel_control_string(c, text);
}

struct cel_node *cel_control_memsample(struct cel_control_call *c)
{
    return memory(c, "");
}

struct cel_node *cel_control_memdump(struct cel_control_call *c)
{
    return memory(c, "- rss (end): ");
}
