# SPDX-License-Identifier: LGPL-2.1-or-later
"""What cannot be done is refused with a sentence that helps, and an exit code that is not 0."""

import os
import shutil
import subprocess

import harness
from harness import check, equal, need, need_root, skip, write


FAILED, USAGE, NO_DAEMON, NOT_FOUND, DENIED = 1, 2, 3, 4, 5     # scitracectl(1)


def refused(done, code, *words):
    """It ended with that code, and said so in a few lines that hold these words."""
    text = done.stderr.decode('utf-8', 'backslashreplace')
    equal(done.returncode, code, f'the exit code ({text.strip()} {done.stdout[:200]!r})')
    check(text.strip() and len(text.strip().splitlines()) <= 3, f'not one clear sentence: {text!r}')
    for word in words:
        check(word.lower() in text.lower(), f'{word!r} is missing in {text!r}')


class Stage:
    def __enter__(self):
        self.daemon = harness.Daemon().__enter__()
        self.tree = os.path.join(self.daemon.top, 'tree')
        os.makedirs(os.path.join(self.tree, 'inner'))
        self.daemon.add(self.tree, 'lab')
        self.daemon.settle('lab')
        return self.daemon, self.tree

    def __exit__(self, *error):
        return self.daemon.__exit__(*error)


class Mounted:
    """A tmpfs at path, for as long as the test needs it."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        need_root('mounting a tmpfs')
        done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'scitrace-test', self.path], check=False,
                              stderr=subprocess.PIPE)
        if done.returncode != 0:
            skip(f'mount is refused here: {done.stderr.decode().strip()}')

    def __exit__(self, *error):
        subprocess.run(['umount', self.path], check=False)


def roots_that_cannot_be_watched():
    with Stage() as (daemon, tree):
        refused(daemon.ctl_run('add', tree), FAILED, 'lab')
        refused(daemon.ctl_run('add', os.path.join(tree, 'no-such')), FAILED, 'no-such')
        path = os.path.join(daemon.top, 'file')
        write(path)
        refused(daemon.ctl_run('add', path), FAILED, 'director')
        other = os.path.join(daemon.top, 'other')
        os.mkdir(other)
        refused(daemon.ctl_run('add', other, '--name', 'lab'), FAILED, 'lab')
        refused(daemon.ctl_run('add', other, '--name', 'a/b'), FAILED, 'a/b')
        for own in (daemon.state, os.path.join(daemon.state, 'run')):
            refused(daemon.ctl_run('add', own), FAILED, own, 'record')
        for made_up in ('/proc', '/proc/sys'):
            refused(daemon.ctl_run('add', made_up), FAILED, made_up, 'kernel')
        equal([row['name'] for row in daemon.ctl('datasets')], ['lab'], 'datasets after the refusals')


def a_link_to_a_watched_root():
    """A second way to a watched root is named as what it is, or refused; never watched twice."""
    with Stage() as (daemon, tree):
        os.symlink(tree, os.path.join(daemon.top, 'way'))
        refused(daemon.ctl_run('add', os.path.join(daemon.top, 'way')), FAILED, 'lab')
        equal(len(daemon.ctl('datasets')), 1, 'datasets')


def a_mount_beneath_the_root_is_a_gap():
    with harness.Daemon() as daemon:
        tree = os.path.join(daemon.top, 'tree')
        os.makedirs(os.path.join(tree, 'mounted'))
        with Mounted(os.path.join(tree, 'mounted')):
            write(os.path.join(tree, 'mounted', 'beyond'))
            write(os.path.join(tree, 'here'))
            daemon.add(tree, 't')
            daemon.settle('t')
            gaps = daemon.gaps('t')
            equal([(gap['cause'], gap['path'], 'closedBy' in gap) for gap in gaps],
                  [('other-filesystem', 'mounted', False)], 'gaps')
            equal(sorted(row['path'] for row in daemon.ctl('files', 't')), ['here', 'mounted'], 'files')
            equal(daemon.ctl('datasets')[0]['gapsOpen'], 1, 'gapsOpen')
            check(b'\nother-filesystem: ' in daemon.ctl_run('coverage', 't').stdout, 'what the gap means is said')


def an_unprivileged_owner():
    """As a user without rights: what it cannot read is a refusal at the root, and a gap beneath it."""
    need_root('becoming another user')
    need('setpriv')
    with open('/etc/passwd', encoding='utf-8', errors='replace') as file:
        check('nobody:' in file.read(), 'there is no user nobody')
    daemon = harness.Daemon()
    try:
        # Programs and state where that user can reach them, whatever the mode of the build tree.
        os.chmod(daemon.top, 0o755)
        programs = os.path.join(daemon.top, 'programs')
        os.mkdir(programs)
        for name in ('scitraced', 'scitracectl', 'scitrace-watch'):
            shutil.copy2(harness.program(name), programs)
        home = os.path.join(daemon.top, 'home')
        tree = os.path.join(home, 'tree')
        os.makedirs(os.path.join(tree, 'closed'))
        write(os.path.join(tree, 'closed', 'unseen'))
        write(os.path.join(tree, 'seen'), b'x')
        write(os.path.join(tree, 'unreadable'), b'x')
        os.makedirs(os.path.join(home, 'refused'), 0o700)
        os.chmod(os.path.join(tree, 'closed'), 0o700)
        os.chmod(os.path.join(tree, 'unreadable'), 0o600)
        daemon.state = os.path.join(home, 'state')
        for path in (home, daemon.reports):
            os.chown(path, 65534, 65534)
        user = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--']
        with open(daemon.err, 'ab') as err:
            daemon.process = subprocess.Popen(
                [*user, os.path.join(programs, 'scitraced'), '--user', '--state', daemon.state], env=daemon.env,
                stdin=subprocess.DEVNULL, stdout=err, stderr=err, start_new_session=True)
        write(daemon.err + '.out')

        def ctl(*arguments):
            return subprocess.run([*user, os.path.join(programs, 'scitracectl'), '--state', daemon.state, *arguments],
                                  env=daemon.env, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                                  timeout=harness.LIMIT)
        harness.wait_for(lambda: ctl('status').returncode == 0, 'the unprivileged daemon answers')
        refused(ctl('add', os.path.join(home, 'refused')), FAILED, 'permission')
        done = ctl('add', tree, '--name', 't')
        equal(done.returncode, 0, f'add ({done.stderr!r})')
        equal(ctl('settle', 't').returncode, 0, 'settle')
        causes = sorted((gap['cause'], gap['path']) for gap in daemon.gaps('t'))
        equal(causes, [('permission', 'closed'), ('permission', 'unreadable')], 'gaps')
        rows = {row['path']: row for row in daemon.ctl('files', 't')}
        equal(sorted(rows), ['closed', 'seen', 'unreadable'], 'files')
        equal(rows['unreadable'].get('digest'), None, 'the digest of what cannot be read')
        equal(rows['unreadable']['size'], 1, 'its size')
        daemon.stop()
    except BaseException as error:
        if not isinstance(error, harness.Skip):
            daemon.tell()
        raise
    finally:
        daemon.abandon()


def misspelt_words():
    with Stage() as (daemon, _):
        refused(daemon.ctl_run('statsu'), USAGE, 'status')
        refused(daemon.ctl_run('files', 'lba'), NOT_FOUND, 'lab')
        refused(daemon.ctl_run('status', '--no-pagre'), USAGE, '--no-pager')
        refused(daemon.ctl_run('log', '--dataset-that-is-no-option'), USAGE)
        refused(daemon.ctl_run('add'), USAGE, 'add')
        refused(daemon.ctl_run('store'), USAGE, 'store backup FILE', 'store keys')
        refused(daemon.ctl_run('store', 'kyes'), USAGE, 'kyes', "mean 'store keys'")
        refused(daemon.ctl_run('files', 'lab', '-o', 'xml'), USAGE, 'json')
        refused(daemon.ctl_run('history', '/nowhere/at/all'), NOT_FOUND, 'nowhere')
        refused(daemon.ctl_run('history', os.path.join(daemon.top, 'tree', 'never')), NOT_FOUND, 'never')


def a_daemon_that_is_not_there():
    daemon = harness.Daemon()
    try:
        refused(daemon.ctl_run('status'), NO_DAEMON, 'scitraced')
        for command in (['datasets'], ['files', 'x'], ['settle'], ['add', daemon.top]):
            refused(daemon.ctl_run(*command), NO_DAEMON, 'scitraced')
        daemon.start()
        daemon.stop()
        refused(daemon.ctl_run('status'), NO_DAEMON, 'scitraced')
        daemon.start()
        daemon.kill('both')
        refused(daemon.ctl_run('status'), NO_DAEMON, 'scitraced')
    finally:
        daemon.abandon()


def a_socket_that_one_may_not_open():
    need_root('becoming another user')
    need('setpriv')
    with Stage() as (daemon, _):
        os.chmod(daemon.top, 0o755)
        programs = os.path.join(daemon.top, 'programs')
        os.mkdir(programs)
        shutil.copy2(harness.program('scitracectl'), programs)
        done = subprocess.run(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--',
                               os.path.join(programs, 'scitracectl'), '--state', daemon.state, 'datasets'],
                              env=daemon.env, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              timeout=harness.LIMIT)
        refused(done, DENIED)
        equal(done.stdout, b'', 'what it printed')


def a_system_without_openat2():
    """Without it nothing can be read safely: the daemon says so and ends, also with a record from before."""
    with Stage() as (daemon, _):
        daemon.stop()
        os.truncate(daemon.err, 0)
        command = [harness.program('tests/system/without'), 'openat2', harness.program('scitraced'), '--user',
                   '--state', daemon.state]
        done = subprocess.run(command, env=daemon.env, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=harness.LIMIT, check=False)
        text = done.stderr.decode()
        equal(done.returncode, 1, f'the exit code ({text})')
        told = [line for line in text.splitlines() if 'openat2' in line]
        check(len(told) == 1 and 'Linux 5.6' in told[0], f'not one clear sentence: {text}')


harness.run([roots_that_cannot_be_watched, a_link_to_a_watched_root,
             a_mount_beneath_the_root_is_a_gap, an_unprivileged_owner, misspelt_words, a_daemon_that_is_not_there,
             a_socket_that_one_may_not_open, a_system_without_openat2])
