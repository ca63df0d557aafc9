#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Documents stay true: each C block of the README is a file of the project (so it is
compiled), each relative link leads to something, and each statement of protocol-docs that
names a test or a case (`tests/...`) names one that exists."""

import os
import re
import sys

ROOT = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(
    os.path.dirname(os.path.abspath(__file__)), '..', '..'))


def read(path):
    with open(path, encoding='utf-8') as f:
        return f.read()


def squeeze(text):
    text = re.sub(r'/\*.*?\*/', '', text, flags=re.S)
    return re.sub(r'\s+', ' ', text).strip()


def sources():
    for top in ('examples', 'tests', 'bench'):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in names:
                if name.endswith(('.c', '.py')):
                    yield os.path.join(folder, name)


def documents():
    for name in ('README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md',
                 'libcelery-c/ARCHITECTURE.md'):
        if os.path.exists(os.path.join(ROOT, name)):
            yield name
    folder = os.path.join(ROOT, 'protocol-docs')
    if os.path.isdir(folder):
        for name in sorted(os.listdir(folder)):
            if name.endswith('.md'):
                yield 'protocol-docs/' + name


def check_blocks(name, text, code):
    for m in re.finditer(r'^```c\n(.*?)^```', text, re.M | re.S):
        if not any(squeeze(m.group(1)) in c for c in code):
            yield '%s:%d: this C block is in no file that is compiled' % (
                name, text.count('\n', 0, m.start()) + 1)


def check_links(name, text):
    for m in re.finditer(r'\]\(([^)#\s]+)', text):
        link = m.group(1)
        if '://' in link or link.startswith('mailto:'):
            continue
        if not os.path.exists(os.path.join(ROOT, os.path.dirname(name), link)):
            yield '%s:%d: %s leads nowhere' % (name, text.count('\n', 0, m.start()) + 1, link)


def check_names(name, text):
    for m in re.finditer(r'`((?:tests|bench|examples|libcelery-c)/[\w./*-]+)(?::([\w.]+))?`',
                         text):
        path, inner = m.groups()
        full = os.path.join(ROOT, path)
        where = '%s:%d' % (name, text.count('\n', 0, m.start()) + 1)
        if '*' in path:
            continue
        if not os.path.exists(full):
            yield '%s: `%s` does not exist' % (where, path)
        elif inner and os.path.isfile(full) and inner.split('.')[-1] not in read(full):
            yield '%s: `%s` has no %s' % (where, path, inner)


def check_statements(name, text):
    """Each section of protocol-docs names what proves it."""
    if not name.startswith('protocol-docs/') or name.endswith('/README.md'):
        return
    for section in re.split(r'^(?=## )', text, flags=re.M)[1:]:
        if '`tests/' not in section:
            yield '%s: section "%s" names no test' % (name, section.split('\n')[0][3:])


def main():
    code = [squeeze(read(p)) for p in sources() if p.endswith('.c')]
    bad, seen = [], 0
    for name in documents():
        seen += 1
        text = read(os.path.join(ROOT, name))
        if name == 'README.md':
            bad += check_blocks(name, text, code)
        bad += check_links(name, text)
        bad += check_names(name, text)
        bad += check_statements(name, text)
    for line in bad:
        print(line)
    print('%d passed, %d failed, 0 skipped' % (seen if not bad else 0, len(bad)))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
