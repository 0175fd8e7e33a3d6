# SPDX-License-Identifier: LGPL-2.1-or-later
"""The hard cases of roots, one a test: away, back, gone, known already."""

import contextlib
import os
import shutil
import subprocess

import harness
from cases import Stage, mounted
from harness import check, equal, wait_for, write
from operations import populate

LOOKED_FOR = '[Watcher]\nCheckInterval=1s\n'     # a root that is away


def a_root_on_a_file_system_that_is_unmounted():
    """A gap, no thousand removals; and the watch does not keep the file system busy."""
    with Stage(tree=False) as stage:
        mounted(['-t', 'tmpfs'], 'scitrace-test', stage.tree)
        with contextlib.ExitStack() as stack:
            stack.callback(subprocess.run, ['umount', '-l', stage.tree], check=False, stderr=subprocess.DEVNULL)
            populate(stage.tree, 'unmount')
            stage.daemon.add(stage.tree, 't')
            stage.rest()
            before = stage.daemon.newest()
            done = subprocess.run(['umount', stage.tree], check=False, stderr=subprocess.PIPE)
            equal(done.returncode, 0, f'umount ({done.stderr!r})')
            wait_for(lambda: 'unmounted' in stage.causes(), 'a gap says that the file system is away')
        gone = [row for row in stage.rows(before) if row[0] == 'unlink']
        equal(gone, [], 'removals recorded by the unmount')


def a_root_that_moves_away_and_returns():
    with Stage(settings=LOOKED_FOR) as stage:
        populate(stage.tree, 'moves', directories=3)
        stage.rest()
        before = stage.daemon.newest()
        away = os.path.join(stage.outside, 'away')
        os.rename(stage.tree, away)
        wait_for(lambda: 'root-moved' in stage.causes(), 'a gap says that the root is not where it was')
        write(os.path.join(away, 'meanwhile'), b'x')
        os.rename(away, stage.tree)
        wait_for(lambda: all('closedBy' in gap for gap in stage.daemon.gaps('t')), 'the gap is closed')
        stage.rest()
        equal([row for row in stage.rows(before) if row[0] == 'unlink'], [], 'removals recorded by the move')


def a_root_that_is_removed():
    with Stage(settings=LOOKED_FOR) as stage:
        populate(stage.tree, 'again', directories=3)
        stage.rest()
        shutil.rmtree(stage.tree)
        wait_for(lambda: 'root-moved' in stage.causes(), 'a gap says that the root is not where it was')
        check(stage.daemon.status()['state'] in ('running', 'degraded'), 'the daemon is well')


def a_second_way_to_a_root_by_a_bind_mount_is_refused():
    with Stage() as stage:
        mounted(['--bind'], stage.tree, stage.outside)
        try:
            done = stage.daemon.ctl_run('add', stage.outside)
            check(done.returncode != 0, 'one directory became two datasets')
            check(b' t' in done.stderr or b'"t"' in done.stderr, f'the dataset is not named: {done.stderr!r}')
        finally:
            subprocess.run(['umount', stage.outside], check=False)


def a_dataset_that_is_removed_and_added_again_goes_on():
    with Stage() as stage:
        write(stage.at('file'), b'1')
        stage.rest()
        uuid = stage.daemon.ctl('datasets')[0]['uuid']
        equal(stage.daemon.ctl_run('remove', 't').returncode, 0, 'remove')
        equal(stage.daemon.ctl('datasets'), [], 'datasets')
        write(stage.at('file'), b'two')
        write(stage.at('new'), b'')
        stage.daemon.add(stage.tree, 't')
        stage.daemon.settle('t')
        stage.daemon.closed('t')
        stage.rest()
        equal(stage.daemon.ctl('datasets')[0]['uuid'], uuid, 'its UUID')
        equal(stage.causes(), ['removed'], 'causes of its gaps')
        check(len(stage.daemon.ctl('history', stage.at('file'))) >= 2, 'its history begins anew')


def what_is_removed_is_watched_no_more():
    with Stage() as stage:
        equal(stage.daemon.ctl_run('remove', 't').returncode, 0, 'remove')
        before = stage.daemon.newest()
        write(stage.at('unseen'))
        stage.daemon.settle()
        equal(stage.rows(before), [], 'events after remove')
        equal(stage.daemon.status()['watches'], 0, 'watches')


harness.run([a_root_on_a_file_system_that_is_unmounted, a_root_that_moves_away_and_returns, a_root_that_is_removed,
             a_second_way_to_a_root_by_a_bind_mount_is_refused,
             a_dataset_that_is_removed_and_added_again_goes_on, what_is_removed_is_watched_no_more])
