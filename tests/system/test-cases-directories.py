# SPDX-License-Identifier: LGPL-2.1-or-later
"""The hard cases of directories, one a test: races with what is written into a new one, moves in, out and within,
exchanges, depth, numbers, loops."""

import os
import shutil
import stat
import time

import harness
from cases import Stage, seen_live
from harness import check, diag, equal, write
from operations import exchange, make_deep
from overflow import while_stopped

RACES = 2000
DESCENDANTS = 10000
DEPTH = 2000
NAMES = int(os.environ.get('NAMES', '100000'))


def a_nest_is_written_into_at_once():
    """The watch comes after the directory: what was written before it is found by listing, each name once."""
    with Stage() as stage:
        before = stage.daemon.newest()
        for number in range(RACES):
            path = stage.at(f'd{number % 50}/r{number}/e/f')
            os.makedirs(path)
            write(os.path.join(path, 'file'), b'%d' % number)
        status = stage.rest()
        seen_live(stage.daemon, 't', before, status)
        rows = [row for row in stage.daemon.events(before) if row.get('path', '').endswith('/file')]
        equal(len(rows), RACES, 'events about the files')
        check(all(row['kind'] == 'create' and row.get('digest') for row in rows), 'a file has no digest with its event')


def a_tree_is_moved_in_and_written_into():
    with Stage() as stage:
        for number in range(20):
            for below in range(5):
                os.makedirs(stage.beside(f'in{number}/d{below}/e'))
                write(stage.beside(f'in{number}/d{below}/e/f'), b'x')
        before = stage.daemon.newest()
        for number in range(20):
            os.rename(stage.beside(f'in{number}'), stage.at(f'in{number}'))
            for below in range(5):
                write(stage.at(f'in{number}/d{below}/e/f'), b'written at once')
                write(stage.at(f'in{number}/d{below}/new'), b'%d' % below)
        seen_live(stage.daemon, 't', before, stage.rest())
        rows = stage.during(lambda: write(stage.at('in7/d3/e/f'), b'written later'))
        equal([(row['kind'], row['path'], row['origin']) for row in rows], [('modify', 'in7/d3/e/f', 'live')],
              'a write far below')


def a_tree_is_moved_out_written_into_and_moved_back():
    """While it is away nothing is reported under the old path; when it is back, all that happened is."""
    with Stage() as stage:
        os.makedirs(stage.at('a/b/c'))
        write(stage.at('a/b/c/f'), b'x')
        stage.rest()
        stage.during(lambda: os.rename(stage.at('a'), stage.beside('a')))
        equal(stage.daemon.status()['watches'], 1, 'watches, once it is away')

        def away():
            write(stage.beside('a/b/c/f'), b'away')
            os.makedirs(stage.beside('a/b/g/h'))
            os.chmod(stage.beside('a/b'), 0o700)
        equal(stage.during(away), [], 'rows about what is not in the tree')
        kinds = {row['kind'] for row in stage.during(lambda: os.rename(stage.beside('a'), stage.at('z')))}
        check(not kinds & {'unlink', 'transient'}, f'kinds of the return: {kinds}')
        rows = stage.during(lambda: write(stage.at('z/b/g/h/f'), b'back'))
        equal([(row['kind'], row['path'], row['origin']) for row in rows], [('create', 'z/b/g/h/f', 'live')],
              'a write into a directory that was made while it was away')


def a_tree_goes_out_and_in_without_a_pause():
    with Stage() as stage:
        os.makedirs(stage.at('a/b'))
        write(stage.at('a/b/f'), b'x')
        stage.rest()
        for turn in range(100):
            os.rename(stage.at('a'), stage.beside('a'))
            write(stage.beside('a/b/f'), b'%d' % turn)
            if turn % 7 == 0:
                os.mkdir(stage.beside(f'a/b/{turn}'))
            os.rename(stage.beside('a'), stage.at('a'))
            write(stage.at('a/b/g'), b'%d' % turn)
        stage.rest()
        rows = stage.during(lambda: write(stage.at('a/b/98/f'), b'x'))
        equal([(row['kind'], row['path']) for row in rows], [('create', 'a/b/98/f')], 'a write at the end')


def a_directory_with_ten_thousand_descendants_is_renamed():
    """One event, nothing is walked, and what is written below is known by the new path at once."""
    with Stage() as stage:
        for directory in range(DESCENDANTS // 100):
            os.makedirs(stage.at(f'old/d{directory}'))
            for number in range(99):
                os.symlink('x', stage.at(f'old/d{directory}/{number}'))
        stage.rest()
        before = stage.daemon.newest()

        def work():
            os.rename(stage.at('old'), stage.at('new'))
            write(stage.at('new/d50/file'), b'x')
            os.rename(stage.at('new'), stage.at('newer'))
        rows = [(row['kind'], row['path'], row.get('oldPath')) for row in stage.during(work)]
        equal([row for row in rows if row[0] == 'rename'], [('rename', 'new', 'old'), ('rename', 'newer', 'new')],
              'the renames')
        equal([row for row in rows if row[0] != 'rename'], [('create', 'newer/d50/file', None)], 'and besides them')
        seen_live(stage.daemon, 't', before, stage.daemon.status())


def a_directory_is_renamed_while_it_is_written_into():
    with Stage() as stage:
        os.makedirs(stage.at('d0/e'))
        stage.rest()
        before = stage.daemon.newest()
        fd = os.open(stage.at('d0/e'), os.O_RDONLY | os.O_DIRECTORY)
        pid = os.fork()
        if pid == 0:
            try:
                for number in range(400):
                    os.close(os.open(f'f{number}', os.O_CREAT | os.O_WRONLY, dir_fd=fd))
                    if number % 20 == 0:
                        os.mkdir(f'd{number}', dir_fd=fd)
                        os.close(os.open(f'd{number}/f', os.O_CREAT | os.O_WRONLY, dir_fd=fd))
            finally:
                os._exit(0)
        turn = 0
        while os.waitpid(pid, os.WNOHANG)[0] == 0:
            os.rename(stage.at(f'd{turn}'), stage.at(f'd{turn + 1}'))
            turn += 1
        os.close(fd)
        seen_live(stage.daemon, 't', before, stage.rest())


def a_file_and_a_directory_exchange_their_names():
    with Stage() as stage:
        os.makedirs(stage.at('d/e'))
        write(stage.at('d/e/f'), b'x')
        write(stage.at('file'), b'file')
        stage.rest()
        rows = stage.during(lambda: exchange(os.fsencode(stage.at('d')), os.fsencode(stage.at('file'))))
        equal([(row['kind'], {row['path'], row['oldPath']}) for row in rows], [('exchange', {'d', 'file'})], 'rows')

        def work():
            write(stage.at('file/e/f'), b'beneath the directory')
            write(stage.at('d'), b'into the file')
        rows = stage.during(work)
        equal(sorted((row['kind'], row['path']) for row in rows), [('modify', 'd'), ('modify', 'file/e/f')], 'rows')


def directories_at_different_depths_exchange_their_names():
    with Stage() as stage:
        os.makedirs(stage.at('a/b/c'))
        os.makedirs(stage.at('x/y'))
        write(stage.at('a/b/c/f'), b'f')
        write(stage.at('x/y/g'), b'g')
        stage.rest()
        for turn in range(51):          # an odd number: at the end they have changed places
            exchange(os.fsencode(stage.at('a/b')), os.fsencode(stage.at('x')))
            if turn % 10 == 5:
                write(stage.at(f'x/new{turn}'), b'%d' % turn)
        before = stage.daemon.newest()
        stage.rest()
        rows = stage.during(lambda: (write(stage.at('x/c/f'), b'F!'), write(stage.at('a/b/y/g'), b'G!')))
        equal(sorted((row['kind'], row['path']) for row in rows), [('modify', 'a/b/y/g'), ('modify', 'x/c/f')], 'rows')
        check(before, 'no event')


def an_exchange_with_a_name_outside():
    """Both ways: one of them looks to the watcher like a name that came and went."""
    for name in ('file', 'directory'):
        for inwards in (False, True):
            with Stage() as stage:
                write(stage.at('file'), b'x')
                os.makedirs(stage.at('directory/below'))
                os.makedirs(stage.beside('a/b'))
                stage.rest()
                before = stage.daemon.newest()
                ends = [os.fsencode(stage.beside('a')), os.fsencode(stage.at(name))]
                exchange(*(ends if inwards else reversed(ends)))
                stage.rest()
                check(('create', name) in stage.rows(before) and ('unlink', name) in stage.rows(before),
                      f'{name} was not replaced: {stage.rows(before)}')


def a_directory_comes_and_goes_under_one_name():
    """Watches and entries of what is gone are given back, and the last one of that name is seen."""
    with Stage() as stage:
        for turn in range(300):
            os.makedirs(stage.at('d/e'))
            write(stage.at('d/e/f'), b'%d' % turn)
            if turn < 299:
                shutil.rmtree(stage.at('d'))
        stage.rest()
        rows = stage.during(lambda: write(stage.at('d/e/f'), b'the last'))
        equal([(row['kind'], row['path']) for row in rows], [('modify', 'd/e/f')], 'rows')
        equal(stage.daemon.status()['watches'], 3, 'watches')


def a_file_becomes_a_directory_and_back_without_a_pause():
    with Stage() as stage:
        write(stage.at('x'), b'file')
        stage.rest()
        for _ in range(50):
            os.unlink(stage.at('x'))
            os.makedirs(stage.at('x/y'))
            write(stage.at('x/y/z'), b'below')
            shutil.rmtree(stage.at('x'))
            write(stage.at('x'), b'file')
        os.unlink(stage.at('x'))
        os.mkdir(stage.at('x'))
        rows = stage.during(lambda: write(stage.at('x/new'), b'new'))
        check(('create', 'x/new') in [(row['kind'], row['path']) for row in rows], f'rows: {rows[-3:]}')


def a_directory_is_renamed_before_anyone_looks():
    """Where a file was made is not where it is when its notice is read."""
    with Stage() as stage:
        os.makedirs(stage.at('in/below'))
        stage.rest()
        before = stage.daemon.newest()

        def work():
            write(stage.at('in/below/f'), b'f')
            os.rename(stage.at('in'), stage.at('out'))
            write(stage.at('out/below/g'), b'g')
            os.makedirs(stage.at('in/below'))
            write(stage.at('in/below/f'), b'another')
        while_stopped(stage.daemon, work)
        stage.rest()
        rows = [(row['kind'], row.get('path')) for row in stage.daemon.events(before)]
        for wanted in (('rename', 'out'), ('create', 'out/below/f'), ('create', 'out/below/g'), ('create', 'in/below/f')):
            equal(rows.count(wanted), 1, f'times that {wanted} is said')
        equal(stage.daemon.gaps('t'), [], 'gaps')


def a_tree_is_removed_before_anyone_looks():
    """Each name is said to be gone, and its directory after it."""
    with Stage() as stage:
        for number in range(20):
            os.makedirs(stage.at(f'd/e{number}/f'))
            write(stage.at(f'd/e{number}/f/g'), b'g')
        stage.rest()
        before = stage.daemon.newest()
        while_stopped(stage.daemon, lambda: shutil.rmtree(stage.at('d')))
        stage.rest()
        rows = [row['path'] for row in stage.daemon.events(before) if row['kind'] == 'unlink']
        equal((len(rows), len(set(rows))), (61, 61), 'removals, and names removed')
        check(all(rows.index(f'd/e{number}/f/g') < rows.index(f'd/e{number}') for number in range(20)), 'the order')
        equal(stage.daemon.status()['watches'], 1, 'watches')
        equal(stage.daemon.gaps('t'), [], 'gaps')


def names_come_and_go_and_come_before_anyone_looks():
    with Stage() as stage:
        write(stage.at('old'), b'old')
        stage.rest()
        before = stage.daemon.newest()

        def work():
            for turn in range(5):
                write(stage.at('new'), b'%d' % turn)
                os.unlink(stage.at('new'))
                os.unlink(stage.at('old'))
                os.mkdir(stage.at('old'))
                os.rmdir(stage.at('old'))
                write(stage.at('old'), b'%d' % turn)
            write(stage.at('new'), b'last')
        while_stopped(stage.daemon, work)
        stage.rest()
        made = sum(row['count'] for row in stage.daemon.events(before))
        equal(made, 5 * 6 + 1, 'the sum of the counts')
        equal(stage.daemon.gaps('t'), [], 'gaps')


def symbolic_links_are_recorded_and_never_followed():
    with Stage() as stage:
        os.makedirs(stage.at('a/b'))
        os.symlink('..', stage.at('a/b/up'))
        os.symlink('.', stage.at('a/self'))
        os.symlink('loop', stage.at('loop'))
        os.symlink(stage.outside, stage.at('away'))
        os.symlink('x' * 4000, stage.at('long'))
        status = stage.rest()
        equal(status['watches'], 3, 'watches')
        equal(stage.during(lambda: write(stage.at('away/file'), b'x')), [], 'rows about what is behind a link')
        rows = stage.during(lambda: write(stage.at('a/b/up/self/b/file'), b'x'))
        equal([(row['kind'], row['path']) for row in rows], [('create', 'a/b/file')], 'a write through links')


def directories_two_thousand_deep():
    """And paths far beyond PATH_MAX."""
    with Stage() as stage:
        bottom = make_deep(stage.at(''), DEPTH, 8)
        os.close(bottom)
        stage.rest()
        bottom = make_deep(stage.at(''), DEPTH, 8)      # it is there: opens it
        write_at(bottom, 'file', b'deep')
        stage.rest()
        os.mkdir('new', dir_fd=bottom)
        write_at(bottom, 'new/file', b'deeper')
        rows = stage.during(lambda: write_at(bottom, 'file', b'again'))
        os.close(bottom)
        equal({(row['kind'], row['path'][-8:]) for row in rows if row['path'].endswith('/file')},
              {('modify', 'ddd/file'), ('create', 'new/file')}, 'writes at the bottom')
        top = os.listdir(stage.tree)[0]
        rows = stage.during(lambda: os.rename(stage.at(top), stage.at('renamed')))
        equal([(row['kind'], row['path']) for row in rows], [('rename', 'renamed')], 'a rename at the top')


def paths_beyond_path_max():
    with Stage() as stage:
        bottom = make_deep(stage.at(''), 25, 250)
        write_at(bottom, 'file', b'x')
        stage.rest()
        rows = stage.during(lambda: write_at(bottom, 'file', b'more'))
        equal([(row['kind'], row['path'][-5:]) for row in rows], [('modify', '/file')], 'a write at the bottom')
        os.mkdir('d', dir_fd=bottom)
        write_at(bottom, 'd/f', b'x')
        stage.rest()
        os.close(bottom)


def write_at(fd, name, content):
    file = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd)
    os.write(file, content)
    os.close(file)


def very_many_names_in_one_directory():
    """NAMES of them (a million in check-long), while the watcher must answer every ten seconds."""
    with Stage(settings='[Watcher]\nCheckInterval=10s\n', tree=False) as stage:
        os.mkdir(stage.at('d'))
        began = time.monotonic()
        fd = os.open(stage.at('d'), os.O_RDONLY | os.O_DIRECTORY)
        for number in range(NAMES):
            os.mknod(f'name-{number}', stat.S_IFREG | 0o644, dir_fd=fd)
        made = time.monotonic()
        stage.daemon.add(stage.tree, 't')
        stage.daemon.settle('t')
        looked = time.monotonic()
        stage.rest()
        diag(f'{NAMES} names: made in {made - began:.1f} s, recorded in {looked - made:.1f} s')
        before = stage.daemon.newest()
        os.rename('name-7', 'renamed', src_dir_fd=fd, dst_dir_fd=fd)
        stage.daemon.settle('t')
        equal(stage.rows(before), [('rename', 'd/renamed')], 'a rename among them')
        os.close(fd)
        os.rename(stage.at('d'), stage.at('e'))
        stage.rest()
        equal(stage.rows(before)[1:], [('rename', 'e')], 'a rename of their directory')
        equal(stage.daemon.status()['watcherRestarts'], 0, 'watcherRestarts')


harness.run([a_nest_is_written_into_at_once, a_tree_is_moved_in_and_written_into,
             a_tree_is_moved_out_written_into_and_moved_back, a_tree_goes_out_and_in_without_a_pause,
             a_directory_with_ten_thousand_descendants_is_renamed, a_directory_is_renamed_while_it_is_written_into,
             a_file_and_a_directory_exchange_their_names, directories_at_different_depths_exchange_their_names,
             an_exchange_with_a_name_outside, a_directory_is_renamed_before_anyone_looks,
             a_tree_is_removed_before_anyone_looks, names_come_and_go_and_come_before_anyone_looks,
             a_directory_comes_and_goes_under_one_name, a_file_becomes_a_directory_and_back_without_a_pause,
             symbolic_links_are_recorded_and_never_followed, directories_two_thousand_deep, paths_beyond_path_max,
             very_many_names_in_one_directory])
