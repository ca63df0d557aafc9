#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""worker_threads.py: the threads pool under a mixed load, for ThreadSanitizer."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))
import lib  # noqa: E402
from test_poison import encode, good  # noqa: E402


class Threads(lib.Case):
    worker_options = {'pool': 'threads', 'concurrency': 4}

    def test_mixed_load(self):
        calls = [('t.add', (1, 2)), ('t.noop', ()), ('t.ident', ({'a': [1, 'x']},)),
                 ('t.fail', ()), ('t.progress', (0.01,)), ('t.retry', (1,)), ('t.kw', (1,)),
                 ('t.sleep', (0.005,)), ('t.request', ()), ('t.soft', (0.02,))]
        keys = []
        pipe = self.db0.pipeline(transaction=False)
        for i in range(600):
            message = good(*calls[i % len(calls)])
            keys.append('celery-task-meta-' + message['headers']['id'])
            pipe.lpush('celery', encode(message))
        pipe.execute()

        def done():
            docs = [d for d in self.db1.mget(keys) if d]
            return sum(json.loads(d)['status'] in ('SUCCESS', 'FAILURE') for d in docs) == 600
        lib.wait_for('600 tasks end', done, 60 * lib.PATIENCE, 0.2)
        lib.wait_for('settled', lambda: not self.db0.hlen('unacked'), 20)


if __name__ == '__main__':
    lib.main()
