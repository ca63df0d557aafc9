# SPDX-License-Identifier: BSD-3-Clause
"""A pytest plugin: puts a worker process where Celery's integration suite has its worker
thread, bounds every test, starts afresh after one that failed, and writes what happened.

Loaded with -p, so before the suite's conftest.py imports the fixture that is replaced here.
Environment: CONFORMANCE_JOB, a JSON file {"worker": argv, "pool", "conf", "report", "shard":
[i, n], "tests": [...] or null, "control": [...], "timeout", "redis", "log"}.  The report gets
a line {"collected": [...]} and one for each test.
"""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys

import celery.contrib.pytest
import pytest
import redis
from celery.contrib.testing.manager import ManagerMixin
from celery.result import allow_join_result
from celery.utils.nodenames import anon_nodename

with open(os.environ['CONFORMANCE_JOB']) as _f:
    JOB = json.load(_f)

IDENTITY = 't.integration.tasks.identity'


_libc = ctypes.CDLL(None)


def end_with_the_tests():
    """Whatever becomes of the tests, their worker goes with them (PR_SET_PDEATHSIG)."""
    _libc.prctl(1, signal.SIGKILL)


class SuiteWorker:
    """The worker process under test."""

    def __init__(self, app):
        self.app = app
        self.redis = redis.Redis.from_url(JOB['redis'])
        self.process = None
        self.controlled = False

    def start(self):
        argv = JOB['worker'] + [
            'worker', '-P', JOB['pool'], '-c', '1', '-l', 'INFO', '-n', anon_nodename(),
            '--without-gossip', '--without-mingle', '--without-heartbeat']
        with open(JOB['log'], 'ab') as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True,
                                            preexec_fn=end_with_the_tests)
        if self.ask(30) != 'ready':
            raise RuntimeError('the worker does not answer')
        self.controlled = bool(self.app.control.ping(timeout=1.0))
        if not self.controlled:
            self.do_without_control()

    def ask(self, timeout):
        """With one slot, the answer says that everything before has ended."""
        with allow_join_result():
            return self.app.send_task(IDENTITY, ('ready',)).get(timeout=timeout)

    def do_without_control(self):
        """The helpers that only want a worker that is there and idle ask it with a task
        when it has no remote control.  Tests of remote control itself stay as they are."""
        def wait_until_idle(manager):
            manager.app.control.purge()
            self.ask(60)

        def assert_ping(manager):
            assert self.ask(30) == 'ready'

        ManagerMixin.wait_until_idle = wait_until_idle
        for name, module in list(sys.modules.items()):
            if name.startswith('t.integration.') and hasattr(module, 'assert_ping'):
                module.assert_ping = assert_ping

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()

    def restart(self):
        self.kill()
        self.redis.flushall()
        self.app.control.purge()  # where the broker is not Redis
        self.start()

    def stop(self):
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                pass
        self.kill()


_worker = None


@pytest.fixture(scope='session')
def celery_session_worker(celery_session_app, celery_includes, celery_class_tasks):
    """In place of celery.contrib.pytest's, which runs a worker in this process."""
    global _worker
    for module in celery_includes:
        celery_session_app.loader.import_task_module(module)
    for task in celery_class_tasks:
        celery_session_app.register_task(task)
    celery_session_app.finalize()
    _worker = SuiteWorker(celery_session_app)
    try:
        _worker.start()
        yield _worker
    finally:
        _worker.stop()
        _worker = None


celery.contrib.pytest.celery_session_worker = celery_session_worker


def tell(entry):
    with open(JOB['report'], 'a') as f:
        f.write(json.dumps(entry) + '\n')


# ---- which tests, and for how long ----

@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    if JOB['tests'] is None:
        i, n = JOB['shard']
        chosen = items[i::n]
    else:
        wanted = set(JOB['tests'])
        chosen = [item for item in items if item.nodeid in wanted]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen
    for item in items:
        marks = [m.kwargs.get('timeout', m.args[0] if m.args else None)
                 for m in item.iter_markers('timeout')]
        limit = min([JOB['timeout'], *[t for t in marks if t]])
        item.add_marker(pytest.mark.timeout(limit), append=False)
    tell({'collected': [item.nodeid for item in items]})


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Tests of remote control only wait in vain for a worker that has none."""
    if _worker is not None and not _worker.controlled and any(
            re.fullmatch(pattern, pyfuncitem.nodeid) for pattern in JOB['control']):
        pytest.skip('the worker has no remote control')


# ---- what happened ----

_seen = {}


def _outcome(report):
    if hasattr(report, 'wasxfail'):
        return 'xpassed' if report.passed else 'xfailed'
    return report.outcome


RANK = ['passed', 'xpassed', 'skipped', 'xfailed', 'failed']


def pytest_runtest_logreport(report):
    entry = _seen.setdefault(report.nodeid, {
        'id': report.nodeid, 'outcome': 'passed', 'seconds': 0.0, 'text': ''})
    entry['seconds'] = round(entry['seconds'] + report.duration, 2)
    outcome = _outcome(report)
    if RANK.index(outcome) > RANK.index(entry['outcome']):
        entry['outcome'] = outcome
        entry['text'] = report.longreprtext[-4000:] or str(report.longrepr or '')[-4000:]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item, nextitem):
    yield
    entry = _seen.pop(item.nodeid, None)
    if entry is None:
        return
    if _worker is not None and not _worker.alive():
        entry.update(outcome='failed', text=entry['text'] + '\nthe worker ended')
    tell(entry)
    if _worker is not None and entry['outcome'] == 'failed':
        # What a failed test left running is not the next one's business.
        try:
            _worker.restart()
        except Exception as exc:
            pytest.exit('the worker does not come back: %r' % exc, 3)
