# SPDX-License-Identifier: BSD-3-Clause
"""Clean Debian 12 roots for tests: one is debootstrapped and kept in the build folder, folders
with what was installed are kept above it, and each test works in an overlay that is thrown away.
Mounts are made in a mount namespace of the test's own, so that they end with it."""

import contextlib
import ctypes
import fcntl
import hashlib
import os
import shutil
import tempfile
import unittest

import lib_deploy

FOLDER = os.path.join(lib_deploy.BUILD, 'roots')
MIRROR = os.environ.get('DEBIAN_MIRROR', 'http://deb.debian.org')
SOURCES = ('deb {0}/debian bookworm main\n'
           'deb {0}/debian bookworm-updates main\n'
           'deb {0}/debian-security bookworm-security main\n').format(MIRROR)
ENV = {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
       'HOME': '/root', 'LC_ALL': 'C.UTF-8', 'DEBIAN_FRONTEND': 'noninteractive'}
CLONE_NEWNS = 0x00020000

_private = False


class Failed(Exception):
    """A command in a root failed; the text is the end of what it printed."""


def need():
    """Skips where no root can be made; afterwards mounts are this process's own."""
    global _private
    if os.geteuid() != 0:
        raise unittest.SkipTest('a root of its own needs root')
    for tool in ('debootstrap', 'unshare', 'chroot', 'mount'):
        if not shutil.which(tool):
            raise unittest.SkipTest(tool + ' is not installed')
    if not _private:
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
            raise unittest.SkipTest('no mount namespace: %s' % os.strerror(ctypes.get_errno()))
        lib_deploy.run(['mount', '--make-rprivate', '/'])
        _private = True


@contextlib.contextmanager
def locked(name):
    os.makedirs(FOLDER, exist_ok=True)
    with open(os.path.join(FOLDER, name + '.lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def base():
    """The folder of the debootstrapped root."""
    need()
    folder = os.path.join(FOLDER, 'bookworm')
    with locked('bookworm'):
        if not os.path.exists(folder + '.done'):
            shutil.rmtree(folder, ignore_errors=True)
            code, text = lib_deploy.run(
                ['debootstrap', '--variant=minbase', 'bookworm', folder, MIRROR + '/debian'],
                timeout=900)
            if code:
                raise unittest.SkipTest('debootstrap: %s' % text.strip().splitlines()[-1:])
            with open(os.path.join(folder, 'etc/apt/sources.list'), 'w') as f:
                f.write(SOURCES)
            with open(os.path.join(folder, 'usr/sbin/policy-rc.d'), 'w') as f:
                f.write('#!/bin/sh\nexit 101\n')
            os.chmod(f.name, 0o755)
            # Nothing of it has to survive a power failure.
            with open(os.path.join(folder, 'etc/dpkg/dpkg.cfg.d/unsafe-io'), 'w') as f:
                f.write('force-unsafe-io\n')
            open(folder + '.done', 'w').close()
    return folder


class Root:
    """A root above others: layers, the lowest first; what is written goes to upper, or to a
    folder that is removed at the end."""

    def __init__(self, layers, upper=None):
        need()
        self.tmp = tempfile.mkdtemp(prefix='root-', dir=FOLDER)
        self.upper = upper or os.path.join(self.tmp, 'upper')
        self.path = os.path.join(self.tmp, 'root')
        self.layers = layers
        work = os.path.join(self.tmp, 'work')
        for folder in (self.upper, work, self.path):
            os.makedirs(folder, exist_ok=True)
        code, text = lib_deploy.run(
            ['mount', '-t', 'overlay', 'overlay', '-o', 'lowerdir=%s,upperdir=%s,workdir=%s' % (
                ':'.join(reversed(layers)), self.upper, work), self.path])
        if code:
            self.close()
            raise unittest.SkipTest('no overlay file system: ' + text.strip())
        shutil.copy('/etc/resolv.conf', os.path.join(self.path, 'etc/resolv.conf'))

    def close(self):
        lib_deploy.run(['umount', '-l', self.path])
        shutil.rmtree(self.tmp, ignore_errors=True)

    def argv(self, argv, env=None, user=None, workdir='/'):
        """What runs argv in the root, as process 1 of its own."""
        given = ['%s=%s' % pair for pair in dict(ENV, **(env or {})).items()]
        who = ['--userspec=' + user] if user else []
        script = ('mount -t proc proc "$0/proc" && exec chroot %s "$0" '
                  '/usr/bin/env -i -C "$@"' % ' '.join(who))
        return ['unshare', '--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', script,
                self.path, workdir, *given, *argv]

    def run(self, script, timeout=900, **kwargs):
        """What a shell script in the root prints; Failed when it fails."""
        code, text = lib_deploy.run(self.argv(['/bin/sh', '-ec', script], **kwargs),
                                    timeout=timeout)
        if code:
            raise Failed('%s\nexit code %d:\n%s' % (script, code, text[-6000:]))
        return text

    def exists(self, path):
        return os.path.lexists(os.path.join(self.path, path.lstrip('/')))

    def read(self, path):
        return lib_deploy.read(self.path, path.lstrip('/'))


def layer(below, script, **kwargs):
    """The layers below and one more, in which this script has run: made once and kept."""
    key = hashlib.sha256('\n'.join([*below, script]).encode()).hexdigest()[:16]
    folder = os.path.join(FOLDER, key)
    with locked(key):
        if not os.path.exists(folder + '.done'):
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)
            root = Root(below, folder)
            try:
                root.run(script, **kwargs)
            except Failed as error:
                if 'Could not resolve' in str(error) or 'Unable to fetch' in str(error):
                    raise unittest.SkipTest('packages cannot be fetched') from None
                raise
            finally:
                root.close()
            open(folder + '.done', 'w').close()
    return [*below, folder]


def with_packages(below, packages):
    """The same with these packages."""
    return layer(below, 'apt-get update -q && apt-get install -y -q --no-install-recommends %s'
                 ' && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb'
                 % ' '.join(sorted(packages)))
