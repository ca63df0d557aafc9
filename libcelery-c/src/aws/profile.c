/* SPDX-License-Identifier: BSD-3-Clause */
#include "aws/profile.h"

#include <stdio.h>

#include "base/error.h"

enum { FILE_MAX = 1 << 20 };

static void find_path(struct cel_aws_file *f, const struct cel_aws_env *env,
                      const char *variable, const char *usual)
{
    const char *path = cel_aws_getenv(env, variable);
    const char *home = cel_aws_getenv(env, "HOME");
    int n = 0;

    path = path ? path : usual;
    f->shown = path;
    if (path[0] != '~' || path[1] != '/') {
        n = snprintf(f->path, sizeof f->path, "%s", path);
    } else if (home) {
        n = snprintf(f->path, sizeof f->path, "%s%s", home, path + 1);
    } else {
        snprintf(f->path, sizeof f->path, "%s", path);
        cel_error_set(&f->err, CELERY_NONE, "%s: HOME is not set", path);
    }
    if (n >= (int)sizeof f->path) {
        cel_error_set(&f->err, CELERY_ECONFIG, "%s is too long", variable);
    }
}

static void load(struct cel_aws_file *f, struct cel_arena *arena,
                 const struct cel_aws_env *env)
{
    if (f->err.status) {
        return;
    }
    celery_status status = env->read(env->ctx, f->path, &f->text, &f->err);
    if (status != CELERY_OK) {
        f->err.status = status; /* NONE is no failure to others */
        return;
    }
    status = cel_ini_parse(arena, cel_buf_slice(&f->text), &f->ini, &f->err);
    if (status < 0) {
        cel_error_prefix(&f->err, status, "%s, ", f->shown);
    }
}

celery_status cel_aws_profiles_load(struct cel_aws_profiles *p,
                                    const struct cel_aws_env *env, celery_error *err)
{
    const char *name = cel_aws_getenv(env, "AWS_DEFAULT_PROFILE");

    *p = (struct cel_aws_profiles){0};
    name = name ? name : cel_aws_getenv(env, "AWS_PROFILE");
    p->named = name != NULL;
    p->name = cel_slice_of(name ? name : "default");
    cel_buf_init(&p->credentials.text, 2 * FILE_MAX);
    cel_buf_init(&p->config.text, 2 * FILE_MAX);
    find_path(&p->credentials, env, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials");
    find_path(&p->config, env, "AWS_CONFIG_FILE", "~/.aws/config");
    load(&p->credentials, &p->arena, env);
    load(&p->config, &p->arena, env);
    const struct cel_aws_file *files[] = {&p->credentials, &p->config};
    for (size_t i = 0; i < 2; i++) {
        celery_status status = files[i]->err.status;

        if (status < 0 && status != CELERY_ESYSTEM) {
            return cel_error_set(err, status, "%s", files[i]->err.message);
        }
    }
    return CELERY_OK;
}

void cel_aws_profiles_fini(struct cel_aws_profiles *p)
{
    cel_buf_fini(&p->credentials.text);
    cel_buf_fini(&p->config.text);
    cel_arena_fini(&p->arena);
}

/* "[profile NAME]", with quotes when there are blanks in it; "[default]" too. */
static size_t section_names(struct cel_slice profile, char names[3][CEL_AWS_PATH],
                            struct cel_slice ret[4])
{
    size_t n = 0;

    if (cel_slice_is(profile, "default")) {
        ret[n++] = profile;
    }
    if (profile.len < CEL_AWS_PATH - 16) {
        int len = (int)profile.len;

        snprintf(names[0], CEL_AWS_PATH, "profile %.*s", len, profile.data);
        snprintf(names[1], CEL_AWS_PATH, "profile \"%.*s\"", len, profile.data);
        snprintf(names[2], CEL_AWS_PATH, "profile '%.*s'", len, profile.data);
        for (int i = 0; i < 3; i++) {
            ret[n++] = cel_slice_of(names[i]);
        }
    }
    return n;
}

bool cel_aws_profile_exists(const struct cel_aws_profiles *p, struct cel_slice profile)
{
    char names[3][CEL_AWS_PATH];
    struct cel_slice sections[4];
    size_t n = section_names(profile, names, sections);

    for (size_t i = 0; i < n; i++) {
        if (cel_ini_has(&p->config.ini, sections[i])) {
            return true;
        }
    }
    return cel_ini_has(&p->credentials.ini, profile);
}

struct cel_slice cel_aws_profile_config(const struct cel_aws_profiles *p,
                                        struct cel_slice profile, const char *key)
{
    char names[3][CEL_AWS_PATH];
    struct cel_slice sections[4];
    size_t n = section_names(profile, names, sections);

    for (size_t i = 0; i < n; i++) {
        struct cel_slice value = cel_ini_get(&p->config.ini, sections[i], key);

        if (value.data) {
            return value;
        }
    }
    return CEL_SLICE_NULL;
}

struct cel_slice cel_aws_profile_credentials(const struct cel_aws_profiles *p,
                                             struct cel_slice profile, const char *key)
{
    return cel_ini_get(&p->credentials.ini, profile, key);
}

struct cel_slice cel_aws_profile_get(const struct cel_aws_profiles *p,
                                     struct cel_slice profile, const char *key)
{
    struct cel_slice value = cel_aws_profile_credentials(p, profile, key);

    return value.data ? value : cel_aws_profile_config(p, profile, key);
}
