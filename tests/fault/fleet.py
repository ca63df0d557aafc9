#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Random workflows on a mixed fleet: two Python and two C workers on one queue, killed with
SIGKILL at random. Every workflow must end, once, as it was worked out beforehand.

    fleet.py [N] [--seed S] [--fleet mixed|python|c] [--calm] [--celery VERSION]
             [--rate WORKFLOWS_PER_SECOND] [--every SECONDS_BETWEEN_KILLS] [--keep FOLDER]

--fleet python is the yardstick: what Celery alone does of the same. --calm kills nobody.

What is promised in spite of kills is "at least once" for a step (acks_late). So a step may run
again when its message was delivered again, and may be sent again by such a run; these are
counted. What no kill excuses: a result that is missing or other than worked out, the body
of a chord sent twice by C workers, a step run that must not run, keys left over by them.

Python loses a message when it dies between BRPOP and registering it (kombu/transport/redis.py
Channel._brpop_read). The traffic tells which ones (fleet_watch.py); at the end they are put
back, reported, and their workflows have to end as the others do.
"""

import argparse
import collections
import json
import os
import random
import shutil
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'interop'))
import fleet_flow  # noqa: E402
import fleet_judge  # noqa: E402
import lib  # noqa: E402
import matrix  # noqa: E402

QUEUE = 'fleet'
OPEN = 60  # workflows under way at once
VISIBILITY = 5  # seconds until others take what a dead Python worker held
LEASE = 2
# A chord whose body was about to be called by a worker that died is claimed for 60 seconds.
PATIENCE = 100
FLEETS = {'mixed': [('python', 'prefork'), ('python', 'prefork'), ('c', 'prefork'),
                    ('c', 'threads')],
          'python': [('python', 'prefork')] * 4,
          'c': [('c', 'prefork'), ('c', 'prefork'), ('c', 'threads'), ('c', 'solo')]}
C_TASKS = lib.built('tests/fault/fleet_tasks.so')


class Fleet:
    def __init__(self, options):
        self.options = options
        self.rng = random.Random(options.seed)
        self.redis = lib.Redis()
        self.db0, self.db1, self.db2 = (self.redis.client(n) for n in range(3))
        self.app = lib.celery_app(self.redis.url(0), self.redis.url(1),
                                  task_default_queue=QUEUE)
        self.events = lib.tmpname('.events')
        self.watch = lib.spawn([sys.executable, os.path.join(HERE, 'fleet_watch.py'),
                                self.redis.sock, QUEUE, self.events])
        lib.wait_for('MONITOR', lambda: any(
            'monitor' in c['cmd'] for c in self.db0.client_list()), 20)
        self.kills = collections.Counter()
        self.ended = []  # workers that nobody killed
        self.put_back, self.called_again = [], []
        self.logs = []
        self.slots = [self.start(n) for n in range(len(FLEETS[options.fleet]))]

    # ---- workers ----

    def start(self, slot):
        kind, pool = FLEETS[self.options.fleet][slot]
        # An option of the transport for both: what is not renewed so long is restored.
        conf = {'broker_transport_options': {'visibility_timeout': VISIBILITY},
                'worker_prefetch_multiplier': 1}
        broker, backend, tasks = self.redis.url(0), self.redis.url(1), 'fleet_pytasks'
        if kind == 'c':
            broker = 'redis+socket://' + self.redis.sock
            backend, tasks = broker + '?virtual_host=1', C_TASKS
            conf.update(worker_lease_seconds=LEASE)
        else:
            conf['broker_transport_options']['unacked_mutex_expire'] = 3
        return lib.Worker(
            broker, backend, kind=kind, pool=pool, name='%s%d' % (kind, slot), conf=conf,
            queues=QUEUE, loglevel='WARNING', wait=False, tasks=tasks, folder=HERE,
            env={'FLEET_REDIS': self.redis.sock, 'PYTHONDONTWRITEBYTECODE': '1'})

    def restart(self, slot):
        self.slots[slot].kill9()
        self.logs.append(self.slots[slot].log)
        self.slots[slot].check()
        self.slots[slot] = self.start(slot)

    def kill(self):
        slot = self.rng.randrange(len(self.slots))
        w = self.slots[slot]
        children = [c for c in w.children() if not lib.descendants(c)]
        if children and self.rng.random() < 0.4:
            try:
                os.kill(self.rng.choice(children), signal.SIGKILL)
            except ProcessLookupError:
                return
            self.kills[w.kind + ' child'] += 1
            return
        self.kills[w.kind + ' worker'] += 1
        self.restart(slot)

    def look_after(self):
        for slot, w in enumerate(self.slots):
            if w.process.poll() is not None:
                self.ended.append((w.kind, w.process.returncode, w.output()[-1500:]))
                self.restart(slot)

    # ---- workflows ----

    def check(self, flow):
        """Forgets the steps that have ended as they should; true when all have."""
        docs = self.db1.mget(['celery-task-meta-' + x.id for x in flow.open])
        flow.open = [x for x, doc in zip(flow.open, docs)
                     if fleet_flow.wrong(x, doc and json.loads(doc))]
        return not flow.open

    def run(self):
        o = self.options
        waiting = collections.deque(
            fleet_flow.Flow(n, random.Random('%d %d' % (o.seed, n)), QUEUE)
            for n in range(o.count))
        self.flows = list(waiting)
        under_way, start = [], time.monotonic()
        self.stuck = under_way
        next_kill = start + 3
        progress = looked = start
        tail = None
        while waiting or under_way:
            now = time.monotonic()
            sent = len(self.flows) - len(waiting)
            # Those that wait for a kill's timeouts do not hold the others up.
            young = sum(1 for f in under_way if now - f.sent < 15)
            for _ in range(min(len(waiting), OPEN - young, int((now - start) * o.rate) - sent)):
                flow = waiting.popleft()
                flow.send(self.app)
                flow.sent, flow.open = time.monotonic(), flow.awaited()
                under_way.append(flow)
            if now >= next_kill and waiting and not o.calm:
                self.kill()
                next_kill = now + self.rng.uniform(0.5, 1.5) * o.every
            left = [f for f in under_way if not self.check(f)]
            if len(left) < len(under_way) or waiting:
                progress = now
            self.stuck = under_way = left
            self.look_after()
            if not waiting and left:
                tail = self.hasten(now, tail or now)
            if now - progress > PATIENCE:
                break
            if now - max(progress, looked) > 2 * VISIBILITY:
                self.recover()
                looked = now
            time.sleep(0.1)
        self.took = time.monotonic() - start

    def hasten(self, now, since):
        """Python looks for what others left 10 seconds after its start, then each 100."""
        if self.options.fleet != 'python' or now - since < 14:
            return since
        self.restart(self.rng.randrange(len(self.slots)))
        return now

    def report(self):
        """The traffic up to now, as fleet_watch.py has it."""
        before = os.path.getsize(self.events)
        self.db0.echo('report')

        def reported():
            with open(self.events) as f:
                f.seek(before)
                return any(line.startswith('["report"') for line in f)
        lib.wait_for('the report of the traffic', reported, 60, 0.05)
        with open(self.events) as f:
            return [json.loads(line) for line in f]

    def recover(self):
        """Puts back what was popped and never registered, and a part of each chord that has
        all its parts, none of them under way, and nobody who calls its body."""
        events = self.report()
        last = max(n for n, e in enumerate(events) if e[0] not in (
            'popped', 'counted', 'report'))
        queued = set(self.db0.lrange(QUEUE, 0, -1))
        known = {tag for tag, _ in self.put_back}
        for e in events[last + 1:]:
            if e[0] == 'popped' and e[4].encode() not in queued and e[3] not in known:
                self.put_back.append((e[3], json.loads(e[4])['headers']['id']))
                self.db0.lpush(QUEUE, e[4])
        counted_by = {e[3]: e[2] for e in events if e[0] == 'part'}
        waiting = {x.id for f in self.stuck for x in f.leaves}
        for e in events[last + 1:]:
            if e[0] == 'counted' and not queued and not self.db0.exists('unacked') and (
                    json.loads(e[4])['headers']['id'] in waiting
                    and self.is_forgotten(e[3], counted_by)):
                self.called_again.append(e[3])
                self.db0.lpush(QUEUE, e[4])

    def is_forgotten(self, group, counted_by):
        """Celery 5.7 takes a part for settled while a claim stands, also that of a worker
        which died with it (celery/backends/redis.py on_chord_part_return)."""
        key = 'celery-taskset-meta-%s.' % group
        size = self.db1.get(key + 's')
        return (size and counted_by.get(key + 'j') == 'python'
                and self.db1.zcard(key + 'j') == int(size) + int(self.db1.get(key + 't') or 0)
                and not self.db1.exists(key + 'c') and group not in self.called_again)

    def quiet(self):
        def check():
            self.look_after()
            return not self.db0.exists(QUEUE, 'unacked', 'unacked.celery-c.held')
        try:
            lib.wait_for('nothing queued, nothing held', check, PATIENCE, 0.2)
        except lib.Deadline:
            pass  # judged with the keys

    def keep(self, folder):
        os.makedirs(folder, exist_ok=True)
        shutil.copy(self.events, os.path.join(folder, 'events'))
        for n, log in enumerate(self.logs + [w.log for w in self.slots]):
            shutil.copy(log, os.path.join(folder, 'worker%d.log' % n))

    def close(self):
        for w in self.slots:
            w.kill9()
            w.check()
        self.watch.kill()
        self.app.close()
        self.redis.stop()


def main():
    p = argparse.ArgumentParser()
    p.add_argument('count', nargs='?', type=int, default=300)
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--fleet', choices=sorted(FLEETS), default='mixed')
    p.add_argument('--calm', action='store_true', help='kill nobody')
    p.add_argument('--celery', default='5.6.3', help='a version of tests/interop/matrix.py')
    p.add_argument('--rate', type=float, default=12, help='workflows sent in a second')
    p.add_argument('--every', type=float, default=1.0, help='seconds between kills')
    p.add_argument('--keep', help='a folder for the traffic and the workers\' logs')
    options = p.parse_args()
    if options.fleet != 'python':
        if not lib.CELERY_C or not C_TASKS:
            print('skipped: celery-c is not built in %s' % lib.BUILD)
            return 77
    python = matrix.prepare(options.celery)
    if not python:
        return 77
    if os.path.realpath(sys.prefix) != os.path.realpath(os.path.dirname(
            os.path.dirname(python))):
        os.execv(python, [python, *sys.argv])
    fleet = Fleet(options)
    try:
        fleet.run()
        fleet.quiet()
        code = fleet_judge.judge(fleet, fleet.report())
        if options.keep:
            fleet.keep(options.keep)
        return code
    finally:
        fleet.close()


if __name__ == '__main__':
    sys.exit(main())
