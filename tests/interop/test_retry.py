#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Task.retry() and autoretry_for, compared with a Python worker's."""

import base64
import json
import re

import lib
from test_results import Reference, no_traceback


class Automatic(Reference):
    def test_ends_as_in_python(self):
        kinds = ['ConnectionResetError', 'PermissionError', 'KeyError']
        if lib.celery_version() < (5, 3):
            kinds.remove('PermissionError')  # no dont_autoretry_for yet
        for args, result in [((kind,), kind) for kind in kinds]:
            with self.subTest(args):
                doc = self.assert_same_document('t.auto', args, mask=no_traceback)
                self.assertEqual(doc['result']['exc_type'], result)

    def test_ends_well(self):
        self.assertEqual(self.assert_same_document('t.auto', ('OSError', 2))['result'], 2)

    def test_wrong_arguments_are_not_tried_again(self):
        # Python would try, and then reject the message, because it cannot send the call.
        with self.assertRaises(TypeError):
            self.app.send_task('t.auto', (), queue='ours').get(timeout=20)


class Messages(Reference):
    """What a retry publishes, in a queue that nobody reads."""

    def setUp(self):
        if lib.celery_version() < (5, 6):
            self.skipTest('older ones lose custom headers and the like')

    def message(self, result, queue):
        m = lib.wait_for('retry in ' + queue, lambda: self.queues.take(queue), 20)
        m['body'] = base64.b64decode(m['body']).decode()
        m['properties'].pop('delivery_tag')
        m['properties'].pop('origin', None)  # Python's options leak into the properties
        m['properties'].pop('expires', None)
        text = json.dumps(m)
        for word, mask in ((queue, 'ASIDE'), (result.id, 'OWN')):
            text = text.replace(word, mask)
        for pattern, mask in (
                (r'gen\d+@', 'gen@'), (r'\d{4}-\d\d-\d\dT[0-9:.+]*', 'DATE'),
                (r'"(ours|theirs)"', '"QUEUE"'), (r'"expiration": "\d+"', '"expiration": "N"')):
            text = re.sub(pattern, mask, text)
        return json.loads(text)

    def assert_same_message(self, options, args=(), kwargs=None, **sent):
        messages = []
        for whose in ('ours', 'theirs'):
            aside = 'aside-' + whose
            options = dict(options, queue=aside)
            self.queues.drop(aside)
            r = self.app.send_task('t.retry_with', (options,) + args, kwargs, queue=whose, **sent)
            messages.append(self.message(r, aside))
        if lib.celery_version() < (5, 7):  # later: the caller's, kept
            for m in messages:
                m['headers'].pop('ignore_result', None)
        self.assertEqual(messages[0], messages[1])
        self.assertEqual(list(messages[0]['headers']), list(messages[1]['headers']))
        return messages[0]

    def test_plain(self):
        m = self.assert_same_message({})
        self.assertEqual(m['headers']['parent_id'], 'OWN')
        self.assertEqual(m['headers']['retries'], 1)

    def test_what_came_is_kept(self):
        m = self.assert_same_message(
            {}, expires=1000, time_limit=30, soft_time_limit=20, priority=5, shadow='other',
            root_id='the-root', parent_id='the-parent', group_id='the-group', group_index=2,
            headers={'x_custom': [1]}, ignore_result=True,
            stamped_headers=['customer'], customer=['c42'],
            link=[self.app.signature('t.add', (1,))],
            link_error=[self.app.signature('t.noop')])
        self.assertEqual(m['headers']['parent_id'], 'the-parent')
        self.assertEqual(m['headers']['x_custom'], [1])
        self.assertEqual(m['headers']['stamps'], {'customer': ['c42']})

    def test_what_is_changed(self):
        for options in [{'args': [{}, 5]}, {'kwargs': {'rest': 1}}, {'priority': 7},
                        {'expires': 100}, {'time_limit': 9, 'soft_time_limit': 8},
                        {'headers': {'x_new': 'y'}}, {'shadow': 'dark'},
                        {'max_retries': 1}]:
            with self.subTest(options):
                self.assert_same_message(options, headers={'x_custom': 1})


if __name__ == '__main__':
    lib.main()
