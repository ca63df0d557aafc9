#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""TaskOverflow with a worker in C: starts a private broker (Redis, RabbitMQ, an emulator of SQS,
or only a folder), the Flask application and ical-worker, makes tasks over HTTP, waits for their
calendar, prints it and stops all."""

import argparse
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
import servers  # noqa: E402

TODOS = [
    {'title': 'Project proposal', 'description': 'CSSE6400 project proposal due',
     'deadline_at': '2026-04-03T14:00:00'},
    {'title': 'Demonstrate; compare, then decide',
     'description': 'Semicolons, commas and \\ are escaped; a text that is longer than a line '
                    'of 75 octets is folded',
     'deadline_at': '2026-04-10T09:30:00'},
    {'title': 'Einkauf für Zoë ☕', 'description': None, 'deadline_at': '2026-12-24T18:00:00'},
]


class Failed(Exception):
    """The demonstration cannot go on; the text says why."""


def say(text):
    print('==> ' + text, flush=True)


def free_port(wanted=0):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(('127.0.0.1', wanted))
        except OSError:
            s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def wait_for(what, check, timeout=20.0):
    end = time.monotonic() + timeout
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failed('%s: not within %g seconds' % (what, timeout))
        time.sleep(0.02)


class Process:
    """A child that ends with us, whatever ends us; what it prints is kept."""

    def __init__(self, name, argv, env=None, echo=None):
        say('starting %s: %s' % (name, ' '.join(argv)))
        self.name = name
        self.lines = []
        self.echo = echo
        try:
            self.popen = subprocess.Popen(
                argv, cwd=HERE, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors='replace',
                start_new_session=True, preexec_fn=self.die_with_parent)
        except OSError as error:
            raise Failed('%s: %s' % (argv[0], error.strerror)) from None
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    @staticmethod
    def die_with_parent():
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG

    def read(self):
        for line in self.popen.stdout:
            self.lines.append(line.rstrip())
            if self.echo:
                print('    %s | %s' % (self.name, line.rstrip()), flush=True)

    def alive(self):
        if self.popen.poll() is None:
            return True
        self.reader.join(2)
        raise Failed('%s ended with %d:\n%s' % (
            self.name, self.popen.returncode, '\n'.join(self.lines[-20:])))

    def printed(self, text):
        return self.alive() and any(text in line for line in list(self.lines))

    def stop(self, first=signal.SIGTERM):
        for number, timeout in ((first, 10), (signal.SIGTERM, 3), (signal.SIGKILL, 5)):
            if self.popen.poll() is not None:
                break
            self.popen.send_signal(number)
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                continue
        say('%s (pid %d) ended with %s' % (self.name, self.popen.pid, self.popen.returncode))


def accepts(port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(('127.0.0.1', port)) == 0


def http(method, url, body=None):
    """(status, text) of a request."""
    request = urllib.request.Request(
        url, method=method, data=None if body is None else json.dumps(body).encode(),
        headers={'Content-Type': 'application/json'})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        raise Failed('%s %s: %s' % (method, url, error)) from None


def call(method, url, body=None):
    status, text = http(method, url, body)
    if status >= 300:
        raise Failed('%s %s: %d %s' % (method, url, status, text[:300]))
    return json.loads(text)


class Demo:
    def __init__(self, options):
        self.options = options
        self.processes = []
        self.servers = []  # of tests/support
        self.urls = {}
        self.env = {}  # what the broker needs besides its URL
        self.dir = tempfile.mkdtemp(prefix='taskoverflow-')

    def start(self, *args, **kwargs):
        process = Process(*args, **kwargs)
        self.processes.append(process)
        return process

    def stop(self):
        for process in reversed(self.processes):
            process.stop()
        for server in reversed(self.servers):
            server.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    free_port = staticmethod(free_port)

    def start_server(self, name, argv, port):
        process = self.start(name, argv)
        wait_for(name, lambda: process.alive() and accepts(port))

    def start_broker(self):
        """The URLs of the broker and of the results."""
        broker = self.options.broker
        results = self.options.results or servers.USUAL_RESULTS.get(broker, 'redis')
        say('broker: %s, results: %s' % (broker, results))
        try:
            return servers.BROKERS[broker](self), servers.RESULTS[results](self)
        except servers.Unavailable as error:
            raise Failed(str(error)) from None

    def environment(self, broker, results):
        return dict(os.environ, **self.env,
                    CELERY_BROKER_URL=broker, CELERY_RESULT_BACKEND=results,
                    SQLALCHEMY_DATABASE_URI='sqlite:///' + self.dir + '/todo.db',
                    PYTHONPATH=HERE, PYTHONDONTWRITEBYTECODE='1', PYTHONUNBUFFERED='1')

    def start_app(self, env):
        port = free_port(self.options.port)
        argv = [sys.executable, '-m', 'flask', '--app', 'todo', 'run', '--port', str(port)]
        if env['CELERY_RESULT_BACKEND'] == 'rpc://':
            # Celery sends results to the thread that asked (celery/app/base.py thread_oid).
            argv.append('--without-threads')
        process = self.start('flask', argv, env)
        wait_for('flask', lambda: process.alive() and accepts(port))
        return 'http://127.0.0.1:%d' % port

    def start_worker(self, env):
        if self.options.python:
            argv = [sys.executable, '-m', 'celery', '--app', 'todo.tasks.ical', 'worker',
                    '--loglevel=info', '--concurrency=2']
        else:
            # The seed fails as a whole where one task has no deadline; a web page should not.
            argv = [os.path.join(self.options.build, 'examples', 'ical', 'ical-worker'),
                    'worker', '--loglevel=info', '--concurrency=2']
            env = dict(env)
            env.setdefault('ICAL_PRESET', 'lenient')
        process = self.start('worker', argv, env, echo=True)
        started = time.monotonic()
        wait_for('the worker', lambda: process.printed(' ready.'), 30)
        say('the worker is ready after %.0f ms' % ((time.monotonic() - started) * 1000))

    def make_calendar(self, site):
        api = site + '/api/v1/todos'
        for todo in TODOS:
            made = call('POST', api, todo)
            say('POST /api/v1/todos: %d %s' % (made['id'], made['title']))
        job = call('POST', api + '/ical')
        say('POST /api/v1/todos/ical: task %s' % job['task_id'])

        def ended():
            status = call('GET', job['task_url'])
            return status if status['task_status'] in ('SUCCESS', 'FAILURE') else None

        started = time.monotonic()
        status = wait_for('the calendar', ended, self.options.timeout)
        say('GET  .../status: %s after %.2f s' % (
            status['task_status'], time.monotonic() - started))
        code, text = http('GET', status['result_url'])
        if code != 200:
            raise Failed('no calendar: %s' % status.get('error', text))
        return text

    def run(self):
        env = self.environment(*self.start_broker())
        site = self.start_app(env)
        self.start_worker(env)
        calendar = self.make_calendar(site)
        say('GET  .../result:')
        print(calendar.replace('\r\n', '\n'), flush=True)
        check(calendar)
        if self.options.serve:
            say('TaskOverflow runs at %s/ ; Ctrl-C ends it' % site)
            while all(process.alive() for process in self.processes):
                time.sleep(0.5)


def check(calendar):
    """Reads the calendar with Python's icalendar, where that is installed."""
    try:
        import icalendar
    except ImportError:
        say("Python's icalendar is not installed: the calendar was not read back")
        return
    events = icalendar.Calendar.from_ical(calendar).walk('VEVENT')
    read = sorted((str(e['SUMMARY']), e['DTSTART'].dt.isoformat(),
                   str(e['DESCRIPTION'])) for e in events)
    # The seed writes None for a missing description, the lenient task nothing.
    sent = sorted((t['title'], t['deadline_at'], t['description'] or '') for t in TODOS)
    read = [(title, at, '' if text == 'None' else text) for title, at, text in read]
    if read != sent:
        raise Failed("Python's icalendar reads something else: %r" % (read,))
    say("Python's icalendar %s reads the same %d events" % (
        getattr(icalendar, '__version__', ''), len(read)))


def interrupt(number, frame):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--serve', action='store_true', help='stay up for the browser')
    parser.add_argument('--python', action='store_true', help='a Python Celery worker')
    parser.add_argument('--broker', choices=sorted(servers.BROKERS), default='redis')
    parser.add_argument('--results', choices=sorted(servers.RESULTS),
                        help='default: file with --broker filesystem, otherwise redis; rpc: with '
                             '--broker amqp')
    parser.add_argument('--build', default=os.path.join(ROOT, 'build'), metavar='DIR',
                        help='the meson build folder')
    parser.add_argument('--port', type=int, default=0,
                        help='of the web application (default: a free one; 6400 with --serve)')
    parser.add_argument('--timeout', type=float, default=60, help='for the calendar')
    options = parser.parse_args()
    if options.results == 'rpc' and options.broker != 'amqp':
        parser.error('--results rpc needs --broker amqp')
    options.build = os.path.abspath(options.build)
    if options.serve and options.port == 0:
        options.port = 6400
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    demo = Demo(options)
    code = 1
    try:
        demo.run()
        code = 0
    except Failed as error:
        print('demo: %s' % error, file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print(flush=True)
        code = 0 if options.serve else 130
    finally:
        # A second Ctrl-C must not leave anything running.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        demo.stop()
    return code


if __name__ == '__main__':
    sys.exit(main())
