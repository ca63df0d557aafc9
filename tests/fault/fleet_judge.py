# SPDX-License-Identifier: BSD-3-Clause
"""The verdict on a run of fleet.py."""

import collections
import json
import re

import fleet_flow
import lib

Sent = collections.namedtuple('Sent', 'time who tag retries redelivered group')


def group_of(key):
    """Of celery-taskset-meta-<id>.j and the like."""
    return key.rsplit('.', 1)[0].replace('celery-taskset-meta-', '')


class Traffic:
    """The events of fleet_watch.py by task and by chord."""

    def __init__(self, events):
        self.sent = collections.defaultdict(list)  # task id: each time it was queued
        self.settled, self.taken = {}, {}
        self.parts = {}  # group id: who counted the last part
        self.ended = {}  # group id: who removed its parts; Python 5.6 leaves no mark then
        self.applied = collections.Counter()  # group id: how often a chord began
        self.groups = collections.defaultdict(set)  # task id: groups it was a part of
        for e in events:
            if e[0] == 'sent':
                s = Sent(e[1], e[2], e[3], e[5], e[6], e[7])
                self.sent[e[4]].append(s)
                if s.group:
                    self.groups[e[4]].add(s.group)
            elif e[0] == 'taken':
                self.taken.setdefault(e[3], []).append(e[2])
            elif e[0] == 'settled':
                self.settled[e[3]] = e[2]
            elif e[0] == 'chord':
                self.applied[group_of(e[3])] += 1
            elif e[0] == 'part':
                self.parts[group_of(e[3])] = e[2]
            elif e[0] == 'ended':
                self.ended.setdefault(group_of(e[3]), set()).add(e[2])

    def messages(self, task_id):
        """{retries: who sent each message}; one that is delivered again stays the same."""
        found, tags = collections.defaultdict(list), set()
        for s in self.sent[task_id]:
            if s.tag not in tags:
                tags.add(s.tag)
                found[s.retries].append(s.who)
        return found

    def begun_anew(self, group):
        """No part of it was sent, or parts that were also sent for another id."""
        members = [m for m, groups in self.groups.items() if group in groups]
        return not members or any(len(self.groups[m]) > 1 for m in members)

    def story(self, task_id):
        return '; '.join('%s sent %.2f by %s%s, taken by %s, settled by %s' % (
            s.tag[:8], s.time % 1000, s.who, ' again' if s.redelivered else '',
            self.taken.get(s.tag), self.settled.get(s.tag)) for s in self.sent[task_id])


def runs_of(fleet):
    """{(flow, no): [(kind, retries, redelivered)]}"""
    found = collections.defaultdict(list)
    for line in fleet.db2.lrange('ran', 0, -1):
        flow, no, kind, retries, again, _ = line.decode().split()
        found[int(flow), int(no)].append((kind, int(retries), again == '1'))
    return found


def wrong_results(fleet, traffic):
    """[(flow, text)] of the steps that have not ended as worked out."""
    found = []
    for flow in fleet.flows:
        docs = fleet.db1.mget(['celery-task-meta-' + x.id for x in flow.leaves])
        for leaf, doc in zip(flow.leaves, docs):
            why = fleet_flow.wrong(leaf, doc and json.loads(doc))
            if why:
                found.append((flow, 'workflow %d, step %d (%s) %s: %s' % (
                    flow.number, leaf.no, leaf.kind, why,
                    traffic.story(leaf.id) or 'never sent')))
    return found


def wrong_runs(fleet, runs):
    """Steps that must not run and did, or have run too seldom for their result."""
    found = []
    for flow in fleet.flows:
        for leaf in flow.leaves:
            n = len({r[1] for r in runs[flow.number, leaf.no]})
            if leaf.expect[0] == 'never' and n:
                found.append('workflow %d, step %d ran' % (flow.number, leaf.no))
            elif leaf.expect[0] in ('value', 'called') and n != leaf.runs():
                found.append('workflow %d, step %d (%s): %d tries, not %d' % (
                    flow.number, leaf.no, leaf.kind, n, leaf.runs()))
    return found


def sent_again(fleet, traffic):
    """Counter of who sent a message although there was one for that step and try."""
    found = collections.Counter()
    for flow in fleet.flows:
        for leaf in flow.leaves:
            for who in traffic.messages(leaf.id).values():
                found.update(who[1:])
    return found


def bodies_again(fleet, traffic):
    """(Counter of who sent a body again, texts where C workers did so for the same chord). A
    step that is run again applies the chord behind it again, with its body."""
    found, texts = collections.Counter(), []
    for flow in fleet.flows:
        for header, body in fleet_flow.chords(flow.root):
            who = traffic.messages(body.id)[0]
            applied = sum(traffic.applied[g] for g in
                          set().union(*[traffic.groups[m] for m in header]))
            found.update(who[applied:])
            if len(who) > applied and 'python' not in who:
                texts.append('workflow %d: body %d was sent %d times for %d: %s' % (
                    flow.number, body.no, len(who), applied, traffic.story(body.id)))
    return found, texts


def left_over(fleet, traffic):
    """Keys that are still there: {why: names}.  'wrong' are those nothing explains."""
    found = collections.defaultdict(list)
    for k in lib.leftover_keys(fleet.db0):
        # Leases end by themselves; the mutex of a dead Python worker too.
        if '.celery-c.lease.' in k or k.startswith('unacked_mutex'):
            continue
        passing = '.celery-c.starts.' in k and fleet.db0.ttl(k) > 0
        said = fleet.db0.lindex(k, 0)[:300] if k.endswith('.celery-c.dead') else b''
        found['starts of messages that Python settled' if passing else 'wrong'].append(
            ('%s %s' % (k, said.decode(errors='replace'))).strip())
    failed = {g for f in fleet.flows if f.failed for x in f.leaves
              for g in traffic.groups[x.id]}
    for k in lib.leftover_keys(fleet.db1):
        group, ttl = group_of(k), fleet.db1.ttl(k)
        last = traffic.parts.get(group)
        why = 'wrong'
        if ttl == -2:
            continue  # it ended meanwhile
        if ttl < 0:
            pass
        elif k.endswith('.c') and ttl <= 300 and fleet.db1.get(k) == b'done':
            why = 'marks of chords that are done, for late parts'
        elif group in failed:
            why = 'of failed chords, left to expire as Celery does'
        elif last == 'python' or 'python' in traffic.ended.get(group, ()):
            why = 'of chords that Python counted or ended last'
        elif traffic.begun_anew(group):
            # A chord within a chord gets a new id each time it is applied, as Celery does.
            why = 'of chords whose sender died over them, and which were begun anew'
        elif traffic.applied[group] > 1 and group in traffic.ended:
            # The mark that it is done takes the first parts for late ones.
            why = 'of chords that were over when they were applied again'
        elif not k.endswith('.s') and group in traffic.ended and (
                not fleet.db1.exists('celery-taskset-meta-%s.s' % group)):
            # A step that ran again sent the parts again, which count for a next run.
            why = 'of parts that were sent again when their chord was over'
        found[why].append('%s (last part by %s, %d s)' % (k, last, ttl))
    return found


def judge(fleet, events):
    traffic, runs = Traffic(events), runs_of(fleet)
    bad = [text for _, text in wrong_results(fleet, traffic)]
    bad += wrong_runs(fleet, runs)
    bodies, texts = bodies_again(fleet, traffic)
    keys = left_over(fleet, traffic)
    flows, every = fleet.flows, [r for k in runs for r in runs[k]]
    by = collections.Counter(r[0] for r in every)
    print('%d workflows of %d steps, %.0f s; %d end with a value, %d with their failure' % (
        len(flows), sum(len(f.leaves) for f in flows), fleet.took,
        sum(not f.failed for f in flows), sum(bool(f.failed) for f in flows)))
    print('killed: %s; ended by themselves: %s' % (
        dict(fleet.kills) or 'none', collections.Counter(e[0] for e in fleet.ended) or 'none'))
    print('runs: %s; of messages delivered again: %d' % (
        dict(by), sum(r[2] for r in every)))
    print('steps sent again by: %s; bodies of one chord sent again by: %s' % (
        dict(sent_again(fleet, traffic)) or 'none', dict(bodies) or 'none'))
    print('lost by Python between BRPOP and unacked, put back: %d' % len(fleet.put_back))
    if fleet.called_again:
        print('chords that Python forgot after it died with a claim, called by a part put '
              'back: %d' % len(fleet.called_again))
    for why, names in sorted(keys.items()):
        print('keys left over, %s: %d' % (why, len(names)))
    faults = bad + texts + ['left over: ' + k for k in keys['wrong']]
    unseen = set(traffic.settled) - {s.tag for sent in traffic.sent.values() for s in sent}
    if unseen:
        faults.append('%d messages were settled that nobody was seen to send: fleet_watch.py '
                      'does not know how' % len(unseen))
    faults += ['a worker ended: %s %s\n%s' % e for e in fleet.ended if e[0] == 'c']
    shapes = {int(n) for text in faults for n in re.findall(r'^workflow (\d+)', text)}
    for text in faults[:20]:
        print('  ' + text)
    for n in sorted(shapes)[:10]:
        print('  workflow %d: %s' % (n, flows[n].root))
    print('%d passed, %d failed, 0 skipped' % (len(flows), len(faults)))
    if fleet.options.fleet == 'python':
        return 0
    return 1 if faults else 0
