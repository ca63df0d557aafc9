/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/listen.h"

#include "base/error.h"
#include "base/slice.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

static celery_status no_address(const char *address, celery_error *err)
{
    return cel_error_set(err, CELERY_EINVAL,
                         "%.100s is not an address to listen on: 127.0.0.1:9464, "
                         "[::1]:9464 or unix:/path",
                         address);
}

static int open_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static celery_status cannot(struct cel_listener *l, const char *address, int errnum,
                            celery_error *err)
{
    if (l->fd >= 0) {
        close(l->fd);
        l->fd = -1;
    }
    return cel_error_sys(err, CELERY_ESYSTEM, errnum, "cannot listen on %.100s", address);
}

/* A socket file that a killed process has left. */
static bool is_stale(const struct sockaddr_un *name)
{
    struct stat st;
    int fd = open_socket(AF_UNIX);
    bool stale = fd >= 0 && lstat(name->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
                 connect(fd, (const struct sockaddr *)name, sizeof *name) < 0 &&
                 errno == ECONNREFUSED;

    if (fd >= 0) {
        close(fd);
    }
    return stale;
}

static celery_status listen_unix(const char *address, const char *path,
                                 struct cel_listener *l, celery_error *err)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct stat st;
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof name.sun_path || len >= sizeof l->path) {
        return no_address(address, err);
    }
    memcpy(name.sun_path, path, len + 1);
    if (is_stale(&name)) {
        unlink(path);
    }
    l->fd = open_socket(AF_UNIX);
    if (l->fd < 0 || bind(l->fd, (const struct sockaddr *)&name, sizeof name) < 0) {
        return cannot(l, address, errno, err);
    }
    memcpy(l->path, path, len + 1);
    if (stat(path, &st) == 0) {
        l->device = (unsigned)st.st_dev;
        l->inode = st.st_ino;
    }
    if (listen(l->fd, BACKLOG) < 0) {
        int errnum = errno;
        unlink(path);
        return cannot(l, address, errnum, err);
    }
    return CELERY_OK;
}

/* "host:port" or "[host]:port"; the parts are copied. */
static bool split(const char *address, char *host, size_t size, const char **ret_port)
{
    const char *colon = strrchr(address, ':');
    int64_t number;

    if (!colon || !cel_slice_to_int(cel_slice_of(colon + 1), &number) || number < 0 ||
        number > 65535) {
        return false;
    }
    struct cel_slice text = cel_slice(address, (size_t)(colon - address));
    bool bracketed = text.len >= 2 && text.data[0] == '[';
    if (bracketed) {
        if (text.data[text.len - 1] != ']') {
            return false;
        }
        text = cel_slice(text.data + 1, text.len - 2);
    } else if (text.len > 0 && memchr(text.data, ':', text.len)) {
        return false; /* which of them is before the port? */
    }
    if (text.len >= size) {
        return false;
    }
    memcpy(host, text.len > 0 ? text.data : "", text.len);
    host[text.len] = '\0';
    *ret_port = colon + 1;
    return true;
}

static celery_status listen_tcp(const char *address, struct cel_listener *l,
                                celery_error *err)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
    };
    struct addrinfo *found = NULL;
    char host[64];
    const char *port;
    const int on = 1;

    if (!split(address, host, sizeof host, &port)) {
        return no_address(address, err);
    }
    const char *name = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    if (getaddrinfo(*name ? name : NULL, port, &hints, &found) != 0 || !found) {
        return no_address(address, err);
    }
    l->fd = open_socket(found->ai_family);
    if (l->fd < 0 || setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(l->fd, found->ai_addr, found->ai_addrlen) < 0 ||
        listen(l->fd, BACKLOG) < 0) {
        int errnum = errno;
        freeaddrinfo(found);
        return cannot(l, address, errnum, err);
    }
    freeaddrinfo(found);
    return CELERY_OK;
}

celery_status cel_listen(const char *address, struct cel_listener *ret, celery_error *err)
{
    *ret = (struct cel_listener){.fd = -1};
    return strncmp(address, "unix:", 5) == 0 ? listen_unix(address, address + 5, ret, err)
                                             : listen_tcp(address, ret, err);
}

void cel_listener_close(struct cel_listener *l)
{
    struct stat st;

    if (l->fd < 0) {
        return;
    }
    close(l->fd);
    l->fd = -1;
    if (l->path[0] && lstat(l->path, &st) == 0 && (unsigned)st.st_dev == l->device &&
        st.st_ino == l->inode) {
        unlink(l->path);
    }
}
