/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/metric_text.h"

#include "base/utf8.h"
#include "codec/doc.h"
#include <math.h>

const double cel_metric_bounds[CEL_METRIC_BUCKETS] = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25,   0.5,   1,      5,     30,   120,   600,  3600,
};

void cel_histogram_add(struct cel_histogram *h, double seconds)
{
    size_t i = 0;

    while (i < CEL_METRIC_BUCKETS && !(seconds <= cel_metric_bounds[i])) {
        i++;
    }
    h->counts[i]++;
    h->sum += seconds;
}

uint64_t cel_histogram_count(const struct cel_histogram *h)
{
    uint64_t n = 0;

    for (size_t i = 0; i <= CEL_METRIC_BUCKETS; i++) {
        n += h->counts[i];
    }
    return n;
}

void cel_metric_family(struct cel_metric_writer *m, const char *name, const char *type,
                       const char *help)
{
    m->name = name;
    cel_buf_addf(m->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_value_text(struct cel_buf *out, struct cel_slice text)
{
    for (size_t at = 0; at < text.len;) {
        size_t start = at;
        int32_t code = cel_utf8_next(text, &at);

        if (code < 0 || (code >= 0xd800 && code <= 0xdfff)) {
            cel_buf_adds(out, "\xef\xbf\xbd");
        } else if (code == '\n') {
            cel_buf_adds(out, "\\n");
        } else if (code == '"' || code == '\\') {
            cel_buf_addc(out, '\\');
            cel_buf_addc(out, (char)code);
        } else {
            cel_buf_add(out, text.data + start, at - start);
        }
    }
}

static void add_label(struct cel_buf *out, size_t nth, const char *name,
                      struct cel_slice value)
{
    cel_buf_addc(out, nth == 0 ? '{' : ',');
    cel_buf_adds(out, name);
    cel_buf_adds(out, "=\"");
    add_value_text(out, value);
    cel_buf_addc(out, '"');
}

/* le: one more label of that name; NULL: none. */
static void begin(struct cel_metric_writer *m, const char *suffix,
                  const char *const *labels, const char *le)
{
    size_t n = 0;

    cel_buf_adds(m->out, m->name);
    cel_buf_adds(m->out, suffix);
    for (; labels && labels[2 * n]; n++) {
        add_label(m->out, n, labels[2 * n], cel_slice_of(labels[2 * n + 1]));
    }
    if (le) {
        add_label(m->out, n++, "le", cel_slice_of(le));
    }
    cel_buf_adds(m->out, n > 0 ? "} " : " ");
}

/* Whatever the locale's decimal point is. */
static void add_number(struct cel_buf *out, double value)
{
    char text[33];

    if (isnan(value) || isinf(value)) {
        cel_buf_adds(out, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
    } else {
        cel_buf_add(out, text, cel_repr_double(value, text));
    }
}

void cel_metric_sample(struct cel_metric_writer *m, const char *const *labels,
                       double value)
{
    begin(m, "", labels, NULL);
    add_number(m->out, value);
    cel_buf_addc(m->out, '\n');
}

void cel_metric_count(struct cel_metric_writer *m, const char *const *labels,
                      uint64_t value)
{
    begin(m, "", labels, NULL);
    cel_buf_addf(m->out, "%llu\n", (unsigned long long)value);
}

void cel_metric_histogram(struct cel_metric_writer *m, const char *const *labels,
                          const struct cel_histogram *h)
{
    struct cel_buf bound = {0};
    uint64_t n = 0;

    for (size_t i = 0; i <= CEL_METRIC_BUCKETS; i++) {
        n += h->counts[i];
        cel_buf_clear(&bound);
        add_number(&bound, i < CEL_METRIC_BUCKETS ? cel_metric_bounds[i] : INFINITY);
        begin(m, "_bucket", labels, cel_buf_cstr(&bound));
        cel_buf_addf(m->out, "%llu\n", (unsigned long long)n);
    }
    cel_buf_fini(&bound);
    begin(m, "_sum", labels, NULL);
    add_number(m->out, h->sum);
    cel_buf_addc(m->out, '\n');
    begin(m, "_count", labels, NULL);
    cel_buf_addf(m->out, "%llu\n", (unsigned long long)n);
}

void cel_metric_gauge(struct cel_metric_writer *m, const char *name, const char *help,
                      double value)
{
    cel_metric_family(m, name, "gauge", help);
    cel_metric_sample(m, NULL, value);
}

void cel_metric_counter(struct cel_metric_writer *m, const char *name, const char *help,
                        uint64_t value)
{
    cel_metric_family(m, name, "counter", help);
    cel_metric_count(m, NULL, value);
}
