# SPDX-License-Identifier: BSD-3-Clause
"""Workflows from Python, as flow.c does them from C: built, sent, and waited for.

flow.py --broker URL --backend URL --queue Q --what send|chain|group|chord --count N
        [--repeat R]
"""

import argparse
import time

import celery


def send(app, step, n):
    with app.producer_or_acquire() as producer:
        for i in range(n):
            step.clone((i,)).apply_async(producer=producer, ignore_result=True)


def flow(app, what, step, n):
    if what == 'chain':
        sig = celery.chain([step.clone((0,))] + [step.clone() for _ in range(n - 1)])
    else:
        sig = celery.group([step.clone((i,)) for i in range(n)], app=app)
    if what == 'chord':
        sig = celery.chord(sig, step.clone(), app=app)
    value = sig.apply_async().get(timeout=120)
    assert what == 'chain' or value == list(range(n))


def main():
    p = argparse.ArgumentParser()
    for name in ('--broker', '--backend', '--queue', '--what'):
        p.add_argument(name, required=True)
    p.add_argument('--count', type=int, required=True)
    p.add_argument('--repeat', type=int, default=1)
    a = p.parse_args()
    app = celery.Celery('flow', broker=a.broker, backend=a.backend)
    step = app.signature('t.ident', options={'queue': a.queue})
    took = []
    for _ in range(a.repeat):
        start = time.perf_counter()
        if a.what == 'send':
            send(app, step, a.count)
        else:
            flow(app, a.what, step, a.count)
        took.append('%.6f' % (time.perf_counter() - start))
    print(' '.join(took))


if __name__ == '__main__':
    main()
