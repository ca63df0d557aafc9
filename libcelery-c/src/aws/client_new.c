/* SPDX-License-Identifier: BSD-3-Clause */
/* What a client consists of. */
#include "aws/client_priv.h"

#include "aws/region.h"
#include "base/alloc.h"
#include "base/error.h"

enum { CONNECTIONS = 16 };

/* The host as it stands in the request: without the port that goes without saying. */
static bool set_host(struct cel_aws *aws)
{
    bool tls = strncmp(aws->endpoint, "https:", 6) == 0;
    struct cel_slice host = cel_slice_of(aws->endpoint + (tls ? 8 : 7));
    struct cel_slice port = tls ? CEL_SLICE(":443") : CEL_SLICE(":80");

    if (cel_slice_ends(host, port)) {
        host.len -= port.len;
    }
    aws->host = cel_strndup(host.data, host.len);
    return aws->host != NULL;
}

static celery_status find_place(struct cel_aws *aws, const struct cel_aws_options *o,
                                const struct cel_aws_inner *inner, celery_error *err)
{
    const struct cel_aws_env *env = inner->env;
    char region[CEL_AWS_REGION_SIZE];
    struct cel_buf url = {0};
    celery_status status = cel_aws_region(env, o->region, region, err);

    if (status < 0) {
        return status;
    }
    aws->service = cel_strdup(o->service);
    aws->region = cel_strdup(region);
    status = cel_aws_endpoint_url(env, o->endpoint, o->service, region, &url, err);
    if (status < 0) {
        cel_buf_fini(&url);
        return status;
    }
    aws->endpoint = cel_buf_steal(&url);
    if (!aws->service || !aws->region || !aws->endpoint || !set_host(aws)) {
        return cel_error_nomem(err);
    }
    cel_buf_addf(&url, "%s/", aws->endpoint);
    aws->url = cel_buf_steal(&url);
    return aws->url ? CELERY_OK : cel_error_nomem(err);
}

static celery_status open_webs(struct cel_aws *aws, const struct cel_aws_options *o,
                               const struct cel_aws_inner *inner, celery_error *err)
{
    struct cel_http_options http = {
        .ca_file = o->ca_file ? o->ca_file : cel_aws_getenv(inner->env, "AWS_CA_BUNDLE"),
        .no_verify = o->no_verify,
        .agent = "celery-c/" CELERY_VERSION,
        .max_to_host = CONNECTIONS,
    };
    celery_status status = cel_web_new(aws->loop, aws->driver, &http, &aws->web, err);

    if (status == CELERY_OK) {
        http.max_to_host = 0;
        status = cel_web_new(aws->loop, aws->driver, &http, &aws->polls, err);
    }
    return status;
}

static celery_status open_credentials(struct cel_aws *aws,
                                      const struct cel_aws_options *o,
                                      const struct cel_aws_inner *inner,
                                      celery_error *err)
{
    struct cel_credentials_options options = {
        .env = inner->env,
        .driver = aws->driver,
        .token = inner->token,
        .none = inner->unsigned_calls,
        .access_key = o->access_key,
        .secret_key = o->secret_key,
        .role_arn = o->role_arn,
        .role_seconds = o->role_seconds,
        .region = aws->region,
        .ca_file = o->ca_file,
        .no_verify = o->no_verify,
    };

    return cel_credentials_new(aws->loop, &options, cel_aws_on_credentials, aws,
                               &aws->credentials, err);
}

celery_status cel_aws_new_inner(struct cel_loop *loop,
                                const struct cel_aws_options *options,
                                const struct cel_aws_inner *inner,
                                struct cel_aws **ret_aws, celery_error *err)
{
    struct cel_aws *aws = cel_calloc(1, sizeof *aws);

    if (!aws) {
        return cel_error_nomem(err);
    }
    aws->loop = loop;
    aws->driver = inner->driver;
    aws->unsigned_calls = inner->unsigned_calls;
    aws->kind = cel_query_service(options->service);
    aws->query = aws->kind != CEL_QUERY_SQS; /* the others speak nothing else */
    cel_list_init(&aws->calls);
    celery_status status = find_place(aws, options, inner, err);
    if (status == CELERY_OK) {
        status = cel_loop_add_hook(loop, &aws->hook, cel_aws_on_hook, aws);
    }
    if (status == CELERY_OK) {
        status = open_webs(aws, options, inner, err);
    }
    if (status == CELERY_OK) {
        status = open_credentials(aws, options, inner, err);
    }
    if (status < 0) {
        cel_aws_free(aws);
        return status;
    }
    *ret_aws = aws;
    return CELERY_OK;
}

celery_status cel_aws_new(struct cel_loop *loop, const struct cel_aws_options *options,
                          struct cel_aws **ret_aws, celery_error *err)
{
    struct cel_aws_inner inner = {.env = cel_aws_env_system(),
                                  .driver = cel_web_driver(err)};

    return inner.driver ? cel_aws_new_inner(loop, options, &inner, ret_aws, err)
                        : CELERY_ENOTSUP;
}

struct cel_aws *cel_aws_free(struct cel_aws *aws)
{
    struct cel_list *it;
    struct cel_list *tmp;

    if (!aws) {
        return NULL;
    }
    if (aws->gone) {
        *aws->gone = true;
    }
    cel_list_foreach(it, tmp, &aws->calls) {
        cel_aws_cancel(cel_container_of(it, struct cel_aws_call, link));
    }
    cel_credentials_free(aws->credentials);
    cel_web_free(aws->web);
    cel_web_free(aws->polls);
    cel_source_free(aws->hook);
    cel_free(aws->service);
    cel_free(aws->region);
    cel_free(aws->endpoint);
    cel_free(aws->url);
    cel_free(aws->host);
    cel_free(aws);
    return NULL;
}
