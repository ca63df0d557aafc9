/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_target.h"

static const char * or (const char *text, const char *otherwise)
{
    return text && *text ? text : otherwise;
}

static double positive(double value, double otherwise)
{
    return value > 0 ? value : otherwise;
}

celery_status cel_amqp_target_init(struct cel_amqp_target *t, const struct cel_url *url,
                                   const struct cel_amqp_options *options,
                                   const struct cel_transport_login *login,
                                   double connect_timeout, celery_error *err)
{
    *t = (struct cel_amqp_target){.of_url = *options};
    t->of_url.login_method = t->of_url.name = NULL; /* the URL's, if it has some */
    celery_status status = cel_amqp_options_url(url, &t->of_url, err);

    if (status == 0) {
        status = cel_amqp_tls(url, &t->tls, err);
    }
    t->params = (struct cel_amqp_params){
        .host = or (url->host, "localhost"),
        .port = url->port ? url->port
                : t->tls  ? 5671
                          : 5672,
        .tls = t->tls,
        .user = or (url->user, "guest"),
        .password = url->password ? url->password
                    : url->user   ? ""
                                  : "guest",
        .vhost = cel_amqp_vhost(url),
        .mechanism =
            or (t->of_url.login_method, or (options->login_method, login->method)),
        .name = or (t->of_url.name, or (options->name, login->name)),
        .heartbeat = t->of_url.heartbeat >= 0 ? t->of_url.heartbeat : login->heartbeat,
        .checkrate = login->checkrate,
        .connect_timeout =
            positive(t->of_url.connect_timeout, positive(connect_timeout, 4)),
        .rpc_timeout = t->of_url.read_timeout,
    };
    return status;
}

void cel_amqp_target_fini(struct cel_amqp_target *t)
{
    t->tls = cel_tls_free(t->tls);
    cel_amqp_options_fini(&t->of_url);
}
