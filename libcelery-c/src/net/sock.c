/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/sock.h"

#include "base/error.h"

#include <errno.h>
#include <sys/socket.h>

static celery_status judge(celery_error *err)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        return CELERY_NONE;
    }
    return cel_error_sys(err, CELERY_ECLOSED, errno, "connection lost");
}

celery_status cel_sock_read(int fd, struct cel_tls_stream *stream, void *bytes,
                            size_t size, size_t *ret_n, celery_error *err)
{
    if (stream) {
        unsigned wait = 0;
        return cel_tls_read(stream, bytes, size, ret_n, &wait, err);
    }
    ssize_t n = recv(fd, bytes, size, 0);
    if (n == 0) {
        return cel_error_set(err, CELERY_ECLOSED, "closed by the server");
    }
    if (n < 0) {
        return judge(err);
    }
    *ret_n = (size_t)n;
    return CELERY_OK;
}

celery_status cel_sock_write(int fd, struct cel_tls_stream *stream, const void *bytes,
                             size_t len, size_t *ret_n, celery_error *err)
{
    if (stream) {
        unsigned wait = 0;
        return cel_tls_write(stream, bytes, len, ret_n, &wait, err);
    }
    ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
    if (n < 0) {
        return judge(err);
    }
    *ret_n = (size_t)n;
    return CELERY_OK;
}
