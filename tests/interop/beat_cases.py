# SPDX-License-Identifier: BSD-3-Clause
"""Random schedules and times, and what Celery says about them.

beat_cases.py SEED COUNT: asks the Celery of this Python; a JSON line for each case, with its
answer.  test_beat.py compares with C.  With --header the lines are those of
tests/unit/beat/schedule_cases.h, which keeps some of the newest Celery.
"""

import json
import contextlib
import random
import signal
import sys
from datetime import datetime, timedelta, timezone

ZONES = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kolkata',
         'Africa/Casablanca', 'America/Sao_Paulo', 'Asia/Kathmandu', 'Pacific/Apia',
         'Europe/Dublin', 'America/St_Johns', 'Pacific/Chatham', 'Africa/Cairo',
         'America/Santiago', 'Asia/Tehran', 'Antarctica/Troll']
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'Monday', 'SUNDAY']


def field(rng, low, high, names=()):
    kind = rng.randrange(9)
    if kind < 3:
        return '*'
    if kind == 3:
        return '*/%d' % rng.randint(1, high)
    if kind == 4:
        return rng.randint(low, high)
    if kind == 5:
        return sorted(rng.sample(range(low, high + 1), rng.randint(1, 4)))
    if names and kind == 6:
        return rng.choice(names) + rng.choice(['', '-' + rng.choice(names)])
    parts = []
    for _ in range(rng.randint(1, 3)):
        a, b = rng.randint(low, high), rng.randint(low, high)
        parts.append(rng.choice(['%d' % a, '%d-%d' % (a, b),
                                 '%d-%d/%d' % (a, b, rng.randint(1, 7))]))
    return ','.join(parts)


def schedule(rng):
    kind = rng.randrange(10)
    if kind == 0:
        return {'every': rng.choice([0.2, 1, 30, 59.5, 90, 3600, 5400, 86400, 100000, 604800])}
    if kind == 1:
        return {'every': rng.choice([1, 30, 60, 90, 600, 3600, 5400, 7200, 86400, 172800]),
                'relative': True}
    spec = {}
    for name, low, high, names in (('minute', 0, 59, ()), ('hour', 0, 23, ()),
                                   ('day_of_week', 0, 6, DAYS), ('day_of_month', 1, 31, ()),
                                   ('month_of_year', 1, 12, ())):
        # Most crontabs name the time of day alone.
        if name in ('minute', 'hour') or rng.random() < 0.4:
            spec[name] = field(rng, low, high, names)
    return {'crontab': spec}


def changes(zone):
    """Instants at which the zone's offset changes, 2020 to 2037."""
    from dateutil import tz
    z, at, found = tz.gettz(zone), EPOCH.replace(year=2020), []
    while at.year < 2038:
        step = timedelta(days=5)
        if at.astimezone(z).utcoffset() != (at + step).astimezone(z).utcoffset():
            low, high = at, at + step
            while high - low > timedelta(seconds=1):
                mid = (low + (high - low) / 2).replace(microsecond=0)
                if mid.astimezone(z).utcoffset() == at.astimezone(z).utcoffset():
                    low = mid
                else:
                    high = mid
            found.append(high)
        at += step
    return found


def cases(seed, count):
    rng = random.Random(seed)
    known = {}
    for _ in range(count):
        zone = rng.choice(ZONES)
        if zone not in known:
            known[zone] = changes(zone)
        where = rng.randrange(4)
        if where == 0 and known[zone]:
            last = rng.choice(known[zone]) + timedelta(seconds=rng.randint(-90000, 90000))
        elif where == 1:
            year, month = rng.randint(2020, 2036), rng.randint(1, 12)
            last = datetime(year, month, 1, tzinfo=timezone.utc) + timedelta(
                seconds=rng.randint(-90000, 90000))
        else:
            last = datetime(2020, 1, 1, tzinfo=timezone.utc) + timedelta(
                seconds=rng.randint(0, 16 * 366 * 86400))
        last += timedelta(microseconds=rng.choice([0, 1, 500000, 999999]))
        gap = rng.choice([0, 1, 59, 60, 3599, 3600, 7200, rng.randint(0, 90000),
                          rng.randint(0, 40 * 86400), -rng.randint(0, 7200)])
        now = last + timedelta(seconds=gap, microseconds=rng.choice([0, 1, 250000]))
        deadline = rng.choice([None, None, None, 0, 60, 3600, 86400])
        yield {'schedule': schedule(rng), 'zone': zone,
               'last': micros(last - EPOCH), 'now': micros(now - EPOCH),
               'deadline': -1 if deadline is None else deadline * 1000000}


PIECES = ['*', '*/', '/', '-', ',', '0', '1', '5', '07', '12', '31', '59', '60', '1-5', '6-2', '_',
          ' ', '+', 'mon', 'sunday', 'Jan', 'dec', 'xyz', '1_0', '-1', '\n', '23', '/2', '/0']


def fields(seed, count):
    """Texts of single fields of a crontab, many of them wrong."""
    rng = random.Random(seed)
    for _ in range(count):
        yield {'field': rng.randrange(5),
               'text': ''.join(rng.choice(PIECES) for _ in range(rng.randint(1, 5)))}


def field_answers(found):
    from celery.schedules import ParseException, crontab_parser
    sizes = [(60, 0), (24, 0), (7, 0), (31, 1), (12, 1)]
    for case in found:
        try:
            numbers = crontab_parser(*sizes[case['field']]).parse(case['text'])
            yield '%d' % sum(1 << n for n in numbers)
        except (ParseException, ValueError, KeyError, IndexError):
            yield 'error'


def micros(delta):
    return delta // timedelta(microseconds=1)


class Slow(Exception):
    """Celery takes for ever over a case: some versions try each day up to a leap year."""


@contextlib.contextmanager
def within(seconds):
    def give_up(*args):
        raise Slow
    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def answers(found):
    """What celery.schedules says to each case: "due wait", "error", or "slow"."""
    from celery import Celery
    from celery.schedules import crontab, schedule as interval
    apps = {}
    for case in found:
        key = case['zone'], case['deadline']
        if key not in apps:
            apps[key] = Celery(set_as_current=False)
            apps[key].conf.timezone = case['zone']
            if case['deadline'] >= 0:
                apps[key].conf.beat_cron_starting_deadline = case['deadline'] // 1000000
        app = apps[key]
        tz = app.timezone
        now = (EPOCH + timedelta(microseconds=case['now'])).astimezone(tz)
        last = (EPOCH + timedelta(microseconds=case['last'])).astimezone(tz)
        spec = case['schedule']
        try:
            if 'every' in spec:
                s = interval(timedelta(seconds=spec['every']), spec.get('relative', False),
                             nowfun=lambda: now, app=app)
            else:
                s = crontab(nowfun=lambda: now, app=app, **spec['crontab'])
            with within(1):
                due, wait = s.is_due(last)
            yield '%d %d' % (due, round(wait * 1e6))
        except Slow:
            yield 'slow'
        except (ValueError, RuntimeError, TypeError, OverflowError, IndexError):
            yield 'error'


def main(argv):
    header = '--header' in argv
    seed, count = [int(a) for a in argv if a != '--header']
    found = list(cases(seed, count))
    texts = list(fields(seed, count // 2))
    said = list(answers(found)) + list(field_answers(texts))
    if header:
        from celery import __version__
        print('/* SPDX-License-Identifier: BSD-3-Clause */\n'
              '/* Made by tests/interop/beat_cases.py --header %d %d with Celery %s. */\n'
              '/* clang-format off */' % (seed, count, __version__))
    for case, word in zip(found + texts, said):
        line = json.dumps(case)
        print('{%s, "%s"},' % (json.dumps(line), word) if header
              else json.dumps(dict(case, said=word)))


if __name__ == '__main__':
    main(sys.argv[1:])
