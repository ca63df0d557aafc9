#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Celery's own integration suite against the C worker, and against Celery's worker in a
process of its own as the yardstick; both counts side by side.

    run.py [--celery VERSION]... [--pool prefork|threads]... [--worker c|python|both]
           [--broker redis|amqp] [--results redis|rpc]
           [-k EXPR] [--shards N] [--limit SECONDS] [--quick]

Fails when a test neither passes with the C worker nor is named in not_applicable.txt, when
one that is named there passes with both, and when a name there fits no test.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import suite  # noqa: E402  (makes tests/interop importable)
import lib  # noqa: E402
import rabbit  # noqa: E402  (of tests/support, which lib makes importable)

C_WORKER = os.path.join(lib.BUILD, 'tests', 'conformance', 'celery-suite-worker')
OUT = os.path.join(lib.BUILD, 'conformance')
TIMEOUT = 240  # for one test (one takes 170 s by design); upstream's own, where shorter
GOOD = ('passed', 'xpassed')
# Under a minute: without the tests that wait on purpose.
QUICK = ('(test_chain or test_group or test_link_error) and not eta and not chaining_upgraded'
         ' and not group_results_in_chain and not chain_group_lone and not chord_body_chain')
BAD = ('failed', 'not run')
LEFT = ('skipped', 'xfailed')  # what the suite itself says it does not expect


# ---- the list ----

Listed = collections.namedtuple('Listed', 'line pattern versions pools over reason')


def read_list():
    entries = []
    with open(os.path.join(HERE, 'not_applicable.txt')) as f:
        for number, line in enumerate(f, 1):
            if not line.strip() or line.startswith('#'):
                continue
            name, versions, pools, over, reason = (
                part.strip() for part in line.split('|', 4))
            # Parameters stand in brackets: only the star has a meaning here.
            pattern = re.compile('t/integration/' + '.*'.join(
                map(re.escape, name.split('*'))) + r'(\[.*\])?')
            entries.append(Listed(number, pattern, versions, pools, over, reason))
    return [e for e in entries if e.reason]


def fits(entry, version, pool, over):
    return (entry.versions in ('*', version) and entry.pools in ('*', pool) and
            entry.over in ('*', over, over.partition('+')[0]))


def listed(entries, test, version, pool, over):
    for e in entries:
        if fits(e, version, pool, over) and e.pattern.fullmatch(test):
            return e
    return None


class Servers:
    """What one session needs: a Redis always, for the tasks of the suite count there."""

    def __init__(self, options):
        self.redis = lib.Redis()
        self.rabbit = rabbit.Shared() if options.broker == 'amqp' else None
        self.broker = self.rabbit.url() if self.rabbit else self.redis.url(0)
        self.backend = 'rpc://' if options.results == 'rpc' else self.redis.url(0)

    def stop(self):
        self.redis.stop()
        if self.rabbit:
            self.rabbit.stop()


# ---- one run: a worker kind, a version, a pool ----

class Run:
    def __init__(self, options, entries, version, pool, kind, python, folder):
        self.options, self.version, self.pool, self.kind = options, version, pool, kind
        self.control = [e.pattern.pattern for e in entries
                        if e.reason.startswith('remote control')]
        self.python, self.folder = python, folder
        self.name = '%s-%s-%s-%s%s' % (version, options.over, pool, kind,
                                       '-selected' if options.k else '')
        self.seen = {}
        self.again = set()

    def environ(self, servers, job):
        env = lib.env_of_workers()
        env.update(
            CONFORMANCE_JOB=job, TEST_BROKER=servers.broker,
            # As upstream's own runs name it: marks of the suite compare the text.
            TEST_BACKEND='rpc' if self.options.results == 'rpc' else servers.backend,
            REDIS_HOST='127.0.0.1', REDIS_PORT=str(servers.redis.port),
            PYTHONPATH=self.folder + os.pathsep + HERE, PYTHONDONTWRITEBYTECODE='1',
            CELERY_SKIP_CHECKS='1', TMPDIR=lib.tmpdir(),
            PATH=os.path.dirname(self.python) + os.pathsep + os.environ['PATH'],
            CONFORMANCE_CONF=json.dumps(self.conf(servers)))
        return env

    def conf(self, servers):
        """What celery_config and TestApp of upstream set, as far as it reaches a worker."""
        conf = {'broker_url': servers.broker, 'result_backend': servers.backend,
                'result_extended': True, 'accept_content': ['json'], 'enable_utc': True,
                'timezone': 'UTC', 'broker_heartbeat': 0,
                'worker_hijack_root_logger': False, 'worker_log_color': False}
        if self.version != '5.6.3':
            conf['task_create_missing_queues'] = False
        return conf

    def worker(self, servers):
        if self.kind == 'python':
            return [self.python, os.path.join(HERE, 'pyworker.py')]
        path = lib.tmpname('.json')
        with open(path, 'w') as f:
            json.dump(self.conf(servers), f)
        return [C_WORKER, '--config', path]

    def session(self, label, shard, tests, limit):
        """One pytest with servers and a worker of its own; what it reported."""
        servers = Servers(self.options)
        report = lib.tmpname('.jsonl')
        log = os.path.join(OUT, '%s-%s' % (self.name, label))
        job = lib.tmpname('.json')
        with open(job, 'w') as f:
            json.dump({'worker': self.worker(servers), 'pool': self.pool, 'report': report,
                       'shard': shard, 'tests': tests, 'timeout': TIMEOUT,
                       'control': self.control,
                       'redis': servers.redis.url(0), 'log': log + '.worker.log'}, f)
        argv = [self.python, '-m', 'pytest', '-p', 'celery.contrib.pytest',
                '-p', 'conformance_plugin', '-q',
                '-o', 'addopts=--strict-markers', '-p', 'no:cacheprovider',
                '--rootdir', self.folder, '--timeout-method=signal', '--no-header',
                *['t/integration/' + name for name in suite.FILES]]
        if self.options.k:
            argv += ['-k', self.options.k]
        open(log + '.worker.log', 'w').close()
        with open(log + '.log', 'wb') as out:
            process = lib.spawn(argv, stdout=out, stderr=subprocess.STDOUT,
                                cwd=self.folder, env=self.environ(servers, job))
            try:
                process.wait(limit)
            except subprocess.TimeoutExpired:
                print('%s: not done within %d s, see %s.log' % (self.name, limit, log))
                self.end(process)
        servers.stop()
        seen = {}
        with open(report) as f:
            for entry in map(json.loads, f):
                for test in entry.get('collected', []):
                    seen[test] = {'id': test, 'outcome': 'not run', 'seconds': 0,
                                  'text': 'the session ended before'}
                if 'id' in entry:
                    seen[entry['id']] = entry
        return seen

    @staticmethod
    def end(process):
        for pid in [process.pid, *lib.descendants(process.pid)]:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        process.wait()

    def all(self):
        """Everything once, in shards; what failed once more, with a fresh worker: upstream's
        `flaky` repeats it up to five times."""
        started = time.monotonic()
        n = self.options.shards
        with concurrent.futures.ThreadPoolExecutor(n) as pool:
            for seen in pool.map(lambda i: self.session(
                    str(i), [i, n], None, self.options.limit), range(n)):
                self.seen.update(seen)
        failed = [t for t, e in self.seen.items() if e['outcome'] in BAD]
        if failed:
            limit = max(300, self.options.limit - (time.monotonic() - started))
            with concurrent.futures.ThreadPoolExecutor(n) as pool:
                for seen in pool.map(lambda i: self.session(
                        'again-%d' % i, [0, 1], failed[i::n], limit), range(n)):
                    for test, entry in seen.items():
                        if entry['outcome'] not in BAD:
                            self.again.add(test)
                            self.seen[test] = entry
        with open(os.path.join(OUT, self.name + '.json'), 'w') as f:
            json.dump(self.seen, f, indent=1, sort_keys=True)
        return self

    def outcome(self, test):
        return self.seen[test]['outcome'] if test in self.seen else 'not run'

    def count(self, *outcomes):
        return sum(e['outcome'] in outcomes for e in self.seen.values())


# ---- judging ----

def last_line(entry):
    lines = [s for s in entry['text'].splitlines() if s.startswith('E ')]
    lines = lines or entry['text'].strip().splitlines()[-1:]
    return ' '.join(lines[0].split())[:150] if lines else ''


def side_by_side(runs):
    print('%-42s %s' % ('', ' '.join('%8s' % r.kind for r in runs)))
    for label, outcomes in (('passed', GOOD), ('failed', BAD),
                            ('skipped', ('skipped',)),
                            ('expected by the suite to fail, failed', ('xfailed',))):
        print('%-42s %s' % (label, ' '.join('%8d' % r.count(*outcomes) for r in runs)))
    print('%-42s %s' % ('passed only when repeated', ' '.join(
        '%8d' % len(r.again) for r in runs)))


def judge(runs, entries, version, pool, over):
    """Prints what is wrong; (listed, wrong)."""
    by_kind = {r.kind: r for r in runs}
    c, python = by_kind.get('c'), by_kind.get('python')
    if not c:
        return 0, 0
    tests = sorted(set().union(*(r.seen for r in runs)))
    wrong = excused = 0
    for test in tests:
        mine = c.outcome(test)
        theirs = python.outcome(test) if python else None
        entry = listed(entries, test, version, pool, over)
        good = mine in GOOD or mine in LEFT and theirs in (None, *LEFT)
        if entry and mine in GOOD and theirs in GOOD:
            print('LISTED BUT PASSED by both: %s (line %d)' % (test, entry.line))
            wrong += 1
        elif entry:
            excused += 1
        elif not good:
            print('NOT PASSED: %s\n    c: %s  python: %s  %s' % (
                test, mine, theirs or 'not asked',
                last_line(c.seen[test]) if test in c.seen else ''))
            wrong += 1
    return excused, wrong


def unused(entries, runs):
    """Entries of the list that name no test of a version that was run whole."""
    wrong = 0
    for e in entries:
        mine = [r for r in runs if fits(e, r.version, r.pool, r.options.over)]
        names = {t for r in mine for t in r.seen}
        if mine and not any(e.pattern.fullmatch(n) for n in names):
            print('NAMES NO TEST: line %d of not_applicable.txt' % e.line)
            wrong += 1
    return wrong


def parse(argv):
    p = argparse.ArgumentParser(prog='run conformance')
    p.add_argument('--celery', action='append', choices=suite.VERSIONS)
    p.add_argument('--pool', action='append', choices=['prefork', 'threads'])
    p.add_argument('--worker', default='both', choices=['c', 'python', 'both'])
    p.add_argument('--broker', default='redis', choices=['redis', 'amqp'])
    p.add_argument('--results', default='redis', choices=['redis', 'rpc'])
    p.add_argument('-k', metavar='EXPR', help="pytest's choice of tests")
    p.add_argument('--shards', type=int, default=3, help='workers at once of a kind')
    p.add_argument('--limit', type=int, default=1800, help='seconds for one shard')
    p.add_argument('--quick', action='store_true',
                   help='a selection with the C worker alone: one version in each pool')
    options = p.parse_args(argv)
    if options.results == 'rpc' and options.broker != 'amqp':
        p.error('--results rpc needs --broker amqp')
    # As not_applicable.txt names it.
    options.over = options.broker
    if options.broker == 'amqp':
        options.over += '+' + options.results
    return options


def plan(options):
    """Which versions with which pools."""
    if options.quick:
        options.worker, options.k, options.shards = 'c', options.k or QUICK, 4
        if options.broker == 'amqp':
            return [(suite.VERSIONS[-1], 'prefork')]
        return list(zip(suite.VERSIONS, ['threads', 'prefork']))
    return [(version, pool) for version in options.celery or suite.VERSIONS
            for pool in options.pool or ['prefork', 'threads']]


def stop(*args):
    # Its threads would wait for their sessions.
    for process in list(lib._children):
        if process.poll() is None:
            Run.end(process)
    os._exit(1)


def main(argv):
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    options = parse(argv)
    pairs = plan(options)
    if options.broker == 'amqp' and not rabbit.installed():
        return 77
    kinds = ['python', 'c'] if options.worker == 'both' else [options.worker]
    os.makedirs(OUT, exist_ok=True)
    entries, every = read_list(), []
    totals = {'passed': 0, 'wrong': 0, 'excused': 0}
    for version, pool in pairs:
        python, folder = suite.environment(version), suite.fetch(version)
        if not python or not folder:
            return 77
        with concurrent.futures.ThreadPoolExecutor(len(kinds)) as threads:
            runs = list(threads.map(lambda kind: Run(
                options, entries, version, pool, kind, python, folder).all(), kinds))
        print('\n==> Celery %s, %s, pool %s' % (version, options.over, pool))
        side_by_side(runs)
        excused, wrong = judge(runs, entries, version, pool, options.over)
        print('%-42s %8d' % ('not applicable (listed)', excused), flush=True)
        every += runs
        totals['passed'] += runs[-1].count(*GOOD)
        totals['excused'] += excused
        totals['wrong'] += wrong or not runs[-1].seen
    if not options.k and 'c' in kinds:
        totals['wrong'] += unused(entries, every)
    print('%(passed)d passed, %(wrong)d failed, %(excused)d skipped' % totals)
    return 1 if totals['wrong'] else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
