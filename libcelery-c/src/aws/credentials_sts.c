/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys from STS: botocore.credentials AssumeRoleProvider, AssumeRoleWithWebIdentityProvider. */
#include "aws/client_priv.h"
#include "aws/credentials_priv.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

static const double timeout = 10;
enum { TOKEN_MAX = 1 << 20 };

static struct cel_slice member(const struct cel_node *object, const char *name)
{
    return cel_node_text(cel_node_get(object, cel_slice_of(name)));
}

static void on_answer(void *ctx, const struct cel_aws_answer *answer)
{
    struct cel_credentials *c = ctx;
    enum cel_found how = CEL_FAILED;
    celery_error err = {0};

    if (answer->err) {
        err = *answer->err;
    } else {
        const struct cel_node *keys =
            cel_node_get(answer->result, CEL_SLICE("Credentials"));

        if (member(keys, "AccessKeyId").len == 0 ||
            member(keys, "SecretAccessKey").len == 0) {
            cel_error_set(&err, CELERY_EPROTO, "sts: no keys in the answer");
        } else {
            how = cel_found_keys(
                c, member(keys, "AccessKeyId"), member(keys, "SecretAccessKey"),
                member(keys, "SessionToken"), member(keys, "Expiration"), "a role", &err);
        }
    }
    c->sts = cel_aws_free(c->sts); /* and the answer with it */
    cel_credentials_found(c, how, &err);
}

/* keys NULL: unsigned. */
static enum cel_found call(struct cel_credentials *c, const char *action,
                           struct cel_buf *give_params, const struct cel_aws_keys *keys,
                           celery_error *err)
{
    struct cel_aws_inner inner = {
        .env = c->env,
        .driver = c->driver,
        .token = keys ? keys->token : NULL,
        .unsigned_calls = !keys,
    };
    struct cel_aws_options options = {
        .service = "sts",
        .region = c->region,
        .access_key = keys ? keys->access_key : NULL,
        .secret_key = keys ? keys->secret_key : NULL,
        .ca_file = c->ca_file,
        .no_verify = c->no_verify,
    };
    celery_status status = CELERY_OK;

    c->sts = cel_aws_free(c->sts);
    if (!cel_buf_ok(give_params)) {
        status = cel_error_nomem(err);
    } else {
        status = cel_aws_new_inner(c->loop, &options, &inner, &c->sts, err);
    }
    if (status == CELERY_OK) {
        struct cel_aws_request request = {
            .action = action, .params = cel_buf_slice(give_params), .timeout = timeout};

        if (!cel_aws_call(c->sts, &request, on_answer, c)) {
            status = cel_error_nomem(err);
        }
    }
    cel_buf_fini(give_params);
    return status == CELERY_OK ? CEL_PENDING : CEL_FAILED;
}

static void add_text(struct cel_buf *out, const char *name, struct cel_slice text)
{
    cel_buf_addf(out, "%s\"%s\": ", out->len > 1 ? ", " : "", name);
    cel_json_write_string(out, text);
}

/* botocore's default has its own name in front. */
static void add_session(struct cel_buf *out, struct cel_slice name)
{
    char made_up[48];

    snprintf(made_up, sizeof made_up, "celery-c-%lld", (long long)cel_clock_wall());
    add_text(out, "RoleSessionName", name.len ? name : cel_slice_of(made_up));
}

enum cel_found cel_assume_role(struct cel_credentials *c, celery_error *err)
{
    struct cel_aws_role *role = &c->roles[--c->n_roles];
    struct cel_buf params = {0};

    cel_buf_addc(&params, '{');
    add_text(&params, "RoleArn", cel_slice_of(role->arn));
    add_session(&params, cel_slice_of(role->session));
    if (role->external_id) {
        add_text(&params, "ExternalId", cel_slice_of(role->external_id));
    }
    if (role->seconds > 0) {
        cel_buf_addf(&params, ", \"DurationSeconds\": %lld", (long long)role->seconds);
    }
    cel_buf_addc(&params, '}');
    if (!role->arn) {
        params.failed = true;
    }
    cel_aws_role_fini(role);
    return call(c, "AssumeRole", &params, &c->found, err);
}

/* ---- web identity ---- */

static struct cel_slice setting(struct cel_credentials *c,
                                const struct cel_aws_profiles *p,
                                struct cel_slice profile, bool environment,
                                const char *variable, const char *key)
{
    const char *value = environment ? cel_aws_getenv(c->env, variable) : NULL;

    return value ? cel_slice_of(value) : cel_aws_profile_get(p, profile, key);
}

enum cel_found cel_find_web_identity_of(struct cel_credentials *c,
                                        const struct cel_aws_profiles *p,
                                        struct cel_slice profile, bool environment,
                                        celery_error *err)
{
    struct cel_slice file =
        setting(c, p, profile, environment, "AWS_WEB_IDENTITY_TOKEN_FILE",
                "web_identity_token_file");
    struct cel_slice arn =
        setting(c, p, profile, environment, "AWS_ROLE_ARN", "role_arn");
    struct cel_slice session =
        setting(c, p, profile, environment, "AWS_ROLE_SESSION_NAME", "role_session_name");
    struct cel_buf token = {.max = TOKEN_MAX};
    struct cel_buf params = {0};
    char path[CEL_AWS_PATH];

    if (file.len == 0 || file.len >= sizeof path) {
        cel_error_set(err, CELERY_EAUTH, "no web identity");
        return CEL_LACKS;
    }
    if (arn.len == 0) {
        cel_error_set(err, CELERY_ECONFIG, "a web identity, but AWS_ROLE_ARN is not set");
        return CEL_FAILED;
    }
    snprintf(path, sizeof path, "%.*s", (int)file.len, file.data);
    if (c->env->read(c->env->ctx, path, &token, err) != CELERY_OK) {
        cel_buf_fini(&token);
        cel_error_prefix(err, CELERY_EAUTH, "web identity: ");
        return CEL_FAILED;
    }
    cel_buf_addc(&params, '{');
    add_text(&params, "RoleArn", arn);
    add_session(&params, session);
    add_text(&params, "WebIdentityToken", cel_buf_slice(&token));
    cel_buf_addc(&params, '}');
    cel_buf_fini(&token);
    return call(c, "AssumeRoleWithWebIdentity", &params, NULL, err);
}

enum cel_found cel_find_web_identity(struct cel_credentials *c, celery_error *err)
{
    struct cel_aws_profiles p;

    enum cel_found how = cel_aws_profiles_load(&p, c->env, err) < 0
                             ? CEL_FAILED
                             : cel_find_web_identity_of(c, &p, p.name, true, err);
    cel_aws_profiles_fini(&p);
    return how;
}
