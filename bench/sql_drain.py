#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Results in PostgreSQL: tasks a second of Python Celery and celery-c, from a full queue in Redis
to the last row.

sql_drain.py [--build DIR] [--runs N]; bench.py runs it too (--only postgresql).
"""

import argparse
import os
import statistics
import sys
import time

import measure

lib = measure.lib
sys.path.insert(0, os.path.join(measure.ROOT, 'tests', 'support'))
import databases  # noqa: E402

COUNTS = {'python': 600, 'c': 20000}  # how many messages make a run of some seconds
ROWS = "SELECT count(*) FROM celery_taskmeta WHERE status = 'SUCCESS'"


def drain(bench, kind, count, server):
    """Tasks a second from the first message on, every row written."""
    bench.db0.flushall()
    bench.tool('fill', bench.template(), '--key', 'staged', '--count', count)
    w = lib.Worker(bench.redis.url(0), server.url(), kind=kind, concurrency=8,
                   loglevel='WARNING', queues='bench', wait=False,
                   argv=[bench.celery_c, '-A', bench.tasks], env=bench.module_path)
    try:
        bench.tool('fill', bench.template(), '--key', 'bench', '--count', 1)
        lib.wait_for('a first result', lambda: rows(server) > 0, 60)
        server.sql('DELETE FROM celery_taskmeta')
        begun = time.monotonic()
        bench.db0.rename('staged', 'bench')
        while rows(server) < count:
            if time.monotonic() > begun + 120:
                raise RuntimeError('%s: %d of %d' % (kind, rows(server), count))
            time.sleep(0.05)
        return count / (time.monotonic() - begun)
    finally:
        w.stop()
        server.sql('DELETE FROM celery_taskmeta')


def rows(server):
    import psycopg2
    try:
        return server.sql(ROWS)[0][0]
    except psycopg2.errors.UndefinedTable:
        return 0


def measure_all(bench, runs, report=None):
    if not databases.PostgreSQL.installed():
        print('results in PostgreSQL are not measured: it is not installed')
        return
    server = databases.PostgreSQL()
    got = {'python': [], 'c': []}
    try:
        for turn in range(runs):
            for kind, rates in got.items():
                rates.append(drain(bench, kind, COUNTS[kind], server))
                print('  postgresql: %d/%d %-8s %9.0f tasks/s' % (
                    turn + 1, runs, kind, rates[-1]), flush=True)
    finally:
        server.stop()
    figures = {kind: statistics.median(rates) for kind, rates in got.items()}
    print('results in PostgreSQL: %.0f tasks/s beside %.0f of Celery, %.1f times' % (
        figures['c'], figures['python'], figures['c'] / figures['python']), flush=True)
    if report is not None:
        report['postgresql'] = figures


if __name__ == '__main__':
    p = argparse.ArgumentParser()
    p.add_argument('--build', default=os.path.join(measure.ROOT, 'build', 'release'))
    p.add_argument('--runs', type=int, default=3)
    a = p.parse_args()
    its_bench = measure.Bench(os.path.abspath(a.build), lib.tmpdir())
    try:
        measure_all(its_bench, a.runs)
    finally:
        its_bench.close()
