/* SPDX-License-Identifier: BSD-3-Clause */
/* What beat remembers over its end: one JSON document, alike in files and brokers. */
#include "base/error.h"
#include "base/iso8601.h"
#include "base/log.h"
#include "beat/plan.h"

#define FORMAT "celery-c beat"

enum { VERSION = 1 };

static void write_entry(struct cel_buf *out, const struct cel_entry *e)
{
    char text[CEL_ISO8601_SIZE];

    cel_json_write_string(out, cel_slice_of(e->name));
    cel_iso8601_format(e->last_run_at, CEL_ISO_OFFSET, text);
    cel_buf_addf(out, ": {\"last_run_at\": \"%s\", \"total_run_count\": %lld", text,
                 (long long)e->total_run_count);
    if (e->state != CEL_RUN_NONE) {
        cel_buf_addf(out, ", \"pending\": \"%s\"", e->id);
    }
    cel_buf_addc(out, '}');
}

celery_status cel_plan_write_state(struct cel_buf *out, const struct cel_plan *plan,
                                   const struct cel_plan_zone *zone)
{
    cel_buf_addf(out, "{\"" FORMAT "\": %d, \"timezone\": ", VERSION);
    if (zone->timezone) {
        cel_json_write_string(out, cel_slice_of(zone->timezone));
    } else {
        cel_buf_adds(out, "null");
    }
    cel_buf_addf(out, ", \"enable_utc\": %s, \"entries\": {",
                 zone->enable_utc ? "true" : "false");
    for (size_t i = 0; i < plan->n; i++) {
        cel_buf_adds(out, i ? ",\n" : "\n");
        write_entry(out, plan->entries[i]);
    }
    cel_buf_adds(out, "}}\n");
    return cel_buf_ok(out) ? CELERY_OK : CELERY_ENOMEM;
}

/* ---- reading ---- */

static celery_status damaged(celery_error *err, const char *why)
{
    return cel_error_set(err, CELERY_EMESSAGE, "%s", why);
}

static bool read_run(const struct cel_node *n, int64_t *ret_last, int64_t *ret_count)
{
    struct cel_slice last = cel_node_text(cel_node_get(n, CEL_SLICE("last_run_at")));
    bool aware;

    *ret_count = cel_node_int(cel_node_get(n, CEL_SLICE("total_run_count")), -1);
    return *ret_count >= 0 && cel_iso8601_parse(last, ret_last, &aware);
}

static celery_status check(const struct cel_node *doc, celery_error *err)
{
    const struct cel_node *entries = cel_node_get(doc, CEL_SLICE("entries"));
    int64_t last, count;

    if (cel_node_int(cel_node_get(doc, CEL_SLICE(FORMAT)), 0) != VERSION) {
        return damaged(err, "not the state of a beat of this version");
    }
    if (!entries || entries->kind != CELERY_KIND_OBJECT) {
        return damaged(err, "it has no entries");
    }
    for (const struct cel_node *k = cel_node_first(entries), *v; k; k = v->next) {
        v = k->next;
        if (!read_run(v, &last, &count)) {
            return cel_error_set(err, CELERY_EMESSAGE, "entry '%s' is no record of runs",
                                 cel_log_safe(cel_node_text(k)));
        }
    }
    return CELERY_OK;
}

static celery_status same_zone(const struct cel_node *doc,
                               const struct cel_plan_zone *zone, celery_error *err)
{
    struct cel_slice was = cel_node_text(cel_node_get(doc, CEL_SLICE("timezone")));
    bool utc = cel_node_bool(cel_node_get(doc, CEL_SLICE("enable_utc")), true);

    if (was.len > 0 && !cel_slice_is(was, zone->timezone ? zone->timezone : "")) {
        cel_error_set(err, CELERY_NONE, "Reset: Timezone changed from '%s' to '%s'",
                      cel_log_safe(was), zone->timezone ? zone->timezone : "None");
        return CELERY_NONE;
    }
    if (utc != zone->enable_utc) {
        cel_error_set(err, CELERY_NONE, "Reset: UTC changed from %s to %s",
                      utc ? "enabled" : "disabled", utc ? "disabled" : "enabled");
        return CELERY_NONE;
    }
    return CELERY_OK;
}

static void take_over(struct cel_plan *plan, const struct cel_node *entries)
{
    for (const struct cel_node *k = cel_node_first(entries), *v; k; k = v->next) {
        struct cel_entry *e = cel_plan_find(plan, cel_node_text(k));
        struct cel_slice id = cel_node_text(cel_node_get(k->next, CEL_SLICE("pending")));

        v = k->next;
        if (!e) {
            continue;
        }
        read_run(v, &e->last_run_at, &e->total_run_count);
        if (e->state == CEL_RUN_SENDING && cel_slice_is(id, e->id)) {
            continue; /* it is on its way from here */
        }
        e->state = CEL_RUN_NONE;
        e->attempts = 0;
        if (id.len > 0 && id.len < sizeof e->id) {
            /* It was written down, and maybe sent: under its own id it may go again. */
            memset(e->id, 0, sizeof e->id);
            memcpy(e->id, id.data, id.len);
            e->state = CEL_RUN_READY;
            e->send_at = 0;
        }
    }
}

celery_status cel_plan_read_state(struct cel_plan *plan, struct cel_slice text,
                                  const struct cel_plan_zone *zone, celery_error *err)
{
    static const struct cel_json_limits limits = {.depth = 8};
    struct cel_arena a = {0};
    struct cel_node *doc = NULL;
    celery_status status = cel_json_parse(&a, text, &limits, &doc, err);

    if (status < 0) {
        status = CELERY_EMESSAGE;
    } else {
        status = check(doc, err);
    }
    if (status == CELERY_OK) {
        status = same_zone(doc, zone, err);
    }
    if (status == CELERY_OK) {
        take_over(plan, cel_node_get(doc, CEL_SLICE("entries")));
    }
    cel_arena_fini(&a);
    return status;
}
