# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the system tests share: TAP, the real daemon in user mode, and the tree itself as the oracle.

A test file calls run([...]) with its test functions; a function is one TAP test, named by its own name (or is a
generator of (name, function) pairs). It fails by raising, skips by skip(reason). Names of files are bytes."""

import base64
import contextlib
import fcntl
import functools
import hashlib
import json
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback

BUILD = os.environ.get('SCITRACE_BUILD') or os.getcwd()
LIMIT = float(os.environ.get('SCITRACE_TEST_LIMIT', '120'))     # seconds; how long a condition may take to come true
CALM = '[Dataset]\nSettleTime=2s\n'       # for tests of what is merged: a settle ends it, a pause of ours does not
SHOWN = 20                                                      # differences that a failure prints
SANITIZERS = (b'ERROR: AddressSanitizer', b'ERROR: LeakSanitizer', b'runtime error:', b'WARNING: ThreadSanitizer')
TYPES = {stat.S_IFREG: 'file', stat.S_IFDIR: 'directory', stat.S_IFLNK: 'symlink', stat.S_IFIFO: 'fifo',
         stat.S_IFSOCK: 'socket', stat.S_IFCHR: 'char', stat.S_IFBLK: 'block'}


class Skip(Exception):
    pass


class Failure(Exception):
    pass


class Slow(Failure):
    pass


def skip(reason):
    raise Skip(reason)


def check(condition, message):
    if not condition:
        raise Failure(message)


def equal(got, wanted, what):
    check(got == wanted, f'{what}: got {got!r}, wanted {wanted!r}')


def diag(text):
    for line in str(text).splitlines():
        print('# ' + line.encode('ascii', 'backslashreplace').decode(), flush=True)


def wait_for(condition, what, limit=None):
    """Returns what condition() returns as soon as it is true."""
    end = time.monotonic() + (limit or LIMIT)
    while True:
        result = condition()
        if result:
            return result
        check(time.monotonic() < end, f'waited {limit or LIMIT:.0f} s in vain: {what}')
        time.sleep(0.02)


def fast(condition, message):
    """check() of what the machine, busy with other things, may spoil: for a test that is measured()."""
    if not condition:
        raise Slow(message)


def measured(test):
    """A statement about speed is about us, not about what else the machine does: it stands when one of three whole
    runs of the test shows it. Whatever else fails, fails at once."""
    @functools.wraps(test)
    def again():
        for left in 2, 1, 0:
            try:
                return test()
            except Slow as error:
                if left == 0:
                    raise
                diag(f'measured again, since {error}')
    return again


def run(tests):
    """Runs the tests and prints TAP; ends the program."""
    count = failed = 0
    for entry in tests:
        name, function = entry if isinstance(entry, tuple) else (entry.__name__.replace('_', ' '), entry)
        count += 1
        began = time.monotonic()
        try:
            function()
            print(f'ok {count} - {name}', flush=True)
        except Skip as reason:
            print(f'ok {count} - {name} # SKIP {reason}', flush=True)
        except Exception as error:      # a broken test must not hide the tests after it
            failed += 1
            if not isinstance(error, Failure):
                diag(traceback.format_exc())
            diag(error)
            print(f'not ok {count} - {name}', flush=True)
        diag(f'{time.monotonic() - began:.1f} s')
    print(f'1..{count}', flush=True)
    sys.exit(1 if failed else 0)


@contextlib.contextmanager
def instance_lock(exclusive):
    """The test that lowers fs.inotify.max_queued_events must not lower it for the watchers of the tests beside it."""
    fd = os.open(f'/tmp/scitrace-tests-{os.getuid()}.lock',     # of the machine, whatever TMPDIR is
                 os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield
    finally:
        os.close(fd)


def program(name):
    path = os.path.join(BUILD, name)
    check(os.access(path, os.X_OK), f'{path} is not built; SCITRACE_BUILD names the build folder')
    return path


def children(pid):
    """Pids of the processes whose parent is pid."""
    found = []
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                with open(f'/proc/{entry}/stat', 'rb') as file:
                    fields = file.read().rpartition(b')')[2].split()
                if int(fields[1]) == pid and fields[0] != b'Z':
                    found.append(int(entry))
    return found


def alive(pid):
    try:
        with open(f'/proc/{pid}/stat', 'rb') as file:
            return file.read().rpartition(b')')[2].split()[0] not in (b'Z', b'X')
    except OSError:
        return False


class Daemon:
    """scitraced --user with a state folder of its own, beneath `top`. As a context manager it is stopped at the end
    and must then have ended with 0, printed nothing, and left no sanitizer's report."""

    def __init__(self, top=None, state=None, settings=None, run=()):
        self.run = list(run)            # what it is started by: a command that takes another and becomes it
        self.own = top is None
        self.top = top or tempfile.mkdtemp(prefix='scitrace-test-')
        self.state = state or os.path.join(self.top, 'state')
        self.config = os.path.join(self.top, 'config')
        self.reports = os.path.join(self.top, 'reports')
        self.err = os.path.join(self.top, 'stderr')
        os.makedirs(os.path.join(self.config, 'scitrace'), exist_ok=True)
        os.makedirs(self.reports, exist_ok=True)
        if settings:
            with open(os.path.join(self.config, 'scitrace', 'scitraced.conf'), 'w', encoding='utf-8') as file:
                file.write(settings)
        self.env = {key: value for key, value in os.environ.items() if not key.startswith('XDG_')}
        self.env['XDG_CONFIG_HOME'] = self.config
        for tool in ('ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS', 'TSAN_OPTIONS'):
            self.env[tool] = (self.env.get(tool, '') + f':log_path={self.reports}/san:print_stacktrace=1').lstrip(':')
        self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.abandon()
            raise
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None and not issubclass(kind, (Skip, Slow)):
            self.tell()
        try:
            if kind is None and self.process:
                self.stop()
        finally:
            self.abandon()

    def tell(self):
        with contextlib.suppress(OSError):
            with open(self.err, 'rb') as file:
                lines = file.read().decode('ascii', 'backslashreplace').splitlines()
            diag(f'the daemon said ({len(lines)} lines, the last {SHOWN}):')
            for line in lines[-SHOWN:]:
                diag('  ' + line)
        for name in sorted(os.listdir(self.reports)):
            with open(os.path.join(self.reports, name), 'rb') as file:
                diag(file.read(4000).partition(b'SUMMARY')[0].decode('ascii', 'backslashreplace'))

    def abandon(self):
        """Ends what still runs, without questions, and removes the folder."""
        if self.process:
            with contextlib.suppress(Failure):
                self.kill('both')
        if self.own and not os.environ.get('SCITRACE_TEST_KEEP'):
            remove(self.top)

    def start(self):
        with instance_lock(exclusive=False):
            self.start_unlocked()

    def start_unlocked(self):
        with open(self.err, 'ab') as err, open(self.err + '.out', 'ab') as out:
            self.process = subprocess.Popen([*self.run, program('scitraced'), '--user', '--state', self.state],
                                            env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                            start_new_session=True)

        def answers():
            code = self.process.poll()
            if code is not None:
                self.process = None
                raise Failure(f'scitraced ended at once with {code}')
            return self.ctl_run('status').returncode == 0
        wait_for(answers, 'scitraced answers status')

    def watchers(self):
        return children(self.process.pid)

    def watcher(self):
        return wait_for(self.watchers, 'a watcher runs')[0]

    def stop(self):
        """A clean end: SIGTERM, exit code 0, silence, no report."""
        process, self.process = self.process, None
        watchers = children(process.pid)
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process = process
            raise Failure('scitraced does not end') from None
        wait_for(lambda: not any(alive(pid) for pid in watchers), 'the watchers end with the daemon')
        self.clean()
        equal(code, 0, "scitraced's exit code")

    def clean(self):
        for name in os.listdir(self.reports):
            with open(os.path.join(self.reports, name), 'rb') as file:
                raise Failure('a sanitizer reports:\n' + file.read(4000).decode('ascii', 'backslashreplace'))
        with open(self.err, 'rb') as file:
            text = file.read()
        for mark in SANITIZERS:
            check(mark not in text, f'a sanitizer reports: {text[-2000:]!r}')
        equal(os.path.getsize(self.err + '.out'), 0, 'bytes that scitraced printed')

    def kill(self, which):
        """kill -9 of 'daemon', 'watcher' or 'both' (in one go, the daemon first)."""
        if which == 'watcher':          # one that has just ended is followed by the next after a moment
            wait_for(lambda: children(self.process.pid), 'there is a watcher')
        watchers = children(self.process.pid)
        if which in ('daemon', 'both'):
            os.kill(self.process.pid, signal.SIGKILL)
        if which in ('watcher', 'both'):
            for pid in watchers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if which != 'watcher':
            self.process.wait()
            self.process = None
        wait_for(lambda: not any(alive(pid) for pid in watchers), 'a watcher without its daemon ends')

    def ctl_run(self, *arguments, **options):
        """scitracectl as a whole: .returncode, .stdout, .stderr (bytes)."""
        return subprocess.run([program('scitracectl'), '--state', self.state, *arguments], env=self.env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=LIMIT * 2, check=False, **options)

    def ctl(self, *arguments):
        """Its rows, parsed. It must succeed."""
        done = self.ctl_run(*arguments, '-o', 'json')
        check(done.returncode == 0, f'scitracectl {arguments} ended with {done.returncode}: '
              f'{done.stderr.decode("utf-8", "backslashreplace")}')
        return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]

    def status(self):
        return self.ctl('status')[0]

    def settle(self, name=None):
        arguments = ['settle'] + ([name] if name else []) + ['--timeout', str(int(LIMIT))]
        done = self.ctl_run(*arguments)
        check(done.returncode == 0, f'scitracectl {arguments} ended with {done.returncode}: {done.stderr!r}')

    def add(self, directory, name=None):
        """The first dataset of a file system starts its watcher."""
        with instance_lock(exclusive=False):
            self.add_unlocked(directory, name)

    def add_unlocked(self, directory, name=None):
        done = self.ctl_run('add', directory, *(['--name', name] if name else []))
        check(done.returncode == 0, f'add ended with {done.returncode}: {done.stderr!r}')

    def events(self, after=0):
        """The log, oldest first."""
        count = self.newest() - after
        while count > 0:
            rows = sorted((row for row in self.ctl('log', '-n', str(count)) if row['seq'] > after),
                          key=lambda row: row['seq'])
            if rows[0]['seq'] == after + 1:
                return rows
            count = rows[-1]['seq'] - after     # some came meanwhile
        return []

    def newest(self):
        return max((row['seq'] for row in self.ctl('log', '-n', '1')), default=0)

    def gaps(self, name):
        return [row for row in self.ctl('coverage', name) if row['state'] == 'gap']

    def at_rest(self, name, directory):
        """Settles, and the record must equal the tree; at the end nothing may be pending and no gap open."""
        self.settle(name)
        compare(self.ctl('files', name), snapshot(directory))
        def idle():                     # a look that a request asked for may end a moment after the settle
            status = self.status()
            return status if status['pending'] == 0 else None
        return wait_for(idle, 'nothing is pending')

    def closed(self, name):
        """Waits until reconciliation has closed every gap that it can; returns the gaps."""
        def none_open():
            gaps = self.gaps(name)
            return gaps if all('closedBy' in gap for gap in gaps) else None
        if not self.gaps(name):
            return []
        return wait_for(none_open, 'every gap is closed')


def name_of(row, key='path'):
    """The bytes of a name in a row, or None."""
    if row.get(key) is not None:
        return row[key].encode()
    if row.get(key + 'Base64') is not None:
        return base64.b64decode(row[key + 'Base64'], validate=True)
    return None


def digest_of(name, directory):
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    digest = hashlib.sha256()
    try:
        while chunk := os.read(fd, 1 << 20):
            digest.update(chunk)
    finally:
        os.close(fd)
    return 'sha256:' + digest.hexdigest()


def state_of(name, directory):
    info = os.stat(name, dir_fd=directory, follow_symlinks=False)
    state = {'type': TYPES[stat.S_IFMT(info.st_mode)], 'mode': stat.S_IMODE(info.st_mode), 'uid': info.st_uid,
             'gid': info.st_gid}
    if state['type'] == 'file':
        state.update(size=info.st_size, mtimeNsec=info.st_mtime_ns, digest=digest_of(name, directory))
    if state['type'] == 'symlink':
        state['target'] = os.fsencode(os.readlink(name, dir_fd=directory))
    return state


def snapshot(root, leave_out=()):
    """The oracle: {path in bytes: state} of everything beneath root. By one descriptor, so that no depth is too much."""
    found, prefixes = {}, [b'']
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        left = [os.listdir(fd)]
        while left:
            if not left[-1]:
                left.pop()
                prefixes.pop()
                fd = descend(fd, b'..') if left else fd
                continue
            name = os.fsencode(left[-1].pop())
            path = prefixes[-1] + name
            if path in leave_out:
                continue
            found[path] = state_of(name, fd)
            if found[path]['type'] == 'directory':
                fd = descend(fd, name)
                left.append(os.listdir(fd))
                prefixes.append(path + b'/')
    finally:
        os.close(fd)
    return found


def descend(fd, name):
    """Opens the directory of that name in the one behind fd, which is closed."""
    below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    os.close(fd)
    return below


def shown(path):
    """A path for people: each name cut."""
    return '/'.join(ascii(name[:24])[2:-1] + ('...' if len(name) > 24 else '') for name in path.split(b'/'))


def compare(rows, tree):
    """rows: of `files -o json`; tree: of snapshot(). Raises with the first differences."""
    recorded, differences, beneath = {}, [], 0
    for row in rows:
        path = name_of(row)
        if path in recorded:
            differences.append(f'{shown(path)} is recorded twice')
        recorded[path] = row
    one_sided = recorded.keys() ^ tree.keys()
    for path in sorted(recorded.keys() | tree.keys()):
        if path.rpartition(b'/')[0] in one_sided:
            beneath += 1        # its directory has been named
        elif path not in tree:
            differences.append(f'{shown(path)} is recorded ({recorded[path]["type"]}) and not there')
        elif path not in recorded:
            differences.append(f'{shown(path)} is there ({tree[path]["type"]}) and not recorded')
        else:
            row = dict(recorded[path], target=name_of(recorded[path], 'target'))
            for key, value in tree[path].items():
                if row.get(key) != value:
                    differences.append(f'{shown(path)}: {key} is {value!r}, recorded {row.get(key)!r} '
                                       f'(seq {row["seq"]})')
    if differences:
        first = '\n'.join(differences[:SHOWN])
        raise Failure(f'the record differs from the tree of {len(tree)} names in {len(differences)} things, and '
                      f'{beneath} beneath these:\n{first}')


def remove(top):
    """rm -rf that minds neither modes nor depth."""
    if os.path.lexists(top):
        subprocess.run(['chmod', '-R', 'u+rwX', '--', top], stderr=subprocess.DEVNULL, check=False)
        subprocess.run(['rm', '-rf', '--', top], stderr=subprocess.DEVNULL, check=False)


def write(path, content=b'', mode='wb'):
    with open(path, mode) as file:
        file.write(content)


def read_now(terminal):
    """What a pseudo-terminal has to say just now; b'' for nothing."""
    if not select.select([terminal], [], [], 0)[0]:
        return b''
    try:
        return os.read(terminal, 65536)
    except OSError:     # its other side is closed
        return b''


def need(*commands):
    for command in commands:
        if not shutil.which(command):
            skip(f'{command} is not installed')


def need_root(what):
    if os.getuid() != 0:
        skip(f'{what} needs root')
