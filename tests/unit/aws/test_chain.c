/* SPDX-License-Identifier: BSD-3-Clause */
/* Where keys and regions are found, with an environment, files and HTTP of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/client_priv.h"
#include "aws/region.h"
#include "base/alloc.h"
#include "base/error.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- a world ---- */

struct world {
    const char *const *variables; /* name, value, ..., NULL */
    const char *const *files;     /* path, text, ..., NULL */
    const char *const
        *pages; /* "METHOD url", body, ..., NULL; others cannot be reached */
};

static struct world world;
static char asked[16][128]; /* "METHOD url" */
static int n_asked;

static const char *lookup(const char *const *pairs, const char *name)
{
    for (; pairs && *pairs; pairs += 2) {
        if (strcmp(pairs[0], name) == 0) {
            return pairs[1];
        }
    }
    return NULL;
}

static const char *fake_get(void *ctx, const char *name)
{
    return lookup(world.variables, name);
}

static celery_status fake_read(void *ctx, const char *path, struct cel_buf *out,
                               celery_error *err)
{
    const char *text = lookup(world.files, path);

    if (!text) {
        return cel_error_set(err, CELERY_NONE, "%s is missing", path);
    }
    return cel_buf_adds(out, text) < 0 ? cel_error_nomem(err) : CELERY_OK;
}

static const struct cel_aws_env env = {fake_get, fake_read, NULL};

/* ---- HTTP that answers in the next pass ---- */

struct cel_http_job {
    struct cel_http_session *session;
    struct cel_http_job *next;
    struct cel_http_result result;
    cel_http_done_fn done;
    void *ctx;
    bool told;
};

struct cel_http_session {
    const struct cel_http_host *host;
    struct cel_http_job *jobs;
};

static const char *fake_version(void)
{
    return "fake";
}

static struct cel_http_session *fake_open(const struct cel_http_host *host,
                                          const struct cel_http_options *options)
{
    struct cel_http_session *s = calloc(1, sizeof *s);

    s->host = host;
    return s;
}

static void fake_drop(struct cel_http_job *job)
{
    struct cel_http_job **at = &job->session->jobs;

    while (*at != job) {
        at = &(*at)->next;
    }
    *at = job->next;
    free(job);
}

static void fake_close(struct cel_http_session *s)
{
    while (s->jobs) {
        fake_drop(s->jobs);
    }
    free(s);
}

static struct cel_http_job *fake_start(struct cel_http_session *s,
                                       const struct cel_http_order *order,
                                       cel_http_done_fn done, void *ctx)
{
    struct cel_http_job *job = calloc(1, sizeof *job);
    char *line = asked[n_asked < 15 ? n_asked++ : 15];

    snprintf(line, sizeof asked[0], "%s %s", order->method, order->url);
    job->result.body = lookup(world.pages, line);
    if (job->result.body) {
        job->result.status = 200;
        job->result.body_len = strlen(job->result.body);
    } else {
        job->result.fate = CEL_HTTP_CONNECT;
        job->result.why = "no route";
    }
    job->session = s;
    job->done = done;
    job->ctx = ctx;
    job->next = s->jobs;
    s->jobs = job;
    s->host->timer(s->host->ctx, 0);
    return job;
}

static void fake_ready(struct cel_http_session *s, int fd, unsigned ready)
{
}

static void fake_expired(struct cel_http_session *s)
{
    for (struct cel_http_job *job = s->jobs; job; job = job->next) {
        if (!job->told) {
            job->told = true;
            job->done(job->ctx, &job->result);
        }
    }
}

static const struct cel_http_driver driver = {
    fake_version, fake_open, fake_close, fake_start, fake_drop, fake_ready, fake_expired};

/* ---- a search ---- */

struct search {
    struct cel_credentials *c;
    bool told;
    celery_error err;
};

static void on_told(void *ctx, const celery_error *err)
{
    struct search *s = ctx;

    s->told = true;
    s->err = err ? *err : (celery_error){0};
}

/* The access key that is found, or "" with why. */
static celery_status find(const struct world *w, char found[64], celery_error *err)
{
    struct cel_credentials_options options = {
        .env = &env, .driver = &driver, .region = "us-east-1"};
    struct cel_loop *loop = NULL;
    struct search s = {0};
    const struct cel_aws_keys *keys = NULL;

    world = *w;
    n_asked = 0;
    found[0] = '\0';
    celery_status status = cel_loop_new(&loop, err);
    if (status == CELERY_OK) {
        status = cel_credentials_new(loop, &options, on_told, &s, &s.c, err);
    }
    for (int i = 0; status == CELERY_OK && !keys && i < 50 && !s.err.status; i++) {
        keys = cel_credentials_get(s.c);
        if (!keys) {
            status = cel_loop_pass(loop, 0);
        }
    }
    if (keys) {
        snprintf(found, 64, "%s/%s/%s", keys->access_key, keys->secret_key,
                 keys->token ? keys->token : "-");
    } else if (status == CELERY_OK) {
        *err = s.err;
        status = s.err.status;
    }
    cel_credentials_free(s.c);
    cel_loop_free(loop);
    return status;
}

#define KEYS(key)                                                                   \
    "{\"AccessKeyId\": \"" key "\", \"SecretAccessKey\": \"s\", \"Token\": \"t\", " \
    "\"Expiration\": \"2999-01-01T00:00:00Z\"}"
#define EC2 "http://169.254.169.254/latest/"

static const char *const container_pages[] = {"GET http://169.254.170.2/v2/x?y",
                                              KEYS("C"), NULL};
static const char *const ec2_pages[] = {"PUT " EC2 "api/token",
                                        "T",
                                        "GET " EC2 "meta-data/iam/security-credentials/",
                                        "role",
                                        "GET " EC2
                                        "meta-data/iam/security-credentials/role",
                                        KEYS("E"),
                                        NULL};
static const char *const ec2_ipv6_pages[] = {
    "PUT http://[fd00:ec2::254]/latest/api/token",
    "T",
    "GET http://[fd00:ec2::254]/latest/meta-data/iam/security-credentials/",
    "role",
    "GET http://[fd00:ec2::254]/latest/meta-data/iam/security-credentials/role",
    KEYS("E6"),
    NULL};
static const char *const sts_pages[] = {
    "POST https://sts.us-east-1.amazonaws.com/",
    "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>R</AccessKeyId>"
    "<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken></Credentials>"
    "</AssumeRoleResult></AssumeRoleResponse>",
    NULL};

#define FILE_OF(key) "[default]\naws_access_key_id=" key "\naws_secret_access_key=s\n"

static const char *const no[] = {NULL};
static const char *const home[] = {"HOME", "/h", NULL};
static const char *const both_files[] = {"/h/.aws/credentials", FILE_OF("F"),
                                         "/h/.aws/config", FILE_OF("G"), NULL};
static const char *const config_file[] = {"/h/.aws/config", FILE_OF("G"), NULL};
static const char *const role_file[] = {
    "/h/.aws/config", FILE_OF("G") "role_arn=r\nsource_profile=default\n", NULL};
static const char *const all[] = {"HOME",
                                  "/h",
                                  "AWS_ACCESS_KEY_ID",
                                  "V",
                                  "AWS_SECRET_ACCESS_KEY",
                                  "s",
                                  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                  "/v2/x?y",
                                  NULL};
static const char *const container[] = {
    "HOME", "/h", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x?y", NULL};
static const char *const web[] = {
    "HOME", "/h", "AWS_WEB_IDENTITY_TOKEN_FILE", "/jwt", "AWS_ROLE_ARN", "r", NULL};
static const char *const web_file[] = {"/jwt", "j", "/h/.aws/credentials", FILE_OF("F"),
                                       NULL};
static const char *const ipv6[] = {"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6",
                                   NULL};

static const struct {
    struct world world;
    const char *wanted;
} chains[] = {
    {{all, both_files, container_pages}, "V/s/-"},
    {{home, role_file, sts_pages}, "R/s/t"},
    {{web, web_file, sts_pages}, "R/s/t"},
    {{container, both_files, container_pages}, "F/s/-"},
    {{container, config_file, container_pages}, "G/s/-"},
    {{container, no, container_pages}, "C/s/t"},
    {{home, no, ec2_pages}, "E/s/t"},
    {{ipv6, no, ec2_ipv6_pages}, "E6/s/t"},
};

static void test_order(void **state)
{
    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
        char found[64];
        celery_error err = {0};

        assert_int_equal(find(&chains[i].world, found, &err), CELERY_OK);
        assert_string_equal(found, chains[i].wanted);
    }
}

static void test_none(void **state)
{
    struct world w = {home, no, no};
    char found[64];
    celery_error err = {0};

    assert_int_equal(find(&w, found, &err), CELERY_EAUTH);
    assert_string_equal(
        err.message,
        "no AWS credentials: no AWS_ACCESS_KEY_ID; no role_arn; no web identity; "
        "no ~/.aws/credentials; no ~/.aws/config; no container; EC2's metadata: no route");
    assert_string_equal(asked[0], "PUT " EC2 "api/token");
    assert_int_equal(n_asked, 1);
}

/* Without memory for something the search fails: it does not go on to other keys. */
static void test_memory(void **state)
{
    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
        celery_status status = CELERY_ENOMEM;

        for (unsigned long n = 1; status != CELERY_OK; n++) {
            char found[64];
            celery_error err = {0};

            assert_true(n < 2000);
            cel_alloc_fail_at(n, 0);
            status = find(&chains[i].world, found, &err);
            cel_alloc_fail_at(0, 0);
            if (status == CELERY_OK) {
                assert_string_equal(found, chains[i].wanted);
            }
        }
    }
}

static const char *const regions[][6] = {
    {"AWS_DEFAULT_REGION", "eu-west-1", "AWS_REGION", "eu-west-2", NULL, "eu-west-1"},
    {"AWS_REGION", "eu-west-2", "HOME", "/h", NULL, "eu-west-2"},
    {"HOME", "/h", "x", "", NULL, "eu-west-3"},
    {"HOME", "/h", "AWS_PROFILE", "p", NULL, "eu-north-1"},
    {"HOME", "/other", "x", "", NULL, "us-east-1"},
};

static void test_region(void **state)
{
    static const char *const files[] = {
        "/h/.aws/config",
        "[default]\nregion=eu-west-3\n[profile p]\nregion = eu-north-1\n", NULL};
    char region[CEL_AWS_REGION_SIZE];

    for (size_t i = 0; i < sizeof regions / sizeof regions[0]; i++) {
        world = (struct world){regions[i], files, no};
        assert_int_equal(cel_aws_region(&env, NULL, region, NULL), CELERY_OK);
        assert_string_equal(region, regions[i][5]);
        assert_int_equal(cel_aws_region(&env, "cn-north-1", region, NULL), CELERY_OK);
        assert_string_equal(region, "cn-north-1");
    }
    assert_int_equal(cel_aws_region(&env, "a/b", region, NULL), CELERY_ECONFIG);
}

static void test_endpoint(void **state)
{
    static const char *const set[] = {"AWS_ENDPOINT_URL", "http://e:1/",
                                      "AWS_ENDPOINT_URL_SQS", "https://q", NULL};
    static const struct {
        const char *const *variables;
        const char *wanted_url;
        const char *service;
        const char *region;
        const char *result; /* NULL: refused */
    } rows[] = {
        {no, NULL, "sqs", "us-east-1", "https://sqs.us-east-1.amazonaws.com"},
        {no, NULL, "sts", "cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn"},
        {set, NULL, "sqs", "us-east-1", "https://q"},
        {set, NULL, "sns", "us-east-1", "http://e:1"},
        {set, "http://[::1]:2//", "sqs", "us-east-1", "http://[::1]:2"},
        {no, "ftp://x", "sqs", "us-east-1", NULL},
        {no, "http://", "sqs", "us-east-1", NULL},
        {no, "http://u:p@x", "sqs", "us-east-1", NULL},
        {no, "http://x/path", "sqs", "us-east-1", NULL},
        {no, "http://x\r\ny", "sqs", "us-east-1", NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cel_buf out = {0};
        celery_error err = {0};

        world = (struct world){rows[i].variables, no, no};
        celery_status status = cel_aws_endpoint_url(
            &env, rows[i].wanted_url, rows[i].service, rows[i].region, &out, &err);
        if (rows[i].result) {
            assert_int_equal(status, CELERY_OK);
            assert_string_equal(cel_buf_cstr(&out), rows[i].result);
        } else {
            assert_int_equal(status, CELERY_ECONFIG);
            assert_null(strstr(err.message, "u:p"));
        }
        cel_buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),    cmocka_unit_test(test_none),
        cmocka_unit_test(test_memory),   cmocka_unit_test(test_region),
        cmocka_unit_test(test_endpoint),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
