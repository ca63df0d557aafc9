# SPDX-License-Identifier: BSD-3-Clause
"""Folders that go with the process that made them, however it ends."""

import atexit
import os
import shutil
import tempfile

# It reads until the writing end of its input is closed, be it by kill -9; what dies with the
# process may still write for a moment.
REAPER = '''
read -r _
for _ in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$1" 2>/dev/null
    [ -e "$1" ] || exit 0
    sleep 0.5
done
'''


def folder(prefix):
    """The path of a new folder, removed at the end of this process."""
    path = tempfile.mkdtemp(prefix=prefix)
    reading, _ = os.pipe()  # the writing end is closed by the kernel
    null = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    os.posix_spawn('/bin/sh', ['sh', '-c', REAPER, 'sh', path], os.environ, setsid=True,
                   file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0), null,
                                 (os.POSIX_SPAWN_DUP2, 1, 2)])
    os.close(reading)
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path
