# SPDX-License-Identifier: BSD-3-Clause
"""Random workflows for fleet.py: drawn from a seed, made into Celery's canvas, and worked out
beforehand without Celery."""

import uuid

PRIME = 1000003
RETRIES = 4  # max_retries of the tasks that retry
DEPTH = 3


class Failed(Exception):
    """What a step ends with: its expectation."""


class Leaf:
    """One task.  start: its own first argument, None where the step before gives it."""

    def __init__(self, flow, rng, has_input, kind=None):
        self.no = len(flow.leaves)
        flow.leaves.append(self)
        self.id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        self.kind = kind or rng.choices(['step', 'flaky', 'auto'], [8, 1, 1])[0]
        self.immutable = has_input and rng.random() < 0.1
        self.start = None if has_input and not self.immutable else rng.randrange(PRIME)
        self.ms = rng.choice([0, 0, 1, 2, 5, 10, 20])
        self.factor = rng.randrange(1, 1000)
        self.tries = rng.randrange(1, 3) if self.kind in ('flaky', 'auto') else 0
        self.link, self.errbacks = None, []
        self.expect = ('never',)

    def turn_bad(self, rng):
        """Fails on purpose: at once, or by retrying too often."""
        self.kind = rng.choice(['boom', 'boom', 'flaky', 'auto'])
        self.tries = 99 if self.kind != 'boom' else 0

    @property
    def bad(self):
        return self.kind == 'boom' or self.tries > RETRIES

    def runs(self):
        """How often it is run when no worker dies."""
        return 1 + min(self.tries, RETRIES)

    def canvas(self, app, flow):
        args = [flow.number, self.no, self.ms, self.factor]
        if self.kind in ('flaky', 'auto'):
            args.append(self.tries)
        if self.start is not None:
            args.insert(0, self.start)
        sig = app.signature('f.' + self.kind, tuple(args), immutable=self.immutable,
                            options={'task_id': self.id, 'queue': flow.queue})
        if self.link:
            sig.link(self.link.canvas(app, flow))
        for e in self.errbacks:
            sig.link_error(app.signature(
                'f.err', kwargs={'flow': flow.number, 'no': e.no},
                options={'task_id': e.id, 'queue': flow.queue}))
        return sig

    def work_out(self, given):
        x = self.start if self.start is not None else given
        if self.bad:
            self.expect = ('failed', 'ValueError' if self.kind != 'auto' else 'OSError',
                           'bad %d' % self.no)
            for e in self.errbacks:
                e.expect = ('called',)
            raise Failed(*self.expect)
        value = (fold(x) * 31 + self.factor) % PRIME
        self.expect = ('value', value)
        if self.link:
            self.link.work_out(value)
        return value

    def last(self):
        return self

    def __str__(self):
        return '%d%s%s%s%s' % (
            self.no, '!' * self.bad, 'i' * self.immutable,
            '>%s' % self.link if self.link else '',
            ''.join('/%d' % e.no for e in self.errbacks))


def fold(x):
    """A number from a number or a list, in which order and nesting tell."""
    if not isinstance(x, list):
        return x
    value = 7
    for item in x:
        value = (value * 33 + fold(item) + 5 * isinstance(item, list)) % PRIME
    return value


class Chain:
    def __init__(self, items):
        self.items = items

    def canvas(self, app, flow):
        from celery import chain
        return chain(*[i.canvas(app, flow) for i in self.items])

    def work_out(self, given):
        at = 0
        try:
            while at < len(self.items):
                given = self.items[at].work_out(given)
                at += 1
        except Failed as why:
            later = self.items[at + 1:]
            if isinstance(self.items[at], Leaf):
                # Celery writes the failure under the ids of the steps that wait.
                for leaf in later:
                    leaf.expect = why.args
            elif later:
                # A group becomes the header of a chord with the next step as its body.
                fail_body(later[0], why)
            raise
        return given

    def last(self):
        return self.items[-1].last()

    def __str__(self):
        return '(%s)' % ' | '.join(map(str, self.items))


class Group:
    def __init__(self, items):
        self.items = items

    def canvas(self, app, flow):
        from celery import group
        return group(*[i.canvas(app, flow) for i in self.items], app=app)

    def work_out(self, given):
        values, why = [], None
        for item in self.items:
            try:
                values.append(item.work_out(given))
            except Failed as exc:
                why = why or exc
        if why:
            raise why
        return values

    def last(self):
        return None

    def __str__(self):
        return '[%s]' % ', '.join(map(str, self.items))


class Chord:
    def __init__(self, header, body):
        self.header, self.body = header, body

    def canvas(self, app, flow):
        from celery import chord
        return chord([i.canvas(app, flow) for i in self.header.items],
                     self.body.canvas(app, flow), app=app)

    def work_out(self, given):
        try:
            values = self.header.work_out(given)
        except Failed as why:
            fail_body(self.body, why)
            raise
        return self.body.work_out(values)

    def last(self):
        return self.body.last()

    def __str__(self):
        return '{%s %s}' % (self.header, self.body)


def chords(node):
    """[(ids of what its header waits for, first step of its body)] of each chord."""
    if isinstance(node, Group):
        return [c for i in node.items for c in chords(i)]
    if isinstance(node, Chord):
        body = node.body if isinstance(node.body, Leaf) else node.body.items[0]
        return chords(node.header) + [({i.last().id for i in node.header.items}, body)]
    if isinstance(node, Chain):
        found = [c for i in node.items for c in chords(i)]
        for item, body in zip(node.items, node.items[1:]):
            if isinstance(item, Group) and isinstance(body, Leaf):
                found.append(({i.last().id for i in item.items}, body))
        return found
    return []


def fail_body(leaf, why):
    leaf.expect = ('failed', 'ChordError', why.args[2])
    for e in leaf.errbacks:
        e.expect = ('called',)


class Errback:
    def __init__(self, flow, rng):
        self.no = len(flow.leaves)
        flow.leaves.append(self)
        self.id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        self.expect = ('never',)
        self.kind = 'err'

    @staticmethod
    def runs():
        return 1


class Flow:
    """One workflow.  leaves[n].no == n; each has its id and what it must end with."""

    def __init__(self, number, rng, queue):
        self.number, self.queue, self.rng = number, queue, rng
        self.leaves = []
        self.root = self.draw_root()
        self.bad = rng.random() < 0.2 and self.make_bad()
        for leaf in list(self.leaves):
            if isinstance(leaf, Leaf) and (leaf.bad or rng.random() < 0.08):
                if not leaf.bad or rng.random() < 0.8:
                    leaf.errbacks.append(Errback(self, rng))
        for leaf in list(self.leaves):
            if isinstance(leaf, Leaf) and not leaf.bad and rng.random() < 0.06:
                leaf.link = self.draw_small(True)
        self.failed = None
        try:
            self.root.work_out(None)
        except Failed as why:
            self.failed = why.args

    # ---- drawing ----

    def draw_root(self):
        kind = self.rng.choices(['chain', 'chord', 'group', 'leaf'], [6, 4, 2, 1])[0]
        return self.draw(kind, DEPTH, False, end=True)

    def draw(self, kind, depth, has_input, end=False):
        """end: nobody waits for this node, so it may be a group."""
        rng = self.rng
        if kind == 'leaf' or depth <= 0:
            return Leaf(self, rng, has_input)
        if kind == 'chain':
            return self.draw_chain(depth, has_input, end)
        items = [self.draw_part(depth - 1, has_input) for _ in range(rng.randrange(2, 5))]
        if kind == 'group':
            return Group(items)
        return Chord(Group(items), self.draw_body(depth - 1))

    def draw_part(self, depth, has_input):
        kind = self.rng.choices(['leaf', 'chain', 'chord'], [6, 2, 1])[0]
        return self.draw(kind, depth, has_input)

    def draw_body(self, depth):
        kind = self.rng.choices(['leaf', 'chain'], [4, 1])[0]
        if kind == 'leaf' or depth <= 0:
            return Leaf(self, self.rng, True)
        return Chain([Leaf(self, self.rng, True) for _ in range(2)])

    def draw_chain(self, depth, has_input, end):
        rng, items = self.rng, []
        n = rng.randrange(2, 6)
        for i in range(n):
            last = i == n - 1
            after_group = bool(items) and isinstance(items[-1], Group)
            # A chord right behind a group is more than Celery can join: it lets each member
            # of the group call the chord.  Nor a chain there, which may begin with one.
            weights = [10, 0 if after_group else 1, 0 if after_group else 2,
                       2 if end or not last and not after_group else 0]
            kind = rng.choices(['leaf', 'chain', 'chord', 'group'], weights)[0]
            if kind == 'group' and after_group:
                kind = 'leaf'
            got = self.draw(kind, depth - 1, has_input or i > 0)
            # A chain within a chain is its steps.
            items += got.items if isinstance(got, Chain) else [got]
        return Chain(items)

    def draw_small(self, has_input):
        if self.rng.random() < 0.6:
            return Leaf(self, self.rng, has_input)
        if self.rng.random() < 0.5:
            return Chain([Leaf(self, self.rng, has_input), Leaf(self, self.rng, True)])
        return Group([Leaf(self, self.rng, has_input) for _ in range(2)])

    # ---- failing on purpose ----

    def make_bad(self):
        """Lets one step fail, where Celery promises to tell those who wait for it."""
        places = self.places(self.root, False)
        if places:
            self.rng.choice(places).turn_bad(self.rng)
        return bool(places)

    def places(self, node, in_chord):
        """in_chord: a chord waits for the node. Celery 5.6 does not tell it of a chord that
        failed in it, and nobody of a chord that failed before a chain
        (celery/backends/base.py chord_error_from_stack: the body alone, by its own id)."""
        if isinstance(node, Leaf):
            return [node]
        if isinstance(node, Group):
            return [p for i in node.items for p in self.places(i, in_chord)]
        if isinstance(node, Chord):
            if in_chord or not isinstance(node.body, Leaf):
                return self.places(node.body, in_chord)
            return self.places(node.header, True) + [node.body]
        found = []
        for at, item in enumerate(node.items):
            later = node.items[at + 1:]
            if isinstance(item, Leaf):
                found += [item] if all(isinstance(i, Leaf) for i in later) else []
            elif not later:
                found += self.places(item, in_chord)
            elif isinstance(item, Group) and not in_chord and len(later) == 1 and (
                    isinstance(later[0], Leaf)):
                found += self.places(item, True)
        return found

    # ---- sending and checking ----

    def send(self, app):
        return self.root.canvas(app, self).apply_async()

    def awaited(self):
        """The steps that must end."""
        return [x for x in self.leaves if x.expect[0] != 'never']


def wrong(leaf, meta):
    """What is wrong with the stored result of a step; None: nothing."""
    what, state = leaf.expect[0], meta and meta['status']
    if what == 'never':
        return None if state in (None, 'FAILURE') else 'has state %s, never ran' % state
    if not meta:
        return 'has no result'
    if what == 'value':
        if state == 'SUCCESS' and meta['result'] == leaf.expect[1]:
            return None
        return 'is %s %r, not %d' % (state, meta['result'], leaf.expect[1])
    if what == 'called':
        return None if state == 'SUCCESS' and meta['result'] == leaf.no else (
            'is %s %r, not called' % (state, meta['result']))
    good = state == 'FAILURE' and meta['result']['exc_type'] == leaf.expect[1] and (
        leaf.expect[2] in str(meta['result']['exc_message']))
    return None if good else 'is %s %r, not %s' % (state, meta['result'], leaf.expect)
