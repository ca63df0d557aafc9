#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""summary.py "|failed step|..." LOG.json...: counts what meson's test logs say.

A test program that prints how many cases it has (cmocka, or "N passed, N failed, N
skipped" on a line of its own) counts as so many, any other as one. Skips are named with
their reasons. Ends with the one line `N passed, N failed, N skipped`.
"""

import json
import os
import re
import sys

CASES = re.compile(r'^(\d+) passed, (\d+) failed, (\d+) skipped$', re.M)
CMOCKA = re.compile(r'^\[  PASSED  \] (\d+) test', re.M)
CMOCKA_FAILED = re.compile(r'^\[  FAILED  \] (\d+) test', re.M)
CMOCKA_SKIPPED = re.compile(r'^\[  SKIPPED \] (\d+) test', re.M)
REASON = re.compile(r'^(?:SKIP|skipped):? *(.*)$', re.M)
# A case that failed: unittest's heading with what follows it, cmocka's line.
DETAIL = re.compile(r'^(?:FAIL|ERROR): .*\n-+\n(?:.*\n)*?(?=\n[=-]{20}|\Z)|'
                    r'^\[  (?:ERROR|FAILED)[ ]*\] .*$', re.M)
DETAIL_LINES = 60


def cases(test):
    """(passed, failed, skipped) of one record of a log."""
    text = (test.get('stdout') or '') + '\n' + (test.get('stderr') or '')
    told = CASES.findall(text)
    if told:
        counts = [int(n) for n in told[-1]]
    else:
        counts = [sum(map(int, p.findall(text)))
                  for p in (CMOCKA, CMOCKA_FAILED, CMOCKA_SKIPPED)]
    result = test['result']
    if result == 'SKIP':
        return 0, 0, max(1, counts[2])
    if result in ('OK', 'EXPECTEDFAIL'):
        return (counts[0], 0, counts[2]) if sum(counts) else (1, 0, 0)
    return counts[0], max(1, counts[1]), counts[2]


def main(steps, logs):
    totals = [0, 0, 0]
    failed = [s for s in steps.split('|') if s]
    totals[1] += len(failed)
    skipped = {}
    details = []
    for path in logs:
        if not os.path.exists(path):
            failed.append('%s: no test ran' % path)
            totals[1] += 1
            continue
        label = os.path.basename(path)[:-len('.json')]
        for line in open(path, encoding='utf-8'):
            test = json.loads(line)
            counts = cases(test)
            totals = [a + b for a, b in zip(totals, counts)]
            name = '%s: %s' % (label, test['name'].split(' / ')[-1])
            text = (test.get('stdout') or '') + '\n' + (test.get('stderr') or '')
            if counts[1]:
                failed.append('%s (%s)' % (name, test['result']))
                details.append((name, DETAIL.findall(text) or text.splitlines()[-20:]))
            if counts[2]:
                for reason in REASON.findall(text) or ['no reason given']:
                    skipped.setdefault(reason, []).append(name)
    print()
    for reason, names in sorted(skipped.items()):
        more = '' if len(names) == 1 else ' (and %d more)' % (len(names) - 1)
        print('skipped: %s%s: %s' % (names[0], more, reason))
    for name, lines in details:
        print('---- %s' % name)
        print('\n'.join('\n'.join(lines).splitlines()[:DETAIL_LINES]))
    for name in failed:
        print('failed: %s' % name)
    print('%d passed, %d failed, %d skipped' % tuple(totals))
    return 1 if totals[1] else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2:]))
