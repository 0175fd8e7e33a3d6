# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random work on a tree: each operation is what some program does to files. Writers disturb one another, so an
operation may fail in any way that the kernel allows; only what is there at the end counts.

Two limits of inotify are documented (README, "What it cannot") and kept out of here. Writes through a hard link that
lies outside are not told to anybody: so a run has hard links or moves out of the tree, and both only where the outside
is watched too. A change of a file with several names is told under the name by which it was opened: when that name
goes before it was looked at, nothing says which other name has changed. So such a file is changed, and its names are
removed, by one writer only and not within a second of one another, and no run with hard links holds files open."""

import contextlib
import ctypes
import mmap
import os
import random
import shutil
import socket
import stat
import sys
import time

RENAME_EXCHANGE = 2
AT_FDCWD = -100
libc = ctypes.CDLL(None, use_errno=True)


def exchange(one, other):
    if libc.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), 'renameat2')


def make_deep(directory, levels, size):
    """Directories within directories, with names of so many bytes; returns a descriptor of the lowest."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    for level in range(levels):
        name = (b'%d-' % level).ljust(size, b'd')
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=fd)
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        finally:
            os.close(fd)
        fd = below
    return fd


class Writer:
    """One process's worth of random work beneath root; outside: a folder on the same file system."""

    def __init__(self, root, outside, seed, without=()):
        self.without = without
        self.root, self.outside = os.fsencode(root), os.fsencode(outside)
        self.random = random.Random(seed)
        self.made = 0
        self.tag = str(seed).replace(':', '-').replace('/', '-').encode()
        self.held = []
        self.superuser = os.getuid() == 0

    # Where.

    def names(self, directory):
        return [entry.name for entry in os.scandir(directory)]

    def directory(self):
        """A random directory of the tree, the root more often than any."""
        at = self.root
        while self.random.random() < 0.7:
            below = [entry.path for entry in os.scandir(at) if entry.is_dir(follow_symlinks=False)]
            if not below or len(at) > 3000:
                break
            at = self.random.choice(sorted(below))
        return at

    def entry(self, *wanted):
        """A random existing path, of one of the wanted stat types when given."""
        for _ in range(8):
            at = self.directory()
            names = sorted(self.names(at))
            if names:
                path = os.path.join(at, self.random.choice(names))
                info = os.lstat(path)
                if (not wanted or stat.S_IFMT(info.st_mode) in wanted) and self.may_touch(path, info):
                    return path
        raise FileNotFoundError('nothing of that type found')

    def may_touch(self, path, info):
        """Not a file of several names that is another writer's, or that was changed just now."""
        if stat.S_ISDIR(info.st_mode) or info.st_nlink == 1:
            return True
        return os.path.basename(path).startswith(self.tag) and time.time() - info.st_ctime > 1

    def file(self):
        return self.entry(stat.S_IFREG)

    def new(self):
        """A path, mostly of a new name, sometimes of one that others use too."""
        at = self.directory()
        self.made += 1
        form = self.random.random()
        if form < 0.5:
            name = b'%s-%d' % (self.tag, self.made)
        elif form < 0.75:
            name = b'shared-%d' % self.random.randrange(12)
        elif form < 0.85:
            name = bytes(self.random.choice(b'abcdefgh') for _ in range(255))
        else:
            name = bytes(self.random.choice([byte for byte in range(1, 256) if byte != 47])
                         for _ in range(self.random.choice((1, 7, 60, 255))))
        return os.path.join(at, b'dot' if name in (b'.', b'..') else name)

    def bytes(self):
        size = self.random.choice((0, 1, 10, 100, 4096, 5000, 70000, 1 << 20 if self.random.random() < 0.1 else 3))
        return self.random.randbytes(size)

    # What. Each method whose name begins with op_ is an operation; its weight is in WEIGHTS, 3 when not there.

    def op_create(self):
        with open(self.new(), 'xb') as file:
            file.write(self.bytes())

    def op_overwrite(self):
        with open(self.file(), 'wb') as file:
            file.write(self.bytes())

    def op_append(self):
        with open(self.file(), 'ab') as file:
            file.write(self.bytes())

    def op_write_inside(self):
        with open(self.file(), 'r+b') as file:
            file.seek(self.random.randrange(5000))
            file.write(self.bytes())

    def op_hold_open(self):
        if len(self.held) > 5:
            self.held.pop(self.random.randrange(len(self.held))).close()
        file = open(self.file(), 'ab', buffering=0)
        file.write(self.bytes())
        self.held.append(file)

    def op_write_held(self):
        if self.held:
            self.random.choice(self.held).write(self.bytes())

    def op_rename(self):
        os.rename(self.entry(), self.new())

    def op_rename_over(self):
        os.rename(self.file(), self.file())

    def op_rename_directory(self):
        os.rename(self.entry(stat.S_IFDIR), self.new())

    def op_exchange(self):
        exchange(self.entry(), self.entry())

    def op_exchange_directories(self):
        exchange(self.entry(stat.S_IFDIR), self.entry(stat.S_IFDIR))

    def op_move_out(self):
        self.made += 1
        os.rename(self.entry(), os.path.join(self.outside, b'out-%s-%d' % (self.tag, self.made)))

    def op_move_in(self):
        made = os.path.join(self.outside, b'in-%s-%d' % (self.tag, self.made))
        self.made += 1
        os.makedirs(os.path.join(made, b'a', b'b'))
        for name in (b'1', b'a/2', b'a/b/3'):
            with open(os.path.join(made, name), 'wb') as file:
                file.write(self.bytes())
        os.symlink(b'a/2', os.path.join(made, b'link'))
        os.rename(made, self.new())

    def op_move_back(self):
        names = sorted(name for name in self.names(self.outside) if name.startswith(b'out-'))
        if names:
            os.rename(os.path.join(self.outside, self.random.choice(names)), self.new())

    def op_atomic_save(self):
        path = self.file()
        temporary = os.path.join(os.path.dirname(path), b'.%s-%d.tmp' % (self.tag, self.made))
        self.made += 1
        with open(temporary, 'wb') as file:
            file.write(self.bytes())
        os.rename(temporary, path)

    def op_editor_save(self):
        path = self.file()
        backup = path + b'~'
        os.rename(path, backup)
        with open(path, 'wb') as file:
            file.write(self.bytes())
        if self.random.random() < 0.5:
            os.unlink(backup)

    def op_replace(self):
        path = self.file()
        os.unlink(path)
        with open(path, 'xb') as file:
            file.write(self.bytes())

    def op_mmap(self):
        path, place, value = self.file(), self.random.random(), self.random.randrange(256)
        pid = os.fork()         # another writer may cut the file short, and that kills whoever has it mapped
        if pid == 0:
            with contextlib.suppress(BaseException):
                with open(path, 'r+b') as file:
                    size = os.fstat(file.fileno()).st_size
                    with mmap.mmap(file.fileno(), size) as memory:
                        file.close()    # the mapping alone keeps it open
                        memory[int(place * size)] = value
            os._exit(0)
        os.waitpid(pid, 0)

    def op_same_size_and_mtime(self):
        path = self.file()
        before = os.stat(path)
        with open(path, 'r+b') as file:
            file.write(self.random.randbytes(before.st_size))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def op_truncate(self):
        os.truncate(self.file(), self.random.choice((0, 1, 100, 9000)))

    def op_allocate(self):
        with open(self.file(), 'r+b') as file:
            os.posix_fallocate(file.fileno(), 0, self.random.randrange(1, 20000))

    def op_copy_range(self):
        with open(self.file(), 'rb') as source, open(self.new(), 'xb') as target:
            os.copy_file_range(source.fileno(), target.fileno(), 1 << 20)

    def op_unnamed(self):
        fd = os.open(self.directory(), os.O_TMPFILE | os.O_RDWR, 0o644)
        try:
            os.write(fd, self.bytes())
            os.link(b'/proc/self/fd/%d' % fd, self.new(), src_dir_fd=fd)    # (the descriptor makes it linkat())
            if self.random.random() < 0.3:
                os.write(fd, b'later')
        finally:
            os.close(fd)

    def op_chmod(self):
        mode = self.random.choice((0o644, 0o600, 0o755, 0o444, 0o4755, 0o2755, 0o1777, 0o0))
        path = self.entry(stat.S_IFREG, stat.S_IFDIR, stat.S_IFIFO)
        if not self.superuser:
            mode |= 0o700 if os.path.isdir(path) else 0o600
        os.chmod(path, mode, follow_symlinks=True)

    def op_chown(self):
        if self.superuser:
            os.chown(self.entry(), self.random.randrange(3000), self.random.randrange(3000), follow_symlinks=False)

    def op_touch(self):
        os.utime(self.entry(), ns=(1, self.random.randrange(1 << 60)), follow_symlinks=False)

    def op_link(self):
        path = self.file()
        if os.path.basename(path).startswith(self.tag):
            self.made += 1
            os.link(path, os.path.join(self.directory(), b'%s-%d' % (self.tag, self.made)), follow_symlinks=False)

    def op_symlink(self):
        # Never to a file outside: a writer that loses a race writes through it.
        os.symlink(self.random.choice((b'.', b'nowhere', b'/nonexistent/file', b'\xff\xfe', self.entry())), self.new())

    def op_fifo(self):
        os.mkfifo(self.new(), 0o640)

    def op_socket(self):
        path = self.new()
        with contextlib.ExitStack() as stack:
            fd = os.open(os.path.dirname(path), os.O_PATH)
            stack.callback(os.close, fd)
            server = stack.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(b'/proc/self/fd/%d/%s' % (fd, os.path.basename(path)[:60]))

    def op_device(self):
        if self.superuser:
            os.mknod(self.new(), stat.S_IFCHR | 0o666, os.makedev(1, 3))

    def op_unlink(self):
        path = self.entry()
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)

    def op_mkdir(self):
        os.mkdir(self.new())

    def op_rmdir(self):
        os.rmdir(self.entry(stat.S_IFDIR))

    def op_rmtree(self):
        if self.random.random() < 0.4:
            shutil.rmtree(self.entry(stat.S_IFDIR), ignore_errors=True)

    def op_nest(self):
        path = self.new()
        for _ in range(self.random.randrange(1, 7)):
            os.mkdir(path)
            with open(os.path.join(path, b'at-once'), 'wb') as file:
                file.write(self.bytes())
            path = os.path.join(path, b'n%d' % self.random.randrange(3))

    def op_deep(self):
        """Beyond PATH_MAX, by descriptors."""
        if self.random.random() > 0.1:
            return
        fd = make_deep(self.directory(), 24, 200)
        try:
            bottom = os.open(b'bottom', os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd)
            os.write(bottom, self.bytes())
            os.close(bottom)
        finally:
            os.close(fd)

    def op_come_and_go(self):
        path = self.new()
        with open(path, 'xb') as file:
            file.write(b'x')
        os.unlink(path)

    def op_file_and_directory(self):
        path = self.file()
        os.unlink(path)
        os.mkdir(path)

    WEIGHTS = {'create': 14, 'overwrite': 6, 'append': 5, 'rename': 6, 'atomic_save': 6, 'unlink': 5, 'nest': 4,
               'mkdir': 4, 'rmtree': 1, 'move_out': 1, 'move_in': 2, 'fifo': 1, 'socket': 1, 'device': 1, 'deep': 1,
               'exchange': 2, 'exchange_directories': 2}

    def work(self, operations):
        """Does so many operations; returns how many of each kind succeeded."""
        names = sorted(name[3:] for name in dir(self) if name.startswith('op_') and name[3:] not in self.without)
        weights = [self.WEIGHTS.get(name, 3) for name in names]
        done = {}
        for _ in range(operations):
            name = self.random.choices(names, weights)[0]
            with contextlib.suppress(OSError, ValueError, RecursionError):
                getattr(self, 'op_' + name)()
                done[name] = done.get(name, 0) + 1
        for file in self.held:
            file.close()
        self.held = []
        return done


# What a run does without.
LINKS, HOLDS = ('link',), ('hold_open', 'write_held')
MOVES = HOLDS + ('move_out', 'move_back')       # then with links


class Work:
    """Writers at work; called, it waits for them, and raises if one broke."""

    def __init__(self, pids):
        self.pids, self.codes = pids, []

    def running(self):
        for pid in list(self.pids):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self.pids.remove(pid)
                self.codes.append(os.waitstatus_to_exitcode(status))
        return bool(self.pids)

    def __call__(self):
        self.codes += [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in self.pids]
        self.pids = []
        if any(self.codes):
            raise RuntimeError(f'writers ended with {self.codes}')


def start_writers(root, outside, seed, writers, operations, without=LINKS, user=0):
    """Starts so many processes, of that user when we are root."""
    pids = []
    for number in range(writers):
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                if user:
                    os.setgroups([])
                    os.setgid(user)
                    os.setuid(user)
                Writer(root, outside, f'{seed}:{number}', without).work(operations)
                code = 0
            except BaseException as error:      # told by the exit code; a child must not run on in the parent's code
                print(f'# writer {number} of seed {seed}: {error!r}', flush=True)
            os._exit(code)
        pids.append(pid)
    return Work(pids)


def populate(root, seed, directories=20, files=10):
    """A tree to begin with."""
    dice = random.Random(f'{seed}:populate')
    for number in range(directories):
        path = os.path.join(root, f'd{number % 5}', f'e{number}')
        os.makedirs(path)
        for name in range(files):
            with open(os.path.join(path, f'f{name}'), 'wb') as file:
                file.write(dice.randbytes(dice.randrange(3000)))
