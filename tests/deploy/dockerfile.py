# SPDX-License-Identifier: BSD-3-Clause
"""Does what `docker build` does, as far as our Dockerfiles go: each RUN, COPY and WORKDIR of each
stage in a root of its own, debian:12-slim being a debootstrapped one.  What stands before the first
COPY of a stage (the packages) is kept, as docker keeps layers."""

import glob
import json
import os
import re
import shutil

import lib_deploy
import roots

BASES = ('debian:12-slim', 'scratch')


def instructions(text):
    """(instruction, rest) with continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not re.match(r'\s*#', line)]
    for line in re.sub(r'\\\n\s*', ' ', '\n'.join(lines)).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(' ')
            yield word.upper(), rest.strip()


def ignored(path):
    """Whether the builder is not given a file (NAME.dockerignore: * and !exceptions)."""
    rules = [r for r in lib_deploy.read(path).splitlines() if r and not r.startswith('#')]
    kept = [r[1:] for r in rules if r.startswith('!')]
    assert rules[0] == '*' and len(kept) == len(rules) - 1, rules

    def check(name):
        return not any(name == k or name.startswith(k + '/') for k in kept)
    return check


class Stage:
    def __init__(self, base):
        assert base in BASES, base
        self.config = {'env': {}, 'user': '', 'workdir': '/'}
        self.args = {}
        self.layers = [] if base == 'scratch' else [roots.base()]
        self.root = None

    def write(self):
        """From here on nothing is kept."""
        if self.root is None:
            self.root = roots.Root(self.layers or [self.nothing()])
        return self.root

    @staticmethod
    def nothing():
        folder = os.path.join(roots.FOLDER, 'scratch')
        for name in ('etc', 'proc'):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        return folder


class Build:
    """The last stage's root and configuration; close() ends all."""

    def __init__(self, path, context, args=None):
        self.context = context
        self.ignored = ignored(path + '.dockerignore')
        self.given = args or {}
        self.stages = {}
        self.stage = None
        try:
            for word, rest in instructions(lib_deploy.read(path)):
                getattr(self, 'do_' + word.lower())(rest)
        except BaseException:
            self.close()
            raise
        self.root, self.config = self.stage.write(), self.stage.config

    def close(self):
        for stage in self.stages.values():
            if stage.root:
                stage.root.close()

    def do_from(self, rest):
        base, _, name = re.match(r'(\S+)( AS (\w+))?$', rest).groups()
        self.stage = self.stages[name or len(self.stages)] = Stage(base)

    def do_arg(self, rest):
        name, _, value = rest.partition('=')
        self.stage.args[name] = self.given.get(name, value.strip('"'))

    def do_env(self, rest):
        for name, value in re.findall(r'(\w+)=(\S+)', rest):
            self.stage.config['env'][name] = value

    def do_workdir(self, rest):
        self.stage.config['workdir'] = rest
        if self.stage.root:
            os.makedirs(self.inside(rest), exist_ok=True)

    def do_run(self, rest):
        stage = self.stage
        env = {**stage.args, **stage.config['env']}
        if stage.root is None and 'apt-get install' in rest:
            stage.layers = roots.layer(stage.layers, rest, env=env)
            return
        root = stage.write()
        os.makedirs(self.inside(stage.config['workdir']), exist_ok=True)
        root.run(rest, env=env, workdir=stage.config['workdir'], timeout=1500)

    def do_copy(self, rest):
        source = re.match(r'--from=(\w+) ', rest)
        rest = rest[source.end():] if source else rest
        what, target = rest.split()
        self.stage.write()
        if source:
            made = self.stages[source.group(1)].root
            copy = ['cp', '-a', made.path + what + '.', self.inside(target)]
            code, text = lib_deploy.run(copy)
            assert code == 0, text
        else:
            self.copy_context(what, target)

    def copy_context(self, what, target):
        code, names = lib_deploy.run(
            ['git', '-c', 'safe.directory=*', 'ls-files', '-co', '--exclude-standard', '-z', what],
            cwd=self.context)
        names = names.split('\0') if code == 0 else [
            os.path.relpath(p, self.context) for p in glob.glob(
                os.path.join(self.context, what, '**'), recursive=True)]
        for name in names:
            path = os.path.join(self.context, name)
            if not name or self.ignored(name) or not os.path.isfile(path):
                continue
            to = os.path.join(self.inside(target), os.path.relpath(name, what))
            os.makedirs(os.path.dirname(to), exist_ok=True)
            shutil.copy2(path, to)

    def inside(self, path):
        return os.path.join(self.stage.write().path, path.lstrip('/'))

    def do_user(self, rest):
        self.stage.config['user'] = rest

    def do_stopsignal(self, rest):
        self.stage.config['stopsignal'] = rest

    def do_expose(self, rest):
        self.stage.config['port'] = int(rest)

    def do_cmd(self, rest):
        self.stage.config['cmd'] = json.loads(rest)

    def do_healthcheck(self, rest):
        self.stage.config['health'] = json.loads(re.search(r'CMD (\[.*\])$', rest).group(1))
