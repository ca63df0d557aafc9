/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Profiles: botocore.credentials SharedCredentialProvider, ConfigProvider, and what
 * AssumeRoleProvider makes of role_arn with source_profile or credential_source.
 */
#include "aws/credentials_priv.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"

typedef struct cel_slice (*get_fn)(const struct cel_aws_profiles *p,
                                   struct cel_slice profile, const char *key);

static enum cel_found lacks(celery_error *err, const struct cel_aws_file *f)
{
    *err = f->err;
    if (f->err.status == CELERY_NONE) {
        cel_error_set(err, CELERY_EAUTH, "no %s", f->shown);
    }
    err->status = CELERY_EAUTH;
    return CEL_LACKS;
}

static enum cel_found keys_of(struct cel_credentials *c, const struct cel_aws_profiles *p,
                              struct cel_slice profile, get_fn get, const char *where,
                              celery_error *err)
{
    struct cel_slice access = get(p, profile, "aws_access_key_id");
    struct cel_slice secret = get(p, profile, "aws_secret_access_key");
    struct cel_slice token = get(p, profile, "aws_security_token");

    if (!access.data) {
        cel_error_set(err, CELERY_EAUTH, "%s has no keys for %s", where,
                      cel_log_safe(profile));
        return CEL_LACKS;
    }
    if (access.len == 0 || secret.len == 0) {
        cel_error_set(err, CELERY_EAUTH, "%s: profile %s lacks %s", where,
                      cel_log_safe(profile),
                      access.len ? "aws_secret_access_key" : "aws_access_key_id");
        return CEL_FAILED;
    }
    token = token.data ? token : get(p, profile, "aws_session_token");
    return cel_found_keys(c, access, secret, token, CEL_SLICE_NULL, "the shared files",
                          err);
}

static enum cel_found find_in(struct cel_credentials *c, bool config, celery_error *err)
{
    struct cel_aws_profiles p;
    enum cel_found how;

    celery_status status = cel_aws_profiles_load(&p, c->env, err);
    const struct cel_aws_file *f = config ? &p.config : &p.credentials;
    if (status < 0) {
        how = CEL_FAILED;
    } else if (p.named && !cel_aws_profile_exists(&p, p.name) &&
               !p.credentials.err.status && !p.config.err.status) {
        cel_error_set(err, CELERY_EAUTH, "profile %s is neither in %s nor in %s",
                      cel_log_safe(p.name), p.credentials.shown, p.config.shown);
        how = CEL_FAILED;
    } else if (f->err.status) {
        how = lacks(err, f);
    } else {
        how = keys_of(c, &p, p.name,
                      config ? cel_aws_profile_config : cel_aws_profile_credentials,
                      f->shown, err);
    }
    cel_aws_profiles_fini(&p);
    return how;
}

enum cel_found cel_find_shared(struct cel_credentials *c, celery_error *err)
{
    return find_in(c, false, err);
}

enum cel_found cel_find_config(struct cel_credentials *c, celery_error *err)
{
    return find_in(c, true, err);
}

/* ---- roles ---- */

static bool has_role(const struct cel_aws_profiles *p, struct cel_slice profile)
{
    return cel_aws_profile_get(p, profile, "role_arn").data &&
           !cel_aws_profile_get(p, profile, "web_identity_token_file").data;
}

static bool copy(char **ret, struct cel_slice text)
{
    *ret = text.data ? cel_strndup(text.data, text.len) : NULL;
    return !text.data || *ret;
}

static celery_status push_role(struct cel_credentials *c,
                               const struct cel_aws_profiles *p, struct cel_slice profile,
                               celery_error *err)
{
    struct cel_aws_role *role = &c->roles[c->n_roles];
    int64_t seconds = 0;

    if (c->n_roles == CEL_AWS_ROLES) {
        return cel_error_set(err, CELERY_ECONFIG, "profile %s: too many roles in a row",
                             cel_log_safe(p->name));
    }
    if (cel_aws_profile_get(p, profile, "mfa_serial").data) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "profile %s wants a code of a device (mfa_serial)",
                             cel_log_safe(profile));
    }
    c->n_roles++;
    if (!copy(&role->arn, cel_aws_profile_get(p, profile, "role_arn")) ||
        !copy(&role->session, cel_aws_profile_get(p, profile, "role_session_name")) ||
        !copy(&role->external_id, cel_aws_profile_get(p, profile, "external_id"))) {
        return cel_error_nomem(err);
    }
    if (cel_slice_to_int(cel_aws_profile_get(p, profile, "duration_seconds"), &seconds)) {
        role->seconds = (double)seconds;
    }
    return CELERY_OK;
}

static enum cel_found from_source(struct cel_credentials *c, struct cel_slice profile,
                                  struct cel_slice source, celery_error *err)
{
    static const struct {
        const char *name;
        enum cel_found (*find)(struct cel_credentials *c, celery_error *err);
    } named[] = {
        {"Environment", cel_find_environment},
        {"EcsContainer", cel_find_container},
        {"Ec2InstanceMetadata", cel_find_ec2},
    };

    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        if (cel_slice_is(source, named[i].name)) {
            return named[i].find(c, err);
        }
    }
    cel_error_set(err, CELERY_ECONFIG, "profile %s: unknown credential_source",
                  cel_log_safe(profile));
    return CEL_FAILED;
}

/* What a profile that assumes no role itself has. */
static enum cel_found from_profile(struct cel_credentials *c,
                                   const struct cel_aws_profiles *p,
                                   struct cel_slice profile, celery_error *err)
{
    enum cel_found how = cel_find_web_identity_of(c, p, profile, false, err);

    return how == CEL_LACKS
               ? keys_of(c, p, profile, cel_aws_profile_get, p->credentials.shown, err)
               : how;
}

static enum cel_found invalid(celery_error *err, struct cel_slice profile,
                              const char *what)
{
    cel_error_set(err, CELERY_ECONFIG, "profile %s: %s", cel_log_safe(profile), what);
    return CEL_FAILED;
}

/* Follows source_profile to where keys come from. */
static enum cel_found resolve(struct cel_credentials *c, const struct cel_aws_profiles *p,
                              celery_error *err)
{
    struct cel_slice profile = p->name;

    for (;;) {
        struct cel_slice source = cel_aws_profile_get(p, profile, "source_profile");
        struct cel_slice named = cel_aws_profile_get(p, profile, "credential_source");

        if (push_role(c, p, profile, err) < 0) {
            return CEL_FAILED;
        }
        if (!source.data == !named.data) {
            return invalid(err, profile,
                           "role_arn needs one of source_profile and credential_source");
        }
        if (named.data) {
            return from_source(c, profile, named, err);
        }
        if (!cel_aws_profile_exists(p, source)) {
            return invalid(err, source, "is a source_profile, but does not exist");
        }
        if (!has_role(p, source) || cel_slice_eq(source, profile) ||
            cel_aws_profile_get(p, source, "aws_access_key_id").data) {
            return from_profile(c, p, source, err);
        }
        profile = source;
    }
}

enum cel_found cel_find_role(struct cel_credentials *c, celery_error *err)
{
    struct cel_aws_profiles p;
    enum cel_found how = CEL_LACKS;

    if (cel_aws_profiles_load(&p, c->env, err) < 0) {
        how = CEL_FAILED;
    } else if (has_role(&p, p.name)) {
        how = resolve(c, &p, err);
        if (how == CEL_LACKS) {
            cel_error_prefix(err, CELERY_EAUTH, "nothing to assume a role with: ");
            how = CEL_FAILED;
        }
    } else {
        cel_error_set(err, CELERY_EAUTH, "no role_arn");
    }
    cel_aws_profiles_fini(&p);
    return how;
}
