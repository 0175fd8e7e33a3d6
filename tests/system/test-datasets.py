# SPDX-License-Identifier: LGPL-2.1-or-later
"""Datasets within datasets, beside, around and in place of one another."""

import contextlib
import os
import shutil
import subprocess
import time

import harness
from harness import check, compare, equal, fast, measured, name_of, need_root, skip, snapshot, wait_for, write


class Stage:
    """outer/ with outer/a/inner/ in it, and beside/, on one file system."""

    def __init__(self, *added):
        self.daemon = harness.Daemon(settings=harness.CALM)
        self.roots = {'outer': self.at('outer'), 'inner': self.at('outer/a/inner'), 'beside': self.at('beside')}
        self.added = added
        os.makedirs(self.at('outer/a/inner/deep/er'))
        os.makedirs(self.at('outer/a/other'))
        os.mkdir(self.at('beside'))
        write(self.at('outer/top'), b'top')
        write(self.at('outer/a/file'), b'file')
        write(self.at('outer/a/inner/one'), b'one')
        write(self.at('outer/a/inner/deep/er/two'), b'two' * 1000)
        write(self.at('beside/b'), b'beside')

    def __enter__(self):
        self.daemon.__enter__()
        for name in self.added:
            self.add(name)
            self.rest()
        return self

    def __exit__(self, kind, *error):
        try:
            if kind is None:            # all of it follows from the events
                done = self.daemon.ctl_run('verify')
                equal(done.returncode, 0, f'verify ({done.stdout!r} {done.stderr!r})')
        finally:
            self.daemon.__exit__(kind, *error)

    def at(self, path):
        return os.path.join(self.daemon.top, path)

    def add(self, name, *options):
        done = self.daemon.ctl_run('add', self.roots[name], '--name', name, *options)
        equal(done.returncode, 0, f'add {name} ({done.stderr!r})')

    def datasets(self):
        return {row['name']: row for row in self.daemon.ctl('datasets')}

    def expected(self, name):
        """What the record of a dataset must be: its tree, and of the roots inside only their names."""
        root = self.roots[name]
        inside = [os.path.relpath(other, root).encode() + b'/' for key, other in self.roots.items()
                  if key in self.datasets() and other.startswith(root + '/')]
        return {path: state for path, state in snapshot(root).items()
                if not any(path.startswith(prefix) for prefix in inside)}

    def rest(self, *names):
        """The datasets settle, and each equals its own part of the tree, in its files and in its counters."""
        self.daemon.settle()
        for name in names or self.datasets():
            tree = self.expected(name)
            compare(self.daemon.ctl('files', name), tree)
            files = [state for state in tree.values() if state['type'] == 'file']
            row = self.datasets()[name]
            equal((row['files'], row['bytes']), (len(files), sum(state['size'] for state in files)),
                  f'counters of {name}')

    def log(self, *arguments):
        return sorted(self.daemon.ctl('log', '-n', '100000', *arguments), key=lambda row: row['seq'])

    def rows(self, after, *arguments):
        return [(row['kind'], row['dataset'], row.get('path')) for row in self.log(*arguments) if row['seq'] > after]

    def causes(self, name):
        return sorted({gap['cause'] for gap in self.daemon.gaps(name)})


def a_root_inside_of_a_dataset_takes_its_names_with_it():
    with Stage('outer') as stage:
        before = stage.daemon.newest()
        stage.add('inner')
        stage.rest()
        equal([row for row in stage.rows(before) if row[0] not in ('gap-open', 'gap-close')],
              [('dataset-add', 'inner', None), ('rehome', 'inner', None)], 'events of the add')
        equal(stage.causes('inner') + stage.causes('outer'), [], 'gaps')
        rehome = [row for row in stage.log() if row['kind'] == 'rehome'][0]
        equal((rehome['oldPath'], rehome['oldDataset']), ('a/inner', 'outer'), 'where the names were')
        check(('rehome', 'inner', None) in stage.rows(before, '--dataset', 'outer'), 'the outer log has the rehome')


def what_happens_inside_is_filed_inside():
    with Stage('outer', 'inner') as stage:
        before = stage.daemon.newest()
        write(stage.at('outer/a/inner/deep/new'), b'new')
        write(stage.at('outer/a/new'), b'new')
        stage.rest()
        equal(sorted(stage.rows(before)), [('create', 'inner', 'deep/new'), ('create', 'outer', 'a/new')], 'events')


def a_root_around_a_dataset_lists_it_as_a_directory():
    with Stage('inner', 'outer') as stage:
        paths = [name_of(row) for row in stage.daemon.ctl('files', 'outer')]
        check(b'a/inner' in paths, 'the inner root has its name in the outer dataset')
        before = stage.daemon.newest()
        os.makedirs(stage.at('outer/a/inner/x/y'))
        write(stage.at('outer/a/inner/x/y/z'), b'z')
        stage.rest()
        equal({row[1] for row in stage.rows(before)}, {'inner'}, 'datasets of the events')
        equal(stage.causes('outer'), [], 'gaps of the outer one')


def an_inner_dataset_that_is_removed_leaves_its_names_to_the_outer_one():
    with Stage('outer', 'inner') as stage:
        uuid = stage.datasets()['inner']['uuid']
        before = stage.daemon.newest()
        equal(stage.daemon.ctl_run('remove', 'inner').returncode, 0, 'remove')
        write(stage.at('outer/a/inner/deep/er/later'), b'later')
        os.unlink(stage.at('outer/a/inner/one'))
        stage.rest()
        rows = stage.rows(before)
        equal(rows[:2], [('dataset-remove', 'inner', None), ('rehome', 'outer', 'a/inner')], 'events of the remove')
        equal(sorted(rows[2:]), [('create', 'outer', 'a/inner/deep/er/later'), ('unlink', 'outer', 'a/inner/one')],
              'events since')
        equal(len(stage.daemon.ctl('log', '-n', '100', '--dataset', uuid)) > 0, True, 'the record by UUID')
        equal(stage.causes('outer'), [], 'gaps of the outer one')
        stage.add('inner')
        stage.rest()
        equal(stage.datasets()['inner']['uuid'], uuid, 'UUID of the resumed one')
        equal(stage.causes('inner'), ['removed'], 'gaps of the inner one')


def a_directory_around_an_inner_root_is_renamed():
    """The inner root is not where it was: its own gap, until the directory is back."""
    with Stage('outer', 'inner') as stage:
        before = stage.daemon.newest()
        os.rename(stage.at('outer/a'), stage.at('outer/b'))
        wait_for(lambda: 'root-moved' in stage.causes('inner'), 'the inner dataset has a gap')
        write(stage.at('outer/b/inner/unseen'), b'unseen')
        stage.daemon.settle('outer')
        rows = [row for row in stage.rows(before) if row[0] not in ('gap-open', 'gap-close')]
        equal(rows, [('rename', 'outer', 'b')], 'events')
        os.rename(stage.at('outer/b'), stage.at('outer/a'))
        stage.daemon.closed('inner')
        stage.rest()
        equal(stage.rows(before)[-1][:2], ('gap-close', 'inner'), 'the last event')
        check(('create', 'inner', 'unseen') in stage.rows(before), 'what was made meanwhile is found')


def an_inner_root_is_renamed_and_moved_to():
    with Stage('outer', 'inner') as stage:
        before = stage.daemon.newest()
        os.rename(stage.at('outer/a/inner'), stage.at('outer/moved'))
        wait_for(lambda: 'root-moved' in stage.causes('inner'), 'the inner dataset has a gap')
        write(stage.at('outer/moved/unseen'), b'unseen')
        stage.daemon.settle('outer')
        stage.roots['inner'] = stage.at('outer/moved')
        compare(stage.daemon.ctl('files', 'outer'), stage.expected('outer'))
        done = stage.daemon.ctl_run('add', '--move', stage.at('outer/moved'))
        equal(done.returncode, 0, f'add --move ({done.stderr!r})')
        stage.daemon.closed('inner')
        stage.rest()
        equal(stage.datasets()['inner']['path'], stage.at('outer/moved'), 'path of the dataset')
        rows = stage.rows(before)
        check(('dataset-move', 'inner', None) in rows and ('rename', 'outer', 'moved') in rows, f'events {rows}')
        check(('create', 'inner', 'unseen') in rows and not [row for row in rows if row[0] == 'unlink'], f'{rows}')
        stage.daemon.stop()
        stage.daemon.start()
        stage.daemon.closed('inner')
        stage.rest()


def an_inner_root_that_is_deleted_takes_nothing_else_with_it():
    """What went before the root itself was seen to go; then there is a gap, and no removals that nobody saw."""
    with Stage('outer', 'inner') as stage:
        os.rename(stage.at('outer/a/inner/deep'), stage.at('kept'))
        shutil.rmtree(stage.at('outer/a/inner'))
        wait_for(lambda: 'root-moved' in stage.causes('inner'), 'the inner dataset has a gap')
        stage.daemon.settle('outer')
        compare(stage.daemon.ctl('files', 'outer'), snapshot(stage.at('outer')))
        before = stage.daemon.newest()
        os.mkdir(stage.at('outer/a/inner'))
        write(stage.at('outer/a/inner/anew'), b'anew')
        stage.daemon.closed('inner')
        stage.rest()
        check(('dataset-move', 'inner', None) in stage.rows(before), f'{stage.rows(before)}')


def rename_between_datasets():
    with Stage('outer', 'inner', 'beside') as stage:
        before = stage.daemon.newest()
        os.rename(stage.at('outer/a/inner/one'), stage.at('beside/uno'))
        os.rename(stage.at('outer/a/inner/deep'), stage.at('outer/deep'))
        stage.rest()
        equal(stage.rows(before), [('rename', 'beside', 'uno'), ('rename', 'outer', 'deep')], 'events')
        for left, went in (('inner', 'beside'), ('inner', 'outer')):
            rows = [row for row in stage.log('--dataset', left) if row['seq'] > before and row['dataset'] == went]
            equal([row['oldDataset'] for row in rows], [left], f'what went from {left} to {went} in its log')
        equal([row['oldPath'] for row in stage.log('--dataset', 'inner') if row['seq'] > before], ['one', 'deep'],
              'old paths')
        rows = [row for row in stage.log(stage.at('outer/a/inner/one')) if row['seq'] > before]
        equal([row['path'] for row in rows], ['uno'], 'the log of the old path')


def one_file_in_two_datasets():
    with Stage('outer', 'inner', 'beside') as stage:
        os.link(stage.at('outer/a/inner/one'), stage.at('beside/one'))
        stage.rest()
        before = stage.daemon.newest()
        write(stage.at('beside/one'), b'changed')
        stage.rest()
        equal(stage.rows(before), [('modify', 'beside', 'one')], 'events')
        for path in ('outer/a/inner/one', 'beside/one'):
            row = stage.daemon.ctl('show', stage.at(path))[0]
            equal((row['size'], row['links']), (7, 2), f'show {path}')
        os.unlink(stage.at('beside/one'))
        stage.rest()
        write(stage.at('outer/a/inner/one'), b'again')
        stage.rest()


def three_datasets_within_one_another():
    with Stage('outer') as stage:
        stage.roots['deep'] = stage.at('outer/a/inner/deep')
        for name in ('deep', 'inner'):
            stage.add(name)
            stage.rest()
        before = stage.daemon.newest()
        for path in ('outer/x', 'outer/a/inner/x', 'outer/a/inner/deep/x'):
            write(stage.at(path), b'x')
        stage.rest()
        equal(sorted(row[1] for row in stage.rows(before)), ['deep', 'inner', 'outer'], 'datasets')
        equal(stage.daemon.ctl_run('remove', 'inner').returncode, 0, 'remove')
        stage.rest()
        write(stage.at('outer/a/inner/y'), b'y')
        write(stage.at('outer/a/inner/deep/y'), b'y')
        stage.rest()
        created = [row[1] for row in stage.rows(before) if row[0] == 'create']
        equal(sorted(created[3:]), ['deep', 'outer'], 'datasets then')


def remove_and_add_again():
    with Stage('beside') as stage:
        uuid = stage.datasets()['beside']['uuid']
        equal(stage.daemon.ctl_run('remove', 'beside').returncode, 0, 'remove')
        files = stage.daemon.ctl('files', uuid)
        equal([row['path'] for row in files], ['b'], 'files by UUID')
        check(stage.daemon.ctl('log', '--dataset', uuid), 'the log by UUID')
        write(stage.at('beside/b'), b'unseen')
        os.mkdir(stage.at('other'))
        stage.roots['other'] = stage.at('other')
        done = stage.daemon.ctl_run('add', stage.at('other'), '--name', 'beside')
        equal(done.returncode, 0, f'the name is free ({done.stderr!r})')
        equal(stage.daemon.ctl_run('remove', 'beside').returncode, 0, 'remove')
        before = stage.daemon.newest()
        stage.add('beside')
        stage.daemon.closed('beside')
        stage.rest()
        equal(stage.datasets()['beside']['uuid'], uuid, 'UUID')
        equal(stage.causes('beside'), ['removed'], 'gaps')
        equal([row for row in stage.rows(before) if row[0] == 'modify'], [('modify', 'beside', 'b')], 'what was missed')
        equal(stage.daemon.ctl_run('remove', 'beside').returncode, 0, 'remove')
        stage.add('beside', '--new')
        stage.rest()
        check(stage.datasets()['beside']['uuid'] != uuid, 'with --new it is another one')
        equal(stage.causes('beside'), [], 'gaps of the new one')
        check([row for row in stage.daemon.gaps(uuid)], 'the gaps of the old one are its own')


def a_root_that_was_renamed():
    with Stage('outer') as stage:
        write(stage.at('outer/large'), b'x' * 100000)
        stage.rest()
        before = stage.daemon.newest()
        os.rename(stage.at('outer'), stage.at('renamed'))
        wait_for(lambda: 'root-moved' in stage.causes('outer'), 'there is a gap')
        write(stage.at('renamed/unseen'), b'unseen')
        done = stage.daemon.ctl_run('add', '--move', stage.at('beside'))
        check(done.returncode == 1 and b'root of no dataset' in done.stderr, f'{done.stderr!r}')
        stage.roots['outer'] = stage.at('renamed')
        equal(stage.daemon.ctl_run('add', '--move', stage.at('renamed')).returncode, 0, 'add --move')
        stage.daemon.closed('outer')
        stage.rest()
        kinds = [row[0] for row in stage.rows(before)]
        equal(sorted(kinds), ['create', 'dataset-move', 'gap-close', 'gap-open', 'identify'], 'events')
        check(stage.daemon.ctl('log', stage.at('renamed/top')), 'the log of a file at its new path')


def a_renamed_root_takes_the_datasets_inside_with_it():
    for noticed in (True, False):
        with Stage('outer', 'inner') as stage:
            before = stage.daemon.newest()
            os.rename(stage.at('outer'), stage.at('renamed'))
            if noticed:
                wait_for(lambda: stage.causes('outer') == stage.causes('inner') == ['root-moved'], 'there are gaps')
            write(stage.at('renamed/a/inner/deep/unseen'), b'unseen')
            stage.roots.update(outer=stage.at('renamed'), inner=stage.at('renamed/a/inner'))
            equal(stage.daemon.ctl_run('add', '--move', stage.at('renamed')).returncode, 0, 'add --move')
            stage.daemon.closed('outer')
            stage.daemon.closed('inner')
            stage.rest()
            equal(stage.datasets()['inner']['path'], stage.at('renamed/a/inner'), 'where the inner one is')
            equal(sorted({row[:2] for row in stage.rows(before)} - {('identify', 'inner')}),
                  [('create', 'inner'), *((kind, name) for kind in ('dataset-move', 'gap-close', 'gap-open')
                                          for name in ('inner', 'outer'))], 'events')


def a_directory_above_a_root_was_renamed():
    """Nobody is told of that; whoever says so first is right."""
    with Stage('outer') as stage:
        os.makedirs(stage.at('x/y/tree'))
        write(stage.at('x/y/tree/file'), b'file')
        stage.roots['tree'] = stage.at('x/y/tree')
        stage.add('tree')
        stage.rest()
        before = stage.daemon.newest()
        os.rename(stage.at('x'), stage.at('z'))
        stage.roots['tree'] = stage.at('z/y/tree')
        equal(stage.daemon.ctl_run('add', '--move', stage.at('z/y/tree')).returncode, 0, 'add --move')
        stage.daemon.closed('tree')
        stage.rest()
        equal([row[0] for row in stage.rows(before)], ['gap-open', 'dataset-move', 'gap-close'], 'events')


def a_tree_that_was_restored_is_matched_by_path():
    """Other inodes, same paths, types, sizes and times: nothing happened, and nothing is read."""
    with Stage('outer') as stage:
        os.symlink('top', stage.at('outer/link'))
        os.link(stage.at('outer/top'), stage.at('outer/second'))
        stage.rest()
        nodes = {row['path']: row['node'] for row in stage.daemon.ctl('files', 'outer')}
        before = stage.daemon.newest()
        stage.daemon.stop()
        subprocess.run(['cp', '-a', stage.at('outer'), stage.at('copy')], check=True)
        shutil.rmtree(stage.at('outer'))
        os.rename(stage.at('copy'), stage.at('outer'))
        write(stage.at('outer/a/file'), b'other')
        stage.daemon.start()
        stage.daemon.settle()
        stage.daemon.closed('outer')
        stage.rest()
        rows = [row for row in stage.rows(before) if not row[0].startswith('gap')]
        equal(rows, [('modify', 'outer', 'a/file'), ('rehome', 'outer', None), ('identify', 'outer', 'a/file')], 'events')
        now = {row['path']: row['node'] for row in stage.daemon.ctl('files', 'outer')}
        equal({path for path in nodes if nodes[path] != now[path]}, {'a/file'}, 'names with another node')
        stage.daemon.stop()
        stage.daemon.start()
        stage.daemon.closed('outer')
        stage.rest()


def a_root_that_was_deleted_and_made_again():
    with Stage('outer') as stage:
        before = stage.daemon.newest()
        os.rename(stage.at('outer'), stage.at('old'))
        subprocess.run(['cp', '-a', stage.at('old'), stage.at('outer')], check=True)
        os.unlink(stage.at('outer/top'))
        write(stage.at('outer/more'), b'more')
        wait_for(lambda: 'root-moved' in stage.causes('outer'), 'there is a gap')
        stage.daemon.closed('outer')
        stage.rest()
        rows = [row for row in stage.rows(before) if not row[0].startswith('gap')]
        equal(sorted(rows), [('create', 'outer', 'more'), ('identify', 'outer', 'more'), ('rehome', 'outer', None),
                             ('unlink', 'outer', 'top')], 'events')


def the_root_itself():
    with Stage('outer', 'inner') as stage:
        for name in ('outer', 'inner'):
            equal(stage.daemon.ctl('show', stage.roots[name])[0]['mode'], 0o755, f'mode of {name}')
        before = stage.daemon.newest()
        for name in ('outer', 'inner'):
            os.chmod(stage.roots[name], 0o700)
        stage.rest()
        for name in ('outer', 'inner'):
            equal(stage.daemon.ctl('show', stage.roots[name])[0]['mode'], 0o700, f'mode of {name} then')
        equal([row[0] for row in stage.rows(before)], ['attribute', 'attribute'], 'events')
        stage.daemon.stop()
        os.chmod(stage.roots['outer'], 0o711)
        stage.daemon.start()
        stage.daemon.closed('outer')
        equal(stage.daemon.ctl('show', stage.roots['outer'])[0]['mode'], 0o711, 'mode after a start')


@measured
def an_add_without_a_watcher_ends():
    """Nobody would look at the root: it is said within ten seconds, and nothing is added."""
    with Stage() as stage:
        os.mkdir(stage.at('alone'))
        shutil.copy2(harness.program('scitraced'), stage.at('alone/scitraced'))
        stage.daemon.stop()
        build, harness.BUILD = harness.BUILD, stage.at('alone')
        os.symlink(os.path.join(build, 'scitracectl'), stage.at('alone/scitracectl'))
        try:
            stage.daemon.start()
            began = time.monotonic()
            done = stage.daemon.ctl_run('add', stage.at('beside'))
            equal(done.returncode, 1, f'the exit code ({done.stderr!r})')
            check(b'no watcher answers' in done.stderr, f'{done.stderr!r}')
            fast(time.monotonic() - began < 30, 'it took too long')
            equal(stage.datasets(), {}, 'datasets')
        finally:
            harness.BUILD = build


class Bound:
    """source is at target, too."""

    def __init__(self, source, target):
        need_root('mounting')
        self.source, self.target = source, target

    def __enter__(self):
        os.makedirs(self.target, exist_ok=True)
        done = subprocess.run(['mount', '--bind', self.source, self.target], check=False, stderr=subprocess.PIPE)
        if done.returncode != 0:
            skip(f'mount is refused here: {done.stderr.decode().strip()}')

    def __exit__(self, *error):
        subprocess.run(['umount', '-l', self.target], check=False, stderr=subprocess.DEVNULL)


def bind_mounts_of_what_is_watched_are_refused():
    with Stage('outer', 'inner') as stage:
        for path, words in (('outer', (b'watched already', b'outer')), ('outer/a', (b'inside dataset outer', b'bind')),
                            ('outer/a/inner', (b'watched already', b'inner')),
                            ('outer/a/inner/deep', (b'inside dataset inner',))):
            with Bound(stage.at(path), stage.at('way')):
                done = stage.daemon.ctl_run('add', stage.at('way'))
                check(done.returncode == 1 and all(word in done.stderr for word in words), f'{path}: {done.stderr!r}')
        write(stage.at('outer/a/still'), b'watched')
        write(stage.at('outer/a/inner/deep/still'), b'watched')
        stage.rest()


def a_bind_mount_inside_of_a_dataset():
    """A directory from outside is not the dataset's; a gap says that it is not looked at, until it is a dataset."""
    with Stage('outer') as stage:
        with Bound(stage.at('beside'), stage.at('outer/mounted')):
            wait_for(lambda: 'other-filesystem' in stage.causes('outer') or stage.daemon.ctl_run('scan', 'outer') and None,
                     'a gap says that it is not looked at')
            check(not [row for row in stage.daemon.ctl('files', 'outer') if row['path'].startswith('mounted/')], 'files')


def a_gap_of_the_outer_dataset_goes_over_with_the_directory():
    """A directory that may not be read is a gap of the dataset that it is in."""
    if os.getuid() == 0:
        skip('root may read everything')
    with Stage('outer') as stage:
        os.makedirs(stage.at('outer/a/inner/secret/x'))
        os.chmod(stage.at('outer/a/inner/secret'), 0)
        try:
            wait_for(lambda: stage.causes('outer') == ['permission'], 'the outer dataset has a gap')
            stage.add('inner')
            wait_for(lambda: stage.causes('inner') == ['permission'], 'the inner dataset has it')
            check(all('closedBy' in gap for gap in stage.daemon.gaps('outer')), 'the outer one has none')
        finally:
            os.chmod(stage.at('outer/a/inner/secret'), 0o755)
        stage.daemon.closed('inner')
        stage.rest()


harness.run([value for value in list(globals().values())
             if callable(value) and getattr(value, '__module__', None) == '__main__' and value not in (Stage, Bound)])
