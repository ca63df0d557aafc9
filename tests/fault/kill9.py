#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""kill9.py [N]: kill -9 of the whole worker N times under load with acks_late. No task may
be lost, only those running may run twice, and no key may be left over. POOL=threads or solo:
in another pool than prefork."""

import collections
import os
import random
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))
import lib  # noqa: E402

KILLS = int(os.environ.get('KILLS', '20'))
BURST = 250
POOL = os.environ.get('POOL', 'prefork')


class KillNine(lib.Case):
    def counted(self, path):
        with open(path) as f:
            return collections.Counter(f.read().split())

    def start_worker(self, turn):
        return self.start(pool=POOL, concurrency=1 if POOL == 'solo' else 2, name='k%d' % turn, loglevel='ERROR',
                          conf=self.conf, wait=False)

    def test_nothing_is_lost(self):
        rng = random.Random(int(os.environ.get('SEED', '7')))
        # Python workers have no lease: only the visibility timeout brings theirs back.
        self.conf = {'worker_prefetch_multiplier': 16}
        if lib.KIND == 'python':
            self.conf['broker_transport_options'] = {'visibility_timeout': 3}
        path = lib.tmpname('.ran')
        sent = held = 0
        for turn in range(KILLS):
            # Three milliseconds each and never an empty queue: every kill hits held messages.
            for _ in range(BURST):
                self.app.send_task('t.count', (path, 'n%d' % sent, 0.003),
                                   ignore_result=False)
                sent += 1
            w = self.start_worker(turn)
            time.sleep(rng.uniform(0.05, 0.4))
            w.kill9()
            held += self.db0.hlen('unacked') > 0
        start = time.monotonic()
        last = self.start_worker(KILLS)

        def all_ran():
            if last.process.poll() is not None:
                raise lib.Deadline('worker ended: ' + last.output()[-2000:])
            return (self.db0.llen('celery') == 0 and self.db0.hlen('unacked') == 0
                    and self.db1.dbsize() >= sent)
        lib.wait_for('all of %d tasks have a result' % sent, all_ran, 150, 0.1)
        took = time.monotonic() - start
        ran = self.counted(path)
        lost = [n for n in range(sent) if not ran['n%d' % n]]
        twice = sum(1 for c in ran.values() if c > 1)
        last.stop()
        left = lib.leftover_keys(self.db0)
        print('  %d kills, %d tasks: %d lost, %d ran more than once, all done %.1f s after '
              'the last kill; keys left: %s' % (KILLS, sent, len(lost), twice, took, left))
        self.assertEqual(lost, [])
        self.assertGreater(held, KILLS // 2, 'the kills came when nothing was held')
        if lib.KIND == 'c':
            # The leases of the dead are the only keys left, and end by themselves.
            left = [k for k in left if self.db0.ttl(k) < 0]
            self.assertEqual(left, [])
            self.assertEqual(self.db0.zcard('unacked_index'), 0)


if __name__ == '__main__':
    if len(sys.argv) > 1 and sys.argv[1].isdigit():
        KILLS = int(sys.argv.pop(1))
    lib.main()
