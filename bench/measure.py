# SPDX-License-Identifier: BSD-3-Clause
"""Measuring for bench.py: workers of all kinds drain a list of messages, are timed idle,
started and weighed."""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(ROOT, 'tests', 'interop'))
import lib  # noqa: E402

TICK = os.sysconf('SC_CLK_TCK')
# Commands of the measuring itself, left out of the commands per task.
OWN = {'llen', 'hlen', 'dbsize', 'ping', 'info', 'config|resetstat', 'config', 'flushall',
       'rename', 'exists', 'client', 'select', 'script', 'script|load', 'hello'}


class Kind:
    """A kind of worker: what it is called and how it is started."""

    def __init__(self, name, lang, pool=None, rate=1000, python=None, concurrency=2,
                 options=()):
        self.name, self.lang, self.pool = name, lang, pool
        self.rate = rate  # tasks/s to expect, to choose how many to send
        self.python = python
        self.concurrency = concurrency
        self.options = list(options)


class Bench:
    def __init__(self, build, out):
        self.build = build
        self.out = out
        self.redis = lib.Redis()
        self.db0, self.db1 = self.redis.client(0), self.redis.client(1)
        self.seed = 0
        self.templates = {}
        self.proxies = {}
        self.celery_c = self.path('libcelery-c/src/cli/celery-c', 'libcelery-c/celery-c')
        self.tasks = self.path('tests/interop/interop_tasks.so', 'bench/bench_tasks.so')
        self.module_path = {'CELERY_MODULE_PATH': os.path.join(
            os.path.abspath(build), 'libcelery-c/src/modules')}
        self.env = dict(lib.env_of_workers(), **self.module_path)

    def path(self, *names):
        for name in names:
            path = os.path.join(self.build, name)
            if os.path.exists(path):
                return path
        return None

    # ---- messages ----

    def template(self, task='t.noop', args=(), ignore=False, queue='bench'):
        """(path, id, tag) of a message made by real Celery."""
        key = (task, repr(args)[:50] + str(len(repr(args))), ignore, queue)
        if key not in self.templates:
            self.db0.delete(queue)
            app = lib.celery_app(self.redis.url(0), self.redis.url(1))
            r = app.send_task(task, args, queue=queue, ignore_result=ignore)
            raw = self.db0.rpop(queue)
            app.close()
            path = lib.tmpname('.msg')
            with open(path, 'wb') as f:
                f.write(raw)
            self.templates[key] = (
                path, r.id, json.loads(raw)['properties']['delivery_tag'])
        return self.templates[key]

    def tool(self, name, template, *args):
        path, task_id, tag = template
        self.seed += 1
        run = subprocess.run(
            [os.path.join(self.build, 'bench', 'bench_' + name),
             '--port', str(self.redis.port), '--template', path, '--id', task_id,
             '--tag', tag, '--seed', str(self.seed), *map(str, args)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)
        if run.returncode:
            raise RuntimeError('%s: %s' % (name, run.stderr))
        return run.stdout

    # ---- round-trip delay ----

    def port(self, rtt_ms):
        """A port where Redis answers rtt_ms later than it does."""
        if not rtt_ms:
            return self.redis.port
        if rtt_ms not in self.proxies:
            proxy = self.path('tests/support/faultproxy', 'tests/fault/faultproxy')
            if not proxy:
                return None
            port = lib.free_port()
            lib.spawn([proxy, '--listen', str(port), '--to', '127.0.0.1:%d' % self.redis.port,
                       '--delay-ms', str(rtt_ms / 2)])
            time.sleep(0.3)
            self.proxies[rtt_ms] = port
        return self.proxies[rtt_ms]

    # ---- workers ----

    def command(self, kind, port, options=(), conf=None, loglevel='WARNING'):
        broker = 'redis://127.0.0.1:%d/0' % port
        backend = 'redis://127.0.0.1:%d/1' % port
        env = dict(self.env)
        conf = dict(conf or {})
        if kind.lang == 'node':
            env.update(BROKER=broker, BACKEND=backend)
            return ['node', os.path.join(self.build, '..', 'bench-node', 'worker.js')], env
        worker = ['-b', broker, '--result-backend', backend, 'worker', '-Q', 'bench',
                  '-c', str(kind.concurrency), '-P', kind.pool, '-l', loglevel,
                  '--without-gossip', '--without-mingle', '--without-heartbeat',
                  *kind.options, *options]
        if kind.lang == 'py':
            env['PYTASKS_CONF'] = json.dumps(conf)
            return [kind.python, '-m', 'celery', '-A', 'pytasks'] + worker, env
        start = [self.celery_c, '-A', self.tasks]
        if conf:
            path = lib.tmpname('.json')
            with open(path, 'w') as f:
                json.dump(conf, f)
            start += ['--config', path]
        return start + worker, env

    def start(self, kind, port, **kwargs):
        argv, env = self.command(kind, port, **kwargs)
        with open(lib.tmpname('.log'), 'wb') as log:
            p = lib.spawn(argv, stdout=log, stderr=log, env=env, cwd=lib.HERE,
                          start_new_session=True)
        p.log = log.name
        # Ready is who has answered; the lines printed differ.
        self.tool('fill', self.template(), '--key', 'bench', '--count', 1)
        try:
            lib.wait_for('%s answers' % kind.name,
                         lambda: self.db1.dbsize() > 0 or p.poll() is not None, 30)
        except lib.Deadline:
            pass
        if p.poll() is not None or self.db1.dbsize() == 0:
            self.kill(p)
            raise RuntimeError('%s: %s' % (kind.name, open(p.log).read()[-1500:]))
        return p

    @staticmethod
    def kill(p):
        try:
            os.killpg(p.pid, 9)
        except ProcessLookupError:
            pass
        p.wait(10)

    # ---- one drain ----

    def listener(self):
        """A monitor that takes what comes, so that events cost the broker what they cost."""
        return lib.spawn(
            ['redis-cli', '-p', str(self.redis.port), 'PSUBSCRIBE', '/0.celeryev/*'],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def drain(self, kind, count, task='t.noop', args=(), ignore=False, rtt_ms=0,
              listen=False, **start):
        """Times count messages from the first one on; a dict of figures."""
        port = self.port(rtt_ms)
        self.db0.flushall()
        self.tool('fill', self.template(task, args, ignore), '--key', 'staged',
                  '--count', count)
        if kind.lang == 'bare':
            return self.drain_bare(kind, count, port, ignore)
        p = self.start(kind, port, **start)
        monitor = self.listener() if listen else None
        try:
            return self.watch(p, count, ignore)
        finally:
            self.kill(p)
            if monitor:
                self.kill(monitor)

    def watch(self, p, count, ignore):
        self.db1.flushdb()
        self.db0.config_resetstat()
        pids = [p.pid] + lib.descendants(p.pid)
        cpu0, broker0 = cpu(pids, p.pid), cpu([self.redis.process.pid])
        pss, next_pss = 0, 0.0
        t0 = time.monotonic()
        self.db0.rename('staged', 'bench')
        while True:
            pipe = self.db0.pipeline(transaction=False)
            pipe.llen('bench')
            pipe.hlen('unacked')
            waiting, unacked = pipe.execute()
            now = time.monotonic()
            if waiting == 0 and unacked == 0 and (ignore or self.db1.dbsize() >= count):
                break
            if p.poll() is not None:
                raise RuntimeError('worker ended: ' + open(p.log).read()[-1500:])
            if now - t0 > 120:
                raise RuntimeError('not drained in 120 s: %d waiting, %d unacked, %d stored'
                                   % (waiting, unacked, self.db1.dbsize()))
            if now > next_pss:
                pss, next_pss = max(pss, pss_kb([p.pid] + lib.descendants(p.pid))), now + 1
            time.sleep(until_next_look(now - t0, waiting / count))
        seconds = now - t0
        cpu1, broker1 = cpu(pids, p.pid), cpu([self.redis.process.pid])
        pss = max(pss, pss_kb([p.pid] + lib.descendants(p.pid)))
        stats = self.db0.info('commandstats')
        info = self.db0.info('stats')
        calls = sum(v['calls'] for k, v in stats.items()
                    if k[len('cmdstat_'):] not in OWN)
        return {
            'rate': count / seconds, 'count': count, 'seconds': seconds,
            'cpu_us': (cpu1 - cpu0) / count * 1e6,
            'broker_us': (broker1 - broker0) / count * 1e6,
            'pss_mb': pss / 1024,
            'commands': calls / count,
            'bytes_in': info['total_net_input_bytes'] / count,
            'bytes_out': info['total_net_output_bytes'] / count,
        }

    def drain_bare(self, kind, count, port, ignore):
        self.db0.rename('staged', 'bench')
        broker0 = cpu([self.redis.process.pid])
        before = os.times()
        text = subprocess.run(
            [os.path.join(self.build, 'bench', 'bench_bare'), '--port', str(port),
             '--key', 'bench', '--ignore', str(int(ignore)), *kind.options],
            stdout=subprocess.PIPE, check=True, text=True, timeout=300).stdout
        after = os.times()
        got = json.loads(text)
        if got['done'] != count:
            raise RuntimeError('bare took %d of %d' % (got['done'], count))
        own = (after.children_user + after.children_system
               - before.children_user - before.children_system)
        return {'rate': count / got['seconds'], 'count': count, 'seconds': got['seconds'],
                'cpu_us': own / count * 1e6,
                'broker_us': (cpu([self.redis.process.pid]) - broker0) / count * 1e6}

    # ---- the others ----

    def latency(self, kind, count):
        self.db0.flushall()
        p = self.start(kind, self.redis.port)
        try:
            return json.loads(self.tool('latency', self.template(), '--key', 'bench',
                                        '--count', count))
        finally:
            self.kill(p)

    def idle(self, kind, seconds):
        """Wake-ups and commands a second, CPU and memory of a worker with nothing to do."""
        self.db0.flushall()
        p = self.start(kind, self.redis.port)
        try:
            time.sleep(1.5)
            pids = [p.pid] + lib.descendants(p.pid)
            self.db0.config_resetstat()
            switches0, cpu0 = switches(pids), cpu(pids)
            time.sleep(seconds)
            return {'wakeups': (switches(pids) - switches0) / seconds,
                    'cpu_ms_min': (cpu(pids) - cpu0) / seconds * 60e3,
                    'commands_min': (self.db0.info('stats')['total_commands_processed'] - 1)
                    / seconds * 60,
                    'pss_mb': pss_kb(pids) / 1024}
        finally:
            self.kill(p)

    def ready(self, kind):
        """Milliseconds from exec to the line that ends in ready."""
        argv, env = self.command(kind, self.redis.port, loglevel='INFO')
        t0 = time.monotonic()
        p = lib.spawn(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
                      cwd=lib.HERE, start_new_session=True)
        seen = b''
        try:
            while b' ready.' not in seen:
                got = os.read(p.stdout.fileno(), 65536)
                if not got:
                    raise RuntimeError('%s: %s' % (kind.name, seen[-500:]))
                seen += got
            return (time.monotonic() - t0) * 1e3
        finally:
            self.kill(p)
            p.stdout.close()

    def calendar(self, events):
        """Milliseconds that one calendar of so many events takes: (C, Python or None)."""
        worker = self.path('examples/ical/ical-worker')
        if not worker:
            return None
        self.db0.flushall()
        task = {'id': 1, 'title': 'Buy milk; and bread, eggs', 'description': 'x' * 60,
                'completed': False, 'deadline_at': '2026-11-22T13:00:00',
                'created_at': '2026-11-20T10:00:00', 'updated_at': '2026-11-21T10:00:00'}
        tasks = [dict(task, id=i) for i in range(events)]
        log = lib.tmpname('.log')
        with open(log, 'wb') as out:
            p = lib.spawn([worker, '-b', self.redis.url(0), '--result-backend',
                           self.redis.url(1), 'worker', '-Q', 'ical', '-c', '1',
                           '-l', 'INFO'], stdout=out, stderr=out, env=self.env,
                          start_new_session=True)
        try:
            app = lib.celery_app(self.redis.url(0), self.redis.url(1))
            took = []
            for _ in range(5):
                app.send_task('ical', (tasks,), queue='ical').get(timeout=60)
                took = re.findall(r'succeeded in ([0-9.e-]+)s', open(log).read())
            app.close()
            return min(float(t) for t in took) * 1e3 if took else None
        finally:
            self.kill(p)

    def close(self):
        self.redis.stop()


def until_next_look(passed, left):
    """Seconds to sleep, with that share left of the work. Looking takes CPU from who is
    measured (the bare client is not looked at), so it is seldom until the end is near."""
    rest = passed * left / (1 - left) if 0 < left < 1 else 0
    return min(max(rest / 2, 0.002), 0.1)


def summarise(runs):
    """Medians of the runs of one worker, and how far they lay apart."""
    middle = {key: statistics.median(r[key] for r in runs if key in r)
              for key in runs[0]}
    rates = sorted(r['rate'] for r in runs)
    return dict(middle, n=len(runs), low=rates[0], high=rates[-1],
                rates=[round(r) for r in rates])


def cpu(pids, with_children_of=None):
    """Seconds of CPU that the processes used."""
    total = 0
    for pid in pids:
        try:
            with open('/proc/%d/stat' % pid) as f:
                fields = f.read().rsplit(')', 1)[1].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
        if pid == with_children_of:
            total += int(fields[13]) + int(fields[14])
    return total / TICK


def pss_kb(pids):
    total = 0
    for pid in pids:
        try:
            with open('/proc/%d/smaps_rollup' % pid) as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith('Pss:'))
        except OSError:
            pass
    return total


def switches(pids):
    total = 0
    for pid in pids:
        try:
            for tid in os.listdir('/proc/%d/task' % pid):
                with open('/proc/%d/task/%s/status' % (pid, tid)) as f:
                    total += sum(int(line.split()[1]) for line in f
                                 if line.startswith('voluntary_ctxt'))
        except OSError:
            pass
    return total


NODE_WORKER = '''
const celery = require("celery-node");
const worker = celery.createWorker(process.env.BROKER, process.env.BACKEND, "bench");
worker.register("t.noop", () => null);
worker.start();
'''


def celery_node(folder):
    """Installs celery-node into folder; True when it is there."""
    if not shutil.which('node') or not shutil.which('npm'):
        return False
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'worker.js'), 'w') as f:
        f.write(NODE_WORKER)
    if not os.path.isdir(os.path.join(folder, 'node_modules', 'celery-node')):
        try:
            run = subprocess.run(['npm', 'install', '--no-audit', '--no-fund', '--prefix',
                                  folder, 'celery-node@0.5.9'], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, timeout=180)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return run.returncode == 0
    return True
