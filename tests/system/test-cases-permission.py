# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a daemon without privilege may not read is a gap `permission`, of that subtree or file alone, which is closed
when it can be read again. By root the files are another user's; else they are closed by their mode."""

import os

import harness
from cases import Stage, as_a_user, give
from harness import check, equal, snapshot, wait_for, write


def user_stage(**options):
    return Stage(run=as_a_user(), **options)


def shut(path):
    """Nobody but root reads it now."""
    os.chmod(path, 0)


def gaps(stage, state):
    return [gap for gap in stage.daemon.gaps('t') if ('closedBy' in gap) == (state == 'closed')]


def opened(stage, what):
    wait_for(lambda: gaps(stage, 'open'), f'a gap says that {what} may not be read')
    equal({gap['cause'] for gap in gaps(stage, 'open')}, {'permission'}, 'causes of the open gaps')


def closed(stage):
    wait_for(lambda: not gaps(stage, 'open'), 'the gap is closed')
    stage.rest()
    equal(stage.daemon.status()['gapsOpen'], 0, 'gapsOpen')


def readable(stage, *left_out):
    """What can be read is recorded, beside what cannot."""
    stage.daemon.settle('t')
    rows = {harness.name_of(row) for row in stage.daemon.ctl('files', 't')}
    wanted = {path for path in snapshot(stage.tree) if not path.startswith(left_out)} if os.getuid() == 0 else set()
    equal(wanted - rows, set(), 'names that can be read and are not recorded')


def a_directory_that_is_closed_from_the_start():
    with user_stage(tree=False) as stage:
        os.makedirs(stage.at('closed/below'))
        os.makedirs(stage.at('open/below'))
        for name in ('closed/f', 'closed/below/f', 'open/below/f'):
            write(stage.at(name), b'x')
        give(stage.tree)
        shut(stage.at('closed'))
        stage.daemon.add(stage.tree, 't')
        opened(stage, 'a directory')
        readable(stage, b'closed/')
        rows = stage.daemon.ctl('files', 't')
        check('closed' in [row['path'] for row in rows], 'the closed directory itself is not recorded')
        os.chmod(stage.at('closed'), 0o755)
        closed(stage)
        write(stage.at('closed/below/new'), b'x')
        give(stage.at('closed/below/new'))
        stage.rest()


def a_directory_that_is_closed_later():
    with user_stage() as stage:
        os.makedirs(stage.at('d/below'))
        write(stage.at('d/below/f'), b'x')
        give(stage.tree)
        stage.rest()
        below = os.open(stage.at('d/below'), os.O_RDONLY | os.O_DIRECTORY)
        shut(stage.at('d'))
        file = os.open('f', os.O_WRONLY | os.O_TRUNC, dir_fd=below)
        os.write(file, b'changed behind a closed door')
        os.close(file)
        opened(stage, 'a directory')
        os.close(below)
        os.chmod(stage.at('d'), 0o755)
        closed(stage)


def a_directory_that_is_made_closed():
    with user_stage() as stage:
        os.makedirs(stage.beside('made/below'))
        write(stage.beside('made/below/f'), b'x')
        give(stage.outside)
        shut(stage.beside('made/below'))
        os.rename(stage.beside('made'), stage.at('made'))
        opened(stage, 'a directory')
        os.chmod(stage.at('made/below'), 0o755)
        closed(stage)


def a_directory_whose_names_may_be_read_and_no_more():
    """Live, in a walk, and from the start."""
    with user_stage() as stage:
        os.makedirs(stage.at('d'))
        for name in ('f', 'other'):
            write(stage.at('d/' + name), b'x')
        give(stage.tree)
        stage.rest()
        with open(stage.at('d/f'), 'wb', buffering=0) as file:
            os.chmod(stage.at('d'), 0o444)
            file.write(b'changed where nobody looks')
        opened(stage, 'a directory')
        stage.daemon.ctl('scan', 't')
        stage.daemon.settle('t')
        equal([gap['path'] for gap in gaps(stage, 'open')], ['d'], 'the open gaps')
        rows = [row['path'] for row in stage.daemon.ctl('files', 't')]
        equal(rows, ['d', 'd/f', 'd/other'], 'names')
        os.chmod(stage.at('d'), 0o755)
        closed(stage)
    with user_stage(tree=False) as stage:
        os.makedirs(stage.at('d'))
        write(stage.at('d/f'), b'x')
        give(stage.tree)
        os.chmod(stage.at('d'), 0o444)
        stage.daemon.add(stage.tree, 't')
        opened(stage, 'a directory')
        os.chmod(stage.at('d'), 0o755)
        closed(stage)


def a_file_that_is_closed():
    with user_stage() as stage:
        write(stage.at('file'), b'secret')
        write(stage.at('other'), b'x')
        give(stage.tree)
        stage.rest()
        shut(stage.at('file'))
        if os.getuid() == 0:            # who may write it goes on
            write(stage.at('file'), b'more secret')
            opened(stage, 'a file')
        write(stage.at('other'), b'other')
        readable(stage)
        os.chmod(stage.at('file'), 0o644)
        closed(stage)


def a_closed_directory_that_goes():
    """Its gap ends with it."""
    with user_stage() as stage:
        os.makedirs(stage.beside('made/below'))
        give(stage.outside)
        shut(stage.beside('made/below'))
        os.rename(stage.beside('made'), stage.at('made'))
        opened(stage, 'a directory')
        os.rename(stage.at('made'), stage.beside('gone'))
        closed(stage)


def a_dataset_that_is_closed_as_a_whole():
    with user_stage() as stage:
        write(stage.at('file'), b'x')
        give(stage.tree)
        stage.rest()
        with open(stage.at('file'), 'wb', buffering=0) as file:
            shut(stage.tree)
            file.write(b'changed behind a closed door')
        opened(stage, 'the dataset')
        os.chmod(stage.tree, 0o755)
        closed(stage)


harness.run([a_directory_that_is_closed_from_the_start, a_directory_that_is_closed_later,
             a_directory_that_is_made_closed, a_directory_whose_names_may_be_read_and_no_more, a_file_that_is_closed,
             a_closed_directory_that_goes, a_dataset_that_is_closed_as_a_whole])
