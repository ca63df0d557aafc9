/* SPDX-License-Identifier: BSD-3-Clause */
/* libcurl's multi interface behind aws/http_driver.h. */
#include "aws/http_driver.h"
#include "base/module.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* Headers of one answer; what is longer is none of a service's. */
enum { HEADERS_MAX = 65536, IDLE_CONNECTIONS = 16, KEEPALIVE_SECONDS = 30 };

struct bytes {
    char *data;
    size_t len;
    size_t cap;
};

struct cel_http_job {
    struct cel_http_session *session;
    struct cel_http_job *prev;
    struct cel_http_job *next;
    CURL *easy;
    struct curl_slist *headers;
    struct bytes head;
    struct bytes body;
    size_t max_body;
    bool too_large;
    bool no_memory;
    cel_http_done_fn done;
    void *ctx;
    struct cel_http_result result;
    char why[CURL_ERROR_SIZE];
};

struct cel_http_session {
    const struct cel_http_host *host;
    CURLM *multi;
    struct cel_http_job *jobs;
    char *ca_file;
    char *agent;
    bool no_verify;
    bool no_proxy;
};

static bool bytes_add(struct bytes *b, const void *data, size_t len)
{
    if (len > b->cap - b->len) {
        size_t cap = b->cap * 2 > b->len + len ? b->cap * 2 : b->len + len;
        char *grown = realloc(b->data, cap);

        if (!grown) {
            return false;
        }
        b->data = grown;
        b->cap = cap;
    }
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return true;
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
    struct cel_http_job *job = ctx;
    size_t len = size * n;

    /* Behind a 100 or a proxy's answer comes another one: the last counts. */
    if (len >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        job->head.len = 0;
        return len;
    }
    if (job->head.len + len > HEADERS_MAX) {
        job->too_large = true;
        return 0;
    }
    job->no_memory = !bytes_add(&job->head, data, len);
    return job->no_memory ? 0 : len;
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct cel_http_job *job = ctx;
    size_t len = size * n;

    if (len > job->max_body - job->body.len) {
        job->too_large = true;
        return 0;
    }
    job->no_memory = !bytes_add(&job->body, data, len);
    return job->no_memory ? 0 : len;
}

/* As the library's own, but not inherited by programs that tasks start. */
static curl_socket_t on_socket_open(void *ctx, curlsocktype purpose,
                                    struct curl_sockaddr *address)
{
    (void)ctx;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *watched)
{
    struct cel_http_session *s = ctx;
    unsigned wanted =
        (what & CURL_POLL_IN && what != CURL_POLL_REMOVE ? CEL_HTTP_READ : 0U) |
        (what & CURL_POLL_OUT && what != CURL_POLL_REMOVE ? CEL_HTTP_WRITE : 0U);

    (void)easy;
    curl_multi_assign(s->multi, fd, s->host->watch(s->host->ctx, watched, fd, wanted));
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *ctx)
{
    struct cel_http_session *s = ctx;

    (void)multi;
    s->host->timer(s->host->ctx, ms);
    return 0;
}

static void job_free(struct cel_http_job *job)
{
    struct cel_http_session *s = job->session;

    if (job->prev) {
        job->prev->next = job->next;
    } else if (s->jobs == job) {
        s->jobs = job->next;
    }
    if (job->next) {
        job->next->prev = job->prev;
    }
    if (job->easy) {
        curl_multi_remove_handle(s->multi, job->easy);
        curl_easy_cleanup(job->easy);
    }
    curl_slist_free_all(job->headers);
    free(job->head.data);
    free(job->body.data);
    free(job);
}

static enum cel_http_fate fate_of(const struct cel_http_job *job, CURLcode code)
{
    if (job->no_memory) {
        return CEL_HTTP_NO_MEMORY;
    }
    if (job->too_large) {
        return CEL_HTTP_TOO_LARGE;
    }
    switch (code) {
    case CURLE_OK:
        return CEL_HTTP_DONE;
    case CURLE_OUT_OF_MEMORY:
        return CEL_HTTP_NO_MEMORY;
    case CURLE_OPERATION_TIMEDOUT:
        return CEL_HTTP_TIME;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return CEL_HTTP_CONNECT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
        return CEL_HTTP_TLS;
    default:
        return CEL_HTTP_BROKEN;
    }
}

static void finish(struct cel_http_job *job, CURLcode code)
{
    struct cel_http_result *result = &job->result;
    curl_off_t before = 0;
    long status = 0;

    curl_easy_getinfo(job->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(job->easy, CURLINFO_PRETRANSFER_TIME_T, &before);
    result->fate = fate_of(job, code);
    result->status = (int)status;
    result->sent =
        before > 0 && result->fate != CEL_HTTP_CONNECT && result->fate != CEL_HTTP_TLS;
    result->why = job->why[0] ? job->why : curl_easy_strerror(code);
    result->headers = job->head.data;
    result->headers_len = job->head.len;
    result->body = job->body.data;
    result->body_len = job->body.len;
    job->done(job->ctx, result);
}

static void collect(struct cel_http_session *s)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(s->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            CURLcode code = message->data.result;
            char *job = NULL;

            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &job);
            finish((struct cel_http_job *)(void *)job, code);
        }
    }
}

static void do_ready(struct cel_http_session *s, int fd, unsigned ready)
{
    int bits = (ready & CEL_HTTP_READ ? CURL_CSELECT_IN : 0) |
               (ready & CEL_HTTP_WRITE ? CURL_CSELECT_OUT : 0) |
               (ready & CEL_HTTP_ERROR ? CURL_CSELECT_ERR : 0);
    int running;

    curl_multi_socket_action(s->multi, fd, bits, &running);
    collect(s);
}

static void do_expired(struct cel_http_session *s)
{
    int running;

    curl_multi_socket_action(s->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(s);
}

static void do_close(struct cel_http_session *s)
{
    if (!s) {
        return;
    }
    while (s->jobs) {
        job_free(s->jobs);
    }
    curl_multi_cleanup(s->multi);
    free(s->ca_file);
    free(s->agent);
    free(s);
}

static struct cel_http_session *do_open(const struct cel_http_host *host,
                                        const struct cel_http_options *options)
{
    /* Counted by the library, never undone: the module stays loaded. */
    struct cel_http_session *s = NULL;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        !(s = calloc(1, sizeof *s))) {
        return NULL;
    }
    s->host = host;
    s->no_verify = options->no_verify;
    s->no_proxy = options->no_proxy;
    s->ca_file = options->ca_file ? strdup(options->ca_file) : NULL;
    s->agent = strdup(options->agent ? options->agent : "celery-c");
    s->multi = curl_multi_init();
    if (!s->multi || !s->agent || (options->ca_file && !s->ca_file)) {
        do_close(s);
        return NULL;
    }
    curl_multi_setopt(s->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(s->multi, CURLMOPT_SOCKETDATA, s);
    curl_multi_setopt(s->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(s->multi, CURLMOPT_TIMERDATA, s);
    curl_multi_setopt(s->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    curl_multi_setopt(s->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                      (long)options->max_to_host);
    curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS);
    return s;
}

static bool add_header(struct cel_http_job *job, const char *line)
{
    struct curl_slist *longer = curl_slist_append(job->headers, line);

    job->headers = longer ? longer : job->headers;
    return longer != NULL;
}

static bool set_headers(struct cel_http_job *job, const struct cel_http_order *order)
{
    static const char *const without[] = {"Expect:", "Accept:"};
    bool type = false;

    for (size_t i = 0; i < order->n_headers; i++) {
        type = type || strncasecmp(order->headers[i], "content-type:", 13) == 0;
        if (!add_header(job, order->headers[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) {
        if (!add_header(job, without[i])) {
            return false;
        }
    }
    return type || add_header(job, "Content-Type:");
}

static void set_security(CURL *easy, const struct cel_http_session *s)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, s->no_verify ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, s->no_verify ? 0L : 2L);
    if (s->ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, s->ca_file);
    }
    if (s->no_proxy) {
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
        curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    }
}

static void set_connection(CURL *easy, const struct cel_http_order *order)
{
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, order->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, order->connect_ms);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket_open);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_SECONDS);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_SECONDS);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* Otherwise a cancelled job waits for the thread that resolves its name. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
}

static void set_request(struct cel_http_job *job, const struct cel_http_order *order)
{
    CURL *easy = job->easy;

    curl_easy_setopt(easy, CURLOPT_URL, order->url);
    if (strcmp(order->method, "GET") == 0) {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    } else {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, order->method);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)order->body_len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, order->body ? order->body : "");
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, job->headers);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, job->session->agent);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, job->why);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, job);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, job);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, job);
}

static struct cel_http_job *do_start(struct cel_http_session *s,
                                     const struct cel_http_order *order,
                                     cel_http_done_fn done, void *ctx)
{
    struct cel_http_job *job = calloc(1, sizeof *job);

    if (!job) {
        return NULL;
    }
    job->session = s;
    job->max_body = order->max_body;
    job->done = done;
    job->ctx = ctx;
    job->next = s->jobs;
    if (s->jobs) {
        s->jobs->prev = job;
    }
    s->jobs = job;
    job->easy = curl_easy_init();
    if (!job->easy || !set_headers(job, order)) {
        job_free(job);
        return NULL;
    }
    set_security(job->easy, s);
    set_connection(job->easy, order);
    set_request(job, order);
    if (curl_multi_add_handle(s->multi, job->easy) != CURLM_OK) {
        job_free(job);
        return NULL;
    }
    return job;
}

static const char *version(void)
{
    return curl_version();
}

static const struct cel_http_driver driver = {
    .version = version,
    .open = do_open,
    .close = do_close,
    .start = do_start,
    .drop = job_free,
    .ready = do_ready,
    .expired = do_expired,
};

CEL_MODULE("http", &driver);
