#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""symbols.py LIBRARY ROOT: the shared library exports celery_* alone, and exactly what the
public headers declare; and what takes much memory is loaded by modules alone."""

import os
import re
import subprocess
import sys


HEAVY = ('ssl', 'crypto', 'rabbitmq', 'curl', 'pq', 'sqlite3', 'mariadb')


def heavy(library):
    """Libraries it is linked with that only a module (base/module.h) may need."""
    run = subprocess.run(['readelf', '-d', library], stdout=subprocess.PIPE, text=True, check=True)
    needed = re.findall(r'\(NEEDED\).*\[lib([\w-]+?)\.so', run.stdout)
    return ['linked with lib%s' % name for name in needed if name in HEAVY]


def main(library, root):
    run = subprocess.run(['nm', '-D', '--defined-only', library], stdout=subprocess.PIPE,
                         text=True)
    if run.returncode:
        print('SKIP: nm cannot read %s' % library)
        return 77
    exported = {line.split()[-1].split('@')[0] for line in run.stdout.splitlines()
                if line.split()[-2] not in 'A'}
    declared = set()
    folder = os.path.join(root, 'libcelery-c', 'include', 'celery')
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), encoding='utf-8') as f:
            text = re.sub(r'/\*.*?\*/', '', f.read(), flags=re.S)
        for m in re.finditer(r'CELERY_API\b[^;(]*?\b(celery_\w+)\s*\(', text):
            declared.add(m.group(1))
    bad = ['exported but not public: ' + s for s in sorted(exported - declared)]
    bad += ['declared but not exported: ' + s for s in sorted(declared - exported)]
    bad += heavy(library)
    for line in bad:
        print(line)
    print('%d passed, %d failed, 0 skipped' % (len(exported & declared), len(bad)))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
