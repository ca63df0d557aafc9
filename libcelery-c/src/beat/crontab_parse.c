/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * celery/schedules.py crontab_parser and crontab._expand_cronspec(), with their oddities: what
 * follows a complete range is not looked at ("1-5;" is 1-5), ranges wrap around, and steps
 * count from the beginning of their range.
 */
#include "base/error.h"
#include "base/log.h"
#include "beat/civil.h"
#include "beat/crontab.h"

static const struct field {
    const char *name;
    int min;
    int max;
} fields[CEL_CRON_FIELDS] = {
    {"minute", 0, 59},       {"hour", 0, 23},          {"day_of_week", 0, 6},
    {"day_of_month", 1, 31}, {"month_of_year", 1, 12},
};

static celery_status wrong(const struct field *f, celery_error *err, const char *why,
                           struct cel_slice text)
{
    return cel_error_set(err, CELERY_ECONFIG, "%s: %s '%s'", f->name, why,
                         cel_log_safe(text));
}

/* What \w matches; letters beyond ASCII too, which are refused later. */
static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           c == '_' || (unsigned char)c >= 0x80;
}

static struct cel_slice word(struct cel_slice *rest)
{
    size_t n = 0;

    while (n < rest->len && is_word(rest->data[n])) {
        n++;
    }
    struct cel_slice found = cel_slice(rest->data, n);

    *rest = cel_slice(rest->data + n, rest->len - n);
    return found;
}

static bool take(struct cel_slice *rest, char c)
{
    if (rest->len == 0 || rest->data[0] != c) {
        return false;
    }
    *rest = cel_slice(rest->data + 1, rest->len - 1);
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* int(text): blanks around it, a sign, single underscores between digits. */
static bool python_int(struct cel_slice s, int64_t *ret)
{
    bool negative = false;
    int64_t value = 0;

    while (s.len > 0 && is_blank(s.data[0])) {
        s = cel_slice(s.data + 1, s.len - 1);
    }
    while (s.len > 0 && is_blank(s.data[s.len - 1])) {
        s.len--;
    }
    if (take(&s, '-')) {
        negative = true;
    } else {
        take(&s, '+');
    }
    if (s.len == 0 || s.data[0] == '_' || s.data[s.len - 1] == '_') {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == '_' && s.data[i - 1] != '_') {
            continue;
        }
        if (s.data[i] < '0' || s.data[i] > '9') {
            return false;
        }
        /* Far beyond every field there is no difference any more. */
        value = value > 100000 ? value : value * 10 + (s.data[i] - '0');
    }
    *ret = negative ? -value : value;
    return true;
}

/* yearmonth(), then weekday(): the first three letters count. */
static bool named(struct cel_slice s, int64_t *ret)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec"
                                "sunmontuewedthufrisat";

    if (s.len < 3) {
        return false;
    }
    for (int i = 0; i < 19; i++) {
        if ((s.data[0] | 0x20) == names[i * 3] &&
            (s.data[1] | 0x20) == names[i * 3 + 1] &&
            (s.data[2] | 0x20) == names[i * 3 + 2]) {
            *ret = i < 12 ? i + 1 : i - 12;
            return true;
        }
    }
    return false;
}

static celery_status number(const struct field *f, struct cel_slice text, int64_t *ret,
                            celery_error *err)
{
    if (text.len > 0 && text.data[0] == '-') {
        return wrong(f, err, "negative numbers not supported:", text);
    }
    if (!python_int(text, ret) && !named(text, ret)) {
        return wrong(f, err, "neither a number nor the name of a day or month:", text);
    }
    if (*ret > f->max || *ret < f->min) {
        return cel_error_set(err, CELERY_ECONFIG, "%s: '%s' is not within %d-%d", f->name,
                             cel_log_safe(text), f->min, f->max);
    }
    return CELERY_OK;
}

/* The numbers from..to, around the end if need be, every step-th of them. */
static uint64_t spread(const struct field *f, int64_t from, int64_t to, int64_t step)
{
    int64_t size = f->max - f->min + 1;
    int64_t count = to >= from ? to - from + 1 : size - (from - to) + 1;
    uint64_t set = 0;

    for (int64_t i = 0; i < count; i += step) {
        set |= UINT64_C(1) << (f->min + (from - f->min + i) % size);
    }
    return set;
}

static celery_status step(const struct field *f, struct cel_slice text, int64_t *ret,
                          celery_error *err)
{
    if (text.len == 0) {
        return cel_error_set(err, CELERY_ECONFIG, "%s: empty filter", f->name);
    }
    if (!python_int(text, ret) || *ret == 0) {
        return wrong(f, err, "not a step:", text);
    }
    return CELERY_OK;
}

/* "a-b" or "a-b/s"; true if part has that form, then the status is in *ret. */
static bool range(const struct field *f, struct cel_slice part, uint64_t *set,
                  celery_status *ret, celery_error *err)
{
    struct cel_slice rest = part;
    struct cel_slice from = word(&rest);
    int64_t a, b, every = 1;

    if (from.len == 0 || !take(&rest, '-')) {
        return false;
    }
    struct cel_slice to = word(&rest);

    if (to.len == 0) {
        return false;
    }
    *ret = take(&rest, '/') ? step(f, word(&rest), &every, err) : CELERY_OK;
    if (*ret == CELERY_OK) {
        *ret = number(f, from, &a, err);
    }
    if (*ret == CELERY_OK) {
        *ret = number(f, to, &b, err);
    }
    if (*ret == CELERY_OK) {
        *set |= spread(f, a, b, every);
    }
    return true;
}

static celery_status part_of(const struct field *f, struct cel_slice part, uint64_t *set,
                             celery_error *err)
{
    celery_status status = CELERY_OK;
    struct cel_slice rest = part;
    int64_t n = 1;

    if (part.len == 0) {
        return cel_error_set(err, CELERY_ECONFIG, "%s: empty part", f->name);
    }
    if (range(f, part, set, &status, err)) {
        return status;
    }
    if (take(&rest, '*')) {
        if (take(&rest, '/')) {
            status = step(f, word(&rest), &n, err);
        } else if (rest.len > 0 && !cel_slice_is(rest, "\n")) {
            return wrong(f, err, "not understood:", part);
        }
        if (status == CELERY_OK) {
            *set |= spread(f, f->min, f->max, n);
        }
        return status;
    }
    status = number(f, part, &n, err);
    if (status == CELERY_OK) {
        *set |= UINT64_C(1) << n;
    }
    return status;
}

celery_status cel_crontab_parse_field(enum cel_crontab_field field, struct cel_slice text,
                                      uint64_t *ret_set, celery_error *err)
{
    const char *at = text.data;
    const char *end = text.data + text.len;
    celery_status status = CELERY_OK;
    uint64_t set = 0;

    for (bool last = false; !last && status == CELERY_OK;) {
        const char *comma = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL;

        last = !comma;
        status = part_of(&fields[field],
                         cel_slice(at, (size_t)((comma ? comma : end) - at)), &set, err);
        at = comma ? comma + 1 : end;
    }
    if (status == CELERY_OK) {
        *ret_set = set;
    }
    return status;
}

/* ---- a whole crontab ---- */

static void put(struct cel_crontab *c, enum cel_crontab_field field, uint64_t set,
                bool any)
{
    switch (field) {
    case CEL_CRON_MINUTE:
        c->minute = set;
        break;
    case CEL_CRON_HOUR:
        c->hour = (uint32_t)set;
        break;
    case CEL_CRON_DAY_OF_WEEK:
        c->day_of_week = (uint32_t)set;
        break;
    case CEL_CRON_DAY_OF_MONTH:
        c->day_of_month = (uint32_t)set;
        c->any_day = any;
        break;
    default:
        c->month_of_year = (uint32_t)set;
        c->any_month = any;
        break;
    }
}

void cel_crontab_init(struct cel_crontab *c)
{
    for (int i = 0; i < CEL_CRON_FIELDS; i++) {
        put(c, i, spread(&fields[i], fields[i].min, fields[i].max, 1), true);
    }
}

celery_status cel_crontab_set_text(struct cel_crontab *c, enum cel_crontab_field field,
                                   struct cel_slice text, celery_error *err)
{
    uint64_t set;
    celery_status status = cel_crontab_parse_field(field, text, &set, err);

    if (status == CELERY_OK) {
        put(c, field, set, cel_slice_is(text, "*"));
    }
    return status;
}

static celery_status add_number(const struct field *f, const struct cel_node *n,
                                uint64_t *set, celery_error *err)
{
    int64_t value = cel_node_int(n, -1);

    if (!n || n->kind != CELERY_KIND_INT || value < f->min || value > f->max) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "%s: Invalid crontab pattern. Valid range is %d-%d", f->name,
                             f->min, f->max);
    }
    *set |= UINT64_C(1) << value;
    return CELERY_OK;
}

celery_status cel_crontab_set(struct cel_crontab *c, enum cel_crontab_field field,
                              const struct cel_node *value, celery_error *err)
{
    const struct field *f = &fields[field];
    celery_status status = CELERY_OK;
    uint64_t set = 0;

    if (cel_node_is_string(value)) {
        return cel_crontab_set_text(c, field, cel_node_text(value), err);
    }
    if (value && value->kind == CELERY_KIND_ARRAY) {
        for (const struct cel_node *n = cel_node_first(value); n && status == CELERY_OK;
             n = n->next) {
            status = add_number(f, n, &set, err);
        }
        if (status == CELERY_OK && set == 0) {
            status = cel_error_set(err, CELERY_ECONFIG, "%s: an empty list", f->name);
        }
    } else if (value && value->kind == CELERY_KIND_INT) {
        status = add_number(f, value, &set, err);
    } else {
        status = cel_error_set(err, CELERY_ECONFIG,
                               "%s: give a number, a text or a list of numbers", f->name);
    }
    if (status == CELERY_OK) {
        put(c, field, set, false);
    }
    return status;
}

celery_status cel_crontab_check(const struct cel_crontab *c, celery_error *err)
{
    for (int month = 1; month <= 12; month++) {
        int days = cel_civil_month_days(2000, month);
        uint32_t within = (uint32_t)((UINT64_C(1) << (days + 1)) - 1);

        if (c->month_of_year >> month & 1 && c->day_of_month & within) {
            return CELERY_OK;
        }
    }
    return cel_error_set(err, CELERY_ECONFIG,
                         "day_of_month never occurs in month_of_year");
}

celery_status cel_crontab_from_text(struct cel_crontab *c, struct cel_slice text,
                                    celery_error *err)
{
    static const enum cel_crontab_field order[] = {
        CEL_CRON_MINUTE, CEL_CRON_HOUR, CEL_CRON_DAY_OF_MONTH, CEL_CRON_MONTH_OF_YEAR,
        CEL_CRON_DAY_OF_WEEK};
    celery_status status = CELERY_OK;
    size_t blanks = 0;

    for (size_t i = 0; i < text.len; i++) {
        blanks += text.data[i] == ' ';
    }
    if (blanks != 4) {
        return cel_error_set(
            err, CELERY_ECONFIG,
            "'%s': give 5 fields separated by single blanks: minute hour "
            "day_of_month month_of_year day_of_week",
            cel_log_safe(text));
    }
    cel_crontab_init(c);
    for (int i = 0; i < CEL_CRON_FIELDS && status == CELERY_OK; i++) {
        const char *blank = memchr(text.data, ' ', text.len);
        size_t len = blank ? (size_t)(blank - text.data) : text.len;

        status = cel_crontab_set_text(c, order[i], cel_slice(text.data, len), err);
        text = blank ? cel_slice(blank + 1, text.len - len - 1) : cel_slice(text.data, 0);
    }
    return status == CELERY_OK ? cel_crontab_check(c, err) : status;
}

celery_status cel_crontab_from_doc(struct cel_crontab *c, const struct cel_node *doc,
                                   celery_error *err)
{
    cel_crontab_init(c);
    for (const struct cel_node *k = cel_node_first(doc), *v; k; k = v->next) {
        int field = 0;

        v = k->next;
        while (field < CEL_CRON_FIELDS &&
               !cel_slice_is(cel_node_text(k), fields[field].name)) {
            field++;
        }
        if (field == CEL_CRON_FIELDS) {
            return cel_error_set(err, CELERY_ECONFIG,
                                 "'%s' is no field of a crontab: minute, hour, "
                                 "day_of_week, day_of_month, month_of_year",
                                 cel_log_safe(cel_node_text(k)));
        }
        celery_status status = cel_crontab_set(c, field, v, err);

        if (status < 0) {
            return status;
        }
    }
    return cel_crontab_check(c, err);
}

bool cel_crontab_equal(const struct cel_crontab *a, const struct cel_crontab *b)
{
    return a->minute == b->minute && a->hour == b->hour &&
           a->day_of_week == b->day_of_week && a->day_of_month == b->day_of_month &&
           a->month_of_year == b->month_of_year;
}
