# SPDX-License-Identifier: BSD-3-Clause
"""Celery's integration suite: fetched from its source distribution, never committed, and
the environment that it runs in."""

import fcntl
import os
import shutil
import subprocess
import sys
import tarfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'interop'))

import matrix  # noqa: E402

SUITES = os.environ.get('CELERY_SUITES', os.path.join(ROOT, 'build', 'suites'))
VERSIONS = ['5.6.3', '5.7.0']
FILES = ['test_canvas.py', 'test_tasks.py', 'test_backend.py', 'test_worker.py',
         'test_inspect.py']
# What the suite imports.  pytest-rerunfailures is left out: the harness repeats by itself,
# alike for both workers.
PACKAGES = ['pytest==8.4.2', 'pytest-timeout==2.4.0', 'pytest-subtests<0.15', 'pydantic',
            'django', 'azure-identity', 'azure-storage-blob', 'azure-storage-queue']


def environment(version):
    """The python that runs the suite, or None with the reason printed."""
    return matrix.prepare(version, '-suite', PACKAGES)


def _download(version, folder):
    fetched = folder + '.sdist'
    shutil.rmtree(fetched, ignore_errors=True)
    run = subprocess.run(
        [sys.executable, '-m', 'pip', 'download', '-q', '--disable-pip-version-check',
         '--retries', '1', '--timeout', '20', '--no-deps', '--no-binary', 'celery',
         '-d', fetched, 'celery==' + version],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    if run.returncode:
        print('SKIP: the suite of Celery %s cannot be had: %s' % (
            version, ' '.join(run.stdout.strip().splitlines()[-1:])))
        return None
    return os.path.join(fetched, 'celery-%s.tar.gz' % version)


def _wanted(name):
    # Not celery/ itself: beside the tests it would come before the installed one.
    parts = name.split('/')
    return parts[1:3] == ['t', 'integration'] or (
        len(parts) == 3 and parts[1] == 't') or parts[1:] == ['pyproject.toml']


def fetch(version):
    """The folder with t/ and pyproject.toml of that version, or None with the reason."""
    folder = os.path.join(SUITES, version)
    os.makedirs(SUITES, exist_ok=True)
    with open(folder + '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(os.path.join(folder, 'pyproject.toml')):
            return folder
        archive = _download(version, folder)
        if not archive:
            return None
        unpacked = folder + '.new'
        shutil.rmtree(unpacked, ignore_errors=True)
        with tarfile.open(archive) as tar:
            for member in tar.getmembers():
                if member.isreg() and _wanted(member.name) and '..' not in member.name:
                    path = os.path.join(unpacked, *member.name.split('/')[1:])
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    with open(path, 'wb') as out:
                        out.write(tar.extractfile(member).read())
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(unpacked, folder)
        return folder
