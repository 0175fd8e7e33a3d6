# SPDX-License-Identifier: LGPL-2.1-or-later
"""git-annex and DataLad at work in a watched tree: kinds, keys, objects that come and go, subdatasets."""

import hashlib
import os
import subprocess

import harness
from harness import check, equal, need, wait_for, write

LINES = b'some content\n' * 1000


class Stage:
    """A watched folder in which one repository is made; the tools see no configuration but ours."""

    def __enter__(self):
        self.daemon = harness.Daemon()
        self.tree = os.path.join(self.daemon.top, 'tree')
        home = os.path.join(self.daemon.top, 'home')
        os.mkdir(self.tree)
        os.mkdir(home)
        write(os.path.join(home, '.gitconfig'),
              b'[user]\n\tname = a\n\temail = a@example.org\n[init]\n\tdefaultBranch = main\n'
              b'[protocol "file"]\n\tallow = always\n[annex]\n\tbackend = SHA256E\n')
        self.env = {**os.environ, 'HOME': home, 'XDG_CONFIG_HOME': home, 'XDG_CACHE_HOME': home, 'LC_ALL': 'C.UTF-8',
                    'GIT_CONFIG_NOSYSTEM': '1', 'DATALAD_LOG_LEVEL': 'error'}
        self.env.pop('GIT_DIR', None)
        self.daemon.__enter__()
        self.daemon.add(self.tree, 't')
        self.daemon.settle('t')
        return self

    def __exit__(self, *error):
        return self.daemon.__exit__(*error)

    def run(self, *command, where=None):
        done = subprocess.run(command, cwd=where or self.tree, env=self.env, stdin=subprocess.DEVNULL, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        check(done.returncode == 0, f'{command} ended with {done.returncode}: {done.stdout[-2000:]!r}')
        return done.stdout.decode().strip()

    def at(self, name):
        return os.path.join(self.tree, name)

    def rest(self):
        """The record equals the tree; its rows by their paths."""
        self.daemon.at_rest('t', self.tree)
        return {row['path']: row for row in self.daemon.ctl('files', 't') if 'path' in row}

    def kind(self):
        return [row['kind'] for row in self.daemon.ctl('datasets') if row['name'] == 't'][0]

    def wait_for_kind(self, kind):
        wait_for(lambda: self.kind() == kind, f'the dataset is of the kind {kind}')


def objects(rows, within='.git/'):
    return {path: row for path, row in rows.items()
            if path.startswith(within + 'annex/objects/') and row['type'] == 'file' and 'annexKey' in row}


def sha256(path):
    with open(path, 'rb') as file:
        return 'sha256:' + hashlib.sha256(file.read()).hexdigest()


def the_kind_follows_what_is_there():
    need('git', 'git-annex')
    with Stage() as stage:
        equal(stage.kind(), 'plain', 'the kind of a folder')
        stage.run('git', 'init', '-q')
        write(stage.at('f'), b'1')
        stage.run('git', 'add', 'f')
        stage.run('git', 'commit', '-qm', 'first')
        stage.wait_for_kind('git')
        stage.run('git', 'annex', 'init', '-q')
        stage.wait_for_kind('annex')
        os.mkdir(stage.at('.datalad'))
        write(stage.at('.datalad/config'), b'[datalad "dataset"]\n\tid = 11111111-2222-4333-8444-555555555555\n')
        stage.wait_for_kind('datalad')
        stage.daemon.stop()
        stage.daemon.start()
        equal(stage.kind(), 'datalad', 'the kind after a restart')
        os.unlink(stage.at('.datalad/config'))
        stage.wait_for_kind('annex')
        rows = stage.rest()
        equal(rows['f']['gitCommit'], stage.run('git', 'rev-parse', 'HEAD'), 'HEAD')


def objects_are_known_by_their_keys_and_never_read():
    """Those of a repository that was there before. What is read while it is added has been read."""
    need('git', 'git-annex')
    with Stage() as stage:
        other = os.path.join(stage.daemon.top, 'other')
        os.mkdir(other)
        stage.run('git', 'init', '-q', where=other)
        stage.run('git', 'annex', 'init', '-q', where=other)
        write(os.path.join(other, 'a.txt'), LINES)
        write(os.path.join(other, 'b.dat'), os.urandom(100000))
        stage.run('git', 'annex', 'add', '-q', '.', where=other)
        stage.run('git', 'commit', '-qm', 'two', where=other)
        stage.daemon.add(other, 'o')
        stage.daemon.at_rest('o', other)
        rows = {row['path']: row for row in stage.daemon.ctl('files', 'o')}
        keys = {name: stage.run('git', 'annex', 'lookupkey', name, where=other) for name in ('a.txt', 'b.dat')}
        for name, key in keys.items():
            equal((rows[name]['type'], rows[name].get('annexKey')), ('symlink', key), f'{name}, a locked file')
        found = objects(rows)
        equal(sorted(row['annexKey'] for row in found.values()), sorted(keys.values()), 'the keys of the objects')
        for path, row in found.items():
            path = os.path.join(other, path)
            equal((row['digestSource'], row['digest']), ('key', sha256(path)), 'how an object is known')
            equal(stage.daemon.ctl('show', path)[0]['annexKey'], row['annexKey'], 'the key that show tells')


def a_key_that_lies_about_the_size_is_not_believed():
    """Nor one of a file that can be written to: such are read."""
    need('git', 'git-annex')
    with Stage() as stage:
        stage.run('git', 'init', '-q')
        stage.run('git', 'annex', 'init', '-q')
        for size, mode in ((5, 0o444), (4, 0o644)):
            key = f'SHA256E-s{size}--{"0" * 64}.{mode}'
            folder = stage.at(f'.git/annex/objects/aa/bb/{key}')
            os.makedirs(folder)
            write(os.path.join(folder, key), b'four')
            os.chmod(os.path.join(folder, key), mode)
        rows = stage.rest()
        equal([row['digestSource'] for row in objects(rows).values()], ['read', 'read'], 'how they are known')


def dropped_and_gotten_unlocked_and_locked():
    need('git', 'git-annex')
    with Stage() as stage:
        other = os.path.join(stage.daemon.top, 'other')
        os.mkdir(other)
        stage.run('git', 'init', '-q', where=other)
        stage.run('git', 'annex', 'init', '-q', where=other)
        write(os.path.join(other, 'f'), LINES)
        stage.run('git', 'annex', 'add', '-q', 'f', where=other)
        stage.run('git', 'commit', '-qm', 'f', where=other)
        stage.run('git', 'clone', '-q', other, '.')
        stage.run('git', 'annex', 'init', '-q')
        key = stage.run('git', 'annex', 'lookupkey', 'f')
        equal(objects(stage.rest()), {}, 'the objects of a clone')

        stage.run('git', 'annex', 'get', '-q', 'f')
        rows = stage.rest()
        equal([row['annexKey'] for row in objects(rows).values()], [key], 'the objects after get')

        stage.run('git', 'annex', 'unlock', '-q', 'f')
        rows = stage.rest()
        equal((rows['f']['type'], rows['f']['digest'], rows['f']['digestSource']),
              ('file', 'sha256:' + hashlib.sha256(LINES).hexdigest(), 'read'), 'the unlocked file')

        before = stage.daemon.newest()
        stage.run('git', 'annex', 'drop', '-q', '--force', 'f')
        rows = stage.rest()
        equal(objects(rows), {}, 'the objects after drop')
        check(any(event['kind'] in ('unlink', 'rename') and 'annex/objects' in event.get('path', event.get('oldPath', ''))
                  for event in stage.daemon.events(before)), 'the drop is no event')
        with open(stage.at('f'), 'rb') as file:
            check(file.read().startswith(b'/annex/objects/'), 'git-annex left no pointer')
        equal((rows['f']['type'], rows['f']['annexKey']), ('file', key), 'the pointer file')
        check('target' not in rows['f'], 'a pointer file is shown as a link')

        stage.run('git', 'annex', 'get', '-q', 'f')
        rows = stage.rest()
        check('annexKey' not in rows['f'], 'a file with content is still said to be a pointer')
        stage.run('git', 'annex', 'add', '-q', 'f')
        stage.run('git', 'annex', 'lock', '-q', '--force', 'f')
        rows = stage.rest()
        equal((rows['f']['type'], rows['f']['annexKey']), ('symlink', key), 'the file, locked again')


def a_pointer_that_is_written_over_in_place_is_none_any_more():
    with Stage() as stage:
        write(stage.at('f'), b'/annex/objects/MD5E-s3--900150983cd24fb0d6963f7d28e17f72.txt\n')
        equal(stage.rest()['f']['annexKey'], 'MD5E-s3--900150983cd24fb0d6963f7d28e17f72.txt', 'the key')
        with open(stage.at('f'), 'r+b') as file:
            file.truncate(0)
            file.write(b'abc')
        check('annexKey' not in stage.rest()['f'], 'it is still said to be a pointer')


def other_backends_are_read():
    need('git', 'git-annex')
    with Stage() as stage:
        stage.run('git', 'init', '-q')
        stage.run('git', 'annex', 'init', '-q')
        write(stage.at('f'), LINES)
        stage.run('git', 'annex', 'add', '-q', '--backend', 'MD5E', 'f')
        key = stage.run('git', 'annex', 'lookupkey', 'f')
        check(key.startswith('MD5E-'), f'{key} is of another backend')
        rows = stage.rest()
        equal(rows['f']['annexKey'], key, 'the key')
        equal([(row['annexKey'], row['digestSource'], row['digest']) for row in objects(rows).values()],
              [(key, 'read', 'sha256:' + hashlib.sha256(LINES).hexdigest())], 'the object')


def a_datalad_dataset_with_a_subdataset():
    need('git', 'git-annex', 'datalad')
    with Stage() as stage:
        stage.run('datalad', 'create', '--force', '.')
        stage.wait_for_kind('datalad')
        write(stage.at('raw.csv'), LINES)
        stage.run('datalad', 'save', '-m', 'raw')
        rows = stage.rest()
        key = stage.run('git', 'annex', 'lookupkey', 'raw.csv')
        equal(rows['raw.csv'].get('annexKey'), key, 'the key')
        stage.run('datalad', 'create', '-d', '.', 'sub')
        write(stage.at('sub/deep.csv'), LINES + b'more')
        stage.run('datalad', 'save', '-r', '-m', 'deep')
        rows = stage.rest()
        head = stage.run('git', 'rev-parse', 'HEAD')
        check(head != stage.run('git', 'rev-parse', 'HEAD', where=stage.at('sub')), 'the two have one HEAD')
        commits = [event['gitCommit'] for event in stage.daemon.events() if event['kind'] == 'commit']
        equal(commits[-1], head, 'the commit last recorded')
        equal(rows['raw.csv']['gitCommit'], head, 'the commit of the dataset')
        deep = stage.run('git', 'annex', 'lookupkey', 'deep.csv', where=stage.at('sub'))
        equal(rows['sub/deep.csv'].get('annexKey'), deep, "the key of the subdataset's file")
        equal([row['annexKey'] for row in objects(rows, 'sub/.git/').values()], [deep], "the subdataset's objects")
        stage.run('git', '-C', 'sub', 'commit', '-q', '--allow-empty', '-m', 'only below')
        stage.rest()
        equal([event['gitCommit'] for event in stage.daemon.events() if event['kind'] == 'commit'][-1], head,
              'HEAD after a commit in the subdataset alone')
        equal(stage.kind(), 'datalad', 'the kind')


harness.run([
    the_kind_follows_what_is_there,
    objects_are_known_by_their_keys_and_never_read,
    a_key_that_lies_about_the_size_is_not_believed,
    dropped_and_gotten_unlocked_and_locked,
    a_pointer_that_is_written_over_in_place_is_none_any_more,
    other_backends_are_read,
    a_datalad_dataset_with_a_subdataset,
])
