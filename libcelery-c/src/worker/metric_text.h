/* SPDX-License-Identifier: BSD-3-Clause */
/* Prometheus' text format 0.0.4: families, samples and histograms. */
#ifndef CEL_WORKER_METRIC_TEXT_H
#define CEL_WORKER_METRIC_TEXT_H

#include "base/buf.h"

#define CEL_METRIC_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Upper bounds of the buckets of every histogram, seconds; the last one, +Inf, not named. */
#define CEL_METRIC_BUCKETS 16
extern const double cel_metric_bounds[CEL_METRIC_BUCKETS];

struct cel_histogram {
    uint64_t counts[CEL_METRIC_BUCKETS + 1]; /* of each bucket alone */
    double sum;
};

void cel_histogram_add(struct cel_histogram *h, double seconds);
uint64_t cel_histogram_count(const struct cel_histogram *h);

/* A writer puts one family after the other; each begins with its name, type and help. */
struct cel_metric_writer {
    struct cel_buf *out;
    const char *name;
};

/* type: "counter", "gauge" or "histogram".  help has no newline and no backslash. */
void cel_metric_family(struct cel_metric_writer *m, const char *name, const char *type,
                       const char *help);

/* labels: name, value, name, value ..., NULL; values are escaped, and invalid UTF-8 replaced. */
void cel_metric_sample(struct cel_metric_writer *m, const char *const *labels,
                       double value);
void cel_metric_count(struct cel_metric_writer *m, const char *const *labels,
                      uint64_t value);
void cel_metric_histogram(struct cel_metric_writer *m, const char *const *labels,
                          const struct cel_histogram *h);

/* A family of one sample without labels. */
void cel_metric_gauge(struct cel_metric_writer *m, const char *name, const char *help,
                      double value);
void cel_metric_counter(struct cel_metric_writer *m, const char *name, const char *help,
                        uint64_t value);

#endif
