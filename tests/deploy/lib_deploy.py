# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of deployment share: where things are, and the closing line."""

import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get('CELERY_BUILD', os.path.join(ROOT, 'build'))
EXAMPLE = os.path.join(ROOT, 'examples', 'taskoverflow')


def read(*parts):
    with open(os.path.join(*parts), encoding='utf-8') as f:
        return f.read()


def run(argv, **kwargs):
    """(exit code, what it printed) of a command."""
    kwargs.setdefault('stdin', subprocess.DEVNULL)
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       errors='replace', **kwargs)
    return p.returncode, p.stdout


def main():
    """unittest, its count for ./run test, and 77 where nothing could be run."""
    program = unittest.main(exit=False, verbosity=2)
    result = program.result
    failed = len(result.failures) + len(result.errors)
    skipped = len(result.skipped)
    passed = result.testsRun - failed - skipped
    for case, why in result.skipped:
        print('SKIP: %s: %s' % (case, why))
    print('%d passed, %d failed, %d skipped' % (max(passed, 0), failed, skipped), flush=True)
    sys.exit(1 if failed else 77 if skipped and passed <= 0 else 0)
