/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/process.h"

#include "base/error.h"
#include "base/log.h"
#include "worker/program.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define EX_CANTCREAT 73

static celery_status set_umask(const char *text, celery_error *err)
{
    int mask = 0;

    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '7' || mask > 0777) {
            return cel_error_set(err, CELERY_ECONFIG,
                                 "--umask %s: expected an octal number", text);
        }
        mask = mask * 8 + (*p - '0');
    }
    umask((mode_t)(mask & 0777));
    return CELERY_OK;
}

static celery_status find_user(const char *name, uid_t *ret_uid, gid_t *ret_gid,
                               celery_error *err)
{
    int64_t number;
    const struct passwd *user = cel_slice_to_int(cel_slice_of(name), &number)
                                    ? getpwuid((uid_t)number)
                                    : getpwnam(name);

    if (!user) {
        return cel_error_set(err, CELERY_ECONFIG, "--uid %s: no such user", name);
    }
    *ret_uid = user->pw_uid;
    *ret_gid = user->pw_gid;
    return CELERY_OK;
}

static celery_status find_group(const char *name, gid_t *ret_gid, celery_error *err)
{
    int64_t number;
    const struct group *group = cel_slice_to_int(cel_slice_of(name), &number)
                                    ? getgrgid((gid_t)number)
                                    : getgrnam(name);

    if (!group) {
        return cel_error_set(err, CELERY_ECONFIG, "--gid %s: no such group", name);
    }
    *ret_gid = group->gr_gid;
    return CELERY_OK;
}

/* Groups first, the user last, and then there must be no way back. */
static celery_status drop_privileges(const struct cel_cmdline *line, celery_error *err)
{
    uid_t uid = getuid();
    gid_t gid = getgid();

    if (line->uid && find_user(line->uid, &uid, &gid, err) < 0) {
        return CELERY_ECONFIG;
    }
    if (line->gid && find_group(line->gid, &gid, err) < 0) {
        return CELERY_ECONFIG;
    }
    if (!line->uid && !line->gid) {
        return CELERY_OK;
    }
    if (geteuid() == 0 && setgroups(1, &gid) < 0) {
        return cel_error_sys(err, CELERY_ESYSTEM, errno, "setgroups");
    }
    if (setgid(gid) < 0) {
        return cel_error_sys(err, CELERY_ESYSTEM, errno, "--gid: setgid");
    }
    if (setuid(uid) < 0) {
        return cel_error_sys(err, CELERY_ESYSTEM, errno, "--uid: setuid");
    }
    if (uid != 0 && setuid(0) == 0) {
        return cel_error_set(err, CELERY_ESYSTEM, "--uid: privileges could be regained");
    }
    return CELERY_OK;
}

static celery_status detach(celery_error *err)
{
    pid_t pid = fork();

    if (pid < 0) {
        return cel_error_sys(err, CELERY_ESYSTEM, errno, "--detach: fork");
    }
    if (pid > 0) {
        _exit(0);
    }
    setsid();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        close(null);
    }
    return CELERY_OK;
}

/* The process of an old pid file, or 0. */
static int64_t live_owner(const char *path)
{
    char text[32] = "";
    int64_t pid = 0;
    FILE *file = fopen(path, "re");

    if (!file) {
        return 0;
    }
    char *line = fgets(text, sizeof text, file);
    fclose(file);
    if (!line || !cel_slice_to_int(cel_slice_trim(cel_slice_of(text)), &pid) ||
        pid <= 0) {
        return 0;
    }
    bool alive = kill((pid_t)pid, 0) == 0 || errno == EPERM;
    return alive && pid != getpid() ? pid : 0;
}

static int write_pid_file(const char *path, celery_error *err)
{
    char text[32];
    int64_t owner = live_owner(path);

    if (owner > 0) {
        cel_error_set(
            err, CELERY_ESYSTEM,
            "Pidfile (%s) already exists. Seems we're already running? (pid: %lld)", path,
            (long long)owner);
        return EX_CANTCREAT;
    }
    unlink(path);
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (fd < 0 || write(fd, text, (size_t)n) != n) {
        cel_error_sys(err, CELERY_ESYSTEM, errno, "--pidfile %s", path);
        if (fd >= 0) {
            close(fd);
        }
        return EX_CANTCREAT;
    }
    close(fd);
    return 0;
}

int cel_process_prepare(const struct cel_cmdline *line, celery_error *err)
{
    if (line->umask && set_umask(line->umask, err) < 0) {
        return 1;
    }
    if (drop_privileges(line, err) < 0) {
        return 1;
    }
    if (line->log_file && cel_log_set_file(line->log_file, err) < 0) {
        return 1;
    }
    if (line->detach && !cel_again_is() && detach(err) < 0) {
        return 1;
    }
    return line->pid_file ? write_pid_file(line->pid_file, err) : 0;
}

void cel_process_finish(const struct cel_cmdline *line)
{
    if (line->pid_file) {
        unlink(line->pid_file);
    }
}

void cel_process_warn_root(void)
{
    if (geteuid() == 0) {
        cel_log(CELERY_LOG_WARNING,
                "You're running the worker with superuser privileges: this is\n"
                "absolutely not recommended!\n\n"
                "Please specify a different user using the --uid option.\n\n"
                "User information: uid=%d euid=%d gid=%d egid=%d",
                (int)getuid(), (int)geteuid(), (int)getgid(), (int)getegid());
    }
}
