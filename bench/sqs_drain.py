#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Amazon SQS, on the tests' emulator: tasks a second and API calls a task of Python Celery and
celery-c.  The emulator serves both from one thread of node, and is what celery-c waits for.

sqs_drain.py [--build DIR] [--runs N] [--count N]; bench.py runs it too (--only sqs).
"""

import argparse
import base64
import json
import os
import statistics
import sys
import time
import uuid

import measure

lib = measure.lib
sys.path.insert(0, os.path.join(measure.ROOT, 'tests', 'support'))
import sqs  # noqa: E402

CONSUMING = ('ReceiveMessage', 'DeleteMessage', 'DeleteMessageBatch', 'ChangeMessageVisibility',
             'ChangeMessageVisibilityBatch')
RATES = {'python': 200, 'c': 4000}  # how many messages make a run of some seconds


def body():
    """What kombu sends for t.noop()."""
    task_id = str(uuid.uuid4())
    message = {
        'body': base64.b64encode(b'[[], {}, {"callbacks": null, "errbacks": null, '
                                 b'"chain": null, "chord": null}]').decode(),
        'content-encoding': 'utf-8', 'content-type': 'application/json',
        'headers': {'lang': 'py', 'task': 't.noop', 'id': task_id, 'root_id': task_id,
                    'parent_id': None, 'group': None, 'retries': 0, 'argsrepr': '()',
                    'kwargsrepr': '{}', 'origin': 'bench', 'ignore_result': False,
                    'timelimit': [None, None], 'eta': None, 'expires': None},
        'properties': {'correlation_id': task_id, 'reply_to': task_id, 'delivery_mode': 2,
                       'delivery_info': {'exchange': '', 'routing_key': 'celery'},
                       'priority': 0, 'body_encoding': 'base64',
                       'delivery_tag': str(uuid.uuid4())}}
    return base64.b64encode(json.dumps(message).encode()).decode()


def fill(server, count):
    url = server.call('CreateQueue', QueueName='celery',
                      Attributes={'VisibilityTimeout': '1800'})['QueueUrl']
    for start in range(0, count, 10):
        server.call('SendMessageBatch', QueueUrl=url, Entries=[
            {'Id': str(i), 'MessageBody': body()} for i in range(min(10, count - start))])


def drain(bench, kind, count, server, redis):
    """{'rate', 'calls'}: from the first result to the last one."""
    db = redis.client(1)
    db.flushdb()
    fill(server, count)
    server.control(reset=True)
    w = lib.Worker(server.url(), redis.url(1), kind=kind, concurrency=8, loglevel='WARNING',
                   wait=False, argv=[bench.celery_c, '-A', bench.tasks], env=bench.module_path)
    try:
        lib.wait_for('the first result', db.dbsize, 60, 0.001)
        first, begun = db.dbsize(), time.monotonic()
        end = begun + 120
        while db.dbsize() < count:
            if time.monotonic() > end:
                raise RuntimeError('%s: %d of %d' % (kind, db.dbsize(), count))
            time.sleep(0.002)
        took = time.monotonic() - begun
        time.sleep(0.2)
        stats = server.stats()
    finally:
        w.stop()
    calls = sum(stats.get(a, 0) for a in CONSUMING)
    return {'rate': (count - first) / took, 'calls': calls / count}


def measure_all(bench, runs, report=None, scale=1.0):
    try:
        server = sqs.Sqs()
    except sqs.Failed as exc:
        print('SQS is not measured: %s' % exc)
        return
    redis = bench.redis
    got = {'python': [], 'c': []}
    for turn in range(runs):
        for kind in got:
            try:
                one = drain(bench, kind, int(RATES[kind] * 3 * scale), server, redis)
            except (RuntimeError, lib.Deadline) as exc:
                print('  sqs, %s: %s' % (kind, str(exc)[-400:]), flush=True)
                continue
            got[kind].append(one)
            print('  sqs: %d/%d %-8s %9.0f tasks/s, %.2f calls a task to consume' % (
                turn + 1, runs, kind, one['rate'], one['calls']), flush=True)
    figures = {k: {n: statistics.median(r[n] for r in v) for n in ('rate', 'calls')}
               for k, v in got.items() if v}
    if len(figures) == 2:
        print('SQS (emulator): %.0f tasks/s beside %.0f of Celery, %.1f times; with sending in '
              'tens %.2f calls a task beside %.2f' % (
                  figures['c']['rate'], figures['python']['rate'],
                  figures['c']['rate'] / figures['python']['rate'],
                  figures['c']['calls'] + 0.1, figures['python']['calls'] + 1), flush=True)
    if report is not None:
        report['sqs'] = figures
    server.stop()


if __name__ == '__main__':
    p = argparse.ArgumentParser()
    p.add_argument('--build', default=os.path.join(measure.ROOT, 'build', 'release'))
    p.add_argument('--runs', type=int, default=3)
    p.add_argument('--count', type=float, default=1.0, help='times the usual number')
    a = p.parse_args()
    its_bench = measure.Bench(os.path.abspath(a.build), lib.tmpdir())
    try:
        measure_all(its_bench, a.runs, scale=a.count)
    finally:
        its_bench.close()
