/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/statedb.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "message/task_fields.h"
#include "worker/identity.h"

#include <stdio.h>

#define FORMAT 1

/* Twice REVOKES_MAX members of the longest kind are not worth keeping. */
#define FILE_MAX ((size_t)32 << 20)

/* Seconds between two savings, and how many times their own length at least. */
#define SAVE_EVERY  1.0
#define SAVE_FACTOR 50

struct cel_statedb {
    struct celery_worker *w;
    char *path;
    char *new_path;
    struct cel_source *timer;
    bool armed;
    double earliest; /* loop time of the next saving */
    bool failing;    /* it has been said */
};

/* ---- writing ---- */

/* Members with the wall time they were added, which outlives a reboot. */
static void write_members(struct cel_buf *out, const char *key, struct cel_ageset *set)
{
    double offset = cel_clock_wall() - cel_clock_mono();
    struct cel_slice member;
    double added;
    void *at = NULL;
    bool first = true;

    cel_buf_addf(out, ", \"%s\": [", key);
    while (cel_ageset_next(set, &at, &member, &added)) {
        cel_buf_adds(out, first ? "[" : ",\n[");
        first = false;
        cel_json_write_string(out, member);
        cel_buf_addf(out, ", %.3f]", added + offset);
    }
    cel_buf_addc(out, ']');
}

static void save(struct cel_statedb *db, bool sync)
{
    struct celery_worker *w = db->w;
    struct cel_buf out;
    celery_error err = {0};
    double began = cel_clock_mono();

    cel_buf_init(&out, FILE_MAX);
    cel_buf_addf(&out, "{\"celery-c state\": %d, \"clock\": %llu", FORMAT,
                 (unsigned long long)w->clock);
    write_members(&out, "revoked", w->revoked.ids);
    write_members(&out, "stamps", w->revoked.stamps);
    cel_buf_adds(&out, "}\n");
    celery_status status =
        cel_buf_ok(&out)
            ? cel_file_replace(db->path, db->new_path, cel_buf_slice(&out),
                               sync ? CEL_FILE_ON_DISK : CEL_FILE_WHOLE, &err)
            : cel_error_set(&err, CELERY_ELIMIT, "too large");
    cel_buf_fini(&out);
    if (status == CELERY_OK) {
        w->revoked.changed = false;
    } else if (!db->failing) {
        cel_log(CELERY_LOG_ERROR, "--statedb could not be written: %s", err.message);
    }
    db->failing = status < 0;
    double took = cel_clock_mono() - began;
    double wait = took * SAVE_FACTOR > SAVE_EVERY ? took * SAVE_FACTOR : SAVE_EVERY;
    db->earliest = cel_loop_now(w->loop) + wait;
}

static void on_timer(void *ctx)
{
    struct cel_statedb *db = ctx;

    db->armed = false;
    save(db, false);
}

void cel_statedb_touch(struct cel_statedb *db)
{
    if (db && db->w->revoked.changed && !db->armed) {
        double now = cel_loop_now(db->w->loop);

        db->armed = true;
        cel_source_rearm(db->timer, db->earliest > now ? db->earliest : now);
    }
}

/* ---- reading ---- */

/* Times of the future, and of nothing, are taken for now. */
static void read_members(const struct cel_node *list, struct cel_ageset *set,
                         size_t longest)
{
    double wall = cel_clock_wall(), mono = cel_clock_mono();

    for (const struct cel_node *n = cel_node_first(list); n; n = n->next) {
        const struct cel_node *member = cel_node_first(n);
        struct cel_slice text = cel_node_text(member);
        double age = wall - cel_node_double(member ? member->next : NULL, wall);

        if (!cel_node_is_string(member) || text.len == 0 || text.len > longest) {
            continue;
        }
        age = age > 0 ? age : 0;
        if (age < CEL_REVOKE_EXPIRES) {
            cel_ageset_add_aged(set, text, mono - age, mono);
        }
    }
}

static celery_status parse(struct celery_worker *w, struct cel_slice text,
                           celery_error *err)
{
    static const struct cel_json_limits limits = {.depth = 8};
    struct cel_arena arena;
    struct cel_node *doc = NULL;

    cel_arena_init(&arena, 0);
    celery_status status = cel_json_parse(&arena, text, &limits, &doc, err);
    if (status == CELERY_OK &&
        cel_node_int(cel_node_get(doc, CEL_SLICE("celery-c state")), 0) != FORMAT) {
        status = cel_error_set(err, CELERY_EMESSAGE, "not a file of this program");
    }
    if (status == CELERY_OK) {
        int64_t clock = cel_node_int(cel_node_get(doc, CEL_SLICE("clock")), 0);

        read_members(cel_node_get(doc, CEL_SLICE("revoked")), w->revoked.ids, CEL_ID_MAX);
        read_members(cel_node_get(doc, CEL_SLICE("stamps")), w->revoked.stamps, 1024);
        if (clock > 0 && clock < INT64_MAX / 2) {
            w->clock = (uint64_t)clock;
        }
    }
    cel_arena_fini(&arena);
    return status;
}

/* Whatever was there is kept beside it, maybe it is a Python worker's. */
static void load(struct cel_statedb *db)
{
    struct cel_buf text, aside = {0};
    celery_error err = {0};

    cel_buf_init(&text, FILE_MAX + 65536);
    celery_status status = cel_file_read(db->path, &text, &err);
    if (status == CELERY_OK) {
        status = parse(db->w, cel_buf_slice(&text), &err);
    }
    cel_buf_fini(&text);
    if (status >= 0) {
        return;
    }
    cel_buf_addf(&aside, "%s.unreadable", db->path);
    cel_log(CELERY_LOG_WARNING, "--statedb %s cannot be read and is put aside: %s",
            db->path, cel_log_safe(cel_slice_of(err.message)));
    if (cel_buf_ok(&aside)) {
        rename(db->path, cel_buf_cstr(&aside));
    }
    cel_buf_fini(&aside);
}

/* ---- life ---- */

static void db_free(struct cel_statedb *db)
{
    cel_source_free(db->timer);
    cel_free(db->path);
    cel_free(db->new_path);
    cel_free(db);
}

celery_status cel_statedb_open(struct celery_worker *w, struct cel_statedb **ret_db,
                               celery_error *err)
{
    const char *path = cel_config_text(w->app->config, "worker_state_db");
    struct cel_buf new_path = {0};

    *ret_db = NULL;
    if (!path || !*path) {
        return CELERY_OK;
    }
    struct cel_statedb *db = cel_calloc(1, sizeof *db);
    if (!db) {
        return cel_error_nomem(err);
    }
    db->w = w;
    db->path = cel_node_format(path, w->hostname);
    cel_buf_addf(&new_path, "%s.new", db->path ? db->path : "");
    db->new_path = cel_buf_steal(&new_path);
    if (!db->path || !db->new_path ||
        cel_loop_add_timer(w->loop, &db->timer, 0, on_timer, db) < 0) {
        db_free(db);
        return cel_error_nomem(err);
    }
    cel_source_disarm(db->timer);
    load(db);
    *ret_db = db;
    return CELERY_OK;
}

struct cel_statedb *cel_statedb_close(struct cel_statedb *db)
{
    if (db) {
        save(db, true);
        db_free(db);
    }
    return NULL;
}
