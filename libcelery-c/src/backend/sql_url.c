/* SPDX-License-Identifier: BSD-3-Clause */
/* URLs as SQLAlchemy reads them (sqlalchemy/engine/url.py make_url), and the settings. */
#include "backend/sql.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/module.h"
#include <ctype.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

/* ---- which database ---- */

static const struct {
    const char *name; /* of SQLAlchemy's dialect */
    const char *module;
    enum cel_sql_dialect dialect;
} dialects[] = {
    {"postgresql", "postgresql", CEL_SQL_POSTGRESQL},
    {"postgres", "postgresql", CEL_SQL_POSTGRESQL},
    {"sqlite", "sqlite", CEL_SQL_SQLITE},
    {"mysql", "mysql", CEL_SQL_MYSQL},
    {"mariadb", "mysql", CEL_SQL_MYSQL},
};

/* "db+postgresql+psycopg2": what is between the first + and the next. */
static celery_status find_dialect(struct cel_sql_db *db, const struct cel_url *url,
                                  celery_error *err)
{
    const char *plus = strchr(url->scheme, '+');
    const char *name = plus ? plus + 1 : url->scheme;
    size_t len = strcspn(name, "+");

    for (size_t i = 0; i < sizeof dialects / sizeof dialects[0]; i++) {
        if (strlen(dialects[i].name) == len &&
            strncmp(dialects[i].name, name, len) == 0) {
            db->dialect = dialects[i].dialect;
            db->driver = cel_module_load(dialects[i].module, "sql", err);
            return db->driver ? CELERY_OK
                              : cel_error_prefix(err, CELERY_ENOTSUP, "result_backend: ");
        }
    }
    return cel_error_set(err, CELERY_ECONFIG,
                         "result_backend: no database %.*s; there are db+postgresql://, "
                         "db+sqlite:// and db+mysql://",
                         (int)len, name);
}

/* ---- texts ---- */

/* What is missing for want of memory must not look as if nobody had set it. */
static const char *keep(struct cel_sql_db *db, struct cel_slice text)
{
    const char *kept = cel_arena_strndup(&db->arena, text.data, text.len);

    db->incomplete |= !kept;
    return kept;
}

static const char *copy(struct cel_sql_db *db, const char *text)
{
    return text ? keep(db, cel_slice_of(text)) : NULL;
}

static const char *copy_node(struct cel_sql_db *db, const struct cel_node *n)
{
    struct cel_slice text = cel_node_text(n);

    return text.len > 0 ? keep(db, text) : NULL;
}

/* Names are put into statements: what would need escaping is no name of a table. */
static bool is_name(const char *text)
{
    for (; text && *text; text++) {
        if ((unsigned char)*text < 0x20 || strchr("\"'`\\?$", *text)) {
            return false;
        }
    }
    return true;
}

static const char *quoted(struct cel_sql_db *db, const char *schema, const char *name)
{
    char q = db->dialect == CEL_SQL_MYSQL ? '`' : '"';
    struct cel_buf out = {0};

    if (schema) {
        cel_buf_addf(&out, "%c%s%c.", q, schema, q);
    }
    cel_buf_addf(&out, "%c%s%c", q, name, q);
    const char *text = cel_buf_ok(&out) ? keep(db, cel_buf_slice(&out)) : NULL;
    cel_buf_fini(&out);
    return text;
}

static celery_status set_table(struct cel_sql_db *db, const struct cel_config *c,
                               const char *key, const char *name, const char *sequence,
                               struct cel_sql_table *t, celery_error *err)
{
    const struct cel_node *names = c ? cel_config_doc(c, "database_table_names") : NULL;
    const struct cel_node *schemas =
        c ? cel_config_doc(c, "database_table_schemas") : NULL;
    const char *wanted = copy_node(db, cel_node_get(names, cel_slice_of(key)));

    t->name = wanted ? wanted : name;
    t->schema = copy_node(db, cel_node_get(schemas, cel_slice_of(key)));
    if (!is_name(t->name) || !is_name(t->schema)) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "database_table_names, database_table_schemas: \"%s\" has "
                             "characters that no name of a table has",
                             is_name(t->name) ? "schema" : "name");
    }
    t->quoted = quoted(db, t->schema, t->name);
    t->sequence = quoted(db, t->schema, sequence);
    return t->quoted && t->sequence ? CELERY_OK : cel_error_nomem(err);
}

/* ---- options ---- */

static void add_option(struct cel_sql_db *db, struct cel_sql_option *options,
                       const char *name, const char *value)
{
    if (name && value) {
        options[db->target.n_options++] = (struct cel_sql_option){name, value};
    }
}

/* database_engine_options["connect_args"] are options of the connection as those of the URL. */
static celery_status set_options(struct cel_sql_db *db, const struct cel_url *url,
                                 const struct cel_node *engine, celery_error *err)
{
    const struct cel_node *args = cel_node_get(engine, CEL_SLICE("connect_args"));
    size_t most = url->n_options + (args ? args->size : 0) + 1;
    struct cel_sql_option *options = cel_arena_alloc(&db->arena, most * sizeof *options);

    if (!options) {
        return cel_error_nomem(err);
    }
    for (size_t i = 0; i < url->n_options; i++) {
        add_option(db, options, copy(db, url->options[i].name),
                   copy(db, url->options[i].value));
    }
    for (const struct cel_node *k = cel_node_first(args), *v; k; k = v->next) {
        v = k->next;
        const char *value = v->kind == CELERY_KIND_TRUE    ? "1"
                            : v->kind == CELERY_KIND_FALSE ? "0"
                                                           : copy_node(db, v);

        add_option(db, options, copy_node(db, k), value);
    }
    db->target.options = options;
    return CELERY_OK;
}

static const char *option(const struct cel_sql_db *db, const char *name)
{
    const char *found = NULL;

    for (size_t i = 0; i < db->target.n_options; i++) {
        if (strcmp(db->target.options[i].name, name) == 0) {
            found = db->target.options[i].value;
        }
    }
    return found;
}

/* ---- TLS ---- */

static bool is_here(const char *host)
{
    return !host || !*host || host[0] == '/' || strcasecmp(host, "localhost") == 0 ||
           strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

/* The certificates that the system trusts; libraries of databases know only their own. */
static const char *find_authorities(void)
{
    static const char *const files[] = {"/etc/ssl/certs/ca-certificates.crt",
                                        "/etc/pki/tls/certs/ca-bundle.crt",
                                        "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};
    const char *named = getenv("SSL_CERT_FILE");

    if (named && *named) {
        return named;
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (access(files[i], R_OK) == 0) {
            return files[i];
        }
    }
    return NULL;
}

/* ---- all of it ---- */

/* db+sqlite:///file is relative, db+sqlite:////file is not. */
static celery_status set_target(struct cel_sql_db *db, const struct cel_url *url,
                                celery_error *err)
{
    struct cel_sql_target *t = &db->target;

    if (db->dialect == CEL_SQL_SQLITE && url->host) {
        return cel_error_set(
            err, CELERY_ECONFIG,
            "result_backend: a file has no host: write db+sqlite:///%s or, "
            "with its whole path, db+sqlite:////folder/%s",
            url->host, url->host);
    }
    t->host = copy(db, url->host);
    t->user = copy(db, url->user);
    t->password = copy(db, url->password);
    t->database = url->path ? copy(db, url->path + (url->path[0] == '/')) : NULL;
    t->port = url->port;
    const char *host = option(db, "host");
    t->verify = !is_here(t->host ? t->host : host);
    t->ca_file = copy(db, find_authorities());
    t->stop_fd = -1;
    return CELERY_OK;
}

static void set_settings(struct cel_sql_db *db, const struct cel_config *c,
                         const struct cel_node *engine)
{
    db->connect_seconds = 10;
    db->statement_seconds = 20;
    db->create = true;
    db->expires = 86400;
    if (c) {
        db->extended = cel_config_bool(c, "result_extended");
        db->create = cel_config_bool(c, "database_create_tables_at_setup");
        db->expires = cel_config_double(c, "result_expires", 0);
    }
    if (db->dialect != CEL_SQL_SQLITE) {
        db->recycle =
            cel_node_double(cel_node_get(engine, CEL_SLICE("pool_recycle")), 3600);
    }
}

struct cel_sql_db *cel_sql_db_new(const struct cel_url *url, const struct cel_config *c,
                                  const struct cel_codec *codec, celery_error *err)
{
    struct cel_sql_db *db = cel_calloc(1, sizeof *db);
    const struct cel_node *engine =
        c ? cel_config_doc(c, "database_engine_options") : NULL;

    if (!db) {
        cel_error_nomem(err);
        return NULL;
    }
    db->codec = codec;
    celery_status status = find_dialect(db, url, err);
    if (status == CELERY_OK) {
        status = set_options(db, url, engine, err);
    }
    if (status == CELERY_OK) {
        status = set_target(db, url, err);
    }
    if (status == CELERY_OK) {
        status = set_table(db, c, "task", "celery_taskmeta", "task_id_sequence",
                           &db->task, err);
    }
    if (status == CELERY_OK) {
        status = set_table(db, c, "group", "celery_tasksetmeta", "taskset_id_sequence",
                           &db->group, err);
    }
    if (status == CELERY_OK && db->incomplete) {
        status = cel_error_nomem(err);
    }
    if (status < 0) {
        cel_sql_db_free(db);
        return NULL;
    }
    set_settings(db, c, engine);
    return db;
}

void cel_sql_db_free(struct cel_sql_db *db)
{
    if (db) {
        cel_buf_fini(&db->sql);
        cel_buf_fini(&db->scratch);
        cel_free(db->values);
        cel_arena_fini(&db->arena);
        cel_free(db);
    }
}
