# SPDX-License-Identifier: LGPL-2.1-or-later
"""--as-of: while writers work on a tree, its state is kept at several moments; asked later about each of those moments,
the record must say the same: `files` of all and of a directory, `show`, and `log`. A moment that lies in a gap says so.
More: SEEDS=1,2,3 OPS=200 ROUNDS=20 tests/system/test-as-of.py"""

import os
import random
import time

import harness
from harness import check, compare, diag, equal, name_of, snapshot, wait_for, write
from operations import populate, start_writers

OPS = int(os.environ.get('OPS', '60'))
ROUNDS = int(os.environ.get('ROUNDS', '6'))
SEEDS = os.environ.get('SEEDS') or f'1,{random.SystemRandom().randrange(1 << 32)}'


class Moment:
    """A tree at rest, and when that was."""

    def __init__(self, daemon, tree):
        daemon.at_rest('t', tree)
        self.tree = snapshot(tree)
        self.seq = daemon.newest()
        self.time = time.time()

    def option(self):
        return f'--as-of=@{self.time:.6f}'


def same_tree(daemon, root, moment, dice):
    compare(daemon.ctl('files', 't', moment.option()), moment.tree)
    directories = sorted(path for path, state in moment.tree.items() if state['type'] == 'directory' and len(path) < 3000)
    for path in dice.sample(directories, min(3, len(directories))):
        below = {name: state for name, state in moment.tree.items() if (name + b'/').startswith(path + b'/')}
        compare(daemon.ctl('files', os.path.join(os.fsencode(root), path), moment.option()), below)
    paths = sorted(path for path in moment.tree if len(path) < 3000)
    for path in dice.sample(paths, min(8, len(paths))):
        compare(daemon.ctl('show', os.path.join(os.fsencode(root), path), moment.option()), {path: moment.tree[path]})


def same_log(daemon, moment):
    rows = daemon.ctl('log', '--reverse', moment.option())
    equal([row['seq'] for row in rows], list(range(moment.seq, 0, -1)), 'the log as of then')


def rename_whole(root, number):
    """A directory with things in it goes on to its next name; the writers may have taken it away."""
    old, new = (os.path.join(root, f'whole{n}') for n in (number, number + 1))
    if not os.path.lexists(old):
        os.makedirs(os.path.join(old, 'sub'))
        write(os.path.join(old, 'sub', 'file'), b'carried along')
    if not os.path.lexists(new):
        os.rename(old, new)


def asked_later_the_tree_is_what_it_was(seed):
    with harness.Daemon() as daemon:
        root, outside = os.path.join(daemon.top, 'tree'), os.path.join(daemon.top, 'outside')
        os.mkdir(root)
        os.mkdir(outside)
        populate(root, seed)
        before = time.time()
        daemon.add(root, 't')
        moments = [Moment(daemon, root)]
        for number in range(ROUNDS):
            start_writers(root, outside, f'{seed}:{number}', 2, OPS)()
            rename_whole(root, number)
            moments.append(Moment(daemon, root))
        dice = random.Random(seed)
        for moment in moments:
            same_tree(daemon, root, moment, dice)
            same_log(daemon, moment)
        done = daemon.ctl_run('files', 't', f'--as-of=@{before - 1:.6f}')
        equal(done.returncode, 4, 'the exit status of a question about the time before')
        check(b'begins later' in done.stderr, f'it says {done.stderr!r}')


def a_directory_that_was_renamed_and_one_that_is_gone_are_where_they_were():
    with harness.Daemon() as daemon:
        root = os.path.join(daemon.top, 'tree')
        os.makedirs(os.path.join(root, 'a', 'deep', 'er'))
        write(os.path.join(root, 'a', 'deep', 'er', 'file'), b'one')
        os.mkdir(os.path.join(root, 'gone'))
        write(os.path.join(root, 'gone', 'file'), b'two')
        daemon.add(root, 't')
        first = Moment(daemon, root)
        os.rename(os.path.join(root, 'a'), os.path.join(root, 'b'))
        os.unlink(os.path.join(root, 'gone', 'file'))
        os.rmdir(os.path.join(root, 'gone'))
        write(os.path.join(root, 'gone'), b'a file now')
        write(os.path.join(root, 'b', 'deep', 'er', 'file'), b'three')
        second = Moment(daemon, root)
        for moment in first, second:
            compare(daemon.ctl('files', 't', moment.option()), moment.tree)
        path = os.path.join(root, 'a', 'deep', 'er', 'file')
        equal(daemon.ctl('show', path, first.option())[0]['size'], 3, 'the size that it had under its old name')
        equal(daemon.ctl_run('show', path, second.option()).returncode, 4, 'the exit status under a name that it left')
        equal(daemon.ctl_run('show', path).returncode, 4, 'the same without a time')


def a_dataset_added_inside_later_was_part_of_the_one_around_it():
    with harness.Daemon() as daemon:
        root = os.path.join(daemon.top, 'tree')
        inner = os.path.join(root, 'inner')
        os.makedirs(os.path.join(inner, 'd'))
        write(os.path.join(inner, 'd', 'file'), b'one')
        daemon.add(root, 't')
        first = Moment(daemon, root)
        daemon.add(inner, 'i')
        daemon.settle()
        now = time.time()
        write(os.path.join(inner, 'd', 'file'), b'another')
        daemon.settle()
        compare(daemon.ctl('files', 't', first.option()), first.tree)
        equal(daemon.ctl('show', os.path.join(inner, 'd', 'file'), first.option())[0]['dataset'], 't', 'whose it was')
        equal([name_of(row) for row in daemon.ctl('files', 't', f'--as-of=@{now:.6f}')], [b'inner'], 'what is left')
        rows = daemon.ctl('files', 'i', f'--as-of=@{now:.6f}')
        equal([(name_of(row), row.get('size')) for row in rows], [(b'd', None), (b'd/file', 3)], 'the inner one')
        equal(daemon.ctl_run('files', 'i', first.option()).returncode, 4, 'the inner one before it was')


def a_moment_in_a_gap_says_so():
    with harness.Daemon() as daemon:
        root = os.path.join(daemon.top, 'tree')
        os.mkdir(root)
        write(os.path.join(root, 'file'), b'one')
        daemon.add(root, 't')
        first = Moment(daemon, root)
        daemon.stop()
        time.sleep(0.1)
        write(os.path.join(root, 'file'), b'unseen')
        within = f'--as-of=@{time.time():.6f}'
        daemon.start()
        wait_for(lambda: daemon.closed('t'), 'the gap is closed')
        daemon.at_rest('t', root)
        rows = daemon.ctl('files', 't', within)
        equal([(row['gap'], row['size']) for row in rows], [('stopped', 3)], 'what is answered of a time in the gap')
        equal(daemon.ctl('show', os.path.join(root, 'file'), within)[0]['gap'], 'stopped', 'the same of show')
        for words in ('files', 't'), ('show', os.path.join(root, 'file')), ('log',):
            done = daemon.ctl_run(*words, within)
            check(b'lies in a gap (stopped)' in done.stderr, f'{words} says {done.stderr!r}')
        done = daemon.ctl_run('files', 't', '--as-of=now')
        check(b'gap' not in done.stderr, f'of now it says {done.stderr!r}')
        check('gap' not in daemon.ctl('files', 't', first.option())[0], 'before the gap there was one')
        equal(daemon.ctl_run('log', '--follow', '--as-of=now').returncode, 2, 'following the past')


def main():
    tests = [(f'asked later, the tree is what it was (seed {seed})',
              lambda seed=seed: asked_later_the_tree_is_what_it_was(int(seed))) for seed in SEEDS.split(',')]
    diag('again: SEEDS=' + SEEDS)
    harness.run([
        *tests,
        ('a directory that was renamed, and one that is gone, are where they were',
         a_directory_that_was_renamed_and_one_that_is_gone_are_where_they_were),
        ('a dataset added inside later was part of the one around it',
         a_dataset_added_inside_later_was_part_of_the_one_around_it),
        ('a moment in a gap says so', a_moment_in_a_gap_says_so),
    ])


main()
