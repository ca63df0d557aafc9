#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Task.retry() and autoretry_for, compared with a Python worker's."""

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


if __name__ == '__main__':
    lib.main()
