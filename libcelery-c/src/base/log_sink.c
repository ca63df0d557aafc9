/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log_sink.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/utf8.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { PROCESS_SIZE = 64, WRITE_WAIT_MS = 1000 };

static char process[PROCESS_SIZE] = "MainProcess";
static _Thread_local const char *spoken_for;
static _Thread_local int spoken_pid;
static _Thread_local struct cel_slice about_task;
static _Thread_local struct cel_slice about_id;
static _Thread_local bool of_task;
static const char *dates[2]; /* of all lines, of those of tasks */
static bool as_json;
static int color_mode = -1;
static atomic_int sink_fd = STDERR_FILENO;
static char *sink_path;
static pthread_mutex_t file_lock = PTHREAD_MUTEX_INITIALIZER;

void cel_log_set_process(const char *name)
{
    snprintf(process, sizeof process, "%s", name);
}

const char *cel_log_process(void)
{
    return process;
}

void cel_log_speak_for(const char *name, int pid)
{
    spoken_for = name;
    spoken_pid = pid;
}

void cel_log_about(struct cel_slice task, struct cel_slice id)
{
    about_task = task;
    about_id = id;
}

void cel_log_set_json(bool on)
{
    as_json = on;
}

void cel_log_set_dates(const char *all, const char *of_tasks)
{
    dates[0] = all && *all ? all : NULL;
    dates[1] = of_tasks && *of_tasks ? of_tasks : NULL;
}

void cel_log_sink_of_task(bool on)
{
    of_task = on;
}

void cel_log_set_color(int mode)
{
    color_mode = mode;
}

/* dup3() over the old number, so that a thread in write() keeps a valid descriptor. */
static celery_status open_sink(const char *path, celery_error *err)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        return cel_error_sys(err, CELERY_ESYSTEM, errno, "log file %s", path);
    }
    int old = atomic_load(&sink_fd);
    if (old == STDERR_FILENO) {
        atomic_store(&sink_fd, fd);
        return CELERY_OK;
    }
    int moved = dup3(fd, old, O_CLOEXEC);
    int errnum = errno;
    close(fd);
    return moved < 0 ? cel_error_sys(err, CELERY_ESYSTEM, errnum, "log file %s", path)
                     : CELERY_OK;
}

celery_status cel_log_set_file(const char *path, celery_error *err)
{
    celery_status status = CELERY_OK;
    pthread_mutex_lock(&file_lock);
    char *copy = path ? cel_strdup(path) : NULL;
    if (path && !copy) {
        status = cel_error_nomem(err);
        goto out;
    }
    if (path) {
        status = open_sink(path, err);
    } else if (atomic_load(&sink_fd) != STDERR_FILENO) {
        close(atomic_exchange(&sink_fd, STDERR_FILENO));
    }
    if (status == CELERY_OK) {
        char *old = sink_path;
        sink_path = copy;
        copy = old;
    }
out:
    pthread_mutex_unlock(&file_lock);
    cel_free(copy);
    return status;
}

celery_status cel_log_reopen(celery_error *err)
{
    pthread_mutex_lock(&file_lock);
    celery_status status = sink_path ? open_sink(sink_path, err) : CELERY_OK;
    pthread_mutex_unlock(&file_lock);
    return status;
}

static bool use_color(int fd)
{
    static _Thread_local int asked_fd = -1;
    static _Thread_local bool is_tty;
    if (color_mode >= 0) {
        return color_mode > 0;
    }
    if (asked_fd != fd) {
        asked_fd = fd;
        is_tty = isatty(fd);
    }
    return is_tty;
}

/* celery/utils/log.py ColorFormatter: the whole line, bold. */
static const char *color_of(celery_log_level level)
{
    switch (level) {
    case CELERY_LOG_DEBUG:
        return "\033[1;34m";
    case CELERY_LOG_WARNING:
        return "\033[1;33m";
    case CELERY_LOG_ERROR:
        return "\033[1;31m";
    case CELERY_LOG_CRITICAL:
        return "\033[1;35m";
    default:
        return NULL;
    }
}

/* Local time, kept for a second. */
static const char *date_text(time_t second, const char *format)
{
    static _Thread_local struct {
        time_t second;
        const char *format;
        char text[128];
    } made = {.second = -1};

    if (second != made.second || format != made.format) {
        struct tm parts;
        localtime_r(&second, &parts);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* it is the user's */
        if (strftime(made.text, sizeof made.text, format, &parts) == 0) {
            made.text[0] = '\0';
        }
#pragma GCC diagnostic pop
        made.second = second;
        made.format = format;
    }
    return made.text;
}

/* "2026-11-22 13:02:13,615", or as logging.Formatter.formatTime() has a datefmt. */
static void add_time(struct cel_buf *out)
{
    static const char usual[] = "%Y-%m-%d %H:%M:%S";
    int64_t now = cel_clock_wall_us();
    time_t second = (time_t)(now / 1000000);

    if (dates[of_task]) {
        cel_buf_adds(out, date_text(second, dates[of_task]));
        return;
    }
    int ms = (int)(now / 1000 % 1000);
    char fraction[4] = {',', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10),
                        (char)('0' + ms % 10)};
    cel_buf_adds(out, date_text(second, usual));
    cel_buf_add(out, fraction, sizeof fraction);
}

static void add_text_line(struct cel_buf *out, celery_log_level level,
                          struct cel_slice text, const char *color)
{
    if (color) {
        cel_buf_adds(out, color);
    }
    cel_buf_addc(out, '[');
    add_time(out);
    cel_buf_adds(out, ": ");
    cel_buf_adds(out, cel_log_level_name(level));
    cel_buf_addc(out, '/');
    cel_buf_adds(out, spoken_for ? spoken_for : process);
    cel_buf_adds(out, "] ");
    cel_buf_add_slice(out, text);
    if (color) {
        cel_buf_adds(out, "\033[0m");
    }
}

static void add_json_text(struct cel_buf *out, struct cel_slice text)
{
    cel_buf_addc(out, '"');
    for (size_t at = 0; at < text.len;) {
        size_t start = at;
        int32_t code = cel_utf8_next(text, &at);
        if (code < 0 || (code >= 0xd800 && code <= 0xdfff)) {
            cel_buf_adds(out, "\\ufffd");
        } else if (code == '"' || code == '\\') {
            cel_buf_addc(out, '\\');
            cel_buf_addc(out, (char)code);
        } else if (code == '\n') {
            cel_buf_adds(out, "\\n");
        } else if (code < 0x20 || code == 0x7f) {
            cel_buf_addf(out, "\\u%04x", (unsigned)code);
        } else {
            cel_buf_add(out, text.data + start, at - start);
        }
    }
    cel_buf_addc(out, '"');
}

/* "2026-11-22T13:02:13.615Z": what collectors of logs read without being told how. */
static void add_json_time(struct cel_buf *out)
{
    int64_t now = cel_clock_wall_us();
    time_t second = (time_t)(now / 1000000);
    struct tm parts;
    char text[32];
    gmtime_r(&second, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    cel_buf_addf(out, "%s.%03dZ", text, (int)(now / 1000 % 1000));
}

static void add_member(struct cel_buf *out, const char *key, struct cel_slice text)
{
    cel_buf_addf(out, "\"%s\": ", key);
    add_json_text(out, text);
    cel_buf_adds(out, ", ");
}

static void add_json_line(struct cel_buf *out, celery_log_level level,
                          struct cel_slice text)
{
    bool task = about_id.len > 0 || about_task.len > 0;
    cel_buf_adds(out, "{\"time\": \"");
    add_json_time(out);
    cel_buf_addf(out, "\", \"level\": \"%s\", \"logger\": \"celery.%s\", ",
                 cel_log_level_name(level), task ? "task" : "worker");
    add_member(out, "process", cel_slice_of(spoken_for ? spoken_for : process));
    cel_buf_addf(out, "\"pid\": %d, ", spoken_for ? spoken_pid : (int)getpid());
    if (task) {
        add_member(out, "task_name", about_task);
        add_member(out, "task_id", about_id);
    }
    cel_buf_adds(out, "\"message\": ");
    add_json_text(out, text);
    cel_buf_addc(out, '}');
}

/* A full pipe is waited for, but not for ever: a log nobody reads must not stop tasks. */
static void write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n > 0) {
            data += n;
            len -= (size_t)n;
            continue;
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        struct pollfd room = {.fd = fd, .events = POLLOUT};
        if (n < 0 && errno == EAGAIN && poll(&room, 1, WRITE_WAIT_MS) == 1) {
            continue;
        }
        return;
    }
}

void cel_log_sink_write(celery_log_level level, struct cel_slice text)
{
    int errnum = errno;
    int fd = atomic_load_explicit(&sink_fd, memory_order_relaxed);
    struct cel_buf out = {0};
    cel_buf_reserve(&out, text.len + 160, NULL);
    if (as_json) {
        add_json_line(&out, level, text);
    } else {
        add_text_line(&out, level, text, use_color(fd) ? color_of(level) : NULL);
    }
    if (cel_buf_addc(&out, '\n') == CELERY_OK) {
        write_all(fd, out.data, out.len);
    }
    cel_buf_fini(&out);
    errno = errnum;
}
