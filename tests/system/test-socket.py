# SPDX-License-Identifier: LGPL-2.1-or-later
"""The control socket: made again when it is lost, never put in another's place."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time

import harness
from harness import check, equal, fast, measured, wait_for, write


def scitraced(*arguments, **options):
    """One that is to end by itself."""
    return subprocess.run([harness.program('scitraced'), *arguments], stdin=subprocess.DEVNULL, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.LIMIT, **options)


def a_removed_socket_is_made_again():
    with harness.Daemon() as daemon:
        path = os.path.join(daemon.state, 'run', 'control.sock')
        pid = daemon.status()['pid']
        with socket.socket(socket.AF_UNIX) as old:
            old.connect(path)
            os.unlink(path)
            check(daemon.ctl_run('status').returncode != 0, 'nothing answers while the socket is gone')
            wait_for(lambda: os.path.exists(path), 'the socket is made again')
            equal(daemon.status()['pid'], pid, 'the daemon that answers')
            old.sendall(b'{"method":"org.scitrace.Service.Ping"}\0')
            check(old.recv(100), 'a connection of before goes on')
        shutil.rmtree(os.path.join(daemon.state, 'run'))
        wait_for(lambda: os.path.exists(path), 'its folder is made again, too')
        equal(daemon.status()['pid'], pid, 'the daemon that answers')


@contextlib.contextmanager
def in_a_runtime_folder():
    """A daemon as at a login: (top, environment, process)."""
    with tempfile.TemporaryDirectory(prefix='scitrace-test-') as top:
        os.mkdir(os.path.join(top, 'runtime'), 0o700)
        env = dict(os.environ, HOME=top, XDG_STATE_HOME=os.path.join(top, 'home'),
                   XDG_RUNTIME_DIR=os.path.join(top, 'runtime'), XDG_CONFIG_HOME=os.path.join(top, 'config'))
        with subprocess.Popen([harness.program('scitraced'), '--user'], env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            try:
                yield top, env, process
            finally:
                process.terminate()
                harness.diag(process.communicate(timeout=harness.LIMIT)[1].decode('ascii', 'backslashreplace'))
                equal(process.returncode, 0, "the daemon's exit code")


def logout_takes_the_socket_and_it_moves_to_the_state_folder():
    def status(env):
        return subprocess.run([harness.program('scitracectl'), '--user', 'status'], env=env, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE).returncode
    with in_a_runtime_folder() as (top, env, process):
        wait_for(lambda: status(env) == 0, 'the daemon answers in XDG_RUNTIME_DIR')
        check(os.path.exists(os.path.join(top, 'runtime', 'scitrace', 'control.sock')), 'the socket is there')
        shutil.rmtree(os.path.join(top, 'runtime'))
        wait_for(lambda: status(env) == 0, 'the daemon answers elsewhere')
        with open(os.path.join(top, 'home', 'scitrace', 'lock'), encoding='utf-8') as lock:
            equal(lock.read(), f'{process.pid}\n{top}/home/scitrace/run/control.sock\n', 'what the lock says')
        check(not os.path.exists(os.path.join(top, 'runtime')), 'XDG_RUNTIME_DIR is not made by us')
        os.mkdir(os.path.join(top, 'runtime'), 0o700)
        equal(status(env), 0, 'after the next login')
        del env['XDG_RUNTIME_DIR']
        equal(status(env), 0, 'from cron')


def a_file_or_the_socket_of_another_is_left_alone():
    with harness.Daemon() as daemon, tempfile.TemporaryDirectory() as top:
        theirs, file = os.path.join(daemon.state, 'run', 'control.sock'), os.path.join(top, 'thesis')
        write(file, b'thesis')
        for path, word in ((theirs, b'Another process listens'), (file, b'left alone')):
            done = scitraced('--user', '--state', os.path.join(top, 'state'), '--socket', path)
            equal((done.returncode, done.stdout), (1, b''), f'scitraced --socket {path}')
            check(word in done.stderr and path.encode() in done.stderr, f'it says {done.stderr!r}')
        check(os.path.getsize(file) == 6 and daemon.status()['state'] == 'running', 'both are as they were')


@measured
def a_second_daemon_for_the_same_record_is_refused_at_once():
    with harness.Daemon() as daemon, tempfile.TemporaryDirectory() as tree:
        daemon.add(tree, 't')
        daemon.at_rest('t', tree)
        began = time.monotonic()
        done = scitraced('--user', '--state', daemon.state)
        fast(time.monotonic() - began < 1, f'it took {time.monotonic() - began:.1f} s')
        equal((done.returncode, done.stdout), (1, b''), 'a second scitraced')
        check(b'running already' in done.stderr and str(daemon.process.pid).encode() in done.stderr and
              done.stderr.count(b'\n') == 1, f'it says {done.stderr!r}')
        write(os.path.join(tree, 'file'), b'x')
        daemon.at_rest('t', tree)
        equal((daemon.events()[-1]['origin'], daemon.gaps('t')), ('live', []), 'the first one goes on')


harness.run([a_removed_socket_is_made_again, logout_takes_the_socket_and_it_moves_to_the_state_folder,
             a_file_or_the_socket_of_another_is_left_alone, a_second_daemon_for_the_same_record_is_refused_at_once])
