/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/tty.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* Alternate screen, no cursor, no wrapping at the edge; and back. */
static const char enter_text[] = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
static const char leave_text[] = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";

static struct termios before;
static volatile sig_atomic_t on, changed;
static unsigned char pending[64];
static size_t n_pending;

/* ---- the screen; also called by handlers of signals ---- */

static void enter(void)
{
    struct termios raw = before;

    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    tty_write(enter_text, sizeof enter_text - 1);
    on = 1;
    changed = 1;
}

static void leave(void)
{
    if (on) {
        on = 0;
        tty_write(leave_text, sizeof leave_text - 1);
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
    }
}

static void on_resize(int signo)
{
    changed = 1;
}

/* The default comes after the terminal is as it was. */
static void on_end(int signo)
{
    leave();
    signal(signo, SIG_DFL);
    raise(signo);
}

static void set_handler(int signo, void (*fn)(int), int flags)
{
    struct sigaction action = {.sa_handler = fn, .sa_flags = flags};

    sigaction(signo, &action, NULL);
}

static void on_stop(int signo)
{
    sigset_t one;
    int error = errno;

    leave();
    set_handler(SIGTSTP, SIG_DFL, 0);
    raise(SIGTSTP);
    sigemptyset(&one);
    sigaddset(&one, SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &one, NULL); /* it stops here, and goes on here */
    set_handler(SIGTSTP, on_stop, SA_RESTART);
    enter();
    errno = error;
}

bool tty_begin(void)
{
    static const int ends[] = {SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

    if (tcgetattr(STDIN_FILENO, &before) < 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        set_handler(ends[i], on_end, (int)SA_RESETHAND);
    }
    set_handler(SIGWINCH, on_resize, 0);
    set_handler(SIGTSTP, on_stop, SA_RESTART);
    enter();
    return true;
}

void tty_end(void)
{
    leave();
}

void tty_size(unsigned *ret_rows, unsigned *ret_columns)
{
    struct winsize size = {0};

    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    *ret_rows = size.ws_row ? size.ws_row : 24;
    *ret_columns = size.ws_col ? size.ws_col : 80;
}

bool tty_changed(void)
{
    bool was = changed;

    changed = 0;
    return was;
}

bool tty_write(const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(STDOUT_FILENO, text, size);

        if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {STDOUT_FILENO, POLLOUT, 0};

            poll(&p, 1, 1000);
        } else if (n < 0 && errno != EINTR) {
            return false;
        }
        text += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* ---- keys ---- */

static const struct {
    const char *text;
    int key;
} sequences[] = {
    {"\x1b[A", TTY_UP},   {"\x1bOA", TTY_UP},       {"\x1b[B", TTY_DOWN},
    {"\x1bOB", TTY_DOWN}, {"\x1b[5~", TTY_PAGE_UP}, {"\x1b[6~", TTY_PAGE_DOWN},
    {"\x1b[H", TTY_HOME}, {"\x1bOH", TTY_HOME},     {"\x1b[1~", TTY_HOME},
    {"\x1b[F", TTY_END},  {"\x1bOF", TTY_END},      {"\x1b[4~", TTY_END},
};

static int take(size_t n, int key)
{
    n_pending -= n;
    memmove(pending, pending + n, n_pending);
    return key;
}

/* An escape sequence nobody knows is left out as a whole. */
static int take_sequence(void)
{
    size_t n = 2;

    for (size_t i = 0; i < sizeof sequences / sizeof sequences[0]; i++) {
        size_t len = strlen(sequences[i].text);

        if (n_pending >= len && memcmp(pending, sequences[i].text, len) == 0) {
            return take(len, sequences[i].key);
        }
    }
    if (n_pending == 1 || (pending[1] != '[' && pending[1] != 'O')) {
        return take(1, TTY_ESCAPE);
    }
    while (n < n_pending && (pending[n] < 0x40 || pending[n] > 0x7e)) {
        n++;
    }
    return take(n < n_pending ? n + 1 : n_pending, TTY_OTHER);
}

int tty_read_key(void)
{
    if (n_pending == 0) {
        struct pollfd p = {STDIN_FILENO, POLLIN, 0};
        ssize_t n = 0;

        if (poll(&p, 1, 0) <= 0) {
            return TTY_NONE;
        }
        n = read(STDIN_FILENO, pending, sizeof pending);
        if (n <= 0) {
            return n < 0 && errno == EINTR ? TTY_NONE : TTY_GONE;
        }
        n_pending = (size_t)n;
    }
    switch (pending[0]) {
    case 27:
        return take_sequence();
    case '\r':
    case '\n':
        return take(1, TTY_ENTER);
    case 8:
    case 127:
        return take(1, TTY_BACKSPACE);
    default:
        return take(1, pending[0] < 32 || pending[0] > 126 ? TTY_OTHER : pending[0]);
    }
}
