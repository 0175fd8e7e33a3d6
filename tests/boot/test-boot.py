#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""One boot of a whole system with our units in it: this machine's root beneath an overlay, under systemd-nspawn.

Root only. What is installed is built for /usr, in a folder of its own and without sanitizers (they and the sandbox of
the units do not bear each other). Nothing of this machine is changed."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.environ.get('SCITRACE_SOURCE') or os.path.join(HERE, '..', '..'), 'tests', 'system'))
import harness                                                                  # noqa: E402
from harness import check, children, equal, need, need_root, skip, wait_for    # noqa: E402

SOURCE = os.path.abspath(os.environ.get('SCITRACE_SOURCE') or os.path.join(HERE, '..', '..'))
ENVIRONMENT = {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C.UTF-8'}
DATASET_ADDED = '6404edd990374be48aa04a3183612a5e'
STARTED = 'e1fdac4e9a4a463cb09d280ce482a620'
STOPPED = 'f2e859cf33af4dada0602e8d52f56ad7'
CAP_DAC_READ_SEARCH = 1 << 2
TREE = '/srv/secret'


def must(command, **options):
    """Runs it, and returns what it printed."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=600, check=False, **options)
    check(done.returncode == 0, f'{" ".join(command)} exited with {done.returncode}: '
                                f'{(done.stderr + done.stdout)[-2000:].decode("utf-8", "replace")}')
    return done.stdout.decode('utf-8', 'replace')


class Machine:
    """The booted system; its parts are undone in reverse by close()."""

    def __init__(self):
        self.undo = contextlib.ExitStack()
        self.leader = None

    def boot(self):
        need_root('boots a system')
        need('systemd-nspawn', 'nsenter', 'make', 'gcc', 'setpriv')
        top = tempfile.mkdtemp(prefix='scitrace-boot-')
        self.undo.callback(os.rmdir, top)
        mounted = subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', top], stderr=subprocess.PIPE, check=False)
        if mounted.returncode:
            skip(f'nothing can be mounted here: {mounted.stderr.decode().strip()}')
        self.undo.callback(subprocess.run, ['umount', '-R', top], check=False)
        for name in ('upper', 'work', 'root', 'build'):
            os.mkdir(os.path.join(top, name))
        root = os.path.join(top, 'root')
        if subprocess.run(['mount', '-t', 'overlay', 'overlay', '-o',
                           f'lowerdir=/,upperdir={top}/upper,workdir={top}/work', root], check=False).returncode:
            skip('no overlay can be mounted here')
        self.install(os.path.join(top, 'build'), root)
        self.start(top, root)

    @staticmethod
    def install(build, root):
        must([os.path.join(SOURCE, 'configure'), '--prefix=/usr', '--sysconfdir=/etc', '-q', 'CFLAGS=-O1'], cwd=build)
        must(['make', '-s', '-j', str(os.cpu_count() or 1), 'install', f'DESTDIR={root}'], cwd=build)
        shutil.rmtree(build)
        shutil.copy(os.path.join(SOURCE, 'tests/system/test-metrics-psutil.py'), os.path.join(root, 'opt'))
        with open(os.path.join(root, 'etc/machine-id'), 'w', encoding='ascii') as file:
            file.write(os.urandom(16).hex() + '\n')
        # What this machine keeps in these places is not the booted one's.
        for name in ('var/lib/scitrace', 'etc/scitrace', 'var/log/journal'):
            shutil.rmtree(os.path.join(root, name), ignore_errors=True)
        os.makedirs(os.path.join(root, 'var/log/journal'), exist_ok=True)

    def start(self, top, root):
        console = self.undo.enter_context(open(os.path.join(top, 'console'), 'wb'))
        self.nspawn = subprocess.Popen(
            ['systemd-nspawn', '--quiet', '--register=no', '--keep-unit', '--link-journal=no', '--private-network',
             f'--machine=scitrace-boot-{os.getpid()}', '-b', '-D', root],
            stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True)
        self.undo.callback(self.stop)

        def up():
            if self.nspawn.poll() is not None:
                with open(os.path.join(top, 'console'), 'rb') as file:
                    skip(f'systemd-nspawn does not run here: {file.read()[-300:]!r}')
            found = children(self.nspawn.pid)
            if not found:
                return False
            self.leader = found[0]
            state = self.try_in('systemctl', 'is-system-running').stdout.decode().strip()
            return state in ('running', 'degraded')
        wait_for(up, 'the system is up')

    def stop(self):
        if self.nspawn.poll() is None:
            if self.leader:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.leader, signal.SIGRTMIN + 4)   # to systemd: power off
            try:
                self.nspawn.wait(20)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait()

    def enter(self, command):
        return ['nsenter', '-t', str(self.leader), '-a', '--', 'env', '-i',
                *(f'{name}={value}' for name, value in ENVIRONMENT.items()), *command]

    def try_in(self, *command):
        return subprocess.run(self.enter(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=harness.LIMIT, check=False)

    def run(self, *command):
        return must(self.enter(command))

    def rows(self, *command):
        return [json.loads(line) for line in self.run(*command).splitlines()]

    def ctl(self, *arguments):
        return self.rows('scitracectl', '--system', '-o', 'json', *arguments)

    def journal(self, *matches):
        return self.rows('journalctl', '-q', '-o', 'json', *matches)


machine = Machine()


def up():
    if not machine.leader:
        skip('no system was booted')
    return machine


def status_of(pid):
    """/proc/PID/status in the booted system, as a table."""
    return dict(line.split(':\t', 1) for line in up().run('cat', f'/proc/{pid}/status').splitlines() if ':\t' in line)


def main_pid(unit):
    return int(up().run('systemctl', 'show', '-P', 'MainPID', unit))


def watcher_units():
    listed = up().run('systemctl', 'list-units', '--plain', '--no-legend', 'scitrace-watch@*.service')
    return [line.split()[0] for line in listed.splitlines()]


def as_user(*command):
    return up().enter(['setpriv', '--reuid', 'alice', '--regid', 'alice', '--init-groups', *command])


def gaps():
    return [row for row in up().ctl('coverage', 'secret') if row['state'] == 'gap']


def the_system_boots_with_our_units():
    machine.boot()
    m = up()
    m.run('systemd-sysusers')
    m.run('systemd-tmpfiles', '--create', '--prefix=/run/scitrace')
    m.run('journalctl', '--update-catalog')
    m.run('systemctl', 'preset', 'scitraced.service', 'scitraced.socket', 'scitrace-watch.socket',
          'scitrace-verify.timer', 'scitrace-maintain.timer')
    for unit in 'scitraced.service', 'scitrace-verify.timer', 'scitrace-maintain.timer':
        equal(m.run('systemctl', 'is-enabled', unit).strip(), 'enabled', f'{unit} after preset')
    users = m.run('getent', 'passwd', 'scitrace', 'scitrace-watch').splitlines()
    equal(len(users), 2, 'users made by sysusers')
    admins = m.run('getent', 'group', 'scitrace-admin').strip()
    check(admins.endswith(':'), f'nobody of ours is in {admins}')


def a_client_starts_the_daemon_through_its_socket():
    m = up()
    m.run('systemctl', 'start', 'scitraced.socket', 'scitrace-watch.socket')
    equal(m.try_in('systemctl', 'is-active', 'scitraced.service').stdout, b'inactive\n', 'before the first client')
    m.run('useradd', '--no-create-home', 'alice')
    m.run('install', '-d', '-o', 'alice', '-g', 'alice', '-m', '0700', TREE)
    must(as_user('sh', '-c', f'echo before > {TREE}/old'))
    m.run('scitracectl', '--system', 'add', TREE, '--name', 'secret')
    equal(m.run('systemctl', 'is-active', 'scitraced.service'), 'active\n', 'after the first client')


def a_private_tree_of_another_user_is_recorded():
    m = up()
    m.run('scitracectl', '--system', 'settle', 'secret')
    equal([(row['path'], row['uid'] > 0) for row in m.ctl('files', 'secret')], [('old', True)], 'files')
    must(as_user('sh', '-c', f'umask 077; echo hello > {TREE}/new'))
    m.run('scitracectl', '--system', 'settle', 'secret')
    events = m.ctl('log', f'{TREE}/new')
    equal([(row['path'], row['kind'], row['origin'], row['size'], row['mode']) for row in events],
          [('new', 'create', 'live', 6, 0o600)], 'events of the new file')
    equal(events[0]['digest'], 'sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03', 'digest')


def the_journal_says_so_by_message_id():
    m = up()
    added = wait_for(lambda: m.journal(f'MESSAGE_ID={DATASET_ADDED}'), 'the journal has dataset-added')
    equal(len(added), 1, 'messages')
    equal(added[0].get('SCITRACE_DATASET'), 'secret', 'SCITRACE_DATASET=')
    equal(added[0].get('_SYSTEMD_UNIT'), 'scitraced.service', 'unit')
    check(m.journal(f'MESSAGE_ID={STARTED}'), 'the journal has started')
    explained = m.run('journalctl', '-q', '-x', f'MESSAGE_ID={DATASET_ADDED}')
    check('Dataset secret was added' in explained and 'What to do' in explained, f'the catalog says {explained}')


def each_process_has_its_rights_and_no_others():
    m = up()
    daemon = status_of(main_pid('scitraced.service'))
    units = watcher_units()
    equal(len(units), 1, 'watchers')
    watcher = status_of(main_pid(units[0]))
    uids = [int(m.run('id', '-u', name)) for name in ('scitrace', 'scitrace-watch')]
    equal([int(s['Uid'].split()[1]) for s in (daemon, watcher)], uids, 'uids')
    for field in ('CapEff', 'CapPrm', 'CapBnd', 'CapAmb'):
        equal(int(daemon[field], 16), 0, f'{field} of scitraced')
        equal(int(watcher[field], 16), CAP_DAC_READ_SEARCH, f'{field} of scitrace-watch')
    for status in (daemon, watcher):
        equal((status['NoNewPrivs'], status['Seccomp']), ('1', '2'), 'no new privileges, and a filter')
    refused = m.try_in('setpriv', '--reuid', 'scitrace-watch', '--clear-groups', 'test', '-w', '/run/scitrace/watch.sock')
    check(refused.returncode != 0, 'the watchers\' socket is closed to all but scitrace')


def each_file_system_has_a_watcher_unit_of_its_own():
    m = up()
    m.run('mkdir', '-p', '/srv/other')
    m.run('mount', '-t', 'tmpfs', 'other', '/srv/other')
    m.run('scitracectl', '--system', 'add', '/srv/other', '--name', 'other')
    m.run('sh', '-c', 'echo content > /srv/other/file')
    m.run('scitracectl', '--system', 'settle', 'other')
    equal([row['path'] for row in m.ctl('files', 'other')], ['file'], 'files')
    equal(len(watcher_units()), 2, 'watchers')
    m.run('umount', '/srv/other')       # neither process holds it
    wait_for(lambda: [row['cause'] for row in m.ctl('coverage', 'other') if row['state'] == 'gap'] == ['unmounted'],
             'the gap')
    wait_for(lambda: len(watcher_units()) == 1, 'its watcher ends')
    equal([row['path'] for row in m.ctl('files', 'other')], ['file'], 'files that are away')
    m.run('scitracectl', '--system', 'remove', 'other')
    equal(gaps(), [], 'gaps of another dataset')


def a_user_who_is_no_administrator_is_refused():
    done = subprocess.run(as_user('scitracectl', '--system', 'files', 'secret'), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    check(done.returncode != 0 and not done.stdout, f'exited with {done.returncode}, printed {done.stdout!r}')
    check(b'scitrace-admin' in done.stderr, f'the sentence names the group: {done.stderr!r}')


def metrics_inside_the_unit_agree_with_psutil():
    done = up().try_in('env', 'SCITRACE_METRICS=scitracectl --system metrics -o json', '/usr/bin/python3',
                       '/opt/test-metrics-psutil.py')
    output = done.stdout.decode('utf-8', 'replace')
    if '# SKIP' in output:
        skip(output.split('# SKIP', 1)[1].strip())
    check(done.returncode == 0, output + done.stderr.decode('utf-8', 'replace'))


def a_repository_in_the_home_of_another_user_is_known_as_one():
    m = up()
    need('git')
    m.run('install', '-d', '-o', 'alice', '-g', 'alice', '-m', '0700', '/home/alice')
    commit = 'git init -q r; cd r; echo x > f; git add f; git -c user.name=a -c user.email=a@b commit -q -m first; git rev-parse HEAD'
    head = must(as_user('env', 'HOME=/home/alice', 'sh', '-ec', f'cd /home/alice; {commit}')).strip()
    m.run('scitracectl', '--system', 'add', '/home/alice/r', '--name', 'repository')
    m.run('scitracectl', '--system', 'settle', 'repository')
    equal([row['kind'] for row in m.ctl('datasets') if row['name'] == 'repository'], ['git'], 'kind')
    must(as_user('sh', '-c', 'echo y >> /home/alice/r/f'))
    m.run('scitracectl', '--system', 'settle', 'repository')
    equal(m.ctl('log', '-n', '1', '/home/alice/r/f')[0].get('gitCommit'), head, 'gitCommit')


def a_backup_goes_where_only_the_client_may_write():
    m = up()
    m.run('scitracectl', '--system', 'store', 'backup', '/root/backup.db')
    equal(m.run('head', '-c', '15', '/root/backup.db'), 'SQLite format 3', 'the backup')
    equal(m.run('stat', '-c', '%U', '/root/backup.db'), 'root\n', 'its owner')


def what_the_timers_start_does_its_work():
    m = up()
    m.run('systemctl', 'start', 'scitrace-verify.timer', 'scitrace-maintain.timer')
    m.run('systemctl', 'start', 'scitrace-verify.service')
    m.run('systemctl', 'start', 'scitrace-maintain.service')
    cared = {row['what']: row['result'] for row in m.ctl('store', 'describe')[0]['care']}
    equal((cared.get('verify'), cared.get('maintain')), ('sound', 'done'), 'care of the store')


def a_user_has_a_record_of_her_own_by_the_user_unit():
    m = up()
    m.run('loginctl', 'enable-linger', 'alice')
    uid = m.run('id', '-u', 'alice').strip()
    wait_for(lambda: m.try_in('systemctl', 'is-active', f'user@{uid}.service').stdout == b'active\n', 'her manager runs')

    def hers(*command):
        return must(as_user('env', 'HOME=/home/alice', f'XDG_RUNTIME_DIR=/run/user/{uid}', *command))
    hers('systemctl', '--user', 'start', 'scitraced.service')
    hers('scitracectl', '--user', 'add', TREE, '--name', 'mine')
    hers('scitracectl', '--user', 'settle', 'mine')
    rows = [json.loads(line) for line in hers('scitracectl', '--user', '-o', 'json', 'files', 'mine').splitlines()]
    equal(sorted(row['path'] for row in rows), ['new', 'old'], 'files')
    hers('systemctl', '--user', 'stop', 'scitraced.service')
    failed = hers('systemctl', '--user', 'list-units', '--plain', '--no-legend', '--state=failed', 'scitrace*')
    equal(failed.strip(), '', 'failed units')


def a_client_starts_a_stopped_daemon():
    m = up()
    m.run('systemctl', 'stop', 'scitraced.service')
    equal(m.try_in('systemctl', 'is-active', 'scitraced.service').stdout, b'inactive\n', 'once stopped')
    wait_for(lambda: not watcher_units(), 'the watcher ends with the daemon')
    equal(m.ctl('status')[0]['datasets'], 2, 'datasets')
    equal(m.run('systemctl', 'is-active', 'scitraced.service'), 'active\n', 'after a client')


def a_restart_is_a_gap_that_says_stopped():
    m = up()
    m.run('systemctl', 'restart', 'scitraced.service')
    must(as_user('sh', '-c', f'echo more >> {TREE}/new'))
    m.run('scitracectl', '--system', 'settle', 'secret')
    found = gaps()
    check([row['cause'] for row in found] == ['stopped'] and found[0]['closedBy'], f'gaps: {found}')
    check(m.journal(f'MESSAGE_ID={STOPPED}'), 'the journal has stopped')
    equal(len(watcher_units()), 1, 'watchers after a restart')


def a_kill_is_survived_and_is_a_gap_that_says_crashed():
    m = up()
    before = main_pid('scitraced.service')
    m.run('systemctl', 'kill', '-s', 'KILL', 'scitraced.service')
    wait_for(lambda: main_pid('scitraced.service') not in (0, before), 'systemd starts another')
    m.run('scitracectl', '--system', 'settle', 'secret')
    found = gaps()
    check([row['cause'] for row in found] == ['stopped', 'crashed'] and all(row['closedBy'] for row in found),
          f'gaps: {found}')


def nothing_was_forbidden_that_is_needed():
    m = up()
    failed = m.run('systemctl', 'list-units', '--plain', '--no-legend', '--state=failed', 'scitrace*')
    equal(failed.strip(), '', 'failed units')
    errors = m.journal('-p', 'err', '_SYSTEMD_UNIT=scitraced.service')
    equal([row['MESSAGE'] for row in errors], [], 'errors of scitraced')


signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))        # what is mounted must not stay
with machine.undo:
    harness.run([
        the_system_boots_with_our_units,
        a_client_starts_the_daemon_through_its_socket,
        a_private_tree_of_another_user_is_recorded,
        the_journal_says_so_by_message_id,
        each_process_has_its_rights_and_no_others,
        each_file_system_has_a_watcher_unit_of_its_own,
        a_user_who_is_no_administrator_is_refused,
        metrics_inside_the_unit_agree_with_psutil,
        a_backup_goes_where_only_the_client_may_write,
        a_restart_is_a_gap_that_says_stopped,
        a_kill_is_survived_and_is_a_gap_that_says_crashed,
        a_repository_in_the_home_of_another_user_is_known_as_one,
        what_the_timers_start_does_its_work,
        a_user_has_a_record_of_her_own_by_the_user_unit,
        a_client_starts_a_stopped_daemon,
        nothing_was_forbidden_that_is_needed,
    ])
