/* SPDX-License-Identifier: BSD-3-Clause */
#include "redis_server.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_ARGUMENTS 64
#define START_SECONDS  20

struct redis_server {
    pid_t pid;
    pid_t reaper;
    int life; /* of this process, for the reaper */
    int port;
    int tls_port;
    char dir[64];
    char socket[100];
    char url[128];
};

static void pause_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

bool redis_server_installed(void)
{
    return system("command -v redis-server >/dev/null 2>&1") == 0;
}

int free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int port = -1;

    if (fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
        getsockname(fd, (struct sockaddr *)&at, &len) == 0) {
        port = ntohs(at.sin_port);
    }
    if (fd >= 0) {
        close(fd);
    }
    return port;
}

static bool make_certificates(const char *dir)
{
    char command[1400];

    snprintf(
        command, sizeof command,
        "cd %s && exec >/dev/null 2>&1 && "
        "k='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2' && "
        "openssl req -x509 $k -keyout ca.key -out ca.pem -subj /CN=test-ca && "
        "openssl req -x509 $k -keyout other.key -out other-ca.pem -subj /CN=other && "
        "openssl req $k -keyout server.key -out server.csr -subj /CN=redis && "
        "echo subjectAltName=DNS:localhost,IP:127.0.0.1 >ext && "
        "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial "
        "-days 2 -extfile ext -out server.pem",
        dir);
    return system(command) == 0;
}

static bool answers(const struct redis_server *s)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char reply[16] = "";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(at.sun_path, sizeof at.sun_path, "%s", s->socket);
    bool ok = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
              send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 &&
              recv(fd, reply, sizeof reply - 1, 0) > 0;
    if (fd >= 0) {
        close(fd);
    }
    /* With a password it is -NOAUTH, which is an answer as well. */
    return ok && (reply[0] == '+' || strncmp(reply, "-NOAUTH", 7) == 0);
}

static bool wait_for_it(struct redis_server *s)
{
    for (int i = 0; i < START_SECONDS * 100; i++) {
        if (answers(s)) {
            return true;
        }
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid) {
            s->pid = 0;
            return false;
        }
        pause_ms(10);
    }
    return false;
}

struct arguments {
    const char *argv[MOST_ARGUMENTS];
    size_t n;
    char text[4096];
    size_t used;
};

static void add(struct arguments *a, const char *name, const char *value)
{
    if (a->n + 3 < MOST_ARGUMENTS) {
        a->argv[a->n++] = name;
        if (value) {
            a->argv[a->n++] = value;
        }
    }
}

static const char *keep(struct arguments *a, const char *dir, const char *file,
                        int number)
{
    char *at = a->text + a->used;
    int n = file ? snprintf(at, sizeof a->text - a->used, "%s/%s", dir, file)
                 : snprintf(at, sizeof a->text - a->used, "%d", number);
    a->used += (size_t)n + 1;
    return at;
}

static void set_arguments(struct arguments *a, struct redis_server *s,
                          const struct redis_server_options *o)
{
    add(a, "redis-server", NULL);
    if (o->sentinel_of) {
        add(a, keep(a, s->dir, "sentinel.conf", 0), "--sentinel");
    }
    add(a, "--port", keep(a, NULL, NULL, s->port));
    add(a, "--bind", "127.0.0.1");
    if (!o->sentinel_of) {
        add(a, "127.0.0.2", NULL);
    }
    add(a, "--unixsocket", s->socket);
    add(a, "--dir", s->dir);
    add(a, "--logfile", keep(a, s->dir, "log", 0));
    if (!o->sentinel_of) {
        add(a, "--save", "");
        add(a, "--appendonly", "no");
    }
    if (o->tls) {
        add(a, "--tls-port", keep(a, NULL, NULL, s->tls_port));
        add(a, "--tls-cert-file", keep(a, s->dir, "server.pem", 0));
        add(a, "--tls-key-file", keep(a, s->dir, "server.key", 0));
        add(a, "--tls-ca-cert-file", keep(a, s->dir, "ca.pem", 0));
        add(a, "--tls-auth-clients", "optional");
    }
    for (size_t i = 0; o->extra && o->extra[i]; i++) {
        add(a, o->extra[i], NULL);
    }
    a->argv[a->n] = NULL;
}

static void run(const struct arguments *a, pid_t parent)
{
    sigset_t none;
    int null = open("/dev/null", O_RDWR);

    /* A test that dies takes its servers along. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(1);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
    execvp(a->argv[0], (char *const *)(unsigned long)a->argv);
    _exit(127);
}

/* Removes the folder when the pipe is closed, however this process ends. */
static void start_reaper(struct redis_server *s)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) != 0) {
        return;
    }
    s->reaper = fork();
    if (s->reaper == 0) {
        int null = open("/dev/null", O_RDWR);

        setsid();
        dup2(fds[0], 0);
        dup2(null, 1);
        dup2(null, 2);
        execl("/bin/sh", "sh", "-c", "read -r _; rm -rf \"$1\" || sleep 1; rm -rf \"$1\"",
              "sh", s->dir, (char *)NULL);
        _exit(127);
    }
    close(fds[0]);
    s->life = fds[1];
}

/* Children that were only forked may hold the pipe: it is not waited for. */
static void end_reaper(const struct redis_server *s)
{
    if (s->life > 0) {
        close(s->life);
    }
    if (s->reaper > 0) {
        kill(s->reaper, SIGKILL);
    }
    while (s->reaper > 0 && waitpid(s->reaper, NULL, 0) < 0 && errno == EINTR) {
    }
}

static bool write_sentinel_file(const struct redis_server *s, const char *lines)
{
    char path[100];

    snprintf(path, sizeof path, "%s/sentinel.conf", s->dir);
    FILE *f = fopen(path, "w");
    bool ok = f && fputs(lines, f) >= 0;
    return f && fclose(f) == 0 && ok;
}

struct redis_server *redis_server_start(const struct redis_server_options *options)
{
    struct redis_server_options o = options ? *options : (struct redis_server_options){0};
    struct redis_server *s = calloc(1, sizeof *s);
    struct arguments *a = calloc(1, sizeof *a);
    pid_t parent = getpid();

    if (!s || !a) {
        goto fail;
    }
    snprintf(s->dir, sizeof s->dir, "/tmp/celery-c-redis-XXXXXX");
    if (!mkdtemp(s->dir)) {
        s->dir[0] = '\0';
        goto fail;
    }
    start_reaper(s);
    snprintf(s->socket, sizeof s->socket, "%s/redis.sock", s->dir);
    snprintf(s->url, sizeof s->url, "redis+socket://%s", s->socket);
    s->port = o.port ? o.port : free_port();
    s->tls_port = o.tls ? free_port() : 0;
    if ((o.tls && !make_certificates(s->dir)) ||
        (o.sentinel_of && !write_sentinel_file(s, o.sentinel_of))) {
        goto fail;
    }
    set_arguments(a, s, &o);
    s->pid = fork();
    if (s->pid == 0) {
        run(a, parent);
    }
    if (s->pid < 0 || !wait_for_it(s)) {
        goto fail;
    }
    free(a);
    return s;

fail:
    free(a);
    return redis_server_stop(s);
}

int redis_server_begin(struct redis_server **ret_server, char *url, size_t size)
{
    *ret_server = NULL;
    if (!redis_server_installed()) {
        return TEST_SKIPPED;
    }
    *ret_server = redis_server_start(NULL);
    if (!*ret_server) {
        fprintf(stderr, "redis-server does not start\n");
        return 1;
    }
    snprintf(url, size, "%s", redis_server_url(*ret_server));
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    return remove(path);
}

struct redis_server *redis_server_stop(struct redis_server *s)
{
    if (!s) {
        return NULL;
    }
    if (s->pid > 0) {
        kill(s->pid, SIGKILL);
        while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (s->dir[0]) {
        nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
    end_reaper(s);
    free(s);
    return NULL;
}

void redis_server_signal(struct redis_server *s, int signo)
{
    kill(s->pid, signo);
}

const char *redis_server_socket(const struct redis_server *s)
{
    return s->socket;
}

const char *redis_server_url(const struct redis_server *s)
{
    return s->url;
}

int redis_server_port(const struct redis_server *s)
{
    return s->port;
}

int redis_server_tls_port(const struct redis_server *s)
{
    return s->tls_port;
}

const char *redis_server_dir(const struct redis_server *s)
{
    return s->dir;
}
