# SPDX-License-Identifier: LGPL-2.1-or-later
"""A script of operations, each settled, yields exactly the listed rows: kind, path, old path, and whether the row
names the version that its name had before. This is what a person reads in the log."""

import contextlib
import mmap
import os
import shutil
import socket
import subprocess

import harness
from cases import Held
from harness import check, name_of, skip, write
from operations import exchange

REPLACES = True         # a row's fourth field


class Script:
    def __init__(self):
        self.steps = []

    def step(self, *rows, root=False, siblings=False):
        """A step's function gets a path maker; rows: (kind, path, old path or None, REPLACES or None). siblings: they
        may come in any order, as long as a directory is created before and removed after what is in it."""
        def register(function):
            self.steps.append((function, [row + (None,) * (4 - len(row)) for row in rows], root, siblings))
            return function
        return register


script = Script()
step = script.step


def save(path, content):
    """An atomic save."""
    write(path + '.tmp', content)
    os.rename(path + '.tmp', path)


@step(('create', 'a'))
def a_file_is_written(at):
    write(at('a'), b'one')


@step(('modify', 'a'))
def it_is_appended_to(at):
    write(at('a'), b' two', 'ab')


@step(('modify', 'a'))
def it_is_written_anew_in_place(at):
    write(at('a'), b'three..')


@step(('modify', 'a'))
def its_content_changes_with_size_and_mtime_kept(at):
    info = os.stat(at('a'))
    with open(at('a'), 'r+b') as file:
        file.write(b'four')
    os.utime(at('a'), ns=(info.st_atime_ns, info.st_mtime_ns))


@step(('modify', 'a'))
def it_is_changed_through_a_mapping(at):
    with open(at('a'), 'r+b') as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[0:1] = b'F'


@step(('modify', 'a'))
def it_is_truncated_by_name(at):
    os.truncate(at('a'), 2)


@step(('attribute', 'a'))
def chmod_of_a_file(at):
    os.chmod(at('a'), 0o600)


@step(('attribute', 'a'))
def touch_of_a_file(at):
    os.utime(at('a'), ns=(0, 1_000_000_000_000_000_001))


@step(('attribute', 'a'), root=True)
def chown_of_a_file(at):
    os.chown(at('a'), 12, 34)


@step(('attribute', 'a'))
def the_same_bytes_are_written_again(at):
    write(at('a'), b'Fo', 'r+b')


@step(('rename', 'b', 'a'))
def a_file_is_renamed(at):
    os.rename(at('a'), at('b'))


@step(('rename', 'c', 'b'), ('rename', 'a', 'c'))
def it_is_renamed_twice_at_once(at):
    os.rename(at('b'), at('c'))
    os.rename(at('c'), at('a'))


@step(('create', 'd'))
def a_directory_is_made(at):
    os.mkdir(at('d'))


@step(('attribute', 'd'))
def chmod_of_a_directory(at):
    os.chmod(at('d'), 0o700)


@step(('rename', 'd/a', 'a'))
def a_file_is_moved_into_a_directory(at):
    os.rename(at('a'), at('d/a'))


@step(('create', 'e'), ('create', 'e/f'), ('create', 'e/f/g'), ('create', 'e/f/g/h'))
def a_nest_is_made_and_written_at_once(at):
    os.makedirs(at('e/f/g'))
    write(at('e/f/g/h'), b'h')


@step(('rename', 'd/e', 'e'))
def a_directory_with_content_is_moved(at):
    os.rename(at('e'), at('d/e'))


@step(('modify', 'd/e/f/g/h'))
def a_file_beneath_a_moved_directory_is_changed(at):
    write(at('d/e/f/g/h'), b'H!')


@step(('create', 'doc'))
def a_document_is_written(at):
    write(at('doc'), b'version 1')


@step(('modify', 'doc', None, REPLACES))
def it_is_saved_atomically(at):
    save(at('doc'), b'version 2')


@step(('modify', 'doc', None, REPLACES))
def sed_in_place(at):
    subprocess.run(['sed', '-i', 's/2/3/', at('doc')], check=True)


@step(('create', 'new'), ('rename', 'doc', 'new', REPLACES))
def a_settled_file_is_moved_over_another(at):
    write(at('new'), b'version 4')
    at.settle()
    os.rename(at('new'), at('doc'))


@step(('rename', 'doc~', 'doc'), ('create', 'doc', None, REPLACES))
def an_editor_keeps_a_backup(at):
    os.rename(at('doc'), at('doc~'))
    write(at('doc'), b'version 5')


@step(('unlink', 'doc~'))
def the_backup_is_removed(at):
    os.unlink(at('doc~'))


@step(('rename', 'doc~', 'doc', REPLACES), ('unlink', 'doc~'), ('create', 'doc', None, REPLACES))
def an_editor_makes_and_removes_a_backup(at):
    os.rename(at('doc'), at('doc~'))
    write(at('doc'), b'version 6')
    os.unlink(at('doc~'))


@step(('unlink', 'doc'), ('create', 'doc', None, REPLACES))
def a_file_is_removed_and_written_anew_at_once(at):
    os.unlink(at('doc'))
    write(at('doc'), b'version 7')


@step(('unlink', 'doc'), ('create', 'doc', None, REPLACES))
def a_file_is_removed_and_written_anew_later(at):
    os.unlink(at('doc'))
    at.settle()
    write(at('doc'), b'version 8')


@step(('link', 'hard'))
def a_hard_link_is_made(at):
    os.link(at('doc'), at('hard'))


@step(('modify', 'hard'))
def a_file_is_changed_through_its_second_name(at):
    write(at('hard'), b'version 9')


@step(('unlink', 'doc'))
def one_of_two_names_is_removed(at):
    os.unlink(at('doc'))


@step(('create', 'way'))
def a_symbolic_link_is_made(at):
    os.symlink('hard', at('way'))


@step(('modify', 'way', None, REPLACES))
def a_symbolic_link_is_turned_elsewhere(at):
    os.symlink('d', at('way.new'))
    os.rename(at('way.new'), at('way'))


@step(('create', 'pipe'), ('unlink', 'pipe'))
def a_fifo_comes_and_later_goes(at):
    os.mkfifo(at('pipe'))
    at.settle()
    os.unlink(at('pipe'))


@step(('create', 'sock'))
def a_socket_is_made(at):
    fd = os.open(at(''), os.O_PATH)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(f'/proc/self/fd/{fd}/sock')
    os.close(fd)


@step(('transient', 'brief'))
def a_file_comes_and_goes_at_once(at):
    write(at('brief'), b'x')
    os.unlink(at('brief'))


@step(('create', 'final'))
def a_new_file_is_renamed_at_once(at):
    write(at('draft'), b'x')
    os.rename(at('draft'), at('final'))


@step(('create', 'x'), ('create', 'y'), ('exchange', 'y', 'x', REPLACES))
def two_files_exchange_their_names(at):
    write(at('x'), b'x')
    at.settle()
    write(at('y'), b'y')
    at.settle()
    exchange(os.fsencode(at('x')), os.fsencode(at('y')))


@step(('create', 'q'), ('create', 'q/r'), ('exchange', 'q', 'd', REPLACES))
def two_directories_exchange_their_names(at):
    os.mkdir(at('q'))
    write(at('q/r'))
    at.settle()
    exchange(os.fsencode(at('d')), os.fsencode(at('q')))


@step(('modify', 'q/e/f/g/h'), ('modify', 'd/r'))
def files_beneath_exchanged_directories_are_changed(at):
    write(at('q/e/f/g/h'), b'after the exchange')
    at.settle()
    write(at('d/r'), b'after the exchange')


@step(('unlink', 'final'), ('create', 'final', None, REPLACES))
def a_file_becomes_a_directory(at):
    os.unlink(at('final'))
    os.mkdir(at('final'))


@step(('unlink', 'final'), ('create', 'final', None, REPLACES))
def a_directory_becomes_a_file(at):
    os.rmdir(at('final'))
    write(at('final'), b'file again')


@step(('create', 'in'), ('create', 'in/1'), ('create', 'in/2'), ('create', 'in/2/3'), siblings=True)
def a_tree_is_moved_in(at):
    os.makedirs(at.outside('in/2'))
    write(at.outside('in/1'), b'1')
    write(at.outside('in/2/3'), b'3')
    os.rename(at.outside('in'), at('in'))


@step(('unlink', 'in/1'), ('unlink', 'in/2/3'), ('unlink', 'in/2'), ('unlink', 'in'), siblings=True)
def a_tree_is_moved_out(at):
    os.rename(at('in'), at.outside('out'))


@step()
def nothing_is_recorded_of_what_moved_out(at):
    write(at.outside('out/2/3'), b'elsewhere')
    write(at.outside('out/2/4'), b'elsewhere')


@step(('unlink', 'q/a'), ('unlink', 'q/e/f/g/h'), ('unlink', 'q/e/f/g'), ('unlink', 'q/e/f'), ('unlink', 'q/e'),
      ('unlink', 'q'), siblings=True)
def a_tree_is_removed(at):
    shutil.rmtree(at('q'))


@step(('create', b'\xff\n\xfe'), ('rename', b'\x80', b'\xff\n\xfe'))
def a_name_that_is_not_utf8(at):
    write(os.fsencode(at('')) + b'\xff\n\xfe', b'x')
    at.settle()
    os.rename(os.fsencode(at('')) + b'\xff\n\xfe', os.fsencode(at('')) + b'\x80')


@step(('create', 'u' * 255))
def a_name_of_255_bytes(at):
    write(at('u' * 255))


@step(('create', 'unnamed'))
def an_unnamed_file_gets_a_name(at):
    fd = os.open(at(''), os.O_TMPFILE | os.O_WRONLY, 0o644)
    try:
        os.write(fd, b'content')
        os.link(f'/proc/self/fd/{fd}', at('unnamed'), src_dir_fd=fd)
    finally:
        os.close(fd)


class At:
    """at('name'): a path in the tree; at.outside('name'): beside it; at.settle(): a barrier within a step."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.tree = os.path.join(daemon.top, 'tree')
        self.beside = os.path.join(daemon.top, 'outside')
        os.mkdir(self.tree)
        os.mkdir(self.beside)

    def __call__(self, name):
        return os.path.join(self.tree, name)

    def outside(self, name):
        return os.path.join(self.beside, name)

    def settle(self):
        self.daemon.settle('t')


def as_bytes(name):
    return name.encode() if isinstance(name, str) else name


def in_order(rows):
    """Directories are created before and removed after what is in them."""
    for earlier, row in enumerate(rows):
        for later in rows[earlier + 1:]:
            if row[0] == 'create' and row[1].startswith(later[1] + b'/'):
                return False
            if row[0] == 'unlink' and later[1].startswith(row[1] + b'/'):
                return False
    return True


class Play:
    def __init__(self):
        self.daemon = harness.Daemon(settings=harness.CALM)
        self.at = At(self.daemon)
        self.held, self.seq, self.broken = Held(), 0, None

    def begin(self):
        harness.program('scitraced')
        self.broken = 'the script could not begin'
        self.daemon.start()
        self.daemon.add(self.at.tree, 't')
        self.at.settle()
        self.take(self.daemon.events())
        self.broken = None

    def take(self, rows):
        for row in rows:
            self.held.take(row)
            self.seq = row['seq']

    def play(self, function, wanted, root, siblings):
        harness.program('scitraced')
        check(not self.broken, self.broken)
        if root and os.getuid() != 0:
            skip('chown needs root')
        function(self.at)
        self.at.settle()
        rows, lines = self.daemon.events(self.seq), []
        got = []
        for row in rows:
            said, expected = row.get('replaces'), self.held.expected(name_of(row))
            if said is not None and said != expected:
                lines.append(f'seq {row["seq"]}: replaces {said}, the newest event of what had the name is {expected}')
            got.append((row['kind'], name_of(row), name_of(row, 'oldPath'), None if said is None else REPLACES))
            if row['origin'] != 'live':
                lines.append(f'seq {row["seq"]} is {row["origin"]}, not live')
            self.take([row])
        wanted = [(kind, as_bytes(path), as_bytes(old), replaces) for kind, path, old, replaces in wanted]
        if siblings and in_order(got):
            got, wanted = sorted(got, key=repr), sorted(wanted, key=repr)
        if got != wanted:
            lines += ['wanted (kind, path, old path, replaces):'] + [f'  {row}' for row in wanted] or ['  nothing']
            lines += ['got:'] + [f'  {row}' for row in got]
        check(not lines, '\n'.join(lines))

    def end(self):
        harness.program('scitraced')
        check(not self.broken, self.broken)
        self.daemon.at_rest('t', self.at.tree)
        status = self.daemon.status()
        harness.equal((status['overflows'], status['walkedTwice'], self.daemon.gaps('t')), (0, 0, []),
                      'overflows, walkedTwice, gaps')
        self.daemon.stop()


def tests():
    play = Play()
    yield 'the script begins', play.begin
    for function, *wanted in script.steps:
        yield function.__name__.replace('_', ' '), lambda f=function, w=wanted: play.play(f, *w)
    yield 'the script ends with the record equal to the tree', play.end
    play.daemon.abandon()


harness.run(tests())
