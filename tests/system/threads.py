# SPDX-License-Identifier: LGPL-2.1-or-later
"""Threads of the watcher that stand still while the others run, by ptrace: as on a machine that is very busy."""

import contextlib
import ctypes
import os

from harness import skip

SEIZE, DETACH, INTERRUPT, CONTINUE, ANY = 0x4206, 17, 0x4207, 7, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ask(what, task):
    """Whether it was done; by the thread that seized it."""
    return libc.ptrace(what, task, None, None) == 0


def named(pid, name):
    """The threads of that name."""
    found = []
    for task in map(int, os.listdir(f'/proc/{pid}/task')):
        with contextlib.suppress(OSError), open(f'/proc/{pid}/task/{task}/comm', encoding='ascii') as file:
            if file.read().strip() == name:
                found.append(task)
    return found


def interrupt(task):
    """It stands still; what it does then is not known."""
    if not ask(INTERRUPT, task):
        return False
    os.waitpid(task, ANY)
    return True


def ran(task):
    """For how long it has had a processor, ns; 0 where the kernel does not tell."""
    with contextlib.suppress(OSError), open(f'/proc/{task}/schedstat', encoding='ascii') as file:
        return int(file.read().split()[0])
    return 0


@contextlib.contextmanager
def standing(task):
    if not ask(SEIZE, task):
        skip('a process may not be traced here')
    interrupt(task)
    try:
        yield
    finally:
        ask(DETACH, task)
