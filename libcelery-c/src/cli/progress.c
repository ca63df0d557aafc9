/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/progress.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum { BAR = 30 };

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void progress_begin(struct progress *p, const char *what, const struct globals *globals)
{
    *p = (struct progress){.what = what, .start = now()};
    p->term = term_of(stderr, globals && globals->no_color);
    p->off = !p->term.tty || (globals && globals->quiet);
}

/* Seconds still to go, by what has passed; "" when that says nothing. */
static void rest_text(const struct progress *p, uint64_t done, uint64_t total, double at,
                      char text[32])
{
    double rest = done ? (at - p->start) / (double)done * (double)(total - done) : -1;

    text[0] = 0;
    if (rest >= 0 && rest < 360000) {
        unsigned s = (unsigned)rest;

        snprintf(text, 32, "  %02u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
    }
}

static void draw(const struct progress *p, uint64_t done, uint64_t total, double at)
{
    char bar[BAR + 1], rest[32], line[160];

    if (total) {
        done = done < total ? done : total;
        size_t full = (size_t)((double)done / (double)total * BAR);

        memset(bar, '#', full);
        memset(bar + full, '-', BAR - full);
        bar[BAR] = 0;
        rest_text(p, done, total, at, rest);
        snprintf(line, sizeof line, "%s  [%s]  %" PRIu64 "/%" PRIu64 "  %3d%%%s", p->what,
                 bar, done, total, (int)((double)done / (double)total * 100), rest);
    } else {
        snprintf(line, sizeof line, "%s  %" PRIu64, p->what, done);
    }
    fprintf(stderr, "\r\033[K%.*s", (int)text_fit(line, p->term.width - 1), line);
    fflush(stderr);
}

void progress_set(struct progress *p, uint64_t done, uint64_t total)
{
    double at;

    if (p->off) {
        return;
    }
    at = now();
    if (at - p->start >= 0.5 && at - p->drawn >= 0.1) {
        p->drawn = at;
        draw(p, done, total, at);
    }
}

void progress_clear(struct progress *p)
{
    if (p->drawn > 0) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
        p->drawn = 0;
    }
}

void progress_end(struct progress *p)
{
    progress_clear(p);
    p->off = true;
}
