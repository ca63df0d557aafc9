#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Who includes whom: every #include in libcelery-c/src against the table in
libcelery-c/ARCHITECTURE.md (rows `| layer | folder | may use |`)."""

import fnmatch
import os
import re
import sys

ROOT = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(
    os.path.dirname(os.path.abspath(__file__)), '..', '..'))
SRC = os.path.join(ROOT, 'libcelery-c', 'src')
ANYWHERE = {'celery/error.h', 'celery/log.h'}


def table():
    """folder -> (layer, folders, extra headers, public headers only, [(files, header)])."""
    rows = {}
    with open(os.path.join(ROOT, 'libcelery-c', 'ARCHITECTURE.md'), encoding='utf-8') as f:
        for line in f:
            m = re.match(r'\|\s*(\d+)\s*\|\s*([^|]+)\|\s*([^|]+)\|', line)
            if m:
                for folder in re.findall(r'`([a-z]+)/`', m.group(2)):
                    rows[folder] = (int(m.group(1)), m.group(3))
    for folder, (layer, text) in list(rows.items()):
        layers = re.search(r'layers? 1 to (\d+)', text)
        allowed = {f for f, row in rows.items()
                   if layers and row[0] <= int(layers.group(1))}
        # "`rpc*` also `transport/transport.h`": these files alone may use that header.
        also = re.findall(r'`([a-z_*]+)` also `([a-z_/]+\.h)`', text)
        text = re.sub(r'`[a-z_*]+` also `[a-z_/]+\.h`', '', text)
        plain = re.sub(r'`[^`]*`', '', text)
        allowed |= {w for w in re.findall(r'[a-z]+', plain) if w in rows}
        rows[folder] = (layer, allowed, set(re.findall(r'`([a-z_/*]+\.h)`', text)),
                        'public' in text, also)
    return rows


def main():
    rows = table()
    if not rows:
        print('ARCHITECTURE.md has no table of layers')
        return 1
    bad = []
    for folder in sorted(os.listdir(SRC)):
        path = os.path.join(SRC, folder)
        if not os.path.isdir(path):
            continue
        if folder not in rows:
            bad.append('%s/ is not in the table' % folder)
            continue
        for name in sorted(os.listdir(path)):
            if name.endswith(('.c', '.h')):
                bad += check(rows, folder, os.path.join(path, name))
    for line in bad:
        print(line)
    print('%d passed, %d failed, 0 skipped' % (0 if bad else 1, len(bad)))
    return 1 if bad else 0


def check(rows, folder, path):
    layer, allowed, files, public_only, also = rows[folder]
    where = os.path.relpath(path, ROOT)
    with open(path, encoding='utf-8') as f:
        text = f.read()
    for m in re.finditer(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', text, re.M):
        kind, name = m.groups()
        number = text.count('\n', 0, m.start()) + 1
        if kind == '<':
            if name.startswith('celery') and name not in ANYWHERE and layer < 3:
                yield '%s:%d: <%s> is above layer %d' % (where, number, name, layer)
            continue
        if '/' not in name:
            yield '%s:%d: "%s" does not show its layer' % (where, number, name)
            continue
        other = name.split('/')[0]
        if other == folder or other in allowed:
            continue
        if any(re.fullmatch(p.replace('.', r'\.').replace('*', '[a-z_]*'), name)
               for p in files):
            continue
        if any(name == header and fnmatch.fnmatch(os.path.basename(path), pattern)
               for pattern, header in also):
            continue
        yield '%s:%d: %s/ may not use "%s"' % (where, number, folder, name)


if __name__ == '__main__':
    sys.exit(main())
