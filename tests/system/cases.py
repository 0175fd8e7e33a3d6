# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the hard cases share: a daemon that watches an empty tree, with a folder beside it that is not watched."""

import os
import subprocess

import harness
from harness import check, equal, fast, name_of, need, need_root, skip


class Stage:
    """settings: of scitraced.conf; tree: whether the tree is watched from the start, as dataset t; run: what the
    daemon is started by (a command that takes another one)."""

    def __init__(self, settings=None, tree=True, run=()):
        self.daemon = harness.Daemon(settings=harness.CALM + (settings or ''), run=run)
        self.tree = os.path.join(self.daemon.top, 'tree')
        self.outside = os.path.join(self.daemon.top, 'outside')
        os.mkdir(self.outside)
        os.mkdir(self.tree)
        self.add = tree
        if run:
            give(self.daemon.top)

    def __enter__(self):
        self.daemon.__enter__()
        try:
            if self.add:
                self.daemon.add(self.tree, 't')
                self.rest()
        except BaseException:
            self.daemon.tell()
            self.daemon.abandon()
            raise
        return self

    def __exit__(self, *error):
        return self.daemon.__exit__(*error)

    def at(self, name):
        return os.path.join(self.tree, name)

    def beside(self, name):
        return os.path.join(self.outside, name)

    def rest(self):
        return self.daemon.at_rest('t', self.tree)

    def causes(self):
        return sorted({gap['cause'] for gap in self.daemon.gaps('t')})

    def rows(self, after=0):
        """What happened, as people read it."""
        return [(row['kind'], row.get('path')) for row in self.daemon.events(after)]

    def during(self, work):
        """Does work, and returns the rows that it led to once it is at rest."""
        before = self.daemon.newest()
        work()
        self.rest()
        return self.daemon.events(before)


def seen_live(daemon, name, after, status):
    """Nothing was missed and nothing looked at again: no overflow, no gap, every event since `after` live, and no
    directory walked twice but for a few: one that is seen in its new place before the notice of its move has come (on
    a busy machine, a watcher that lags) is listed there. Who rescans walks all of them. Two renames that cannot be told
    from an exchange may be an overflow once in a hundred runs, honestly: for tests that are measured()."""
    fast(status['overflows'] == 0, f'{status["overflows"]} overflows')
    equal(status['watcherRestarts'], 0, 'watcherRestarts')
    equal(daemon.gaps(name), [], 'gaps')
    check(status['walkedTwice'] <= 2 + status['watches'] // 5,
          f'{status["walkedTwice"]} of {status["watches"]} directories walked twice')
    late = [row for row in daemon.events(after) if row['origin'] != 'live']
    check(not late, f'{len(late)} events are not live, the first: {late[:1]}')


NOBODY = 65534


def as_a_user():
    """What starts a program as a user with no rights of its own: nothing more, when we are none."""
    if os.getuid() != 0:
        return []
    need('setpriv')
    run = ['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups']
    if subprocess.run([*run, 'test', '-x', harness.program('scitraced')], check=False).returncode != 0:
        skip('the build folder is closed to other users')
    return run


def give(path):
    """All of it to that user."""
    if os.getuid() == 0:
        subprocess.run(['chown', '-hR', f'{NOBODY}:{NOBODY}', path], check=True)


def mounted(kind, source, target, *options):
    need_root('mounting')
    done = subprocess.run(['mount', *kind, *options, source, target], check=False, stderr=subprocess.PIPE)
    if done.returncode != 0:
        skip(f'mount is refused here: {done.stderr.decode().strip()}')


class Held:
    """Which node held a name last, and each node's newest event: what `replaces` must say."""

    def __init__(self, rows=()):
        self.node, self.last = {}, {}
        for row in rows:
            self.take(row)

    def expected(self, path):
        return self.last.get(self.node.get(path))

    def take(self, row):
        path, old = name_of(row), name_of(row, 'oldPath')
        before = dict(self.node)
        if row['kind'] in ('rename', 'exchange'):
            for source, target in ((old, path), (path, old))[:1 if row['kind'] == 'rename' else 2]:
                for name, node in before.items():
                    if name.startswith(source + b'/'):
                        self.node[target + name[len(source):]] = node
            if row['kind'] == 'exchange':
                self.node[old] = before.get(path)
        if row.get('node') is not None:
            if path is not None and row['kind'] != 'unlink':
                self.node[path] = row['node']
            self.last[row['node']] = row['seq']
