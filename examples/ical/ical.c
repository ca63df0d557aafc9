/* SPDX-License-Identifier: BSD-3-Clause */
#include "ical.h"

#include <stdlib.h>
#include <string.h>

/* icalendar folds when the next character would make 75 octets, so a line has 74. */
#define FOLD 74

/* Bytes that escaping may change; anything else is copied in runs. */
static const bool special[256] = {
    ['\\'] = true, [';'] = true, [','] = true, ['\r'] = true, ['\n'] = true};

/*
 * icalendar's chain of str.replace() in one pass: \N is a line feed, then \ ; , are
 * escaped, then CR LF and LF become \n; from 7.3 on (class C) so does a lone CR.
 */
static void escape(struct text *t, const char *s, size_t len, enum ical_class output)
{
    const char *end = s + len;

    if (!text_reserve(t, 2 * len)) {
        return;
    }
    char *out = t->data + t->len;

    while (s < end) {
        const char *run = s;

        while (s < end && !special[(unsigned char)*s]) {
            s++;
        }
        memcpy(out, run, (size_t)(s - run));
        out += s - run;
        if (s == end) {
            break;
        }
        size_t at = *s == '\r' ? 1 : 0; /* is there a line feed, perhaps behind a CR? */
        size_t feed = s + at < end && s[at] == '\n' ? 1
                      : end - s > (ptrdiff_t)at + 1 && s[at] == '\\' && s[at + 1] == 'N'
                          ? 2
                          : 0;

        if (feed > 0 || (*s == '\r' && output == ICAL_C)) {
            *out++ = '\\';
            *out++ = 'n';
            s += at + feed;
        } else if (*s == '\r') {
            *out++ = *s++;
        } else {
            *out++ = '\\';
            *out++ = *s++;
        }
    }
    *out = '\0';
    t->len = (size_t)(out - t->data);
}

/* How many octets of p go on this line; len is more than FOLD. */
static size_t fold_at(const char *p, enum ical_class output)
{
    size_t n = FOLD;

    while (n > 1 && ((unsigned char)p[n] & 0xc0) == 0x80) {
        n--; /* never inside a character */
    }
    /* 7.3 keeps the first character of an escape with the second one. */
    if (output == ICAL_C && n > 1 && (p[n - 1] == '\\' || p[n - 1] == '^')) {
        n--;
    }
    return n;
}

/* Appends w->line, folded, with its CR LF. */
static void add_line(struct ical_writer *w)
{
    const char *p = w->line.data;
    size_t left = w->line.len;

    w->out.failed |= w->line.failed;
    if (!text_reserve(&w->out, left + 3 * (left / (FOLD - 4) + 1) + 2)) {
        return;
    }
    char *out = w->out.data + w->out.len;

    while (left > FOLD) {
        size_t n = fold_at(p, w->output);

        memcpy(out, p, n);
        memcpy(out + n, "\r\n ", 3);
        out += n + 3;
        p += n;
        left -= n;
    }
    memcpy(out, p, left);
    memcpy(out + left, "\r\n", 3);
    w->out.len = (size_t)(out + left + 2 - w->out.data);
}

/* Offset of the first surrogate in WTF-8, or len. */
static size_t find_surrogate(const char *s, size_t len)
{
    for (const char *p = s; (p = memchr(p, 0xed, len - (size_t)(p - s))) != NULL; p++) {
        if (p + 1 < s + len && (unsigned char)p[1] >= 0xa0) {
            return (size_t)(p - s);
        }
    }
    return len;
}

/* UnicodeEncodeError("utf-8", text, start, end, "surrogates not allowed"). */
static void raise_encode_error(struct exception *e, const char *s, size_t len)
{
    size_t start = 0, at = 0, run = 0;
    size_t surrogate = find_surrogate(s, len);
    unsigned first = 0;

    for (; at < surrogate; start++) {
        text_next(s, len, &at);
    }
    for (unsigned code = 0; at < len; run++) {
        code = text_next(s, len, &at);
        if (code < 0xd800 || code > 0xdfff) {
            break;
        }
        first = run == 0 ? code : first;
    }
    exception_raise(e, "UnicodeEncodeError", "");
    text_adds(&e->args, "[\"utf-8\", ");
    text_add_json(&e->args, s, len);
    text_addf(&e->args, ", %zu, %zu, \"surrogates not allowed\"]", start, start + run);
    if (run == 1) {
        text_addf(&e->shown,
                  "'utf-8' codec can't encode character '\\u%04x' in position %zu", first,
                  start);
    } else {
        text_addf(&e->shown, "'utf-8' codec can't encode characters in position %zu-%zu",
                  start, start + run - 1);
    }
    text_adds(&e->shown, ": surrogates not allowed");
}

void ical_text(struct ical_writer *w, const char *name, const char *value, size_t len)
{
    text_clear(&w->line);
    text_adds(&w->line, name);
    text_add(&w->line, ":", 1);
    size_t head = w->line.len;

    escape(&w->line, value, len, w->output);
    if (w->line.failed) {
        w->out.failed = true;
        return;
    }
    char *text = w->line.data + head;
    size_t size = w->line.len - head;

    if (find_surrogate(text, size) < size) {
        if (!w->exception.type) {
            raise_encode_error(&w->exception, text, size);
        }
        return;
    }
    /* icalendar 6 reads the encoded value back as "utf-8-sig", which drops one BOM. */
    if (w->output >= ICAL_B2 && size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        memmove(text, text + 3, size - 3);
        w->line.len -= 3;
    }
    add_line(w);
}

/* ";TZID=...", for dates that fromisoformat() read with an offset; UTC has "Z" instead. */
static void add_zone(struct text *t, const struct datetime *d, enum ical_class output)
{
    if (!d->aware || (d->offset == 0 && d->offset_micro == 0)) {
        text_adds(t, d->aware && output == ICAL_A ? ";TZID=UTC" : "");
        return;
    }
    bool west = d->offset < 0 || d->offset_micro < 0;
    int seconds = abs(d->offset), micro = abs(d->offset_micro);

    /* datetime.timezone.tzname(); the colon makes icalendar quote it. */
    text_addf(t, ";TZID=\"UTC%c%02d:%02d", west ? '-' : '+', seconds / 3600,
              seconds / 60 % 60);
    if (seconds % 60 != 0 || micro != 0) {
        text_addf(t, ":%02d", seconds % 60);
    }
    if (micro != 0) {
        text_addf(t, ".%06d", micro);
    }
    text_adds(t, "\"");
}

static void put_digits(char *p, int value, int count)
{
    while (count-- > 0) {
        p[count] = (char)('0' + value % 10);
        value /= 10;
    }
}

void ical_start(struct ical_writer *w, const struct datetime *d)
{
    char stamp[] = ":20230403T140000\r\n";

    put_digits(stamp + 1, d->year, 4);
    put_digits(stamp + 5, d->month, 2);
    put_digits(stamp + 7, d->day, 2);
    put_digits(stamp + 10, d->hour, 2);
    put_digits(stamp + 12, d->minute, 2);
    put_digits(stamp + 14, d->second, 2);
    text_adds(&w->out, "DTSTART");
    add_zone(&w->out, d, w->output);
    text_adds(&w->out, w->output == ICAL_A ? ";VALUE=DATE-TIME" : "");
    if (d->aware && d->offset == 0 && d->offset_micro == 0) {
        text_add(&w->out, stamp, 16);
        text_adds(&w->out, "Z\r\n");
    } else {
        text_add(&w->out, stamp, 18);
    }
}

void ical_begin(struct ical_writer *w, enum ical_class output, const char *prodid)
{
    w->output = output;
    text_clear(&w->out);
    exception_clear(&w->exception);
    text_adds(&w->out, "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n");
    ical_text(w, "PRODID", prodid, strlen(prodid));
}

void ical_begin_event(struct ical_writer *w)
{
    text_adds(&w->out, "BEGIN:VEVENT\r\n");
}

void ical_end_event(struct ical_writer *w)
{
    text_adds(&w->out, "END:VEVENT\r\n");
}

void ical_end(struct ical_writer *w)
{
    text_adds(&w->out, "END:VCALENDAR\r\n");
}

void ical_free(struct ical_writer *w)
{
    text_free(&w->out);
    text_free(&w->line);
    exception_clear(&w->exception);
}
