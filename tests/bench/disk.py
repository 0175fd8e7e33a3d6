# SPDX-License-Identifier: LGPL-2.1-or-later
"""A fresh file system for each measured run of writers. ext4 makes new files many times slower while inodes that were
deleted in the last minutes wait to be used again, so that a bench that cleans up measures its own cleaning. As root
it is an image in memory; else a fresh folder beneath TMPDIR, and the table says so."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile

MARK = 'SCITRACE_BENCH_NAMESPACE'
SIZE, INODES = 1536 * 2**20, 160000


def enter_namespace():
    """Starts this program again where its mounts are its own, and end with it."""
    if os.geteuid() == 0 and MARK not in os.environ and shutil.which('unshare'):
        if subprocess.run(['unshare', '-m', 'true'], check=False, stderr=subprocess.DEVNULL).returncode == 0:
            os.environ[MARK] = '1'
            os.execvp('unshare', ['unshare', '-m', sys.executable, *sys.argv])


def quiet(*command):
    return subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def mount_image(image, top, size, inodes):
    with open(image, 'wb') as file:
        file.truncate(size)
    return quiet('mkfs.ext4', '-q', '-F', '-N', str(inodes), '-E', 'lazy_itable_init=0,lazy_journal_init=0,nodiscard',
                 image) and quiet('mount', '-o', 'loop', image, top)


@contextlib.contextmanager
def fresh(size=SIZE, inodes=INODES):
    """A folder on a file system that nobody has used."""
    top = tempfile.mkdtemp(prefix='scitrace-bench-')
    memory = '/dev/shm' if os.access('/dev/shm', os.W_OK) else tempfile.gettempdir()
    image = os.path.join(memory, os.path.basename(top) + '.img')
    mounted = MARK in os.environ and mount_image(image, top, size, inodes)
    try:
        inside = os.path.join(top, 'top')
        os.mkdir(inside)
        yield inside
    finally:
        if mounted:
            quiet('umount', top) or quiet('umount', '-l', top)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(image)
        shutil.rmtree(top, ignore_errors=True)


def describe():
    """Where the writers write."""
    with fresh() as top:
        if os.path.ismount(os.path.dirname(top)):
            return 'a fresh ext4 in memory for each run'
    return f'a fresh folder in {tempfile.gettempdir()} for each run (no root: what was deleted before slows ext4)'
