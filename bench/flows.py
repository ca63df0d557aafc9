# SPDX-License-Identifier: BSD-3-Clause
"""Sending and workflows for bench.py: the same from C on C workers, and from Python on
Python workers."""

import os
import statistics
import subprocess

import measure

# (name, what flow.c is told, how many, runs of it in one turn, at least so many times Celery)
FLOWS = [
    ('send 10,000 messages', 'send', 10000, 3, 20),
    ('chain of 100', 'chain', 100, 5, 20),
    ('group of 10,000', 'group', 10000, 1, 20),
    ('chord of 1,000', 'chord', 1000, 3, 20),
]
PY = 'celery prefork'
WORKERS = [PY, 'celery solo', 'c prefork', 'c threads', 'c solo']
OPTIONS = ('--prefetch-multiplier', '64')


def client(bench, kind, what, count, repeat):
    """Seconds that each of the runs took."""
    program = [os.path.join(bench.build, 'bench', 'bench_flow')]
    if kind.lang == 'py':
        program = [kind.python, os.path.join(measure.HERE, 'flow.py')]
    run = subprocess.run(
        program + ['--broker', bench.redis.url(0), '--backend', bench.redis.url(1),
                   '--queue', 'bench', '--what', what, '--count', str(count),
                   '--repeat', str(repeat)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600,
        env=bench.env)
    if run.returncode:
        raise RuntimeError('%s %s: %s' % (kind.name, what, run.stderr[-800:]))
    return [float(t) for t in run.stdout.split()]


def once(bench, kind, what, count, repeat):
    bench.db0.flushall()
    if what == 'send':
        took = client(bench, kind, what, count, repeat)
        if bench.db0.llen('bench') != count * repeat:
            raise RuntimeError('%s: %d messages of %d' % (
                kind.name, bench.db0.llen('bench'), count * repeat))
        return took
    p = bench.start(kind, bench.redis.port, options=OPTIONS)
    try:
        return client(bench, kind, what, count, repeat)
    finally:
        bench.kill(p)


def measure_all(bench, table, runs, only, report):
    report['flows'] = {}
    for name, what, count, repeat, _ in FLOWS:
        if only and only not in name:
            continue
        # Who sends does not ask which pool waits.
        workers = [w for w in (WORKERS if what != 'send' else [PY, 'c prefork']) if w in table]
        print(name, flush=True)
        took = {w: [] for w in workers}
        for turn in range(runs):
            for w in workers:
                try:
                    took[w] += once(bench, table[w], what, count, repeat)
                except (RuntimeError, subprocess.TimeoutExpired) as exc:
                    print('  %s: %s' % (w, exc), flush=True)
                    continue
                print('  %s: %d/%d %-20s %9.2f ms' % (
                    name, turn + 1, runs, w, 1e3 * statistics.median(took[w])), flush=True)
        report['flows'][name] = {
            w: {'ms': 1e3 * statistics.median(t), 'low': 1e3 * min(t), 'high': 1e3 * max(t),
                'n': len(t), 'a_second': count / statistics.median(t)}
            for w, t in took.items() if t}


def goals(report):
    rows = []
    for name, _, _, _, least in FLOWS:
        by = report.get('flows', {}).get(name, {})
        for w in ('c prefork', 'c threads', 'c solo'):
            if w in by and PY in by:
                times = by[PY]['ms'] / by[w]['ms']
                rows.append(('%s, %s: at least %d times Celery' % (
                    w if len(by) > 2 else 'C', name, least), '%.1f times' % times,
                    times >= least))
    return rows


def markdown(report):
    if not report.get('flows'):
        return []
    lines = ['## Sending and workflows', '',
             'Built, sent, and the result waited for; C and C workers beside Python and Python '
             'workers. Sending: until the broker has confirmed every message.', '',
             '| what | worker | ms | lowest to highest | messages/s | times Celery prefork |',
             '|---|---|--:|--:|--:|--:|']
    for name, by in report['flows'].items():
        base = by.get(PY, {}).get('ms')
        for w, r in by.items():
            lines.append('| %s | %s | %s | %s to %s | %s | %s |' % (
                name, w if name[0] != 's' else w.split()[0], '{:,.1f}'.format(r['ms']),
                '{:,.1f}'.format(r['low']), '{:,.1f}'.format(r['high']),
                '{:,.0f}'.format(r['a_second']),
                '%.1f' % (base / r['ms']) if base else ''))
    return lines + ['']
