#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The benchmark of ./run bench: Python Celery, celery-c and the bare client side by side.

Messages are made by real Celery once and multiplied with fresh ids. Runs alternate
between the workers of a scenario; figures are medians. Writes results.md, results.json
and results.svg into bench/out/.

bench.py [--quick] [--build DIR] [--runs N] [--seconds S] [--only TEXT] [--out DIR]
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import sys

import chart
import flows
import measure
import rabbits
import sql_drain
import sqs_drain
from measure import Kind

lib = measure.lib


def newest_celery():
    """The python of the newest Celery that PyPI gives, or Debian's."""
    import matrix
    return matrix.prepare(matrix.VERSIONS[-1]) or '/usr/bin/python3'


def version_of(python):
    import subprocess
    return subprocess.run([python, '-c', 'import celery; print(celery.__version__)'],
                          stdout=subprocess.PIPE, text=True).stdout.strip()


def kinds(python, node):
    debian = '/usr/bin/python3'
    all_kinds = [
        Kind('celery prefork', 'py', 'prefork', 850, python),
        Kind('celery threads', 'py', 'threads', 450, python),
        Kind('celery solo', 'py', 'solo', 600, python, concurrency=1),
        Kind('c prefork', 'c', 'prefork', 60000),
        Kind('c threads', 'c', 'threads', 80000),
        Kind('c solo', 'c', 'solo', 80000, concurrency=1),
        Kind('c prefork auto', 'c', 'prefork', 60000),
        # The floor with as many messages in flight as the workers have, and at its best.
        Kind('bare 8', 'bare', rate=25000, options=['--batch', '4', '--window', '2']),
        Kind('bare 128', 'bare', rate=45000, options=['--batch', '64', '--window', '2']),
        Kind('bare 256', 'bare', rate=95000, options=['--batch', '64', '--window', '4']),
    ]
    if python != debian:
        all_kinds.append(Kind('celery 5.2 prefork', 'py', 'prefork', 850, debian))
    if node:
        all_kinds.append(Kind('celery-node', 'node', rate=7000))
    return {k.name: k for k in all_kinds}


M64 = ('--prefetch-multiplier', '64')
LATE = {'task_acks_late': True}
AUTO = {'worker_prefetch_multiplier': 'auto'}
PY, C = 'celery prefork', 'c prefork'
POOLS = [C, 'c threads', 'c solo']
# Behind a worker's name: without what differs, in turn with it, for what that costs.  A machine that
# others use is another one minutes later.
WITHOUT = ', without'

# (name, workers, what differs)
SCENARIOS = [
    ('multiplier 64', [PY, 'celery threads', 'celery solo', C, 'c threads', 'c solo',
                       'bare 128', 'bare 256', 'celery-node', 'celery 5.2 prefork'],
     {'options': M64}),
    ('default prefetch', [PY, 'celery threads', C, 'c threads', 'c solo', 'bare 8'], {}),
    ('prefetch auto', [PY, 'c prefork auto'], {}),
    ('multiplier 64, acks late', [PY, C, 'c threads', 'c solo'],
     {'options': M64, 'conf': LATE}),
    ('multiplier 64, results ignored',
     [PY, 'celery threads', C, 'c threads', 'c solo', 'bare 128', 'bare 256'],
     {'options': M64, 'ignore': True}),
    ('multiplier 64, 1 ms to the broker',
     [PY, C, 'c threads', 'c solo', 'bare 128', 'bare 256'],
     {'options': M64, 'rtt_ms': 1}),
    ('multiplier 64, 2 ms to the broker',
     [PY, C, 'c threads', 'c solo', 'bare 128', 'bare 256'],
     {'options': M64, 'rtt_ms': 2}),
    ('multiplier 64, 100 kB bodies', [PY, C, 'c threads', 'c solo'],
     {'options': M64, 'args': ('x' * 100000,)}),
    ('multiplier 64, log level INFO', [PY, *POOLS, *(w + WITHOUT for w in POOLS)],
     {'options': M64, 'loglevel': 'INFO'}),
    ('multiplier 64, events on', [PY, *POOLS, *(w + WITHOUT for w in POOLS)],
     {'options': M64 + ('-E',)}),
    # The monitor is Python's, and shares the processors.
    ('multiplier 64, events on and read', [PY, *POOLS],
     {'options': M64 + ('-E',), 'listen': True}),
]


def named(table, worker):
    return table.get(worker.removesuffix(WITHOUT))


def count_for(kind, what, seconds):
    rate = kind.rate
    if what.get('args'):
        rate = min(rate / 2.5, 1500)
    if what.get('rtt_ms') and kind.lang in ('py', 'node'):
        rate /= 1 + 3 * what['rtt_ms']
    return max(200, int(rate * seconds))


def run_scenario(bench, name, workers, what, runs, seconds, table, report):
    results = {w: [] for w in workers}
    for turn in range(runs):
        for w in workers:
            kind = named(table, w)
            args = {'options': M64} if w.endswith(WITHOUT) else dict(what)
            if w == 'c prefork auto':
                args['conf'] = AUTO
            try:
                got = bench.drain(kind, count_for(kind, args, seconds), **args)
            except RuntimeError as exc:
                print('  %s: %s' % (w, str(exc).strip()[-600:]), flush=True)
                continue
            results[w].append(got)
            print('  %s: %d/%d %-20s %9.0f tasks/s' % (name, turn + 1, runs, w, got['rate']),
                  flush=True)
    report['drain'][name] = {w: measure.summarise(r) for w, r in results.items() if r}


def single_figures(bench, table, quick, report):
    ours = [k for k in POOLS if k in table]
    for w in ours + ['celery prefork', 'celery solo']:
        if w not in table:
            continue
        kind = table[w]
        c = kind.lang == 'c'
        try:
            report['latency'][w] = bench.latency(kind, (2000 if c else 300) // (4 if quick else 1))
            report['idle'][w] = bench.idle(kind, 5 if quick else 10)
            report['ready'][w] = statistics.median(
                bench.ready(kind) for _ in range(11 if c else 3))
        except (RuntimeError, lib.Deadline) as exc:
            print('  %s: %s' % (w, str(exc)[-600:]), flush=True)
            continue
        print('  %s: idle round trip p50 %.0f us, %.1f wake-ups/s, ready after %.0f ms' % (
            w, report['latency'][w]['p50'], report['idle'][w]['wakeups'],
            report['ready'][w]), flush=True)
    events = 10000
    took = bench.calendar(events)
    if took is not None:
        report['calendar_ms'] = took
        print('  calendar of %d events: %.1f ms' % (events, took), flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--quick', action='store_true', help='about three minutes')
    p.add_argument('--build', default=os.path.join(measure.ROOT, 'build'))
    p.add_argument('--runs', type=int)
    p.add_argument('--seconds', type=float, help='how long one drain should take')
    p.add_argument('--only', help='scenarios whose name contains this')
    p.add_argument('--out', default=os.path.join(measure.HERE, 'out'))
    a = p.parse_args()
    runs = a.runs or (2 if a.quick else 5)
    seconds = a.seconds or (0.7 if a.quick else 2.5)
    build = os.path.abspath(a.build)
    os.makedirs(a.out, exist_ok=True)

    python = newest_celery()
    node = not a.quick and measure.celery_node(os.path.join(build, '..', 'bench-node'))
    table = kinds(python, node)
    bench = measure.Bench(build, a.out)
    if not bench.celery_c or not bench.tasks:
        print('celery-c is not built in %s: only the others are measured' % build)
        table = {k: v for k, v in table.items() if v.lang != 'c'}
    if not node:
        print('celery-node is not measured: npm cannot install it, or --quick')
    report = {
        'date': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        'machine': {'cpus': os.cpu_count(), 'model': cpu_model(),
                    'kernel': platform.release(), 'load_before': os.getloadavg()},
        'versions': {'celery': version_of(python), 'redis': bench.db0.info()['redis_version'],
                     'python': platform.python_version()},
        'runs': runs, 'drain': {}, 'latency': {}, 'idle': {}, 'ready': {},
    }
    try:
        for name, workers, what in SCENARIOS:
            if a.only and a.only not in name:
                continue
            workers = [w for w in workers if named(table, w)]
            if a.quick and name not in ('multiplier 64', 'default prefetch',
                                        'multiplier 64, 2 ms to the broker'):
                workers = [w for w in workers if named(table, w).lang in ('c', 'bare')]
            if what.get('rtt_ms') and bench.port(what['rtt_ms']) is None:
                print('%s: not measured: faultproxy is not built' % name)
                continue
            print('%s' % name, flush=True)
            run_scenario(bench, name, workers, what, runs, seconds, table, report)
        flows.measure_all(bench, table, runs, a.only, report)
        rabbits.measure_all(bench, table, runs, seconds, a.only, report)
        if not a.only or a.only in 'sqs':
            sqs_drain.measure_all(bench, runs, report)
        if not a.only or a.only in 'postgresql':
            sql_drain.measure_all(bench, runs, report)
        if not a.only or a.only == 'single':
            print('idle, start, calendar', flush=True)
            single_figures(bench, table, a.quick, report)
    finally:
        bench.close()
    chart.write(report, a.out)
    with open(os.path.join(a.out, 'results.md')) as f:
        print('\n' + f.read())
    return 0


def cpu_model():
    with open('/proc/cpuinfo') as f:
        for line in f:
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    return platform.machine()


if __name__ == '__main__':
    sys.exit(main())
