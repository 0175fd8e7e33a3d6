# SPDX-License-Identifier: LGPL-2.1-or-later
"""Loads that would fill a queue of ours, and counts that would get lost on the way."""

import os

import harness
from harness import check, diag, equal, wait_for, write

NAMES = 20000



def all_names_of_a_huge_directory_go_while_nobody_looks():
    """More names are missing than may be asked about at once: the directory is listed again for the rest."""
    with harness.Daemon() as daemon:
        tree = os.path.join(daemon.top, 'tree')
        os.makedirs(os.path.join(tree, 'huge'))
        for number in range(NAMES):
            os.symlink('nowhere', os.path.join(tree, 'huge', f'{number:05}'))
        write(os.path.join(tree, 'huge', 'stays'), b'x')
        daemon.add(tree, 't')
        daemon.at_rest('t', tree)
        after = daemon.newest()
        daemon.stop()
        for number in range(NAMES):
            os.unlink(os.path.join(tree, 'huge', f'{number:05}'))
        daemon.start()
        daemon.at_rest('t', tree)
        daemon.closed('t')
        rows = [row for row in daemon.events(after) if row['kind'] == 'unlink']
        equal(len(rows), NAMES, 'unlinks')
        equal({row['origin'] for row in rows}, {'reconcile'}, 'their origins')
        twice = daemon.status()['walkedTwice']
        diag(f'{twice} listings more')
        check(1 <= twice <= 10, f'{twice} listings more')


def what_is_pending_in_a_directory_that_leaves_is_counted():
    with harness.Daemon() as daemon:
        tree, outside = (os.path.join(daemon.top, name) for name in ('tree', 'outside'))
        os.makedirs(os.path.join(tree, 'a', 'b'))
        daemon.add(tree, 't')
        daemon.at_rest('t', tree)
        after = daemon.newest()
        for number in range(5):
            write(os.path.join(tree, 'a', f'{number}'), b'x')
            write(os.path.join(tree, 'a', 'b', f'{number}'), b'x')
        os.rename(os.path.join(tree, 'a'), outside)
        daemon.at_rest('t', tree)
        rows = daemon.events(after)
        diag(sorted((row['kind'], row['path'], row['count']) for row in rows))
        equal(sum(row['count'] for row in rows), 11, 'operations counted')


def who_leaves_an_ignored_name_brings_no_count_of_it():
    with harness.Daemon(settings='[Ignore]\nPattern=*.part\n') as daemon:
        tree = os.path.join(daemon.top, 'tree')
        os.makedirs(tree)
        write(os.path.join(tree, 'old'), b'old')
        daemon.add(tree, 't')
        daemon.at_rest('t', tree)
        after = daemon.newest()
        write(os.path.join(tree, 'new.part'), b'new')
        os.rename(os.path.join(tree, 'new.part'), os.path.join(tree, 'new'))
        os.rename(os.path.join(tree, 'old'), os.path.join(tree, 'old.part'))
        os.mkdir(os.path.join(tree, 'folder.part'))
        write(os.path.join(tree, 'folder.part', 'file'), b'x')
        os.rename(os.path.join(tree, 'folder.part'), os.path.join(tree, 'folder'))
        daemon.settle('t')
        wait_for(lambda: len(daemon.events(after)) >= 4, 'events')
        equal(sorted((row['kind'], row['path'], row['count']) for row in daemon.events(after)
                     if row['path'] != 'folder/file'),
              [('create', 'folder', 1), ('create', 'new', 1), ('unlink', 'old', 1)], 'events and their counts')


harness.run([all_names_of_a_huge_directory_go_while_nobody_looks,
             what_is_pending_in_a_directory_that_leaves_is_counted,
             who_leaves_an_ignored_name_brings_no_count_of_it])
