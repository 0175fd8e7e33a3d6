# SPDX-License-Identifier: LGPL-2.1-or-later
"""./quickstart and ./check, as a newcomer meets them."""

import os
import pty
import subprocess
import tempfile

import harness
from harness import check, equal, need, remove, wait_for, write

SOURCE = os.environ.get('SCITRACE_SOURCE') or os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
SCRIPTS = ('quickstart', 'check', '.ci/run', 'build-aux/need', 'build-aux/embed', 'build-aux/check-layers',
           'build-aux/check-style')


def script(name, *arguments, **options):
    return subprocess.run(['sh', os.path.join(SOURCE, name), *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.LIMIT, check=False, **options)


def shell_scripts_pass_shellcheck():
    need('shellcheck')
    done = subprocess.run(['shellcheck', '-x', *SCRIPTS], cwd=SOURCE, check=False, stdout=subprocess.PIPE)
    check(done.returncode == 0, done.stdout.decode('utf-8', 'replace'))


def help_is_given():
    for name in ('quickstart', 'check'):
        done = script(name, '--help')
        equal((done.returncode, done.stderr), (0, b''), f'{name} --help')
        check(f'Usage: ./{name}'.encode() in done.stdout, f'{name} --help says {done.stdout!r}')
        check(max(map(len, done.stdout.splitlines())) <= 80, f'{name} --help has a line of more than 80 columns')
    equal(script('check', '--hlep').returncode, 2, 'exit code of a wrong option')


def what_quickstart_refuses():
    with tempfile.TemporaryDirectory() as top:
        write(os.path.join(top, 'file'))
        for arguments, code, word in (([], 2, 'Which folder'), (['--no-such'], 2, '--no-such'), ([''], 2, 'empty'),
                                      (['/a', '/b'], 2, 'One folder'), (['--state'], 2, 'needs a folder'),
                                      (['--stop', '/a'], 2, 'no folder'),
                                      (['--state', top, '--build', top, top], 1, 'no scitraced in'),
                                      ([os.path.join(top, 'none')], 1, 'does not exist'),
                                      ([os.path.join(top, 'file')], 1, 'not a folder')):
            done = script('quickstart', *arguments)
            equal((done.returncode, done.stdout), (code, b''), f'quickstart {arguments}')
            equal(len(done.stderr.splitlines()), 1, f'lines that quickstart {arguments} said')
            check(word.encode() in done.stderr, f'quickstart {arguments} says {done.stderr!r}')


class Start:
    """quickstart with the programs of this build, and a state folder of its own."""

    def __enter__(self):
        harness.program('scitraced')
        self.top = tempfile.mkdtemp(prefix='scitrace-test-')
        self.tree = os.path.join(self.top, 'my data')
        os.mkdir(self.tree)
        for number in range(15):
            write(os.path.join(self.tree, f'file {number}'), b'%d' % number)
        self.state = os.path.join(self.top, 'state')
        self.env = {key: value for key, value in os.environ.items() if not key.startswith('XDG_')}
        self.env['HOME'] = self.top
        self.options = ['--state', self.state, '--build', harness.BUILD]
        return self

    def __exit__(self, *error):
        self.run('--stop')
        if error[0]:
            with open(os.path.join(self.state, 'log'), 'rb') as file:
                harness.diag(file.read()[-3000:].decode('ascii', 'backslashreplace'))
        remove(self.top)

    def run(self, *arguments):
        return script('quickstart', *self.options, *arguments, env=self.env)


def quickstart_without_a_terminal():
    with Start() as start:
        for call, said in (('first', b'is started'), ('second', b'is running already')):
            done = start.run(start.tree)
            equal(done.returncode, 0, f'exit code of the {call} call ({done.stderr!r})')
            check(said in done.stdout, f'the {call} call says {done.stdout!r}')
            check(f'15 files are recorded in {start.tree}'.encode() in done.stdout, f'it says {done.stdout!r}')
            check(b'file 14' in done.stdout, f'the last events are missing: {done.stdout!r}')
            equal(done.stderr, b'', f'what the {call} call complains of')
        odd = os.path.join(start.top, "it's\x1b[31m odd\n")
        os.mkdir(odd)
        done = start.run(odd)
        equal((done.returncode, done.stderr), (0, b''), 'a folder with a hostile name')
        check(b'\x1b' not in done.stdout and b"0 files are recorded in" in done.stdout, f'it says {done.stdout!r}')
        done = start.run(os.path.join(start.top, 'state'))
        check(done.returncode in (0, 1), 'a second folder')
        done = start.run('--stop')
        equal((done.returncode, done.stderr), (0, b''), '--stop')
        check(b'is stopped' in done.stdout, f'--stop says {done.stdout!r}')
        check(b'No scitraced' in start.run('--stop').stdout, 'a second --stop')


def quickstart_on_a_terminal():
    with Start() as start:
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvpe('sh', ['sh', os.path.join(SOURCE, 'quickstart'), *start.options, start.tree], start.env)
        shown = b''

        def shows(text):
            nonlocal shown
            shown += harness.read_now(terminal)
            return text in shown
        wait_for(lambda: shows(b'this shows what is recorded'), 'the five commands are shown')
        equal(shown.count(b'scitracectl --state'), 5, f'commands to try in {shown!r}')
        tried = next(line for line in shown.splitlines() if b' files ' in line)
        done = subprocess.run(['sh', '-c', tried], check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        check(b'file 14' in done.stdout, f'{tried!r} as it stands says {done!r}')
        write(os.path.join(start.tree, 'made just now'), b'x')
        wait_for(lambda: shows(b'made just now'), 'a new file is shown live')
        os.write(terminal, b'\x03')
        wait_for(lambda: os.waitpid(pid, os.WNOHANG)[0], 'Ctrl-C ends the view')
        os.close(terminal)
        check(b'is stopped' in start.run('--stop').stdout, 'the daemon has outlived the view')


harness.run([shell_scripts_pass_shellcheck, help_is_given, what_quickstart_refuses, quickstart_without_a_terminal,
             quickstart_on_a_terminal])
