# SPDX-License-Identifier: BSD-3-Clause
"""Workers that a task takes along, started again as a supervisor would."""

import os
import signal

import lib


class Restarts:
    """For a lib.Case.  A subclass has start_one(turn, pool, **conf): a worker, not waited for."""

    def restart_until(self, done, pool, limit=20, **conf):
        """One worker after the other.  How many died, and the one that lives."""
        for turn in range(limit):
            w = self.start_one(turn, pool, **conf)
            try:
                lib.wait_for('end of the worker or of the work',
                             lambda: w.process.poll() is not None or done(), 30 * lib.PATIENCE)
            except lib.Deadline as exc:
                raise lib.Deadline('%s\n%s' % (exc, w.output()[-3000:])) from None
            if w.process.poll() is None:
                return turn, w
            self.assertEqual(w.process.returncode, -signal.SIGABRT, w.output()[-3000:])
            w.kill9()
        self.fail('it goes on for ever')

    def starts(self, path):
        """How many times the task began: it appends a byte each time."""
        return os.path.getsize(path) if os.path.exists(path) else 0
