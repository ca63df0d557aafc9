#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""TaskOverflow over HTTP: the tasks, the three endpoints of the calendar, wrong input."""

import argparse
import json
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, 'tests', 'interop'),
                os.path.join(ROOT, 'examples', 'taskoverflow')]

import demo  # noqa: E402
import lib  # noqa: E402


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        python = lib.KIND == 'python'
        cls.demo = demo.Demo(argparse.Namespace(
            build=lib.BUILD, python=python, port=0, broker=lib.BROKER, results=lib.RESULTS))
        cls.addClassCleanup(cls.demo.stop)
        cls.env = cls.demo.environment(*cls.demo.start_broker())
        cls.env['ICAL_PRESET'] = 'seed'
        cls.url = cls.demo.start_app(cls.env) + '/api/v1/todos'

    def call(self, method, path='', body=None):
        status, text = demo.http(method, self.url + path, body)
        return status, json.loads(text)

    def test_1_tasks(self):
        status, todo = self.call('POST', body={
            'title': 'T', 'deadline_at': '2023-04-03 14:00:00.000'})
        self.assertEqual(status, 201)
        self.assertEqual(todo['deadline_at'], '2023-04-03T14:00:00')
        self.assertIsNone(todo['description'])
        path = '/%d' % todo['id']
        status, changed = self.call('PUT', path, {'title': 'New', 'completed': True,
                                                  'description': 'd'})
        self.assertEqual((status, changed['title'], changed['completed']), (200, 'New', True))
        self.assertEqual(self.call('GET', path)[1], changed)
        self.assertEqual(self.call('GET')[1], [changed])
        self.assertEqual(self.call('DELETE', path)[0], 200)
        self.assertEqual(self.call('GET', path)[0], 404)
        self.assertEqual(self.call('DELETE', path), (200, {}))

    def test_2_wrong_input(self):
        for body in ({}, [], 'x', None, {'title': ''}, {'title': None}, {'title': 5},
                     {'title': 'x' * 81}, {'title': 'x', 'description': 'y' * 121},
                     {'title': 'x', 'deadline_at': 'tomorrow'},
                     {'title': 'x', 'deadline_at': 5}):
            with self.subTest(body):
                status, answer = self.call('POST', body=body)
                self.assertEqual(status, 400)
                self.assertIn('error', answer)
        self.assertEqual(self.call('GET'), (200, []))

    def test_3_calendar(self):
        status, job = self.call('POST', '/ical')
        self.assertEqual(status, 202)
        path = '/ical/' + job['task_id']
        self.assertTrue(job['task_url'].endswith('/api/v1/todos' + path + '/status'))
        self.assertEqual(self.call('GET', path + '/status')[1]['task_status'], 'PENDING')
        self.assertEqual(self.call('GET', path + '/result'), (404, {
            'error': 'Task not finished'}))
        self.demo.start_worker(self.env)
        demo.wait_for('the calendar', lambda: self.call('GET', path + '/status')[1][
            'task_status'] == 'SUCCESS')
        status, text = demo.http('GET', self.url + path + '/result')
        self.assertEqual((status, text), (200, (
            'BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Taskoverflow Calendar//mxm.dk//\r\n'
            'END:VCALENDAR\r\n')))


if __name__ == '__main__':
    try:
        import flask  # noqa: F401
        import flask_sqlalchemy  # noqa: F401
    except ImportError as error:
        print('skipped: %s' % error)
        sys.exit(77)
    lib.main()
