/* SPDX-License-Identifier: BSD-3-Clause */
/* A build without spans: who asks for them is told. */
#include "base/error.h"
#include "worker/otlp.h"

celery_status cel_otlp_new(struct celery_worker *w, struct cel_otlp **ret_otlp,
                           celery_error *err)
{
    const char *endpoint = cel_config_text(w->app->config, "worker_otlp_endpoint");

    *ret_otlp = NULL;
    return endpoint && *endpoint
               ? cel_error_set(
                     err, CELERY_ECONFIG,
                     "worker_otlp_endpoint: this build sends no spans; build it "
                     "with the meson option otlp")
               : CELERY_OK;
}

void cel_otlp_close(struct cel_otlp *otlp)
{
}

struct cel_otlp *cel_otlp_free(struct cel_otlp *otlp)
{
    return NULL;
}
