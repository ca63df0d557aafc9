/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the module curl.so exports (kind "http"): HTTP requests over the loop of whoever opened
 * the session.  The module knows no function of ours; descriptors and times to watch go out
 * through the host's functions, what became of them comes back through ready() and expired().
 * One thread uses a session.
 */
#ifndef CEL_AWS_HTTP_DRIVER_H
#define CEL_AWS_HTTP_DRIVER_H

#include <stdbool.h>
#include <stddef.h>

struct cel_http_session;
struct cel_http_job;

enum cel_http_ready {
    CEL_HTTP_READ = 1 << 0,
    CEL_HTTP_WRITE = 1 << 1,
    CEL_HTTP_ERROR = 1 << 2,
};

/* Given by whoever opens a session. */
struct cel_http_host {
    void *ctx;
    /*
     * Watch fd for wanted (READ, WRITE); 0: no longer.  watched is what this returned for fd
     * before, or NULL.  Returns NULL when it is not watched: the job then runs into its timeout.
     */
    void *(*watch)(void *ctx, void *watched, int fd, unsigned wanted);
    /* Call expired() in this many milliseconds, not before this returns; < 0: never. */
    void (*timer)(void *ctx, long ms);
};

struct cel_http_options {
    const char *ca_file;  /* NULL: the system's */
    bool no_verify;       /* neither the chain nor the name */
    bool no_proxy;        /* whatever the environment says: metadata endpoints */
    unsigned max_to_host; /* connections to one host; 0: as many as jobs */
    const char *agent;    /* User-Agent */
};

/* Texts are copied, the body is borrowed until drop(). */
struct cel_http_order {
    const char *method;         /* "GET", "POST", "PUT" */
    const char *url;            /* http or https */
    const char *const *headers; /* lines "Name: value"; those of the library besides Host,
                                   Content-Length and User-Agent are left out */
    size_t n_headers;
    const char *body; /* of a POST or PUT */
    size_t body_len;
    long timeout_ms; /* for all of it */
    long connect_ms; /* for name, connection and TLS */
    size_t max_body; /* of the answer */
};

enum cel_http_fate {
    CEL_HTTP_DONE,    /* a whole answer, whatever its status */
    CEL_HTTP_CONNECT, /* name, connection or proxy: nothing was sent */
    CEL_HTTP_TLS,    /* the peer's certificate, or no common protocol: nothing was sent */
    CEL_HTTP_TIME,   /* its time was up */
    CEL_HTTP_BROKEN, /* the connection ended before the answer did */
    CEL_HTTP_TOO_LARGE, /* over max_body */
    CEL_HTTP_NO_MEMORY,
};

/* Borrowed until drop(). */
struct cel_http_result {
    enum cel_http_fate fate;
    bool sent;           /* the request may have reached the peer */
    const char *why;     /* when not DONE: the library's words */
    int status;          /* 200 ...; 0: no status line came */
    const char *headers; /* "Name: value\r\n" ... of the last answer, as they came */
    size_t headers_len;
    const char *body;
    size_t body_len;
};

/* Called from ready() or expired(), once; calls nothing of the driver's. */
typedef void (*cel_http_done_fn)(void *ctx, const struct cel_http_result *result);

struct cel_http_driver {
    /* "libcurl/7.88.1 OpenSSL/3.0.15 ..." */
    const char *(*version)(void);
    /* NULL: out of memory.  The host and its ctx outlive the session. */
    struct cel_http_session *(*open)(const struct cel_http_host *host,
                                     const struct cel_http_options *options);
    /* Drops what is under way: done() is not called. */
    void (*close)(struct cel_http_session *session);
    /* NULL: out of memory.  Does not call done().  Every job is dropped or closed with. */
    struct cel_http_job *(*start)(struct cel_http_session *session,
                                  const struct cel_http_order *order,
                                  cel_http_done_fn done, void *ctx);
    /* After done(), or instead of it: the connection is closed if the answer has not come. */
    void (*drop)(struct cel_http_job *job);
    /* fd is ready (enum cel_http_ready bits); a time that timer() asked for has come. */
    void (*ready)(struct cel_http_session *session, int fd, unsigned ready);
    void (*expired)(struct cel_http_session *session);
};

#endif
