# SPDX-License-Identifier: LGPL-2.1-or-later
"""File systems of the tests' own: images on a loop device, in the mount namespace of the test."""

import contextlib
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.environ.get('SCITRACE_SOURCE') or os.path.join(HERE, '..', '..'), 'tests', 'system'))
from harness import check, need, need_root, skip                                # noqa: E402

LEAST = {'ext4': 32, 'xfs': 320, 'btrfs': 128, 'tmpfs': 1}      # MiB
OPTIONS = {'ext4': ['-q', '-F', '-m0'], 'xfs': ['-q', '-f'], 'btrfs': ['-q', '-f', '-m', 'single']}


def in_a_namespace_of_its_own():
    """For the start of a test: whatever becomes of it, no mount is left. Without root nothing happens."""
    if os.geteuid() == 0 and not os.environ.get('SCITRACE_TEST_UNSHARED'):
        os.environ['SCITRACE_TEST_UNSHARED'] = 'yes'
        try:
            os.execvp('unshare', ['unshare', '--mount', sys.executable, *sys.argv])
        except FileNotFoundError:
            pass


def run(*command):
    return subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)


def must(*command):
    done = run(*command)
    check(done.returncode == 0, f'{command}: {done.stdout.decode().strip()}')


class Volume:
    """A file system of some kind, of so many MiB, made in an image in `folder` and mounted beneath it at .path; what is
    to be tested there is skipped where the machine cannot do it. options: further ones of mkfs or, for tmpfs, of mount.
    As a context manager it is unmounted at the end."""

    def __init__(self, kind, folder, size=None, options=()):
        self.kind, self.options, self.size = kind, list(options), size or LEAST[kind]
        self.image = os.path.join(folder, f'{kind}.img')
        self.path = self.home = os.path.join(folder, kind)     # home: what is used of it, and filled
        need_root('mounting')
        if kind != 'tmpfs':
            need(f'mkfs.{kind}', 'losetup')
            with open(self.image, 'wb') as file:
                file.truncate(self.size << 20)
            done = run(f'mkfs.{kind}', *OPTIONS[kind], *self.options, self.image)
            if done.returncode != 0:
                skip(f'no {kind} can be made: {done.stdout.decode().strip()}')
        os.mkdir(self.path)
        self.mount(lambda why: skip(f'no {kind} can be mounted: {why}'))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        run('umount', '-l', self.path)

    def mount(self, refused=lambda why: check(False, f'mount: {why}'), options=''):
        """options: of mount, each with a comma before it."""
        if self.kind == 'tmpfs':
            options = ','.join([f'size={self.size}m', *self.options]) + options
            done = run('mount', '-t', 'tmpfs', '-o', options, 'none', self.path)
        else:
            done = run('mount', '-t', self.kind, '-o', 'loop' + options, self.image, self.path)
        if done.returncode != 0:
            refused(done.stdout.decode().strip())

    def umount(self):
        must('umount', self.path)

    def limit(self, size):
        """Of a btrfs: .home is a folder that may hold so many MiB, by its quota."""
        need('btrfs')
        self.home = os.path.join(self.path, 'home')
        must('btrfs', 'quota', 'enable', self.path)
        must('btrfs', 'subvolume', 'create', self.home)
        must('btrfs', 'qgroup', 'limit', f'{size}M', self.home)

    def fill(self):
        """To the last byte."""
        fd = os.open(os.path.join(self.home, 'filler'), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        end, piece = 0, 64 << 20
        while piece >= 4096:
            try:
                os.posix_fallocate(fd, end, piece)
                end += piece
            except OSError:
                piece //= 2
        with contextlib.suppress(OSError):
            while True:
                end += os.pwrite(fd, bytes(512), end)
        with contextlib.suppress(OSError):
            os.fsync(fd)
        os.close(fd)

    def fill_inodes(self):
        """Until no file can be made; bytes there are."""
        os.mkdir(os.path.join(self.home, 'filler'))
        with contextlib.suppress(OSError):
            for n in range(1 << 20):
                os.close(os.open(os.path.join(self.home, 'filler', str(n)), os.O_WRONLY | os.O_CREAT))

    def empty(self):
        """What filled it goes."""
        must('rm', '-r', os.path.join(self.home, 'filler'))

    def cut(self):
        """What the disk holds right now, as a power cut would leave it: a copy of the image. Who writes to it must be
        stopped; what the kernel is still writing by itself is waited for."""
        one, two = self.image + '.cut', self.image + '.again'
        must('cp', '--sparse=always', self.image, one)
        while True:
            must('cp', '--sparse=always', self.image, two)
            if run('cmp', '-s', one, two).returncode == 0:
                os.unlink(two)
                return one
            os.rename(two, one)

    def come_back(self, cut):
        """The power is back: the disk holds what cut() returned, and is mounted again."""
        self.umount()
        os.rename(cut, self.image)
        if self.kind == 'btrfs':        # the kernel remembers newer generations of the same file system
            run('btrfs', 'device', 'scan', '--forget')
        self.mount()
