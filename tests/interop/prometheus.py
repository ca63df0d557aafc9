# SPDX-License-Identifier: BSD-3-Clause
"""Prometheus' text format 0.0.4, read strictly, as `promtool check metrics` would: every
sample belongs to a family that has been declared, no family and no sample comes twice, names
and units are as the guidelines have them, buckets are cumulative."""

import re

NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
SAMPLE = re.compile(r'(%s)(?:\{(.*)\})? (\S+)$' % NAME)
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
BAD_UNITS = re.compile(r'(_ms|_millis|_milliseconds|_minutes|_kib|_kb|_mb|_percent)(_|$)')


class Malformed(Exception):
    pass


def check(condition, line):
    if not condition:
        raise Malformed(line)


def labels_of(text, line):
    labels, at = {}, 0
    while text and at < len(text):
        m = LABEL.match(text, at)
        check(m and m.group(1) not in labels, line)
        labels[m.group(1)] = re.sub(
            r'\\(.)', lambda e: {'n': '\n'}.get(e.group(1), e.group(1)), m.group(2))
        at = m.end()
    return labels


def family_of(name, kind, families):
    if name in families:
        check(families[name] != 'histogram', name)
        return name
    for suffix in ('_bucket', '_sum', '_count'):
        base = name[:-len(suffix)] if name.endswith(suffix) else ''
        if families.get(base) == 'histogram':
            return base
    raise Malformed('no family for ' + name)


def parse(text):
    """{(name, ((label, value), ...)): number}, and {family: type}."""
    check(text.endswith('\n'), 'no newline at the end')
    families, helped, samples, current = {}, set(), {}, None
    for line in text.splitlines():
        if line.startswith('# HELP '):
            name = line.split(' ', 3)[2]
            check(name not in helped and len(line.split(' ', 3)) == 4, line)
            helped.add(name)
        elif line.startswith('# TYPE '):
            _, _, name, kind = line.split(' ')
            check(re.fullmatch(NAME, name) and name not in families and name in helped, line)
            check(kind in ('counter', 'gauge', 'histogram'), line)
            check((kind == 'counter') == name.endswith('_total'), line)
            check(not BAD_UNITS.search(name), line)
            families[name] = kind
            current = name
        else:
            m = SAMPLE.match(line)
            check(m, line)
            check(family_of(m.group(1), None, families) == current, line)
            key = (m.group(1), tuple(sorted(labels_of(m.group(2), line).items())))
            check(key not in samples, line)
            samples[key] = float(m.group(3))
    histograms(samples, families)
    return samples, families


def histograms(samples, families):
    rows = {}
    for (name, labels), value in samples.items():
        base = name[:-len('_bucket')]
        if name.endswith('_bucket') and families.get(base) == 'histogram':
            rest = tuple(p for p in labels if p[0] != 'le')
            rows.setdefault((base, rest), []).append((float(dict(labels)['le']), value))
    for (base, rest), buckets in rows.items():
        counts = [n for _, n in sorted(buckets)]
        check(counts == sorted(counts), base)
        check(max(buckets)[0] == float('inf'), base)
        check(samples[base + '_count', rest] == counts[-1], base)
        check((base + '_sum', rest) in samples, base)


class Page:
    def __init__(self, text):
        self.samples, self.families = parse(text)

    def get(self, name, default=0.0, **labels):
        return self.samples.get((name, tuple(sorted(labels.items()))), default)

    def names(self, label):
        return {dict(labels)[label] for _, labels in self.samples if label in dict(labels)}
