#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Completion scripts: every command and option of the help is in each of them, they are what
the shells can read, and bash completes with its own."""

import os
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))
import lib  # noqa: E402


def celery_c(*args):
    r = subprocess.run([lib.CELERY_C, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       text=True, env=lib.env_of_workers(), stdin=subprocess.DEVNULL,
                       timeout=20 * lib.PATIENCE)
    return r.returncode, r.stdout, r.stderr


def sections(text):
    """Heading to rows of a help text."""
    found, rows = {}, []
    for line in text.splitlines():
        m = re.match(r'(\S.*):$', line)
        if m:
            rows = found.setdefault(m.group(1), [])
        elif re.match(r'  (-|  --|\w)', line):
            rows.append(line.strip())
    return found


def commands():
    return [row.split()[0] for name, rows in sections(celery_c('--help')[1]).items()
            if 'Options' not in name for row in rows if row[0] != '-']


def options(command):
    """(letter or None, name) of each option that a command's help lists."""
    found = []
    for line in celery_c(command, '--help')[1].splitlines():
        m = re.match(r' +(?:-(\w), +| {2,})?--([\w-]+)', line)
        if m:
            found.append(m.groups())
    return found


MAN = os.path.join(lib.ROOT, 'libcelery-c', 'man')
WITH_PAGES = ('call', 'completion', 'control', 'dead', 'list', 'migrate', 'purge', 'result')
GLOBAL = ('app', 'broker', 'result-backend', 'config', 'workdir', 'loader', 'skip-checks',
          'no-color', 'quiet', 'version', 'help')


class Manual(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not lib.CELERY_C:
            raise unittest.SkipTest('celery-c is not built in %s' % lib.BUILD)

    def page(self, name):
        with open(os.path.join(MAN, name), encoding='utf-8') as f:
            return f.read()

    def test_every_option_is_in_its_page(self):
        overview = self.page('celery-c.1')
        for command in commands():
            self.assertRegex(overview, r'\b%s\b' % command)
        for command in WITH_PAGES:
            page = self.page('celery-c-%s.1' % command)
            for letter, name in options(command):
                if name in GLOBAL or (command, name) == ('dead', 'queues'):
                    continue
                with self.subTest(command, option=name):
                    self.assertRegex(page, r'Fl (%s , )?-%s\b' % (letter or '', name))

    @unittest.skipUnless(shutil.which('mandoc'), 'no mandoc here')
    def test_the_pages_are_sound(self):
        pages = sorted(n for n in os.listdir(MAN) if re.search(r'\.[13]$', n))
        self.assertGreater(len(pages), 8)
        r = subprocess.run(['mandoc', '-Tlint', *pages], cwd=MAN, stdout=subprocess.PIPE,
                           text=True)
        said = [x for x in r.stdout.splitlines()
                if 'referenced manual not found' not in x and 'longer than 80' not in x]
        self.assertEqual(said, [])


class Completion(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not lib.CELERY_C:
            raise unittest.SkipTest('celery-c is not built in %s' % lib.BUILD)
        cls.commands = commands()
        cls.scripts = {}
        for shell in ('bash', 'zsh', 'fish'):
            code, cls.scripts[shell], err = celery_c('completion', shell)
            assert code == 0 and err == '', err

    def test_the_help_lists_commands_and_options(self):
        for name in ('worker', 'call', 'result', 'purge', 'list', 'migrate', 'dead', 'report',
                     'completion'):
            self.assertIn(name, self.commands)
            self.assertIn(('h', 'help'), options(name), name)
        self.assertIn(('Q', 'queues'), options('worker'))
        self.assertIn(('a', 'ack-messages'), options('migrate'))

    def test_everything_is_in_each_script(self):
        for command in self.commands:
            bash = re.search(r'^    %s\)\n        options=\'([^\']*)\'' % command,
                             self.scripts['bash'], re.M)
            self.assertTrue(bash, command)
            bash = bash.group(1).split()
            zsh = re.search(r'^    %s\)\n(.*?)^        ;;' % command, self.scripts['zsh'],
                            re.M | re.S).group(1)
            fish = [x for x in self.scripts['fish'].splitlines()
                    if "subcommand_from %s'" % command in x]
            self.assertIn('-a %s -d' % command, self.scripts['fish'])
            self.assertRegex(self.scripts['zsh'], "'%s:" % command)
            seen = 0
            for letter, name in options(command):
                seen += 1
                with self.subTest(command, option=name):
                    self.assertIn('--' + name, bash)
                    self.assertRegex(zsh, '--%s[=\\[}]' % name)
                    self.assertTrue(any(' -l %s ' % name in x for x in fish))
                    if letter:
                        self.assertIn('-' + letter, bash)
                        self.assertTrue(any(' -s %s -l %s ' % (letter, name) in x
                                            for x in fish))
            self.assertGreater(seen, 5, command)
        for verb in ('bindings', 'replay', 'queues', 'fish'):
            for shell, script in self.scripts.items():
                self.assertRegex(script, r'\b%s\b' % verb, shell)

    def test_the_shells_can_read_them(self):
        for shell, check in (('bash', ['bash', '-n']), ('zsh', ['zsh', '-n']),
                             ('fish', ['fish', '--no-execute'])):
            if not shutil.which(shell):
                print('  no %s here' % shell)
                continue
            path = lib.tmpname('.' + shell)
            with open(path, 'w') as f:
                f.write(self.scripts[shell])
            r = subprocess.run(check + [path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual((r.returncode, r.stdout, r.stderr), (0, b'', b''), shell)

    def complete(self, *words, cwd='/'):
        """What bash offers for the last word."""
        script = self.scripts['bash'] + (
            '\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _celery_c;'
            ' printf "%s\\n" "${COMPREPLY[@]}"')
        r = subprocess.run(['bash', '--norc', '-c', script, 'bash', *words], cwd=cwd,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(r.stderr, '')
        return r.stdout.split()

    def test_bash_completes(self):
        self.assertEqual(self.complete('celery-c', ''), self.commands)
        self.assertEqual(self.complete('celery-c', 'mig'), ['migrate'])
        self.assertEqual(self.complete('celery-c', '--bro'), ['--broker'])
        self.assertEqual(self.complete('celery-c', '-b', 'redis://x', 'pu'), ['purge'])
        self.assertEqual(self.complete('celery-c', '-b', 'purge', 'ca'), ['call'])
        self.assertEqual(self.complete('celery-c', '--broker', '=', 'purge', 'ca'), ['call'])
        self.assertEqual(self.complete('celery-c', '-b', ''), [])
        self.assertEqual(self.complete('celery-c', 'call', '--rou'), ['--routing-key'])
        self.assertEqual(self.complete('celery-c', 'call', '--queue', ''), [])
        self.assertEqual(self.complete('celery-c', 'migrate', '--ack'), ['--ack-messages'])
        self.assertEqual(self.complete('celery-c', 'purge', '--ack'), [])
        self.assertEqual(self.complete('celery-c', 'dead', 're'), ['replay'])
        self.assertEqual(self.complete('celery-c', 'list', ''), ['bindings'])
        self.assertIn('--concurrency', self.complete('celery-c', 'worker', '--c'))

    def test_bash_completes_files(self):
        folder = lib.tmpdir()
        open(os.path.join(folder, 'settings.json'), 'w').close()
        for words in (['--config', 'sett'], ['--config', '=', 'sett']):
            self.assertEqual(self.complete('celery-c', *words, cwd=folder), ['settings.json'])

    @unittest.skipUnless(shutil.which('fish'), 'no fish here')
    def test_fish_completes(self):
        path = lib.tmpname('.fish')
        with open(path, 'w') as f:
            f.write(self.scripts['fish'])
        for line, want in (('mig', 'migrate'), ('call --rou', '--routing-key'),
                           ('dead re', 'replay')):
            got = subprocess.run(
                ['fish', '--no-config', '-c', 'source %s; complete -C "celery-c %s"'
                 % (path, line)], stdout=subprocess.PIPE, text=True).stdout
            self.assertEqual([x.split('\t')[0] for x in got.splitlines()], [want])

    def test_wrong_shell(self):
        code, out, err = celery_c('completion', 'cmd')
        self.assertEqual((code, out), (2, ''))
        self.assertIn('Error: No such shell', err)
        self.assertEqual(celery_c('completion')[0], 2)


if __name__ == '__main__':
    lib.main()
