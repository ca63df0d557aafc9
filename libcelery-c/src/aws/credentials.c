/* SPDX-License-Identifier: BSD-3-Clause */
#include "aws/credentials_priv.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"

/* botocore.credentials.RefreshableCredentials: advisory and mandatory. */
static const double advisory = 15 * 60;
static const double mandatory = 10 * 60;
static const double pause_after_failure = 1;
static const double pause_of_refresh = 60;

static const struct {
    enum cel_found (*find)(struct cel_credentials *c, celery_error *err);
} sources[] = {
    {cel_find_environment}, {cel_find_role},   {cel_find_web_identity},
    {cel_find_shared},      {cel_find_config}, {cel_find_container},
    {cel_find_ec2},
};

void cel_aws_role_fini(struct cel_aws_role *role)
{
    cel_free(role->arn);
    cel_free(role->session);
    cel_free(role->external_id);
    *role = (struct cel_aws_role){0};
}

static void wipe(char *text)
{
    if (text) {
        explicit_bzero(text, strlen(text));
        cel_free(text);
    }
}

void cel_aws_keys_fini(struct cel_aws_keys *keys)
{
    cel_free(keys->access_key);
    wipe(keys->secret_key);
    wipe(keys->token);
    *keys = (struct cel_aws_keys){0};
}

celery_status cel_aws_keys_copy(struct cel_aws_keys *ret, const struct cel_aws_keys *from)
{
    *ret = (struct cel_aws_keys){
        .access_key = cel_strdup(from->access_key),
        .secret_key = cel_strdup(from->secret_key),
        .token = from->token ? cel_strdup(from->token) : NULL,
        .expires = from->expires,
        .source = from->source,
    };
    if (!ret->access_key || !ret->secret_key || (from->token && !ret->token)) {
        cel_aws_keys_fini(ret);
        return CELERY_ENOMEM;
    }
    return CELERY_OK;
}

static bool ends_within(const struct cel_aws_keys *keys, double seconds)
{
    return keys->expires > 0 && cel_clock_wall() + seconds >= keys->expires;
}

/* Whether a service would still take them, as far as we know. */
static bool usable(const struct cel_credentials *c)
{
    return c->keys.access_key && !c->stale &&
           (c->keys.outlive || !ends_within(&c->keys, 0));
}

/* ---- the search ---- */

static void over(struct cel_credentials *c)
{
    c->searching = false;
    if (!c->in_get) {
        cel_source_schedule(c->hook);
    }
}

static void fail(struct cel_credentials *c, const celery_error *err)
{
    cel_aws_keys_fini(&c->found);
    c->failure = *err;
    c->not_before = cel_loop_now(c->loop) +
                    (c->keys.access_key ? pause_of_refresh : pause_after_failure);
    over(c);
}

/*
 * When to look again.  Keys of a short life are used for two thirds of it, and no source is asked
 * more than once a minute.
 */
static void set_times(struct cel_credentials *c)
{
    double life = c->keys.expires - cel_clock_wall();

    c->soon = life / 3 < advisory && life > 0 ? life / 3 : advisory;
    c->too_late = life / 6 < mandatory && life > 0 ? life / 6 : mandatory;
    c->not_before = c->keys.expires > 0 && life < c->soon
                        ? cel_loop_now(c->loop) + pause_of_refresh
                        : 0;
}

static void succeed(struct cel_credentials *c)
{
    if (!c->found.outlive && ends_within(&c->found, 0)) {
        celery_error err = {0};

        cel_error_set(&err, CELERY_EAUTH, "the AWS credentials of %s have expired",
                      c->found.source);
        fail(c, &err);
        return;
    }
    cel_aws_keys_fini(&c->keys);
    c->keys = c->found;
    c->generation++;
    c->found = (struct cel_aws_keys){0};
    c->stale = false;
    c->failure = (celery_error){0};
    set_times(c);
    over(c);
}

static void note(struct cel_credentials *c, const celery_error *err)
{
    cel_buf_adds(&c->tried, c->tried.len ? "; " : "");
    cel_buf_adds(&c->tried, err->message);
}

/* The URL's keys if there are some, else those of the next source. */
static enum cel_found ask(struct cel_credentials *c, celery_error *err)
{
    enum cel_found how;

    if (!c->fixed.access_key) {
        how = sources[c->at].find(c, err);
    } else if (cel_aws_keys_copy(&c->found, &c->fixed) == CELERY_OK) {
        how = CEL_FOUND;
    } else {
        cel_error_nomem(err);
        how = CEL_FAILED;
    }
    return how == CEL_FOUND && c->n_roles > 0 ? cel_assume_role(c, err) : how;
}

static void search(struct cel_credentials *c)
{
    for (; c->at < sizeof sources / sizeof sources[0]; c->at++) {
        celery_error err = {0};

        switch (ask(c, &err)) {
        case CEL_FOUND:
            succeed(c);
            return;
        case CEL_FAILED:
            fail(c, &err);
            return;
        case CEL_PENDING:
            return;
        case CEL_LACKS:
            note(c, &err);
            break;
        }
    }
    celery_error none = {0};
    cel_error_set(&none, CELERY_EAUTH, "no AWS credentials: %s", cel_buf_cstr(&c->tried));
    fail(c, &none);
}

void cel_credentials_found(struct cel_credentials *c, enum cel_found how,
                           const celery_error *err)
{
    celery_error own = {0};

    if (how == CEL_FOUND && c->n_roles > 0) {
        how = cel_assume_role(c, &own);
        err = &own;
    }
    if (how == CEL_FOUND) {
        succeed(c);
    } else if (how == CEL_FAILED) {
        fail(c, err);
    } else if (how == CEL_LACKS) {
        note(c, err);
        c->at++;
        search(c);
    }
}

static void forget_roles(struct cel_credentials *c)
{
    while (c->n_roles > 0) {
        cel_aws_role_fini(&c->roles[--c->n_roles]);
    }
}

static void start(struct cel_credentials *c)
{
    if (c->searching || cel_loop_now(c->loop) < c->not_before) {
        return;
    }
    c->searching = true;
    c->at = 0;
    cel_buf_clear(&c->tried);
    cel_aws_keys_fini(&c->found);
    forget_roles(c);
    if (c->role_arn) {
        struct cel_aws_role role = {
            .arn = cel_strdup(c->role_arn),
            .session = cel_strdup("Celery"), /* kombu.transport.SQS Channel.sqs() */
            .seconds = c->role_seconds > 0 ? c->role_seconds : 900,
        };

        c->roles[c->n_roles++] = role;
    }
    search(c);
}

/* ---- what the client calls ---- */

const struct cel_aws_keys *cel_credentials_get(struct cel_credentials *c)
{
    const struct cel_aws_keys *keys = &c->keys;

    if (c->fixed.access_key && !c->role_arn) {
        return &c->fixed;
    }
    if (!keys->access_key || c->stale || ends_within(keys, c->soon)) {
        c->in_get = true;
        start(c);
        c->in_get = false;
    }
    if (usable(c) && !(c->searching && ends_within(keys, c->too_late))) {
        return keys;
    }
    if (!c->searching) {
        cel_source_schedule(c->hook); /* tells why not */
    }
    return NULL;
}

uint64_t cel_credentials_generation(const struct cel_credentials *c)
{
    return c->generation;
}

void cel_credentials_expire(struct cel_credentials *c, uint64_t generation)
{
    if (generation == c->generation) {
        c->stale = true;
        c->not_before = 0;
    }
}

static void on_hook(void *ctx)
{
    struct cel_credentials *c = ctx;

    if (!c->searching) {
        c->fn(c->ctx, usable(c) ? NULL : &c->failure);
    }
}

static bool copy(char **ret, const char *text)
{
    *ret = text ? cel_strdup(text) : NULL;
    return !text || *ret;
}

static bool copy_options(struct cel_credentials *c,
                         const struct cel_credentials_options *o)
{
    c->env = o->env ? o->env : cel_aws_env_system();
    c->driver = o->driver;
    c->role_seconds = o->role_seconds;
    c->no_verify = o->no_verify;
    if (o->none || (o->access_key && o->secret_key)) {
        struct cel_aws_keys fixed = {.access_key = (char *)(o->none ? "" : o->access_key),
                                     .secret_key = (char *)(o->none ? "" : o->secret_key),
                                     .token = (char *)o->token,
                                     .source = "the URL"};

        if (cel_aws_keys_copy(&c->fixed, &fixed) < 0) {
            return false;
        }
    }
    return copy(&c->role_arn, o->role_arn) && copy(&c->region, o->region) &&
           copy(&c->ca_file, o->ca_file);
}

celery_status cel_credentials_new(struct cel_loop *loop,
                                  const struct cel_credentials_options *options,
                                  cel_credentials_fn fn, void *ctx,
                                  struct cel_credentials **ret_credentials,
                                  celery_error *err)
{
    struct cel_credentials *c = cel_calloc(1, sizeof *c);

    if (!c) {
        return cel_error_nomem(err);
    }
    c->loop = loop;
    c->fn = fn;
    c->ctx = ctx;
    cel_buf_init(&c->tried, 4096);
    if (!copy_options(c, options) || cel_loop_add_hook(loop, &c->hook, on_hook, c) < 0) {
        cel_credentials_free(c);
        return cel_error_nomem(err);
    }
    *ret_credentials = c;
    return CELERY_OK;
}

struct cel_credentials *cel_credentials_free(struct cel_credentials *c)
{
    if (c) {
        cel_source_free(c->hook);
        cel_source_free(c->pause);
        cel_web_free(c->meta);
        cel_aws_free(c->sts);
        cel_buf_fini(&c->url);
        cel_buf_fini(&c->session);
        forget_roles(c);
        cel_aws_keys_fini(&c->fixed);
        cel_aws_keys_fini(&c->keys);
        cel_aws_keys_fini(&c->found);
        cel_buf_fini(&c->tried);
        cel_free(c->role_arn);
        cel_free(c->region);
        cel_free(c->ca_file);
        cel_free(c);
    }
    return NULL;
}
