# SPDX-License-Identifier: BSD-3-Clause
"""Writes what bench.py measured: results.json, results.md with the goals, results.svg."""

import json
import math
import os

import flows
import rabbits

PY = 'celery prefork'
POOLS = ('c prefork', 'c threads', 'c solo')


def write(report, out):
    report['goals'] = goals(report)
    with open(os.path.join(out, 'results.json'), 'w') as f:
        json.dump(report, f, indent=1)
        f.write('\n')
    with open(os.path.join(out, 'results.md'), 'w') as f:
        f.write(markdown(report))
    with open(os.path.join(out, 'results.svg'), 'w') as f:
        f.write(svg(report))


# ---- goals ----

def goals(report):
    """[(goal, reached, met)] for what was measured."""
    rows = []
    drain = report['drain']

    def rate(scenario, worker):
        return drain.get(scenario, {}).get(worker, {}).get('rate')

    def ratio(text, scenario, worker, least, base=PY, base_scenario=None, unit='times'):
        a, b = rate(scenario, worker), rate(base_scenario or scenario, base)
        if a and b:
            value = a / b
            shown = '%.0f %%' % (100 * value) if unit == '%' else '%.1f times' % value
            rows.append((text, shown, value >= least))

    def below(text, value, most, shown):
        if value is not None:
            rows.append((text, shown % value, value < most))

    m64 = 'multiplier 64'
    for worker, times, share in (('c prefork', 60, .60), ('c threads', 80, .75),
                                 ('c solo', 80, .75)):
        ratio('%s, multiplier 64: at least %d times Celery prefork' % (worker, times),
              m64, worker, times)
        for bare, what in (('bare 128', 'with as many in flight'), ('bare 256', 'at its best')):
            ratio('%s, multiplier 64: at least %.0f %% of the bare client %s' % (
                worker, share * 100, what), m64, worker, share, bare, unit='%')
    ratio('c prefork, default prefetch: at least 25 times', 'default prefetch', 'c prefork', 25)
    ratio('c prefork, 2 ms to the broker: at least 100 times',
          'multiplier 64, 2 ms to the broker', 'c prefork', 100)
    ratio('c prefork, 100 kB bodies: at least 4 times', 'multiplier 64, 100 kB bodies',
          'c prefork', 4)
    ratio('c prefork: at least 6 times celery-node', m64, 'c prefork', 6, 'celery-node')
    for w in POOLS:
        ratio('%s, log level INFO: at least two thirds of the rate without' % w,
              'multiplier 64, log level INFO', w, 2 / 3, w + ', without', unit='%')
        ratio('%s, events on: at least 85 %% of the rate without' % w,
              'multiplier 64, events on', w, 0.85, w + ', without', unit='%')
    for w in POOLS:
        below('%s, idle round trip: p50 under 500 us' % w,
              report['latency'].get(w, {}).get('p50'), 500, '%.0f us')
        below('%s, idle: under 5 wake-ups a second' % w,
              report['idle'].get(w, {}).get('wakeups'), 5, '%.1f')
        below('%s: exec to ready under 30 ms' % w, report['ready'].get(w), 30, '%.1f ms')
    below('c prefork, 2 children, peak: under 5 MB PSS',
          drain.get(m64, {}).get('c prefork', {}).get('pss_mb'), 5, '%.1f MB')
    below('calendar of 10,000 events: under 15 ms', report.get('calendar_ms'), 15, '%.1f ms')
    return rows + flows.goals(report) + rabbits.goals(report)


# ---- Markdown ----

def number(value, digits=0):
    return '' if value is None else '{:,.{}f}'.format(value, digits)


def markdown(report):
    m, v = report['machine'], report['versions']
    lines = ['# Benchmark', '',
             '%s, %d CPUs (%s), Linux %s, Redis %s, Celery %s on Python %s; load before: %.2f. '
             'Medians of %d alternating runs.' % (
                 report['date'], m['cpus'], m['model'], m['kernel'], v['redis'], v['celery'],
                 v['python'], m['load_before'][0], report['runs']), '']
    for name, workers in report['drain'].items():
        if not workers:
            continue
        base = workers.get(PY, {}).get('rate')
        bare = max((r['rate'] for w, r in workers.items() if w.startswith('bare')), default=0)
        lines += ['## %s' % name[0].upper() + name[1:], '',
                  '| worker | tasks/s | lowest to highest | times Celery prefork | of the best bare client | '
                  'worker CPU µs/task | broker CPU µs/task | peak PSS MB | '
                  'commands/task | bytes in/task | bytes out/task |',
                  '|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|']
        for w, r in workers.items():
            lines.append('| %s |' % ' | '.join([
                w, number(r['rate']), '%s to %s' % (number(r['low']), number(r['high'])),
                number(r['rate'] / base, 1) if base else '',
                '%.0f %%' % (100 * r['rate'] / bare) if bare else '',
                number(r.get('cpu_us'), 1), number(r.get('broker_us'), 1),
                number(r.get('pss_mb'), 1), number(r.get('commands'), 1),
                number(r.get('bytes_in')), number(r.get('bytes_out'))]))
        lines.append('')
    lines += flows.markdown(report)
    lines += rabbits.markdown(report)
    if report['latency']:
        lines += ['## Idle and start', '',
                  '| worker | round trip p50 µs | p99 µs | exec to ready ms | '
                  'wake-ups/s idle | Redis commands/min idle | CPU ms/min idle | PSS MB idle |',
                  '|---|--:|--:|--:|--:|--:|--:|--:|']
        for w, r in report['latency'].items():
            i = report['idle'].get(w, {})
            lines.append('| %s |' % ' | '.join([
                w, number(r['p50']), number(r['p99']), number(report['ready'].get(w), 1),
                number(i.get('wakeups'), 1), number(i.get('commands_min')),
                number(i.get('cpu_ms_min')), number(i.get('pss_mb'), 1)]))
        lines.append('')
    if 'calendar_ms' in report:
        lines += ['A calendar of 10,000 events takes %.1f ms.' % report['calendar_ms'], '']
    if report['goals']:
        lines += ['## Goals', '', '| goal | measured | met |', '|---|--:|---|']
        lines += ['| %s | %s | %s |' % (g, r, 'yes' if met else 'NO')
                  for g, r, met in report['goals']]
        lines.append('')
    return '\n'.join(lines)


# ---- SVG ----

COLOURS = {'py': '#c0792a', 'c': '#2a6fb0', 'bare': '#8a8a8a', 'node': '#5b9a4b'}
SHOWN = ['multiplier 64', 'default prefetch', 'multiplier 64, results ignored',
         'multiplier 64, 2 ms to the broker', 'multiplier 64, 100 kB bodies']


def colour(worker):
    if worker.startswith('bare'):
        return COLOURS['bare']
    if worker == 'celery-node':
        return COLOURS['node']
    return COLOURS['c' if worker.startswith('c ') else 'py']


def svg(report):
    left, width, bar = 190, 760, 18
    top = 10 ** 5.5
    rows, y = [], 52

    def x(rate):
        return left + (width - left - 90) * max(0, math.log10(max(rate, 1)) - 1) / (
            math.log10(top) - 1)

    for name in SHOWN:
        workers = report['drain'].get(name)
        if not workers:
            continue
        rows.append('<text x="12" y="%d" class="h">%s</text>' % (y, name))
        y += 8
        for w, r in workers.items():
            label = w if w.startswith(('bare', 'celery')) else 'celery-c ' + w[2:]
            rows.append('<text x="%d" y="%d" text-anchor="end">%s</text>' % (
                left - 8, y + 13, label))
            rows.append('<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>' % (
                left, y, max(1, x(r['rate']) - left), bar - 4, colour(w)))
            rows.append('<text x="%.1f" y="%d">%s</text>' % (
                x(r['rate']) + 6, y + 12, number(r['rate'])))
            y += bar
        y += 26
    grid = []
    for power in range(1, 6):
        gx = x(10 ** power)
        grid.append('<line x1="%.1f" y1="40" x2="%.1f" y2="%d" stroke="#ddd"/>' % (gx, gx, y))
        grid.append('<text x="%.1f" y="%d" text-anchor="middle" class="g">%s</text>' % (
            gx, y + 14, number(10 ** power)))
    return ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
            'font-family="sans-serif" font-size="12">\n'
            '<style>.h{font-weight:bold}.g{fill:#777}text{fill:#222}</style>\n'
            '<rect width="100%%" height="100%%" fill="#fff"/>\n'
            '<text x="12" y="22" font-size="15" class="h">No-op tasks per second on Redis, '
            '%d CPUs (logarithmic)</text>\n%s\n%s\n</svg>\n' % (
                width, y + 26, report['machine']['cpus'], '\n'.join(grid), '\n'.join(rows)))
