#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Private emulators of Amazon SQS for tests.

Sqs() is npm's local-aws-sqs behind sqs_front.js; Moto() is moto's server from PyPI, which
has SNS as well.  Each is installed at first use into a folder of the build, listens on a free
port of 127.0.0.1 and dies with its parent.  Failed says why one cannot be had.

`sqs.py PROGRAM ARGUMENT...` runs a test in C with the broker's URL in CELERY_TEST_SQS.
"""

import atexit
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CACHE = os.environ.get('CELERY_SQS_CACHE', os.path.join(ROOT, 'build', 'sqs'))
NPM = 'local-aws-sqs@2.0.2'
PYPI = 'moto[server,sqs,sns]==5.2.3'
KEY, SECRET = 'test', 'secret'
SKIPPED = 77
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Failed(Exception):
    """The emulator cannot be had, or did not start."""


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def _once(name, wanted, make):
    """A folder that make(folder) fills, kept for later runs."""
    folder = os.path.join(CACHE, name)
    os.makedirs(CACHE, exist_ok=True)
    with open(folder + '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder + '.done'
        if os.path.exists(done) and open(done).read() == wanted:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        with open(folder + '.log', 'w') as log:
            make(folder, log)
        with open(done, 'w') as f:
            f.write(wanted)
    return folder


def _run(argv, log, cwd=None):
    try:
        code = subprocess.run(argv, stdout=log, stderr=log, cwd=cwd, timeout=300).returncode
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Failed('%s: %s' % (argv[0], exc))
    if code:
        with open(log.name) as f:
            tail = (f.read().strip().splitlines() or [''])[-1]
        raise Failed('%s: %s' % (' '.join(argv[:3]), tail))


def _npm(folder, log):
    with open(os.path.join(folder, 'package.json'), 'w') as f:
        f.write('{"private": true}')
    _run(['npm', 'install', '--no-audit', '--no-fund', '--ignore-scripts', NPM], log, folder)


def _venv(folder, log):
    _run(['/usr/bin/python3', '-m', 'venv', folder], log)
    _run([os.path.join(folder, 'bin', 'python'), '-m', 'pip', 'install', '-q',
          '--disable-pip-version-check', '--retries', '1', '--timeout', '20', PYPI], log)


class _Server:
    def __init__(self, argv, port, log):
        self.port = port
        self.log = log
        with open(log, 'ab') as out:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                preexec_fn=lambda: _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
        atexit.register(self.stop)
        end = time.monotonic() + 60
        while not self._up():
            if self.process.poll() is not None or time.monotonic() > end:
                with open(log) as f:
                    raise Failed('the SQS emulator did not start: ' + f.read()[-500:])
            time.sleep(0.02)

    def _up(self):
        try:
            socket.create_connection(('127.0.0.1', self.port), 1).close()
            return True
        except OSError:
            return False

    def url(self, key=KEY, secret=SECRET):
        return 'sqs://%s:%s@127.0.0.1:%d' % (key, secret, self.port)

    def endpoint(self):
        return 'http://127.0.0.1:%d' % self.port

    def call(self, action, **params):
        """One action of SQS; the answer as a dict."""
        req = urllib.request.Request(
            self.endpoint() + '/', json.dumps(params).encode(), {
                'Content-Type': 'application/x-amz-json-1.0',
                'X-Amz-Target': 'AmazonSQS.' + action,
                'Authorization': 'AWS4-HMAC-SHA256 Credential=%s/20260101/us-east-1/sqs/'
                                 'aws4_request, SignedHeaders=host, Signature=0' % KEY})
        with urllib.request.urlopen(req, timeout=30) as answer:
            return json.loads(answer.read() or b'{}')

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


class Sqs(_Server):
    def __init__(self):
        if not shutil.which('node') or not shutil.which('npm'):
            raise Failed('node and npm are not installed')
        folder = _once('npm', NPM, _npm)
        port = free_port()
        super().__init__(
            [shutil.which('node'), os.path.join(HERE, 'sqs_front.js'),
             os.path.join(folder, 'node_modules'), str(port)], port,
            os.path.join(CACHE, 'front.log'))

    def control(self, **what):
        """What the front is to do; see sqs_front.js."""
        req = urllib.request.Request(self.endpoint() + '/_control',
                                     json.dumps(what).encode(), method='POST')
        urllib.request.urlopen(req, timeout=10).read()

    def stats(self):
        """Calls by action since the start or the last control(reset=True)."""
        with urllib.request.urlopen(self.endpoint() + '/_stats', timeout=10) as answer:
            return json.loads(answer.read())


class Moto(_Server):
    """Beside SQS there is SNS."""

    def __init__(self):
        folder = _once('moto', PYPI, _venv)
        port = free_port()
        super().__init__(
            [os.path.join(folder, 'bin', 'python'), '-m', 'moto.server', '-H', '127.0.0.1',
             '-p', str(port)], port, os.path.join(CACHE, 'moto.log'))

    def sns(self, action, **params):
        """One action of SNS; the answer as XML."""
        form = urllib.parse.urlencode(dict(params, Action=action, Version='2010-03-31'))
        req = urllib.request.Request(
            self.endpoint() + '/', form.encode(), {
                'Content-Type': 'application/x-www-form-urlencoded',
                'Authorization': 'AWS4-HMAC-SHA256 Credential=%s/20260101/us-east-1/sns/'
                                 'aws4_request, SignedHeaders=host, Signature=0' % KEY})
        with urllib.request.urlopen(req, timeout=30) as answer:
            return answer.read().decode()


def run(argv):
    try:
        server = Sqs()
    except Failed as exc:
        print('SKIP: %s' % exc)
        return SKIPPED
    code = subprocess.run(argv, env=dict(os.environ, CELERY_TEST_SQS=server.url())).returncode
    server.stop()
    return code


if __name__ == '__main__':
    sys.exit(run(sys.argv[1:]))
