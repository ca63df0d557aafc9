#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""celery-c beat beside Celery's: the same schedules, the same messages, one leader among
several, nothing lost and nothing twice."""

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from datetime import datetime, timedelta, timezone

import beat_cases
import lib

TOOL = lib.built('tests/interop/schedule_tool')
SEED = int(os.environ.get('BEAT_SEED', int(time.time())))
COUNT = int(os.environ.get('BEAT_COUNT', 3000))


class Beat:
    """A beat process in a folder of its own, or in the given one."""

    def __init__(self, broker, schedule, *args, conf=None, folder=None, backend=None):
        self.folder = folder or os.path.join(lib.tmpdir(), 'beat-%d' % time.monotonic_ns())
        os.makedirs(self.folder, exist_ok=True)
        self.conf = os.path.join(self.folder, 'conf.json')
        self.configure(schedule, **(conf or {}))
        self.log = lib.tmpname('.log')
        argv = [lib.CELERY_C, '-b', broker, '--config', self.conf]
        if backend:
            argv += ['--result-backend', backend]
        with open(self.log, 'wb') as out:
            self.process = lib.spawn(argv + ['beat', '-l', 'DEBUG', *args], stdout=out,
                                     stderr=subprocess.STDOUT, cwd=self.folder,
                                     env=lib.env_of_workers())

    def configure(self, schedule, **conf):
        with open(self.conf, 'w') as f:
            json.dump(dict(conf, beat_schedule=schedule), f)

    def output(self):
        with open(self.log, encoding='utf-8', errors='replace') as f:
            return f.read()

    def leads(self):
        return 'This is the leader' in self.output()

    def wait_output(self, text, timeout=15.0):
        try:
            lib.wait_for('beat prints %r' % text, lambda: text in self.output(),
                         timeout * lib.PATIENCE)
        except lib.Deadline as exc:
            raise lib.Deadline('%s\n%s' % (exc, self.output()[-3000:])) from None

    def kill9(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20 * lib.PATIENCE)
        found = lib.SANITIZER.search(self.output())
        if found:
            raise AssertionError(self.output()[-4000:])
        return code


class Schedules(unittest.TestCase):
    """Random crontabs and intervals in many zones, and the Celery of this Python."""

    def test_is_due_as_celery_says(self):
        if not TOOL:
            self.skipTest('schedule_tool is not built')
        found = list(beat_cases.cases(SEED, COUNT))
        texts = list(beat_cases.fields(SEED, COUNT))
        said = list(beat_cases.answers(found)) + list(beat_cases.field_answers(texts))
        lines = subprocess.run(
            [TOOL], input=''.join(json.dumps(c) + '\n' for c in found + texts),
            stdout=subprocess.PIPE, text=True, timeout=120).stdout.splitlines()
        self.assertEqual(len(lines), len(said))
        newest = lib.celery_version() >= (5, 7)
        compared = 0
        for case, theirs, ours in zip(found + texts, said, lines):
            ours = 'error' if ours.startswith('error') else ours
            if theirs == 'slow' or not newest and self.may_differ(case, ours):
                continue
            compared += 1
            self.assertEqual(ours, theirs, 'seed %d: %s' % (SEED, json.dumps(case)))
        self.assertGreater(compared, COUNT // 2)

    def may_differ(self, case, ours):
        """What 5.7 changed, see protocol-docs/beat.md."""
        if 'field' in case:  # names of months: since 5.3
            return any(m in case['text'] for m in ('Jan', 'dec'))
        if case['schedule'].get('relative') or case['deadline'] >= 0 or ours == 'error':
            return True
        if lib.celery_version() < (5, 6) and any(
                f in case['schedule'].get('crontab', {})
                for f in ('day_of_month', 'month_of_year')):
            return True  # is_before_last_run() compared with midnight in UTC
        from dateutil import tz
        zone = tz.gettz(case['zone'])
        due, wait = map(int, ours.split())
        last, now, at = [
            (beat_cases.EPOCH + timedelta(microseconds=us)).astimezone(zone)
            for us in (case['last'], case['now'], case['now'] + wait)]
        if last.date() != now.date() and 'crontab' in case['schedule']:
            return True
        day = timedelta(days=1)
        return len({t.astimezone(zone).utcoffset() for t in (
            last, last - day, now, now + day, at, at - day, at + day)}) > 1


class Running(lib.Case):
    kinds = ('c', 'python')

    def setUp(self):
        self.queues.clear()
        if self.db0 is not None:
            self.db0.flushdb()
        self.name = 'n%d' % time.monotonic_ns()

    def beat(self, schedule, *args, **kwargs):
        # A result backend that expires by itself: no celery.backend_cleanup.
        kwargs.setdefault('backend', self.backend)
        conf = dict({'beat_c_lock_name': self.name, 'beat_c_lock_ttl': 1.5},
                    **kwargs.pop('conf', {}))
        b = Beat(self.broker, schedule, *args, conf=conf, **kwargs)
        self.addCleanup(b.kill9)
        return b

    def taken(self, queue):
        found = []
        while True:
            m = self.queues.take(queue)
            if m is None:
                return found
            found.append(m)

    def wait_messages(self, queue, n, timeout=20.0):
        found = []

        def check():
            found.extend(self.taken(queue))
            return len(found) >= n
        lib.wait_for('%d messages in %s' % (n, queue), check, timeout * lib.PATIENCE, 0.05)
        return found

    def test_workers_run_what_it_sends(self):
        for kind in self.kinds:
            with self.subTest(kind):
                worker = self.start(kind=kind, queues='for-' + kind)
                b = self.beat({'add': {'task': 't.add', 'schedule': 0.3, 'args': [2, 3],
                                       'options': {'queue': 'for-' + kind}}})
                worker.wait_output('succeeded in', 20 * lib.PATIENCE)
                self.assertEqual(b.stop(), 0)
                worker.stop()

    def embedded(self, schedule, *args, more=None, **options):
        conf = {'beat_c_lock_name': self.name, 'beat_c_lock_ttl': 1.5,
                'beat_schedule': schedule, **(more or {})}
        w = lib.Worker(self.broker, self.backend, '-B', *args, conf=conf, **options)
        self.addCleanup(w.kill9)
        return w

    def test_inside_a_worker(self):
        """worker -B: one of two workers sends, on a thread that a solo task does not hold up."""
        entry = {'task': 't.noop', 'schedule': 0.5, 'options': {'queue': 'beaten'}}
        names = ('one', 'two')
        first, second = [self.embedded({'e': entry}, queues=n, name=n, pool='solo')
                         for n in names]
        self.wait_messages('beaten', 3)
        for name in names:
            self.app.send_task('t.sleep', (3,), queue=name)
        time.sleep(1)  # both are busy
        self.taken('beaten')
        begin = time.monotonic()
        sent = len(self.wait_messages('beaten', 3))
        self.assertLess(time.monotonic() - begin, 2.9 * lib.PATIENCE)
        seconds = time.monotonic() - begin
        self.assertLess(sent, seconds / 0.5 + 3)  # not both
        self.assertEqual(first.stop(), 0)  # whichever led, the other one goes on
        self.wait_messages('beaten', 3)
        self.assertEqual(second.stop(), 0)
        self.taken('beaten')
        time.sleep(1)
        self.assertEqual(self.taken('beaten'), [])
        self.assertIn('beat: Shutting down...', second.output())

    def test_inside_a_worker_wrong_schedule(self):
        w = self.embedded({'e': {'task': 't.noop', 'schedule': 'never'}}, wait=False)
        self.assertEqual(w.wait(), 1)
        self.assertIn("beat_schedule: entry 'e'", w.output())

    def test_inside_a_worker_with_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'schedule')
            w = self.embedded({'e': {'task': 't.noop', 'schedule': 0.5,
                                     'options': {'queue': 'filed'}}}, '-s', path,
                              more={'beat_c_lock': 'file'})
            self.wait_messages('filed', 2)
            self.assertEqual(w.stop(), 0)
            self.assertGreaterEqual(
                json.load(open(path))['entries']['e']['total_run_count'], 2)

    def test_messages_are_those_of_celery(self):
        entry = {'task': 't.kw', 'schedule': 0.3, 'args': [1, 'ä'], 'kwargs': {'b': [None]},
                 'options': {'queue': 'same', 'priority': 3, 'expires': 60,
                             'headers': {'x': 1}}}
        b = self.beat({'e': entry})
        ours = self.wait_messages('same', 1)[0]
        self.assertEqual(b.stop(), 0)
        self.taken('same')
        theirs = self.of_python(entry)
        self.assertEqual(base64.b64decode(ours['body']), base64.b64decode(theirs['body']))
        sides = []
        for m in (ours, theirs):
            h = dict(m['headers'])
            for key in ('id', 'root_id', 'origin', 'stamps', 'stamped_headers'):
                h.pop(key, None)
            h['expires'] = bool(h['expires'])
            # send_task() of 5.7 says None where nothing is said, and False before.
            h['ignore_result'] = bool(h['ignore_result'])
            p = {k: m['properties'].get(k) for k in ('priority', 'delivery_mode')}
            sides.append((h, p, m['content-type'], m['content-encoding']))
        if lib.celery_version() < (5, 7):
            # Scheduler.apply_async() of 5.7 marks what beat sends.
            self.assertIs(sides[0][0].pop('celery_beat_task'), True)
        if lib.celery_version() < (5, 4):
            sides[0][0].pop('replaced_task_nesting', None)
            sides[1][0].pop('replaced_task_nesting', None)
        self.assertEqual(sides[0], sides[1])

    def of_python(self, entry):
        program = ('import json, sys\n'
                   'from celery import Celery\n'
                   'broker, entry = json.loads(sys.argv[1])\n'
                   'app = Celery("pybeat", broker=broker)\n'
                   'app.conf.beat_schedule = {"e": entry}\n'
                   'from celery.beat import Scheduler\n'
                   's = Scheduler(app, max_interval=1)\n'
                   's.apply_entry(s.schedule["e"], producer=s.producer)\n')
        subprocess.run([sys.executable, '-c', program, json.dumps([self.broker, entry])],
                       check=True, timeout=60, env=lib.env_of_workers())
        return self.wait_messages('same', 1)[0]

    def test_kill9_keeps_what_ran(self):
        b = self.beat({'t': {'task': 't.noop', 'schedule': 0.2, 'options': {'queue': 'k'}},
                       'seldom': {'task': 't.noop', 'schedule': 3600,
                                  'options': {'queue': 'k'}}})
        first = self.wait_messages('k', 5)
        b.kill9()
        first += self.taken('k')
        again = self.beat({'t': {'task': 't.noop', 'schedule': 0.2,
                                 'options': {'queue': 'k'}}})
        second = self.wait_messages('k', 3)
        self.assertEqual(again.stop(), 0)
        second += self.taken('k')
        ids = [m['headers']['id'] for m in first + second]
        # A run that was written down and not known to be sent has the same id again.
        self.assertLessEqual(len(ids) - len(set(ids)), 1)

    def test_one_leader_of_three(self):
        schedule = {'t': {'task': 't.noop', 'schedule': 0.2, 'options': {'queue': 'l'}}}
        beats = [self.beat(schedule) for _ in range(3)]
        lib.wait_for('a leader', lambda: any(b.leads() for b in beats), 20 * lib.PATIENCE)
        times, ids = [], []

        def collect(seconds):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                for m in self.taken('l'):
                    times.append(time.monotonic())
                    ids.append(m['headers']['id'])
                time.sleep(0.02)
        collect(1.5)
        self.assertEqual(sum(b.leads() for b in beats), 1)
        leader = next(b for b in beats if b.leads())
        rest = [b for b in beats if b is not leader]
        at = time.monotonic()
        leader.kill9()
        lib.wait_for('another leader', lambda: any(b.leads() for b in rest),
                     20 * lib.PATIENCE)
        silent = time.monotonic() - at
        self.assertLess(silent, (1.5 + 2) * lib.PATIENCE)
        collect(1.5)
        self.assertEqual(sum(b.leads() for b in rest), 1)
        for b in rest:
            self.assertEqual(b.stop(), 0)
        collect(0.1)
        self.assertLessEqual(len(ids) - len(set(ids)), 1)
        # One stream: the time of the beats, without that of the lock, gives their number.
        seconds = times[-1] - times[0] - silent
        self.assertLessEqual(len(set(ids)), seconds / 0.2 + 4)
        self.assertGreater(len(set(ids)), 8)

    def test_leader_gives_the_lock_back_at_its_end(self):
        schedule = {'t': {'task': 't.noop', 'schedule': 60}}
        first = self.beat(schedule, conf={'beat_c_lock_ttl': 60})
        first.wait_output('This is the leader')
        second = self.beat(schedule, conf={'beat_c_lock_ttl': 60})
        second.wait_output('another beat has it')
        self.assertEqual(first.stop(), 0)
        second.wait_output('This is the leader', 10)
        self.assertEqual(second.stop(), 0)

    def test_missed_run_is_made_up_for_once(self):
        folder = os.path.join(lib.tmpdir(), self.name)
        os.makedirs(folder)
        long_ago = (datetime.now(timezone.utc) - timedelta(days=3)).isoformat()
        with open(os.path.join(folder, 'celerybeat-schedule'), 'w') as f:
            json.dump({'celery-c beat': 1, 'timezone': None, 'enable_utc': True, 'entries': {
                name: {'last_run_at': long_ago, 'total_run_count': 7}
                for name in ('every', 'cron', 'gone')}}, f)
        b = self.beat({'every': {'task': 't.every', 'schedule': 3600,
                                 'options': {'queue': 'm'}},
                       'cron': {'task': 't.cron', 'schedule': '0 * * * *',
                                'options': {'queue': 'm'}},
                       'new': {'task': 't.new', 'schedule': 3600, 'options': {'queue': 'm'}}},
                      conf={'beat_c_lock': 'file'}, folder=folder)
        found = self.wait_messages('m', 2)
        self.assertEqual(b.stop(), 0)
        found += self.taken('m')
        self.assertEqual(sorted(m['headers']['task'] for m in found), ['t.cron', 't.every'])
        with open(os.path.join(folder, 'celerybeat-schedule')) as f:
            entries = json.load(f)['entries']
        counts = {name: e['total_run_count'] for name, e in entries.items()}
        self.assertEqual(counts, {'every': 8, 'cron': 8, 'new': 0})
        self.assertFalse(any('pending' in e for e in entries.values()))

    def test_damaged_state_is_moved_aside(self):
        for text in ('', 'x', '[]', '{"celery-c beat": 2}', '\x00\x01', '{"celery-c beat": 1, '
                     '"entries": {"t": {"last_run_at": "soon"}}}'):
            folder = os.path.join(lib.tmpdir(), 'd%d' % time.monotonic_ns())
            os.makedirs(folder)
            path = os.path.join(folder, 'celerybeat-schedule')
            with open(path, 'w') as f:
                f.write(text)
            b = self.beat({'t': {'task': 't.noop', 'schedule': 0.2,
                                 'options': {'queue': 'd'}}},
                          conf={'beat_c_lock': 'file'}, folder=folder)
            self.wait_messages('d', 1)
            self.assertEqual(b.stop(), 0)
            if text:
                self.assertEqual(b.output().count('Removing corrupted schedule state'), 1)
                self.assertEqual(open(path + '.damaged').read(), text)
            self.assertEqual(json.load(open(path))['celery-c beat'], 1)

    def test_second_beat_of_a_file_waits(self):
        schedule = {'t': {'task': 't.noop', 'schedule': 60}}
        first = self.beat(schedule, conf={'beat_c_lock': 'file'})
        first.wait_output('This is the leader')
        second = self.beat(schedule, conf={'beat_c_lock': 'file'}, folder=first.folder)
        second.wait_output('another beat of this machine has it')
        first.kill9()
        second.wait_output('This is the leader')
        self.assertEqual(second.stop(), 0)

    def test_hangup_reads_the_schedule_again(self):
        b = self.beat({'a': {'task': 't.a', 'schedule': 3600}}, '--pidfile', 'beat.pid')
        b.wait_output('This is the leader')
        b.configure({'a': {'task': 't.a', 'schedule': 'no schedule'}})
        b.process.send_signal(signal.SIGHUP)
        b.wait_output("The schedule stays as it was: beat_schedule: entry 'a'")
        b.configure({'b': {'task': 't.b', 'schedule': 0.2, 'options': {'queue': 'h'}}})
        b.process.send_signal(signal.SIGHUP)
        b.wait_output('Schedule read again')
        self.assertEqual(self.wait_messages('h', 1)[0]['headers']['task'], 't.b')
        twice = subprocess.run([lib.CELERY_C, '-b', self.broker, 'beat', '--pidfile',
                                'beat.pid'], cwd=b.folder, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, timeout=30)
        self.assertEqual(twice.returncode, 73)
        self.assertIn('already running', twice.stdout)
        self.assertEqual(b.stop(), 0)
        self.assertFalse(os.path.exists(os.path.join(b.folder, 'beat.pid')))

    def test_malformed_schedules_get_one_line(self):
        for schedule, why in (
                ({'x': {'task': 't'}}, "entry 'x': an interval is a number"),
                ({'x': {'schedule': 3}}, "entry 'x': it names no task"),
                ({'x': 3}, "entry 'x': an entry is a map"),
                ({'x': {'task': 't', 'schedule': '61 * * * *'}}, 'minute'),
                ({'x': {'task': 't', 'schedule': {'solar': {}}}}, 'solar'),
                ({'x': {'task': 't', 'schedule': 3, 'arg': []}}, "'arg' is not one of"),
                ({'x': {'task': 't', 'schedule': 3, 'args': {}}}, 'args is a list'),
                ({'x': {'task': 't', 'schedule': 3, 'options': {'priority': 'a'}}},
                 "entry 'x'"),
                ({'x': {'task': 't', 'schedule': 3, 'options': {'headers': 1}}}, 'headers')):
            path = lib.tmpname('.json')
            with open(path, 'w') as f:
                json.dump(schedule, f)
            run = subprocess.run(
                [lib.CELERY_C, '-q', '-b', self.broker, 'beat', '--schedule-file', path],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30,
                cwd=lib.tmpdir())
            self.assertEqual(run.returncode, 1, run.stdout)
            self.assertEqual(run.stdout.count('\n'), 1, run.stdout)
            self.assertIn(why, run.stdout)

    def test_example_of_a_schedule_file(self):
        b = self.beat({}, '--schedule-file', os.path.join(lib.ROOT, 'examples', 'beat.json'))
        b.wait_output('This is the leader')
        self.assertIn('entries -> 4', b.output())
        self.assertEqual(b.stop(), 0)

    def test_detach_is_refused_with_a_hint(self):
        run = subprocess.run([lib.CELERY_C, 'beat', '--detach'], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, timeout=30)
        self.assertEqual(run.returncode, 2)
        self.assertIn('systemd', run.stdout)

    @lib.redis_only
    def test_broker_that_stands_still_loses_and_doubles_nothing(self):
        b = self.beat({'t': {'task': 't.noop', 'schedule': 0.2, 'options': {'queue': 's'}}},
                      conf={'beat_c_lock': 'file'})
        found = self.wait_messages('s', 2)
        self.redis.pause()
        time.sleep(3)
        self.redis.resume()
        found += self.wait_messages('s', 4)
        self.assertEqual(b.stop(), 0)
        found += self.taken('s')
        ids = [m['headers']['id'] for m in found]
        self.assertLessEqual(len(ids) - len(set(ids)), 1)
        state = json.load(open(os.path.join(b.folder, 'celerybeat-schedule')))
        self.assertEqual(state['entries']['t']['total_run_count'], len(set(ids)))

    def test_cleanup_of_results_is_added_as_upstream_does(self):
        for backend, n in ((None, 1), (self.backend, 0)):
            b = self.beat({}, conf={'beat_c_lock_name': 'c%d' % n}, backend=backend)
            b.wait_output('This is the leader')
            self.assertIn('entries -> %d\n' % n, b.output())
            self.assertEqual(b.stop(), 0)

    @lib.redis_only
    def test_layout_in_redis(self):
        b = self.beat({'t': {'task': 't.noop', 'schedule': 3600}})
        b.wait_output('This is the leader')
        key = 'celery-c.beat.%s' % self.name
        lib.wait_for('state', lambda: self.db0.get(key + '.state'), 10)
        self.assertIn('t', json.loads(self.db0.get(key + '.state'))['entries'])
        self.assertLessEqual(self.db0.pttl(key + '.lock'), 1500)
        # Somebody else has it now: no writing, no renewing, no deleting.
        self.db0.set(key + '.lock', 'stranger', px=60000)
        b.wait_output('Not the leader any more')
        self.assertEqual(b.stop(), 0)
        self.assertEqual(self.db0.get(key + '.lock'), b'stranger')

    @lib.amqp_only
    def test_layout_in_rabbitmq(self):
        b = self.beat({'t': {'task': 't.noop', 'schedule': 3600}})
        b.wait_output('This is the leader')
        queue = 'celery-c.beat.' + self.name
        lib.wait_for('state', lambda: self.rabbit.queues()[queue]['unacked'] == 1, 20)
        self.assertEqual(b.stop(), 0)
        lib.wait_for('state comes back',
                     lambda: self.rabbit.queues()[queue]['ready'] == 1, 20)
        state = json.loads(base64.b64decode(self.queues.take(queue)['body']))
        self.assertIn('t', state['entries'])


if __name__ == '__main__':
    lib.main()
