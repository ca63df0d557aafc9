#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The TaskOverflow page in headless Chromium, with the Flask application and ical-worker
behind it.  TEST_WORKER=python puts a Python worker there.  Screenshots stay in
<build>/tests/browser/."""

import argparse
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, 'tests', 'interop'),
                os.path.join(ROOT, 'examples', 'taskoverflow')]

import demo  # noqa: E402
import lib  # noqa: E402
import webdriver  # noqa: E402

SHOTS = os.path.join(lib.BUILD, 'tests', 'browser')
UNICODE = 'Überprüfung 日本語 😀 ; , \\'
MARKUP = '<b>bold</b><img src=x onerror="window.hacked=1"> & "quotes"'


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(dir=lib.tmpdir())
        cls.downloads = os.path.join(folder, 'downloads')
        os.makedirs(cls.downloads)
        os.makedirs(SHOTS, exist_ok=True)
        python = lib.KIND == 'python'
        cls.demo = demo.Demo(argparse.Namespace(
            build=lib.BUILD, python=python, port=0, broker=lib.BROKER, results=lib.RESULTS))
        cls.addClassCleanup(cls.demo.stop)
        env = cls.demo.environment(*cls.demo.start_broker())
        env.update(ICAL_PRESET='seed', ICAL_GENERATION_DELAY_SECONDS='0.5')
        cls.site = cls.demo.start_app(env)
        cls.demo.start_worker(env)
        cls.browser = webdriver.Browser(folder, cls.downloads)
        cls.addClassCleanup(cls.browser.close)
        cls.browser.open(cls.site + '/')

    def add(self, title, description, deadline):
        b = self.browser
        before = self.rows()
        # The driver types no characters beyond the BMP, and dates by the locale.
        b.run('arguments[0].value = arguments[1]',
              {webdriver.ELEMENT: b.element('#title').split('/')[-1]}, title)
        if description:
            b.type('#description', description)
        if deadline:
            b.run("document.getElementById('deadline').value = arguments[0]", deadline)
        b.click('#add')
        b.wait('the new task', lambda: self.rows() == before + 1)

    def rows(self):
        return self.browser.run("return document.querySelectorAll('#todos li').length")

    def create(self, state):
        b = self.browser
        b.click('#create')
        b.wait(state, lambda: b.run(
            "return document.getElementById('state').dataset.state") == state)
        b.wait('the end', lambda: not b.run("return document.getElementById('create').disabled"))

    def test_1_starts_empty(self):
        self.assertEqual(self.browser.text('h1'), 'TaskOverflow')
        self.browser.wait('empty list', lambda: self.browser.text('#empty'))
        self.assertEqual(self.rows(), 0)

    def test_2_shows_titles_as_text(self):
        self.add('Project proposal', 'due at noon', '2026-04-03T12:00')
        self.add(UNICODE, '', '2026-05-01T09:30')
        self.add(MARKUP, '<script>window.hacked=2</script>', '2026-06-30T23:59')
        titles = self.browser.run(
            "return [...document.querySelectorAll('#todos strong')].map(e => e.textContent)")
        self.assertEqual(titles, [MARKUP, UNICODE, 'Project proposal'])
        self.assertEqual(self.browser.run(
            "return document.querySelectorAll('#todos b, #todos img, #todos script').length"), 0)
        self.assertIsNone(self.browser.run('return window.hacked'))

    def test_3_makes_a_calendar(self):
        self.create('SUCCESS')
        self.assertEqual(self.browser.text('#state'), 'Ready')
        self.browser.click('#preview summary')
        self.browser.screenshot(os.path.join(SHOTS, 'ready.png'))
        self.browser.click('#download')
        path = os.path.join(self.downloads, 'taskoverflow.ics')
        self.browser.wait('the file', lambda: os.path.exists(path))
        with open(path, 'rb') as f:
            ics = f.read()
        self.assertTrue(ics.startswith(b'BEGIN:VCALENDAR\r\nVERSION:2.0\r\n'))
        self.assertTrue(ics.endswith(b'END:VCALENDAR\r\n'))
        lines = ics.replace(b'\r\n ', b'').decode().split('\r\n')
        self.assertEqual(lines.count('BEGIN:VEVENT'), 3)
        self.assertIn('SUMMARY:Überprüfung 日本語 😀 \\; \\, \\\\', lines)
        self.assertIn('SUMMARY:' + MARKUP, lines)
        self.assertTrue({'DTSTART:20260501T093000',
                         'DTSTART;VALUE=DATE-TIME:20260501T093000'} & set(lines))

    def test_4_shows_why_it_failed(self):
        self.add('No deadline', '', '')
        self.create('FAILURE')
        self.assertEqual(self.browser.text('#job-error'),
                         'TypeError: strptime() argument 1 must be str, not None')
        self.assertEqual(self.browser.run(
            "return document.getElementById('download').hidden"), True)
        self.browser.screenshot(os.path.join(SHOTS, 'failed.png'))

    def test_5_recovers_after_a_deletion(self):
        self.browser.click('[aria-label="Delete: No deadline"]')
        self.browser.wait('one task less', lambda: self.rows() == 3)
        self.browser.click('[aria-label="Completed: Project proposal"]')
        self.browser.wait('the mark', lambda: self.browser.run(
            "return document.querySelectorAll('#todos .done').length") == 1)
        self.create('SUCCESS')
        self.assertEqual(self.browser.text('#job-error'), '')
        self.browser.command('POST', '/window/rect', {'width': 400, 'height': 1100})
        self.browser.screenshot(os.path.join(SHOTS, 'narrow.png'))

    def test_6_logs_no_error(self):
        # Nothing of the page was refused, missing or thrown.
        self.assertEqual([entry['message'] for entry in self.browser.log()], [])


if __name__ == '__main__':
    if not webdriver.find_programs():
        print('skipped: chromium and chromedriver are not installed')
        sys.exit(77)
    try:
        import flask  # noqa: F401
        import flask_sqlalchemy  # noqa: F401
    except ImportError as error:
        print('skipped: %s' % error)
        sys.exit(77)
    lib.main()
