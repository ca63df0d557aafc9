/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* ---- characters ---- */

/* Decodes one character: its bytes, 0 when they are no UTF-8. */
static size_t decode(const char *text, size_t size, uint32_t *ret)
{
    const unsigned char *p = (const unsigned char *)text;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80             ? 1
               : (p[0] & 0xe0) == 0xc0 ? 2
               : (p[0] & 0xf0) == 0xe0 ? 3
               : (p[0] & 0xf8) == 0xf0 ? 4
                                       : 0;
    uint32_t c = n == 1 ? p[0] : n ? p[0] & (0x7fu >> n) : 0;

    if (n == 0 || n > size) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        return 0;
    }
    *ret = c;
    return n;
}

struct range {
    uint32_t first, last;
};

static bool within(const struct range *ranges, size_t n, uint32_t c)
{
    for (size_t i = 0; i < n; i++) {
        if (c >= ranges[i].first && c <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

/* Controls, line separators, and what turns the direction of writing (UAX 9) or hides. */
static bool unsafe(uint32_t c)
{
    static const struct range ranges[] = {
        {0, 0x1f},        {0x7f, 0x9f},     {0x61c, 0x61c},   {0x200b, 0x200f},
        {0x2028, 0x202e}, {0x2060, 0x2069}, {0xfeff, 0xfeff}, {0xe0000, 0xe007f},
    };
    return within(ranges, sizeof ranges / sizeof ranges[0], c);
}

static size_t columns_of(uint32_t c)
{
    static const struct range none[] = {
        {0x300, 0x36f}, {0x1ab0, 0x1aff}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}};
    static const struct range two[] = {
        {0x1100, 0x115f},   {0x2e80, 0xa4cf},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},
        {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f},
        {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
    };
    return within(none, sizeof none / sizeof none[0], c) ? 0
           : within(two, sizeof two / sizeof two[0], c)  ? 2
                                                         : 1;
}

/* Writes one character or the escapes of its bytes; its bytes in the text. */
static size_t print_one(FILE *out, const char *text, size_t size, bool lines)
{
    uint32_t c = 0;
    size_t n = decode(text, size, &c);
    bool plain = n > 0 && (!unsafe(c) || (lines && (c == '\n' || c == '\t')));

    if (plain) {
        fwrite(text, 1, n, out);
        return n;
    }
    n = n ? n : 1;
    for (size_t i = 0; i < n; i++) {
        fprintf(out, "\\x%02x", (unsigned char)text[i]);
    }
    return n;
}

static void print(FILE *out, const char *text, size_t size, bool lines)
{
    for (size_t i = 0; i < size;) {
        i += print_one(out, text + i, size - i, lines);
    }
}

void text_print(FILE *out, const char *text, size_t size)
{
    print(out, text, size, false);
}

void text_print_lines(FILE *out, const char *text, size_t size)
{
    print(out, text, size, true);
}

char *text_escape(const char *text, size_t size)
{
    char *escaped = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&escaped, &len);

    if (!out) {
        return NULL;
    }
    text_print(out, text, size);
    if (fclose(out) != 0) {
        free(escaped);
        return NULL;
    }
    return escaped;
}

static size_t measure(const char *text, size_t limit, size_t *ret_bytes)
{
    size_t size = strlen(text), columns = 0, i = 0;

    while (i < size) {
        uint32_t c = 0;
        size_t n = decode(text + i, size - i, &c);
        size_t width = n ? columns_of(c) : 1;

        if (columns + width > limit) {
            break;
        }
        columns += width;
        i += n ? n : 1;
    }
    *ret_bytes = i;
    return columns;
}

size_t text_width(const char *text)
{
    size_t bytes;

    return measure(text, SIZE_MAX, &bytes);
}

size_t text_fit(const char *text, size_t columns)
{
    size_t bytes;

    measure(text, columns, &bytes);
    return bytes;
}

void text_time(double time, char text[32])
{
    time_t seconds = (time_t)0;
    struct tm tm;

    if (time > 0 && time <= 253402300799.0) {
        seconds = (time_t)time;
    }
    if (seconds == 0 || !localtime_r(&seconds, &tm) ||
        strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0) {
        memcpy(text, "-", 2);
    }
}

/* ---- terminals ---- */

struct term term_of(FILE *out, bool no_color)
{
    struct term t = {.out = out};
    const char *never = getenv("NO_COLOR");
    const char *name = getenv("TERM");
    struct winsize size;
    int fd = fileno(out);

    t.tty = fd >= 0 && isatty(fd);
    if (!t.tty) {
        return t;
    }
    t.colour = !no_color && !(never && *never) && name && strcmp(name, "dumb") != 0;
    t.width = ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
    return t;
}

const char *term_on(const struct term *term, enum style style)
{
    static const char *const codes[] = {
        [STYLE_NONE] = "",          [STYLE_BOLD] = "\033[1m",
        [STYLE_DIM] = "\033[2m",    [STYLE_RED] = "\033[31m",
        [STYLE_GREEN] = "\033[32m", [STYLE_YELLOW] = "\033[33m",
        [STYLE_BLUE] = "\033[34m",  [STYLE_MAGENTA] = "\033[35m",
        [STYLE_CYAN] = "\033[36m",
    };
    return term->colour ? codes[style] : "";
}

const char *term_off(const struct term *term)
{
    return term->colour ? "\033[0m" : "";
}
