# SPDX-License-Identifier: BSD-3-Clause
"""The same on RabbitMQ for bench.py: results in Redis and in reply queues."""

import json
import os
import subprocess
import sys
import time

import measure
from measure import Kind, cpu, lib, pss_kb

sys.path.insert(0, os.path.join(measure.ROOT, 'tests', 'support'))
import rabbit  # noqa: E402

PY = 'celery prefork'
POOLS = ('c prefork', 'c threads', 'c solo')
BARE = [Kind('bare 128', 'bare', rate=15000, options=['--prefetch', '128']),
        Kind('bare 512', 'bare', rate=15000, options=['--prefetch', '512'])]
WORKERS = [PY, 'celery solo', *POOLS, *(k.name for k in BARE)]
# (name, results, at least so much of the best bare client, so many times Celery)
SCENARIOS = [
    ('RabbitMQ, results in Redis', 'redis', .70, 10),
    ('RabbitMQ, results by rpc', 'rpc', .70, 10),
]
OPTIONS = ('--prefetch-multiplier', '64')
RATES = {'py': 1200, 'c': 15000, 'bare': 15000}
REPLIES = 'replies'


class RabbitBench:
    def __init__(self, bench):
        self.bench = bench
        self.node = rabbit.Rabbit(as_shipped=True)
        import amqp
        self.connection = amqp.Connection('127.0.0.1:%d' % self.node.port, heartbeat=0)
        self.connection.connect()
        self.channel = self.connection.channel()
        self.seed = 0

    def close(self):
        self.connection.close()
        self.node.stop()

    def url(self):
        return 'amqp://guest:guest@127.0.0.1:%d//' % self.node.port

    def results(self, kind):
        return self.bench.redis.url(1) if kind == 'redis' else 'rpc://'

    # ---- messages ----

    def template(self, results):
        """One message of real Celery in the queue of that name."""
        self.declare('template')
        app = lib.celery_app(self.url(), self.results(results))
        app.send_task('t.noop', queue='template')
        app.close()

    def declare(self, queue):
        """As Celery declares them: a worker would be refused other arguments."""
        self.channel.exchange_declare(queue, 'direct', durable=True, auto_delete=False)
        self.channel.queue_declare(queue, durable=True, auto_delete=False)
        self.channel.queue_bind(queue, queue, queue)

    def tool(self, name, *args):
        self.seed += 1
        run = subprocess.run(
            [os.path.join(self.bench.build, 'bench', 'bench_amqp_' + name), '--amqp',
             str(self.node.port), '--seed', str(self.seed), *map(str, args)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)
        if run.returncode:
            raise RuntimeError('%s: %s' % (name, run.stderr))
        return run.stdout

    def fill(self, results, count):
        for queue in ('bench', REPLIES, 'template'):
            self.channel.queue_delete(queue)
        self.declare('bench')
        self.channel.queue_declare(REPLIES, durable=False, auto_delete=False)
        self.template(results)
        self.bench.db1.flushdb()
        more = ['--reply-to', REPLIES] if results == 'rpc' else []
        self.tool('fill', '--from', 'template', '--to', 'bench', '--count', count, *more)

    def count(self, queue):
        return self.channel.queue_declare(queue, passive=True).message_count

    def done(self, results):
        return self.bench.db1.dbsize() if results == 'redis' else self.count(REPLIES)

    # ---- one drain ----

    def start(self, kind, results):
        argv, env = self.bench.command(kind, self.bench.redis.port, options=OPTIONS)
        argv[argv.index('-b') + 1] = self.url()
        argv[argv.index('--result-backend') + 1] = self.results(results)
        with open(lib.tmpname('.log'), 'wb') as log:
            p = lib.spawn(argv, stdout=log, stderr=log, env=env, cwd=lib.HERE,
                          start_new_session=True)
        p.log = log.name
        return p

    def drain(self, kind, results, count):
        self.fill(results, count)
        if kind.lang == 'bare':
            return self.drain_bare(kind, results, count)
        p = self.start(kind, results)
        try:
            return self.watch(p, results, count)
        finally:
            self.bench.kill(p)

    def watch(self, p, results, count):
        """From the first result on: how long a worker takes to start is another figure."""
        begin = time.monotonic()
        t0 = first = None
        pss, next_pss = 0, 0.0
        pids, cpu0, broker0 = [], 0, 0
        while True:
            # Each look is a call that the queue of results answers between two messages.
            done, now = self.done(results), time.monotonic()
            if done and t0 is None:
                t0, first = now, done
                pids = [p.pid] + lib.descendants(p.pid)
                cpu0, broker0 = cpu(pids, p.pid), cpu([self.node.process.pid])
            if done >= count:
                break
            if p.poll() is not None or now - begin > 120:
                raise RuntimeError('%d of %d: %s' % (done, count, open(p.log).read()[-1500:]))
            if now > next_pss:
                pss, next_pss = max(pss, pss_kb([p.pid] + lib.descendants(p.pid))), now + 1
            left = (count - done) / (count - (first or 0))
            time.sleep(measure.until_next_look(now - (t0 or now), left))
        seconds, n = now - t0, count - first
        return {'rate': n / seconds, 'count': n, 'seconds': seconds,
                'cpu_us': (cpu(pids, p.pid) - cpu0) / n * 1e6,
                'broker_us': (cpu([self.node.process.pid]) - broker0) / n * 1e6,
                'pss_mb': max(pss, pss_kb([p.pid] + lib.descendants(p.pid))) / 1024}

    def drain_bare(self, kind, results, count):
        more = ['--port', self.bench.redis.port, '--db', 1] if results == 'redis' else []
        broker0, before = cpu([self.node.process.pid]), os.times()
        got = json.loads(self.tool('bare', '--queue', 'bench', '--count', count,
                                   *kind.options, *more))
        after = os.times()
        own = (after.children_user + after.children_system
               - before.children_user - before.children_system)
        if self.done(results) != count:
            raise RuntimeError('bare stored %d of %d' % (self.done(results), count))
        return {'rate': count / got['seconds'], 'count': count, 'seconds': got['seconds'],
                'cpu_us': own / count * 1e6,
                'broker_us': (cpu([self.node.process.pid]) - broker0) / count * 1e6}

    # ---- idle ----

    def latency(self, kind, results, count):
        self.fill(results, 1)
        self.template(results)
        p = self.start(kind, results)
        try:
            lib.wait_for('%s answers' % kind.name, lambda: self.done(results), 30)
            self.channel.queue_purge(REPLIES)
            more = ['--port', self.bench.redis.port] if results == 'redis' else []
            return json.loads(self.tool('latency', '--from', 'template', '--to', 'bench',
                                        '--reply-to', REPLIES, '--count', count, *more))
        finally:
            self.bench.kill(p)


def measure_all(bench, table, runs, seconds, only, report):
    """Adds the scenarios to report['drain'] and idle round trips to report['rabbit']."""
    chosen = [s for s in SCENARIOS if not only or only in s[0]]
    report['rabbit'] = {}
    if not chosen:
        return
    try:
        r = RabbitBench(bench)
    except (rabbit.Failed, ImportError) as exc:
        print('RabbitMQ is not measured: %s' % exc, flush=True)
        return
    kinds = dict(table, **{k.name: k for k in BARE})
    try:
        for name, results, _, _ in chosen:
            print(name, flush=True)
            scenario(r, kinds, name, results, runs, seconds, report)
    finally:
        r.close()


def scenario(r, kinds, name, results, runs, seconds, report):
    workers = [w for w in WORKERS if w in kinds]
    got = {w: [] for w in workers}
    for turn in range(runs):
        for w in workers:
            try:
                one = r.drain(kinds[w], results, int(RATES[kinds[w].lang] * seconds))
            except RuntimeError as exc:
                print('  %s: %s' % (w, str(exc).strip()[-600:]), flush=True)
                continue
            got[w].append(one)
            print('  %s: %d/%d %-20s %9.0f tasks/s' % (name, turn + 1, runs, w, one['rate']),
                  flush=True)
    report['drain'][name] = {w: measure.summarise(g) for w, g in got.items() if g}
    for w in (*POOLS, PY):
        if w in kinds:
            try:
                idle = r.latency(kinds[w], results, 500 if w != PY else 100)
            except (RuntimeError, lib.Deadline) as exc:
                print('  %s: %s' % (w, str(exc)[-600:]), flush=True)
                continue
            report['rabbit'].setdefault(name, {})[w] = idle
            print('  %s: idle round trip p50 %.0f us' % (w, idle['p50']), flush=True)


def goals(report):
    rows = []
    for name, _, share, times in SCENARIOS:
        drain = report['drain'].get(name, {})
        bare = max((drain[k.name]['rate'] for k in BARE if k.name in drain), default=0)
        for w in POOLS:
            if w not in drain:
                continue
            rate = drain[w]['rate']
            if PY in drain:
                value = rate / drain[PY]['rate']
                rows.append(('%s, %s: at least %d times Celery prefork' % (w, name, times),
                             '%.1f times' % value, value >= times))
            if bare:
                rows.append(('%s, %s: at least %.0f %% of the bare client' % (
                    w, name, share * 100), '%.0f %%' % (100 * rate / bare),
                    rate >= share * bare))
            p50 = report['rabbit'].get(name, {}).get(w, {}).get('p50')
            if p50:
                rows.append(('%s, %s, idle round trip: p50 under 1,500 us' % (w, name),
                             '%.0f us' % p50, p50 < 1500))
    return rows


def markdown(report):
    if not report['rabbit']:
        return []
    lines = ['RabbitMQ was started as it ships, with a scheduler for each CPU.', '',
             '## Idle round trips on RabbitMQ', '', '| results | worker | p50 µs | p99 µs |',
             '|---|---|--:|--:|']
    for name, workers in report['rabbit'].items():
        lines += ['| %s | %s | %.0f | %.0f |' % (name, w, r['p50'], r['p99'])
                  for w, r in workers.items()]
    return lines + ['']
