#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Flower (from PyPI) with a C worker before it, in headless Chromium: the worker is online, its
tasks and their counts are right, and Flower's buttons do what they say.  TEST_WORKER=python
puts a Python worker there.  Screenshots stay in <build>/tests/browser/."""

import os
import subprocess
import sys
import tempfile
import unittest
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, 'tests', 'interop')]

import lib  # noqa: E402
import matrix  # noqa: E402
import webdriver  # noqa: E402

SHOTS = os.path.join(lib.BUILD, 'tests', 'browser')
CELERY, FLOWER = '5.6.3', 'flower==2.2.0'


class Flower(lib.Case):
    results = ('redis',)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not webdriver.find_programs():
            raise unittest.SkipTest('chromium and chromedriver are not here')
        python = matrix.prepare(CELERY, '-flower', [FLOWER])
        if not python:
            raise unittest.SkipTest('PyPI cannot be reached: Flower was not run')
        folder = tempfile.mkdtemp(dir=lib.tmpdir())
        os.makedirs(SHOTS, exist_ok=True)
        cls.start_flower(python)
        cls.worker = lib.Worker(cls.broker, cls.backend, '-E', '--heartbeat-interval', '1',
                                concurrency=2, alone=False)
        cls.addClassCleanup(cls.worker.kill9)
        cls.browser = webdriver.Browser(folder, folder)
        cls.addClassCleanup(cls.browser.close)
        host = os.uname().nodename
        cls.node = 'w1@' + host

    @classmethod
    def start_flower(cls, python):
        port = lib.free_port()
        cls.site = 'http://127.0.0.1:%d' % port
        env = lib.env_of_workers()
        env.update(FLOWER_UNAUTHENTICATED_API='true', PYTASKS_CONF='{}')
        cls.log = lib.tmpname('.flower.log')
        with open(cls.log, 'wb') as out:
            cls.flower = lib.spawn(
                [python, '-m', 'celery', '-A', 'pytasks', '-b', cls.broker,
                 '--result-backend', cls.backend, 'flower', '--address=127.0.0.1',
                 '--port=%d' % port], stdout=out, stderr=subprocess.STDOUT, env=env,
                cwd=lib.HERE)
        cls.addClassCleanup(cls.stop_flower)

        def is_up():
            if cls.flower.poll() is not None:
                raise lib.Deadline('Flower ended:\n' + open(cls.log).read()[-2000:])
            try:
                return urllib.request.urlopen(cls.site, timeout=2).status == 200
            except OSError:
                return False
        lib.wait_for('Flower answers', is_up, 30 * lib.PATIENCE)

    @classmethod
    def stop_flower(cls):
        cls.flower.terminate()
        try:
            cls.flower.wait(10)
        except subprocess.TimeoutExpired:
            cls.flower.kill()
            cls.flower.wait(10)

    def shot(self, name):
        self.browser.screenshot(os.path.join(SHOTS, 'flower-%s-%s.png' % (lib.BROKER, name)))

    def see(self, what, path, script, wanted, timeout=20):
        """Loads a page until a script on it answers what is wanted."""
        seen = []

        def check():
            self.browser.open(self.site + path)
            seen[:] = [self.browser.run(script)]
            return seen[0] == wanted
        try:
            lib.wait_for(what, check, timeout * lib.PATIENCE, 0.3)
        except lib.Deadline as exc:
            raise AssertionError('%s; seen: %r, wanted: %r' % (exc, seen, wanted)) from None

    def row(self):
        """A script: the cells of the worker's row."""
        return ("return [...document.querySelectorAll('#workers-table tbody tr')].map(r => "
                "[...r.cells].map(c => c.textContent.trim())).filter(r => r[0].includes('%s'))"
                ".map(r => r.slice(1, 6))[0]" % self.node)

    def toast(self):
        """What Flower says after a button."""
        return self.browser.wait('a word from Flower', lambda: self.browser.run(
            "return [...document.querySelectorAll('.toast')].map("
            "t => t.textContent.trim()).join(' ')"))

    def worker_page(self, tab):
        b = self.browser
        self.see('the page of the worker', '/worker/' + self.node,
                 "return document.getElementById('workername')?.textContent", self.node)
        b.click('#worker-tab-' + tab)
        b.wait('its tab', lambda: b.run(
            "return document.getElementById('tab-%s').classList.contains('show')" % tab))

    def stats(self):
        return self.app.control.inspect([self.node], timeout=3).stats()[self.node]

    def test_1_is_online(self):
        self.see('the worker is online', '/', self.row(), ['Online', '0', '0', '0', '0'])
        self.shot('online')

    def test_2_counts(self):
        for i in range(3):
            self.assertEqual(self.call('t.add', i, 1), i + 1)
        for _ in range(2):
            with self.assertRaises(Exception):
                self.call('t.fail')
        self.see('counts', '/', self.row(), ['Online', '0', '5', '2', '3'])
        self.shot('counts')

    def test_3_tasks(self):
        script = ("return [...document.querySelectorAll('#tasks-table tbody tr')].map("
                  "r => r.cells.length > 3 ? r.cells[0].textContent.trim() + ' ' + "
                  "r.cells[2].textContent.trim() : '').sort()")
        self.browser.open(self.site + '/tasks')
        wanted = sorted(['t.add SUCCESS'] * 3 + ['t.fail FAILURE'] * 2)
        lib.wait_for('the tasks', lambda: self.browser.run(script) == wanted, 20)
        self.shot('tasks')

    def test_4_a_failure(self):
        r = self.app.send_task('t.fail')
        with self.assertRaises(KeyError):
            r.get(timeout=20)
        text = "return document.getElementById('task-page')?.innerText.includes(\"KeyError('boom')\")"
        self.see('the exception', '/task/' + r.id, text, True)
        page = self.browser.text('#task-page')
        for word in 'FAILURE', 'Traceback', 't.fail', self.node:
            self.assertIn(word, page)
        self.shot('failure')

    def test_5_revoke(self):
        r = self.app.send_task('t.add', (1, 2), countdown=600)
        self.see('it is received', '/task/' + r.id,
                 "return !!document.getElementById('task-revoke')", True)
        self.browser.click('#task-revoke')
        self.assertIn('Revoked', self.toast())
        self.wait_state(r, 'REVOKED')
        self.see('its state', '/task/' + r.id,
                 "return document.getElementById('task-page')?.innerText.includes('REVOKED')",
                 True)
        self.shot('revoked')

    def test_6_terminate(self):
        r = self.app.send_task('t.sleep', (60,))
        self.see('it runs', '/task/' + r.id,
                 "return !!document.getElementById('task-terminate')", True)
        self.browser.click('#task-terminate')
        self.toast()
        self.wait_state(r, 'REVOKED')
        self.see('its state', '/task/' + r.id,
                 "return document.getElementById('task-page')?.innerText.includes('REVOKED')",
                 True)
        self.shot('terminated')

    def test_7_rate_limit(self):
        self.worker_page('limits')
        self.browser.run("document.querySelector(\"input[aria-label='Rate limit for t.add']\")"
                         ".value = '7'")
        self.browser.run("document.getElementById('task-rate-limit-t.add').click()")
        self.assertIn('new rate limit set successfully', self.toast())
        self.assertIn('t.add [rate_limit=7]',
                      self.app.control.inspect([self.node], timeout=3).registered()[self.node])
        self.shot('rate-limit')
        self.assertEqual(self.call('t.add', 1, 2), 3)

    def test_8_pool_and_consumers(self):
        b = self.browser
        self.worker_page('pool')
        before = self.stats()['pool']['max-concurrency']
        b.click('#worker-pool-grow')
        self.toast()
        lib.wait_for('it grew', lambda: self.stats()['pool']['max-concurrency'] == before + 1)
        self.worker_page('queues')
        b.type('#add-consumer-name', 'more')
        b.click('#worker-add-consumer')
        self.toast()
        self.assertEqual(self.call('t.add', 1, 2, queue='more'), 3)
        self.shot('consumers')

    def test_9_shutdown(self):
        self.worker_page('pool')
        self.browser.click('#worker-group')
        self.browser.click('#worker-shutdown')
        self.toast()
        self.assertEqual(self.worker.wait(), 0)
        self.worker.check()
        self.see('the worker is offline', '/',
                 "return document.querySelector('#workers-table tbody')?.textContent"
                 ".includes('Offline')", True, 30)
        self.shot('offline')


if __name__ == '__main__':
    lib.main()
