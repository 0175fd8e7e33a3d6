# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everyday tools on real trees: at rest the record equals the tree, and a file that a tool saved again has a history."""

import os
import pty
import shutil
import subprocess
import time

import harness
from harness import check, diag, need, read_now, wait_for, write

TEXT = b'one\ntwo\nthree\n'


class Stage:
    def __enter__(self):
        self.daemon = harness.Daemon().__enter__()
        self.tree = os.path.join(self.daemon.top, 'tree')
        self.beside = os.path.join(self.daemon.top, 'beside')
        os.mkdir(self.tree)
        os.mkdir(self.beside)
        home = os.path.join(self.daemon.top, 'home')
        os.mkdir(home)
        self.env = dict(self.daemon.env, HOME=home, LC_ALL='C.UTF-8', TERM='xterm', GIT_CONFIG_NOSYSTEM='1',
                        GIT_AUTHOR_NAME='A', GIT_AUTHOR_EMAIL='a@example.org', GIT_COMMITTER_NAME='A',
                        GIT_COMMITTER_EMAIL='a@example.org', GIT_EDITOR='true')
        self.daemon.add(self.tree, 't')
        return self

    def __exit__(self, *error):
        return self.daemon.__exit__(*error)

    def at(self, name):
        return os.path.join(self.tree, name)

    def sh(self, command, cwd=None, limit=300):
        """A command line as a person types it, in the tree."""
        done = subprocess.run(['sh', '-ec', command], cwd=cwd or self.tree, env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit, check=False)
        check(done.returncode == 0, f'{command}: {done.stdout[-1000:].decode("utf-8", "backslashreplace")}')

    def rest(self):
        return self.daemon.at_rest('t', self.tree)

    def document(self, name='doc'):
        write(self.at(name), TEXT)
        self.rest()

    def saved_again(self, name='doc', changed=True):
        """The file is recorded as it is, and its history has at least two rows with two digests."""
        self.rest()
        rows = self.daemon.ctl('history', self.at(name))
        check(len(rows) >= 2, f'history of {name} has {len(rows)} row: {rows}')
        digests = {row['digest'] for row in rows if row.get('digest')}
        check(not changed or len(digests) >= 2, f'history of {name} knows one content only: {rows}')
        if changed:
            check(open(self.at(name), 'rb').read() != TEXT, f'{name} was not changed: the test is wrong')


def cp_of_a_real_tree():
    if not os.path.isdir('/usr/include'):
        harness.skip('/usr/include is not there')
    with Stage() as stage:
        stage.sh('cp -a /usr/include .')
        stage.rest()
        stage.sh('mv include moved; cp -a moved copy; rm -rf moved')
        stage.rest()


def tar_in_and_out():
    with Stage() as stage:
        stage.sh('mkdir -p t/a/b; for i in 1 2 3 4 5; do echo $i > t/$i; echo $i > t/a/b/$i; done; '
                 'chmod 600 t/1; ln -s 1 t/l; ln t/2 t/h; mkfifo t/p; touch -d 2001-01-01 t/3; tar cf t.tar t')
        stage.rest()
        stage.sh('rm -r t; tar xpf t.tar; tar xpf t.tar')
        stage.rest()


def rsync_saves_again():
    need('rsync')
    with Stage() as stage:
        stage.document()
        stage.sh(f'cp -a . {stage.beside}/; echo four >> {stage.beside}/doc; rsync -a {stage.beside}/ .')
        stage.saved_again()
        stage.sh(f'echo five >> {stage.beside}/doc; rsync -a --inplace {stage.beside}/ .; mkdir {stage.beside}/new; '
                 f'touch {stage.beside}/new/x; rm {stage.beside}/doc; rsync -a --delete {stage.beside}/ .')
        stage.rest()


def sed_saves_again():
    with Stage() as stage:
        stage.document()
        stage.sh('sed -i s/two/2/ doc')
        stage.saved_again()


def vim_saves_again():
    need('vim')
    for settings in ('', '-c "set backup backupcopy=no"', '-c "set backupcopy=yes"'):
        with Stage() as stage:
            stage.document()
            stage.sh(f'vim -u NONE -es {settings} -c "2s/two/2/" -c wq doc')
            stage.saved_again()


def nano_saves_again():
    need('nano')
    with Stage() as stage:
        stage.document()
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(stage.tree)
            os.execvpe('nano', ['nano', '--ignorercfiles', 'doc'], stage.env)

        def size():
            read_now(terminal)
            return os.stat(stage.at('doc')).st_size
        wait_for(lambda: b'three' in read_now(terminal), 'nano shows the file')
        os.write(terminal, b'typed ')
        os.write(terminal, b'\x0f\r')           # ^O, the same name
        wait_for(lambda: size() == len(TEXT) + 6, 'nano has saved')
        os.write(terminal, b'\x18')             # ^X
        wait_for(lambda: read_now(terminal) is not None and os.waitpid(pid, os.WNOHANG)[0], 'nano ends')
        os.close(terminal)
        stage.saved_again()


def git_works_on_a_repository():
    need('git')
    with Stage() as stage:
        stage.sh('git init -q -b main .; git config gc.auto 0; echo one > doc; mkdir src; '
                 'for i in $(seq 40); do echo $i > src/$i; done; git add .; git commit -qm 1')
        stage.rest()
        stage.sh('git checkout -qb topic; echo two > doc; git mv src source; git commit -qam 2')
        stage.rest()
        stage.sh('git checkout -q main')
        stage.saved_again(changed=False)
        stage.sh('echo other > other; git add other; git commit -qm 3; git checkout -q topic; git rebase -q main')
        stage.rest()
        stage.sh('echo dirty > doc; git stash -q; git stash pop -q; git gc -q --prune=now; git reflog expire --all')
        stage.saved_again(changed=False)
        rows = [row for row in stage.daemon.events() if row['kind'] == 'commit']
        head = subprocess.run(['git', 'rev-parse', 'HEAD'], cwd=stage.tree, env=stage.env, check=True,
                              stdout=subprocess.PIPE).stdout.decode().strip()
        check(rows, 'no commit was noticed')
        harness.equal(rows[-1].get('gitCommit'), head, 'gitCommit of the newest commit event')
        harness.equal(stage.daemon.ctl('datasets')[0]['kind'], 'git', "the dataset's kind")


def a_clone_beside_is_checked_out():
    need('git')
    with Stage() as stage:
        stage.sh('git init -q -b main r; cd r; git config gc.auto 0; '
                 'for i in $(seq 200); do mkdir -p d$i; echo $i > d$i/f; done; git add .; git commit -qm 1; cd ..; '
                 'git clone -q r c; rm -rf r')
        stage.rest()


def git_annex_adds_gets_and_drops():
    need('git', 'git-annex')
    with Stage() as stage:
        stage.sh('git init -q -b main a; cd a; git annex init -q a; head -c 100000 /dev/urandom > big; '
                 'mkdir d; head -c 3000 /dev/urandom > d/small; git annex add -q .; git commit -qm 1')
        stage.rest()
        stage.sh('git clone -q a b; cd b; git annex init -q b; git annex get -q .')
        stage.rest()
        stage.sh('cd b; git annex drop -q big; git annex unlock -q d/small; echo more >> d/small; git annex add -q .; '
                 'git commit -qm 2')
        stage.rest()
        stage.sh('chmod -R u+w .; rm -rf b')
        stage.rest()


def an_npm_tree():
    with Stage() as stage:
        if shutil.which('npm'):
            sources = os.path.join(stage.beside, 'packages')
            names = [f'p{number}' for number in range(12)]
            for name in names:
                os.makedirs(os.path.join(sources, name, 'lib'))
                write(os.path.join(sources, name, 'package.json'), b'{"name": "%s", "version": "1.0.0"}'
                      % name.encode())
                for number in range(15):
                    write(os.path.join(sources, name, 'lib', f'{number}.js'), b'// %d\n' % number)
            stage.sh('for p in p*; do npm pack --silent ./$p; done', cwd=sources)
            write(stage.at('package.json'), b'{"name": "top", "version": "1.0.0"}')
            stage.sh(f'npm install --silent --offline --no-audit --no-fund {sources}/*.tgz')
            check(os.path.exists(stage.at('node_modules/p0/lib/1.js')), 'npm installed nothing: the test is wrong')
            stage.rest()
            stage.sh('npm uninstall --silent --offline --no-audit --no-fund p1 p2')
        else:
            diag('npm is not installed: a tree of the same shape is made by hand')
            for number in range(300):
                path = stage.at(f'node_modules/p{number}/node_modules/q/lib')
                os.makedirs(path)
                for file in range(5):
                    write(os.path.join(path, f'{file}.js'), b'// %d' % file)
        stage.rest()
        stage.sh('rm -rf node_modules')
        stage.rest()


def a_log_is_written_to_all_the_time():
    """A file that never comes to rest gets a version now and then; settle does not wait for its writer."""
    with Stage() as stage, open(stage.at('log'), 'ab', buffering=0) as file:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            file.write(b'line\n')
            time.sleep(0.01)
        stage.daemon.settle('t')
        stage.rest()
        rows = stage.daemon.ctl('history', stage.at('log'))
        check(1 <= len(rows) <= 10, f'history of a log has {len(rows)} rows after 3 s')


harness.run([cp_of_a_real_tree, tar_in_and_out, rsync_saves_again, sed_saves_again, vim_saves_again,
             nano_saves_again, git_works_on_a_repository, a_clone_beside_is_checked_out,
             git_annex_adds_gets_and_drops, an_npm_tree, a_log_is_written_to_all_the_time])
