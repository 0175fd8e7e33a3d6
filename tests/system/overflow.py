# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of overflows share: a daemon whose watcher has a short queue, and a watcher that stands still."""

import os
import signal

from harness import instance_lock, need_root, skip

LIMIT_FILE = '/proc/sys/fs/inotify/max_queued_events'
QUEUE = 64
DEFAULT = 16384         # the kernel's own


def set_limit(value):
    try:
        with open(LIMIT_FILE, 'w', encoding='ascii') as file:
            file.write(str(value))
    except OSError as error:
        skip(f'{LIMIT_FILE} cannot be lowered here: {error.strerror}')


def start_with_a_short_queue(daemon, tree, name='t'):
    """The limit counts when the instance is made, which the first dataset does: lower it before, and put it back right
    after."""
    need_root(f'writing {LIMIT_FILE}')
    with instance_lock(exclusive=True):
        with open(LIMIT_FILE, encoding='ascii') as file:
            before = max(int(file.read()), DEFAULT)     # not what another such test has lowered it to
        set_limit(QUEUE)
        try:
            daemon.start_unlocked()
            daemon.add_unlocked(tree, name)
        finally:
            set_limit(before)


def while_stopped(daemon, work):
    watcher = daemon.watcher()
    os.kill(watcher, signal.SIGSTOP)
    try:
        work()
    finally:
        os.kill(watcher, signal.SIGCONT)
