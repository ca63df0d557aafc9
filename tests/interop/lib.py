# SPDX-License-Identifier: BSD-3-Clause
"""What the tests with processes share: private Redis servers, workers of both kinds, the
Celery application of the Python side, waiting with deadlines, and the closing line.

Environment: CELERY_BUILD (the meson build folder; default build/), CELERY_C (the celery-c
to test), TEST_WORKER (c or python: which worker is under test; python proves the tests
themselves), CELERY_TEST_QUICK (leave out what is slow), CELERY_TEST_BROKER (redis or amqp),
CELERY_TEST_RESULTS (redis, or rpc with RabbitMQ), CELERY_TEST_RABBIT_VERSION (see
support/rabbit.py).
"""

import atexit
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get('CELERY_BUILD', os.path.join(ROOT, 'build'))
os.environ.setdefault('CELERY_MODULE_PATH',
                      os.path.join(BUILD, 'libcelery-c', 'src', 'modules'))
KIND = os.environ.get('TEST_WORKER', 'c')
BROKER = os.environ.get('CELERY_TEST_BROKER', 'redis')
RESULTS = os.environ.get('CELERY_TEST_RESULTS', 'redis')
QUICK = bool(os.environ.get('CELERY_TEST_QUICK'))
SANITIZED = bool(re.search(r'/(asan|tsan)$', BUILD.rstrip('/')))
# Everything takes longer under a sanitizer or on a busy machine.
PATIENCE = 4.0 if SANITIZED else 2.0

sys.path.insert(0, HERE)

import brokers  # noqa: E402
import temporary  # noqa: E402

SANITIZER = re.compile(
    r'ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error: ')


def built(*names):
    """The path of something that was built, or None."""
    for name in names:
        path = os.path.join(BUILD, name)
        if os.path.exists(path):
            return path
    return None


CELERY_C = os.environ.get('CELERY_C') or built(
    'libcelery-c/src/cli/celery-c', 'libcelery-c/celery-c')
C_TASKS = built('tests/interop/interop_tasks.so')
C_CLIENT = built('tests/interop/cclient')


class Deadline(Exception):
    """Something did not happen in time."""


def wait_for(what, check, timeout=10.0, pause=0.01):
    """Calls check() until it answers something true, which is returned.  Only a time below
    five seconds is meant as a bound; the others are for a machine that has no time for us."""
    timeout *= 3 if timeout >= 5 else 1
    end = time.monotonic() + timeout
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Deadline('%s: not within %.1f s' % (what, timeout))
        time.sleep(pause)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


_tmp = None


def tmpdir():
    """One folder for this process, removed at its end."""
    global _tmp
    if _tmp is None:
        tempfile.tempdir = _tmp = temporary.folder('celery-c-test-')
    return _tmp


def tmpname(suffix):
    fd, name = tempfile.mkstemp(suffix=suffix, dir=tmpdir())
    os.close(fd)
    return name


_children = []


def _end_children():
    for p in _children:
        if p.poll() is None:
            try:
                p.send_signal(signal.SIGCONT)
                p.kill()
                p.wait(10)
            except (OSError, subprocess.TimeoutExpired):
                pass


atexit.register(_end_children)
# Results that a test never fetched unsubscribe when collected, maybe after their Redis.
sys.unraisablehook = lambda *args: None
# A test that meson ends for its time limit still takes its servers with it.
signal.signal(signal.SIGTERM, lambda *a: sys.exit(1))


_libc = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def spawn(argv, **kwargs):
    # Whatever becomes of the test, even kill -9, takes its servers with it.
    kwargs.setdefault('stdin', subprocess.DEVNULL)
    p = subprocess.Popen(
        argv, preexec_fn=lambda: _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), **kwargs)
    _children.append(p)
    return p


class Redis:
    """A redis-server of our own: free port and unix socket, nothing on disk."""

    def __init__(self, *args, port=None, plain=True, env_prefix=()):
        self.port = port or free_port()
        self.dir = tempfile.mkdtemp(dir=tmpdir())
        self.sock = os.path.join(self.dir, 'redis.sock')
        self.args = args
        self.plain = plain
        self.prefix = list(env_prefix)
        self.process = None
        self.start()

    def start(self):
        log = open(os.path.join(self.dir, 'redis.log'), 'ab')
        argv = self.prefix + [
            shutil.which('redis-server') or '/usr/bin/redis-server',
            '--port', str(self.port if self.plain else 0), '--bind', '127.0.0.1',
            '--unixsocket', self.sock, '--unixsocketperm', '700',
            '--save', '', '--appendonly', 'no', '--dir', self.dir,
            '--enable-debug-command', 'local', '--daemonize', 'no', *self.args]
        self.process = spawn(argv, stdout=log, stderr=log)
        log.close()
        wait_for('redis-server starts', self._up, 20)

    def _up(self):
        if self.process.poll() is not None:
            raise Deadline('redis-server ended: ' + open(
                os.path.join(self.dir, 'redis.log')).read()[-2000:])
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(1)
                s.connect(self.sock)
                s.sendall(b'PING\r\n')
                return s.recv(64)[:1] in (b'+', b'-')
        except OSError:
            return False

    def url(self, db=0, user=''):
        return 'redis://%s127.0.0.1:%d/%d' % (user, self.port, db)

    def client(self, db=0, **kwargs):
        import redis
        return redis.Redis(unix_socket_path=self.sock, db=db, **kwargs)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self.process = None


def env_of_workers():
    env = {k: v for k, v in os.environ.items() if not k.startswith('CELERY_')}
    env['CELERY_MODULE_PATH'] = os.environ['CELERY_MODULE_PATH']
    env['PYTHONPATH'] = HERE
    env['PYTHONUNBUFFERED'] = '1'
    env['C_FORCE_ROOT'] = '1'
    # Python's pool leaves a folder behind when it is killed (multiprocessing/util.py).
    env['TMPDIR'] = tmpdir()
    return env


class Worker:
    """A worker process: kind 'c' (celery-c with interop_tasks.so) or 'python' (with
    pytasks), or with the given tasks: the path of a module, or one's name in folder.  A Python
    worker knows of no others unless alone is false: that saves a second at its start."""

    ready_text = ' ready.'

    def __init__(self, broker, backend, *args, kind=None, conf=None, name='w1', queues=None,
                 pool=None, concurrency=2, loglevel='INFO', argv=None, env=None, prefix=(),
                 wait=True, tasks=None, folder=HERE, alone=True):
        self.kind = kind or KIND
        self.name = name
        self.log = tmpname('.log')
        options = ['-n', '%s@%%h' % name, '-l', loglevel, '-c', str(concurrency)]
        if pool:
            options += ['-P', pool]
        if queues:
            options += ['-Q', queues]
        environ = env_of_workers()
        environ['PYTHONPATH'] = folder
        if self.kind == 'python':
            if alone:
                options += ['--without-gossip', '--without-mingle', '--without-heartbeat']
            environ['PYTASKS_CONF'] = json.dumps(conf or {})
            start = [sys.executable, '-m', 'celery', '-A', tasks or 'pytasks', '-b', broker]
            if backend:
                start += ['--result-backend', backend]
        else:
            start = argv or [CELERY_C, '-A', tasks or C_TASKS]
            start = start + ['-b', broker]
            if backend:
                start += ['--result-backend', backend]
            if conf:
                path = tmpname('.json')
                with open(path, 'w') as f:
                    json.dump(conf, f)
                start += ['--config', path]
        environ.update(env or {})
        self.argv = list(prefix) + start + ['worker'] + options + list(args)
        with open(self.log, 'wb') as out:
            self.process = spawn(self.argv, stdout=out, stderr=subprocess.STDOUT,
                                 env=environ, cwd=folder, start_new_session=True)
        if wait:
            self.wait_ready()

    @property
    def pid(self):
        return self.process.pid

    def output(self):
        with open(self.log, encoding='utf-8', errors='replace') as f:
            return f.read()

    def wait_ready(self, timeout=None):
        self.wait_output(self.ready_text, timeout or 15 * PATIENCE)

    def wait_output(self, text, timeout=10.0):
        def check():
            if text in self.output():
                return True
            if self.process.poll() is not None:
                raise Deadline('worker ended with %s before %r:\n%s' % (
                    self.process.returncode, text, self.output()[-3000:]))
            return False
        try:
            wait_for('worker prints %r' % text, check, timeout)
        except Deadline as exc:
            raise Deadline('%s\n%s' % (exc, self.output()[-3000:])) from None

    def children(self):
        """Process ids of all descendants."""
        return descendants(self.pid)

    def send(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=20.0):
        """Exit code."""
        return self.process.wait(timeout * PATIENCE)

    def kill9(self):
        """Kills the whole worker, as the kernel's OOM killer or a lost machine would."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(10)

    def stop(self, number=signal.SIGTERM, timeout=20.0):
        """Ends it in an orderly way; checks what a sanitizer said.  Exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            try:
                self.process.wait(10 if self.kind == 'python' else timeout * PATIENCE)
            except subprocess.TimeoutExpired:
                text = self.output()[-3000:]
                self.kill9()
                if self.kind == 'python':
                    # Its warm shutdown may wait for a child that a revoke has ended.
                    return self.process.returncode
                raise Deadline('worker did not stop:\n' + text) from None
        code = self.process.returncode
        self.check()
        return code

    def check(self):
        found = SANITIZER.search(self.output())
        if found:
            at = max(0, found.start() - 200)
            raise AssertionError('sanitizer report:\n' + self.output()[at:at + 6000])


def descendants(pid):
    kids = {}
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            try:
                with open('/proc/%s/stat' % entry) as f:
                    ppid = int(f.read().rsplit(')', 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            kids.setdefault(ppid, []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        for kid in kids.get(todo.pop(), []):
            found.append(kid)
            todo.append(kid)
    return found


def _wait_in_halves(cls):
    """Celery's client sends SUBSCRIBE, does not wait for its answer and looks once for the
    document on another connection (celery/backends/redis.py on_wait_for_pending).  A result
    that comes between the two is missed; the second half of the time finds it."""
    from celery.exceptions import TimeoutError
    once = cls.get

    def get(self, timeout=None, *args, **kwargs):
        half = timeout / 2 if timeout else timeout
        try:
            return once(self, half, *args, **kwargs)
        except TimeoutError:
            return once(self, half, *args, **kwargs)

    get.in_halves = True
    if not hasattr(once, 'in_halves'):
        cls.get = get


def _expired_tasks_arrive(cls):
    """Celery sends a task that has expired with a time to live of 0 (celery/app/base.py
    send_task), and RabbitMQ drops it unless a consumer has room at that very moment. Without
    it, it is always the worker that finds it expired."""
    make = cls._create_task_sender

    def create_task_sender(self):
        send = make(self)

        def send_task_message(producer, name, message, *args, **options):
            if options.get('expiration') == 0:
                del options['expiration']
            return send(producer, name, message, *args, **options)
        return send_task_message

    create_task_sender.without_ttl = True
    if not hasattr(make, 'without_ttl'):
        cls._create_task_sender = create_task_sender


def celery_app(broker, backend, **conf):
    """A Celery application as a client of the workers; the tasks are called by name."""
    from celery import Celery
    from celery.app.amqp import AMQP
    from celery.result import AsyncResult, GroupResult
    _expired_tasks_arrive(AMQP)
    _wait_in_halves(AsyncResult)
    _wait_in_halves(GroupResult)
    # It unsubscribes; when Redis has ended before, Celery 5.6 waits for it for ever.
    AsyncResult.__del__ = lambda self: None
    app = Celery('client', broker=broker, backend=backend, set_as_current=False)
    app.conf.update(broker_connection_retry_on_startup=True, **conf)
    return app


def celery_version():
    import celery
    return tuple(int(n) for n in re.findall(r'\d+', celery.__version__)[:3])


def document(redis_client, task_id, prefix=''):
    """The stored result document as text, or None."""
    raw = redis_client.get(prefix + 'celery-task-meta-' + task_id)
    return raw.decode() if raw is not None else None


def keys(redis_client):
    return sorted(k.decode('utf-8', 'backslashreplace') for k in redis_client.keys('*'))


def leftover_keys(redis_client):
    """Keys that should not remain after a run: all but results, bindings, and a worker's
    lease, which ends by itself within the time that others wait for it."""
    return [k for k in keys(redis_client)
            if not k.startswith(('celery-task-meta-', '_kombu.binding'))
            and not ('.celery-c.lease.' in k and 0 < redis_client.ttl(k) <= 45)]


def _state_told(result, states, timeout):
    """With rpc:// states are messages, which the client may have taken already: it is asked
    to tell them, and .state would look into an empty queue."""
    class Seen(Exception):
        pass

    def on_message(meta):
        if meta['task_id'] == result.id and meta['status'] in states and (
                meta['status'] not in ('SUCCESS', 'FAILURE', 'REVOKED')):
            raise Seen(meta['status'])

    try:
        result.get(timeout=timeout, propagate=False, on_message=on_message)
    except Seen as seen:
        return str(seen)
    if result.state not in states:
        raise Deadline('state %s: it is %s' % ('/'.join(states), result.state))
    return result.state


def need_worker():
    if KIND == 'c':
        if not CELERY_C:
            raise unittest.SkipTest('celery-c is not built in %s' % BUILD)
        if not C_TASKS:
            raise unittest.SkipTest('interop_tasks.so is not built in %s' % BUILD)


redis_only = unittest.skipUnless(BROKER == 'redis', 'a matter of Redis as broker')
amqp_only = unittest.skipUnless(BROKER == 'amqp', 'a matter of RabbitMQ')
stored_only = unittest.skipUnless(RESULTS == 'redis', 'results are messages')


class Case(unittest.TestCase):
    """A broker and a place for results for each class, one worker for each class that
    wants one.  `queues` is what can be asked of either broker; `db0` is None with
    RabbitMQ, `db1` with results in messages."""

    worker_options = None  # dict: start a worker for the class
    redis_args = ()
    brokers = ('redis', 'amqp')
    results = ('redis', 'rpc')

    @classmethod
    def setUpClass(cls):
        if BROKER not in cls.brokers:
            raise unittest.SkipTest('not with broker ' + BROKER)
        if RESULTS not in cls.results:
            raise unittest.SkipTest('not with results ' + RESULTS)
        need_worker()
        cls.redis = cls.db0 = cls.db1 = None
        if BROKER == 'redis' or RESULTS == 'redis':
            cls.redis = Redis(*cls.redis_args)
            cls.addClassCleanup(cls.redis.stop)
        if BROKER == 'amqp':
            cls.rabbit = cls.new_rabbit()
            cls.broker = cls.rabbit.url()
            cls.queues = brokers.AmqpQueues(cls.rabbit)
            cls.addClassCleanup(cls.queues.stop)
        else:
            cls.broker = cls.redis.url(0)
            cls.db0 = cls.redis.client(0)
            cls.queues = brokers.RedisQueues(cls.db0)
        if RESULTS == 'rpc':
            cls.backend = 'rpc://'
        else:
            cls.backend = cls.redis.url(1)
            cls.db1 = cls.redis.client(1)
        cls.app = celery_app(cls.broker, cls.backend)
        cls.addClassCleanup(cls.app.close)
        cls.worker = None
        if cls.worker_options is not None:
            cls.worker = Worker(cls.broker, cls.backend, **cls.worker_options)
            cls.addClassCleanup(cls.worker.kill9)

    @classmethod
    def new_rabbit(cls):
        """A virtual host of its own, gone after the class."""
        import rabbit
        try:
            found = rabbit.Shared()
        except rabbit.Failed as exc:
            raise unittest.SkipTest(str(exc))
        cls.addClassCleanup(found.stop)
        return found

    @classmethod
    def tearDownClass(cls):
        if cls.worker:
            cls.worker.stop()

    def start(self, *args, **kwargs):
        """A worker for this test alone."""
        w = Worker(kwargs.pop('broker', self.broker), kwargs.pop('backend', self.backend),
                   *args, **kwargs)
        self.addCleanup(w.kill9)
        return w

    def call(self, name, *args, timeout=None, **options):
        kwargs = options.pop('kwargs', None)
        r = self.app.send_task(name, args, kwargs, **options)
        return r.get(timeout=timeout or 30 * PATIENCE)

    def wait_state(self, result, *states, timeout=None):
        if RESULTS == 'rpc':
            return _state_told(result, states, timeout or 15 * PATIENCE)
        return wait_for('state %s of %s' % ('/'.join(states), result.id),
                        lambda: result.state in states and result.state,
                        timeout or 15 * PATIENCE)


class _Result(unittest.TextTestResult):
    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        name = test.id().replace('__main__.', '')
        self.stream.writeln('skipped: %s (%s)' % (reason, name))


def main():
    """Runs the calling file's tests; last line `N passed, N failed, N skipped`."""
    program = unittest.main(module='__main__', exit=False, verbosity=2, testRunner=(
        unittest.TextTestRunner(stream=sys.stdout, resultclass=_Result, verbosity=2)))
    r = program.result
    failed = len(r.failures) + len(r.errors) + len(r.unexpectedSuccesses)
    skipped = len(r.skipped)
    passed = max(0, r.testsRun - failed - skipped)
    sys.stdout.flush()
    print('%d passed, %d failed, %d skipped' % (passed, failed, skipped), flush=True)
    if failed:
        sys.exit(1)
    sys.exit(77 if skipped and not passed else 0)
