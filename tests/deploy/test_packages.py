#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The Debian packages: built from packaging/debian in a clean Debian 12 by dpkg-buildpackage, looked
at by lintian, installed in another clean Debian 12 where nothing was built, and used there."""

import glob
import os
import re
import shutil
import tempfile
import unittest

import lib_deploy
import roots

DEBIAN = os.path.join(lib_deploy.ROOT, 'packaging', 'debian')
TASKS = '''#include <celery.h>

static celery_outcome add(celery_task *task)
{
    int64_t x, y;

    if (celery_task_args(task, "x:I y:I", &x, &y) < 0) {
        return CELERY_FAILED;
    }
    return celery_task_return_int(task, x + y);
}

CELERY_API celery_status celery_register(celery_app *app);

celery_status celery_register(celery_app *app)
{
    return celery_app_task(app, "package.add", add);
}
'''
# The packages of modules, and the one library that each is for.
LIBRARIES = {'libcelery-c-sqs': 'libcurl4', 'libcelery-c-postgresql': 'libpq5',
             'libcelery-c-sqlite': 'libsqlite3-0', 'libcelery-c-mysql': 'libmariadb3'}
# Out of tree, as a user of the -dev package does it.
COMPILE = '''
apt-get update -q >/dev/null
apt-get install -y -q --no-install-recommends /debs/libcelery-c0_*.deb /debs/libcelery-c-dev_*.deb
cd /tmp
cc -Wall -Werror -fPIC -shared -o package.so tasks.c $(pkg-config --cflags --libs libcelery-c)
pkg-config --modversion libcelery-c
'''
USE = '''
apt-get update -q >/dev/null
apt-get install -y -q --no-install-recommends /debs/libcelery-c0_*.deb /debs/celery-c_*.deb
test ! -e /usr/include/celery.h
export CELERY_BROKER_URL=redis+socket:///tmp/redis.sock?virtual_host=0
export CELERY_RESULT_BACKEND=$CELERY_BROKER_URL
export CELERY_APP_PATH=/tmp CELERY_WORKER_HEALTH_ADDRESS=unix:/tmp/health
redis-server --port 0 --unixsocket /tmp/redis.sock --save '' --daemonize yes >/dev/null
celery-c --app package worker --loglevel=info >/tmp/worker.log 2>&1 &
worker=$!
timeout 30 sh -c 'until celery-c health --ready >/dev/null 2>&1; do sleep 0.2; done' ||
    { cat /tmp/worker.log; exit 1; }
echo "answer: $(celery-c call package.add -a '[40, 2]' --wait)"
celery-c health
kill $worker
wait $worker
cat /tmp/worker.log
celery-c report
'''


def fields(paragraph):
    """A paragraph of a control file."""
    return {m.group(1): ' '.join(m.group(2).split())
            for m in re.finditer(r'^(\S+):((?:.*\n?)(?:[ \t].*\n?)*)', paragraph, re.M)}


def control():
    return [fields(p) for p in lib_deploy.read(DEBIAN, 'control').strip().split('\n\n')]


def build_depends():
    for item in control()[0]['Build-Depends'].split(','):
        name = re.sub(r'\(.*?\)', '', item.split('|')[-1]).strip()
        if name and '<' not in name:
            yield 'debhelper' if name == 'debhelper-compat' else name


def version():
    return re.search(r'\((.*?)-\d+\)', lib_deploy.read(DEBIAN, 'changelog')).group(1)


def export(folder):
    """The project's files, as they are now, without what builds have made."""
    code, names = lib_deploy.run(['git', '-c', 'safe.directory=*', 'ls-files', '-co',
                                  '--exclude-standard', '-z'], cwd=lib_deploy.ROOT)
    if code:
        shutil.copytree(lib_deploy.ROOT, folder,
                        ignore=shutil.ignore_patterns('build*', '.git', 'out'))
        return
    for name in filter(None, names.split('\0')):
        source, target = os.path.join(lib_deploy.ROOT, name), os.path.join(folder, name)
        if os.path.exists(source):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(source, target)


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.out = tempfile.mkdtemp(prefix='celery-c-debs-')
        cls.addClassCleanup(shutil.rmtree, cls.out)
        cls.tools = roots.with_packages(
            [roots.base()], {'build-essential', 'dpkg-dev', 'fakeroot', 'lintian', 'ninja-build',
                             *build_depends()})
        root = roots.Root(cls.tools)
        cls.addClassCleanup(root.close)
        cls.root = root
        name = 'libcelery-c-' + version()
        export(os.path.join(root.path, 'build', name))
        root.run('cd /build && tar -czf libcelery-c_%s.orig.tar.gz %s && cd %s && '
                 'cp -r packaging/debian debian && chmod 755 debian/rules && '
                 'DEB_BUILD_OPTIONS="nocheck parallel=2" DEB_BUILD_PROFILES=nocheck '
                 'dpkg-buildpackage -us -uc' % (version(), name, name), timeout=1500)
        for path in glob.glob(os.path.join(root.path, 'build', '*.deb')):
            shutil.copy(path, cls.out)

    def files(self, package):
        found = self.deb(package)
        return lib_deploy.run(['dpkg-deb', '--contents', found])[1]

    def deb(self, package):
        found = glob.glob(os.path.join(self.out, package + '_*.deb'))
        self.assertEqual(len(found), 1, package)
        return found[0]

    def fresh(self, layers):
        root = roots.Root(layers)
        self.addCleanup(root.close)
        os.makedirs(os.path.join(root.path, 'debs'))
        for path in glob.glob(os.path.join(self.out, '*.deb')):
            shutil.copy(path, os.path.join(root.path, 'debs'))
        return root

    def test_lintian_says_nothing(self):
        # No bug asks for these packages: they do not go to Debian's archive.
        text = self.root.run('cd /build && lintian --allow-root --fail-on error,warning '
                             '--suppress-tags initial-upload-closes-no-bugs *.changes')
        self.assertNotRegex(text, r'(?m)^[EW]: ')

    def test_each_package_has_what_it_is_for(self):
        expected = {
            'libcelery-c0': [r'/usr/lib/[\w-]+/libcelery-c\.so\.0\b', r'/celery-c/openssl\.so',
                             r'/celery-c/rabbitmq\.so'],
            'libcelery-c-sqs': [r'/usr/lib/[\w-]+/celery-c/curl\.so'],
            'libcelery-c-postgresql': [r'/celery-c/postgresql\.so'],
            'libcelery-c-sqlite': [r'/celery-c/sqlite\.so'],
            'libcelery-c-mysql': [r'/celery-c/mysql\.so'],
            'libcelery-c-dev': [r'/usr/include/celery\.h', r'/usr/include/celery/app\.h',
                                r'/libcelery-c\.a', r'/libcelery-c\.so ->',
                                r'/pkgconfig/libcelery-c\.pc', r'/man3/libcelery-c\.3\.gz'],
            'celery-c': [r'/usr/bin/celery-c', r'/lib/systemd/system/celery-c@\.service',
                         r'/lib/systemd/system/celery-c-beat\.service', r'/etc/celery-c/',
                         r'/man1/celery-c\.1\.gz', r'/man1/celery-c-health\.1\.gz',
                         r'/bash-completion/completions/celery-c', r'/_celery-c',
                         r'/celery-c\.fish', r'/examples/example\.env'],
        }
        for package, patterns in expected.items():
            text = self.files(package)
            for pattern in patterns:
                self.assertRegex(text, pattern, package)

    def test_what_is_optional_is_apart(self):
        """No module that a package of its own has is in the library's."""
        for package in ('libcelery-c0', 'celery-c', 'libcelery-c-dev'):
            self.assertNotRegex(self.files(package), r'/(curl|postgresql|sqlite|mysql)\.so')

    def test_the_library_needs_none_of_the_large_ones(self):
        text = lib_deploy.run(['dpkg-deb', '--field', self.deb('libcelery-c0'), 'Depends'])[1]
        self.assertIn('libssl3', text)
        self.assertNotRegex(text, 'curl|libpq|sqlite|mariadb')
        for package, library in LIBRARIES.items():
            text = lib_deploy.run(['dpkg-deb', '--field', self.deb(package), 'Depends'])[1]
            self.assertIn(library, text)
            self.assertIn('libcelery-c0 (= ' + version(), text)

    def test_every_installed_file_is_in_a_package(self):
        """dh_missing, as debhelper 13 has it, ends the build otherwise."""
        self.assertIn('debhelper-compat (= 13)', lib_deploy.read(DEBIAN, 'control'))

    def test_installed_worker_runs_a_task(self):
        builder = self.fresh(self.tools)
        with open(os.path.join(builder.path, 'tmp', 'tasks.c'), 'w') as f:
            f.write(TASKS)
        self.assertEqual(builder.run(COMPILE).split()[-1], version())
        clean = self.fresh(roots.with_packages([roots.base()], ['redis-server']))
        shutil.copy(os.path.join(builder.path, 'tmp', 'package.so'),
                    os.path.join(clean.path, 'tmp'))
        text = clean.run(USE)
        self.assertIn('\nanswer: ', text)
        self.assertRegex(text.split('answer: ')[1].split('{')[0], r'\b42\b')
        self.assertRegex(text, r'Task package\.add\[[0-9a-f-]+\] succeeded in ')
        self.assertIn('"status": "ok"', text)
        self.assertIn('software: libcelery-c ' + version(), text)


if __name__ == '__main__':
    lib_deploy.main()
