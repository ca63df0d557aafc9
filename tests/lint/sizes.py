#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Lengths of files and functions of libcelery-c: reports median, p90 and longest of each
layer, and fails where a file or a function has more lines than it may."""

import os
import re
import sys

ROOT = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(
    os.path.dirname(os.path.abspath(__file__)), '..', '..'))
LONG = 450
FILE_LIMIT = 720
FUNCTION_LIMIT = 90
LONGER = {'settings.c': 900}  # data


def functions(text):
    """(name, lines) of each function of a file in our style: braces in column 0."""
    lines = text.split('\n')
    start = None
    for i, line in enumerate(lines):
        if line == '{':
            start = i
        elif line == '}' and start is not None:
            head = ' '.join(lines[max(0, start - 6):start])
            names = re.findall(r'(\w+)\s*\(', head.rsplit(';', 1)[-1].rsplit('}', 1)[-1])
            yield (names[0] if names else '?'), i - start - 1
            start = None


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * q))] if values else 0


def main():
    layers, bad = {}, []
    base = os.path.join(ROOT, 'libcelery-c', 'src')
    for folder, _, names in os.walk(base):
        for name in sorted(names):
            if not name.endswith('.c'):
                continue
            path = os.path.join(folder, name)
            with open(path, encoding='utf-8') as f:
                text = f.read()
            count = text.count('\n')
            layer = os.path.relpath(folder, base)
            got = layers.setdefault(layer, ([], []))
            got[0].append(count)
            where = os.path.relpath(path, ROOT)
            if count > LONG and name not in LONGER:
                print('long: %s has %d lines' % (where, count))
            if count > LONGER.get(name, FILE_LIMIT):
                bad.append('%s: %d lines, at most %d' % (
                    where, count, LONGER.get(name, FILE_LIMIT)))
            for function, length in functions(text):
                got[1].append(length)
                if length > FUNCTION_LIMIT:
                    bad.append('%s: %s() has %d lines, at most %d' % (
                        where, function, length, FUNCTION_LIMIT))
    print('%-10s %5s %18s %28s' % ('layer', 'files', 'lines med/p90/max',
                                   'function lines med/p90/max'))
    for layer, (files, lengths) in sorted(layers.items()):
        print('%-10s %5d %8d %4d %4d %16d %4d %4d' % (
            layer, len(files), quantile(files, .5), quantile(files, .9), max(files),
            quantile(lengths, .5), quantile(lengths, .9), max(lengths or [0])))
    for line in bad:
        print(line)
    print('%d passed, %d failed, 0 skipped' % (1 if not bad else 0, len(bad)))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
