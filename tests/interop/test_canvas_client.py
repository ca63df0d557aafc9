#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Canvases that C builds and sends, run by Python's workers; group results that Python
has saved, read by C, and the reverse; signatures of C in the bytes of Python."""

import json
import subprocess
import unittest

import lib
import test_examples

TOOL = lib.built('tests/interop/ccanvas')
PROGRAMS = {name: text for name, text in test_examples.PRINTS.items()
            # What bulk sends would keep a Python worker busy for long.
            if name != 'bulk' and (name != 'stamps' or lib.celery_version() >= (5, 3))}


class OnPython(lib.Case):
    results = ('redis',)

    @classmethod
    def setUpClass(cls):
        if not TOOL or not test_examples.WORKER:
            raise unittest.SkipTest('ccanvas or the examples are not built')
        super().setUpClass()
        cls.theirs = lib.Worker(cls.broker, cls.backend, kind='python', tasks='pycanvas')
        cls.addClassCleanup(cls.theirs.kill9)
        cls.app.set_current()  # where signatures find their application

    @classmethod
    def tearDownClass(cls):
        cls.theirs.stop()

    def s(self, name, *args, **kwargs):
        return self.app.signature('canvas.' + name, args=args, kwargs=kwargs)

    def run_program(self, name):
        run = subprocess.run(
            [lib.built(test_examples.FOLDER + name), self.broker, self.backend],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60 * lib.PATIENCE)
        self.assertEqual((run.returncode, run.stdout), (0, PROGRAMS[name]))

    def tool(self, command, text='-'):
        run = subprocess.run([TOOL, self.broker, command, text, self.backend],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             timeout=60 * lib.PATIENCE)
        return run.returncode, run.stdout.splitlines()

    def send(self, sig):
        return self.tool('send', json.dumps(sig))

    # ---- C sends what Python has built ----

    def test_a_chord_in_a_chain(self):
        from celery import chain, group
        sig = chain(self.s('add', 1, 1), group(self.s('add', 1), self.s('add', 2)),
                    self.s('sum'), self.s('add', 10))
        code, (_, value) = self.send(sig)
        self.assertEqual((code, value), (0, '17'))

    def test_groups_in_groups(self):
        from celery import group
        sig = group(self.s('add', 1, 1), group(self.s('add', 2, 2), self.s('add', 3, 3)))
        code, (text, value) = self.send(sig)
        self.assertEqual(code, 0)
        self.assertEqual(sorted(json.loads(value)), [2, 4, 6])
        # The tuple is what Python makes a result of.
        from celery.result import result_from_tuple
        result = result_from_tuple(json.loads(text), app=self.app)
        self.assertEqual(json.dumps(result.as_tuple()), text)
        self.assertEqual(sorted(result.get(timeout=10)), [2, 4, 6])

    def test_a_chord_of_groups(self):
        from celery import chord, group
        sig = chord(group(self.s('add', 1, 1), group(self.s('add', 2, 2), self.s('add', 3, 3))),
                    self.s('sum'))
        code, lines = self.send(sig)
        self.assertEqual((code, lines[1:]), (0, ['12']))

    def test_a_failed_chord(self):
        from celery import chord
        sig = chord([self.s('add', 1, 1), self.s('fail', 'no good')], self.s('sum'))
        code, lines = self.send(sig)
        self.assertEqual(code, 1)
        self.assertRegex(lines[1], 'CELERY_ETASK: .*no good')

    def test_an_early_step_fails(self):
        from celery import chain
        code, lines = self.send(chain(self.s('fail', 'first'), self.s('add', 1),
                                      self.s('add', 2)))
        self.assertEqual((code, lines[1]), (1, 'CELERY_ETASK: ValueError: first'))

    # ---- group results ----

    def test_c_reads_what_python_saved(self):
        from celery import group
        result = group(self.s('add', i, i) for i in range(5)).apply_async()
        result.save()
        code, lines = self.tool('restore', result.id)
        self.assertEqual((code, lines), (0, [json.dumps(result.as_tuple()), '[0, 2, 4, 6, 8]']))
        code, lines = self.tool('next', json.dumps(result.as_tuple()))
        self.assertEqual((code, sorted(lines)), (0, sorted(r.id for r in result)))

    def test_python_reads_what_c_saved(self):
        from celery import group
        from celery.result import GroupResult
        sig = group(self.s('add', i, i) for i in range(3))
        code, (group_id,) = self.tool('save', json.dumps(sig))
        self.assertEqual(code, 0)
        result = GroupResult.restore(group_id, app=self.app)
        self.assertEqual(result.get(timeout=10), [0, 2, 4])

    def test_no_group_is_saved(self):
        code, lines = self.tool('restore', 'nothing')
        self.assertEqual((code, lines), (1, ['CELERY_NONE: no group nothing is saved']))

    def test_forget(self):
        from celery import group
        result = group(self.s('add', i, i) for i in range(3)).apply_async()
        result.get(timeout=10)
        self.assertEqual(self.tool('forget', json.dumps(result.as_tuple())), (0, []))
        for r in result:
            self.assertIsNone(lib.document(self.db1, r.id))

    def test_revoke(self):
        from celery import group
        result = group(self.s('sleep', 60) for _ in range(3)).apply_async()
        code, lines = self.tool('revoke', json.dumps(result.as_tuple()))
        self.assertEqual(code, 1)
        self.assertRegex(lines[0], '^CELERY_EREVOKED: TaskRevokedError')

    # ---- the dict form ----

    def test_signatures_of_c_are_those_of_python(self):
        from celery import chain, chord, group
        from celery.canvas import chunks, xmap, xstarmap

        def sig(name):
            return self.app.signature(name, args=(1,), kwargs={'k': '\xe9'})
        fixed = sig('a')
        fixed.set_immutable(True)
        options = sig('a')
        options.set(countdown=2.5, queue='q', priority=3, headers={'x': 1}, time_limit=10,
                    soft_time_limit=5)
        options.link(sig('b'))
        options.link(sig('c'))
        options.link_error(sig('d'))
        items = [[1, 2], [3, 4]]
        wanted = [
            options, fixed, sig('a').clone(args=(0,)), chain(sig('a'), fixed, sig('b')),
            group(sig('a'), sig('b')), chord(group(sig('a'), sig('b')), sig('c')),
            chain(group(sig('a'), sig('b')), sig('c')),
            xmap(sig('a'), items, app=self.app), xstarmap(sig('a'), items, app=self.app),
            chunks(sig('a'), items, 2, app=self.app)]
        code, lines = self.tool('builds')
        self.assertEqual(code, 0)
        self.assertEqual(len(lines), len(wanted))
        for ours, theirs in zip(lines, wanted):
            theirs = json.dumps(theirs)
            if lib.celery_version() < (5, 7):
                # Keys in another order, and what 5.7 leaves out.
                self.same(json.loads(ours), json.loads(theirs))
            else:
                self.assertEqual(ours, theirs)

    def same(self, ours, theirs):
        if isinstance(theirs, dict) and 'task' in theirs:
            for d in (ours, theirs):
                d.pop('chord_size', None)
                d.pop('subtask_type', None)
        if isinstance(theirs, dict):
            self.assertEqual(sorted(ours), sorted(theirs))
            for k in theirs:
                self.same(ours[k], theirs[k])
        elif isinstance(theirs, list):
            self.assertEqual(len(ours), len(theirs))
            for a, b in zip(ours, theirs):
                self.same(a, b)
        else:
            self.assertEqual(ours, theirs)


for _name in PROGRAMS:
    setattr(OnPython, 'test_program_' + _name, lambda self, name=_name: self.run_program(name))

if __name__ == '__main__':
    lib.main()
