# SPDX-License-Identifier: LGPL-2.1-or-later
"""B4: how fast contents are digested: large files beside openssl and sha256sum, small ones beside AIDE and git-annex.
All content is in the page cache."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time

import harness
from link import Refused, make_tree, median, open_link
from report import line, row, seconds, skipped

LIMIT = 300
CORES = os.cpu_count()
CHUNK = 2**20


def make_large(top, count, size):
    """Files whose blocks are all different, none sparse."""
    os.mkdir(top)
    block = os.urandom(CHUNK)
    for number in range(count):
        with open(os.path.join(top, f'large{number}'), 'wb') as file:
            for at in range(size // CHUNK):
                file.write(b'%d %d ' % (number, at))
                file.write(block[:min(CHUNK, size - file.tell())])


def ours(tree, files):
    """From `scitracectl add` until every file's digest is recorded."""
    with harness.Daemon() as daemon, open_link(daemon) as link:
        began = time.monotonic()
        daemon.add(tree, 'tree')
        while True:
            reply = link.one('Service.Settle', {'timeoutUsec': LIMIT * 10**6})
            if not reply.get('digestsPending'):
                break
            if time.monotonic() - began > LIMIT:
                raise Refused(f'digests are missing after {LIMIT} s')
            time.sleep(0.005)
        taken = time.monotonic() - began
        rows = [reply['file'] for reply in link.call('Record.Files', {'dataset': 'tree'}, more=True) if reply]
        harness.equal(sum(1 for found in rows if found.get('digest')), files, 'digests recorded')
        return taken


def by_xargs(names, *command):
    """As many processes as there are cores, each with its share of the files."""
    share = max(1, -(-len(names) // CORES))
    began = time.monotonic()
    subprocess.run(['xargs', '-0', '-P', str(CORES), '-n', str(share), *command], check=True, stdout=subprocess.DEVNULL,
                   input=b'\0'.join(map(os.fsencode, names)))
    return time.monotonic() - began


def one_process(name, *command):
    began = time.monotonic()
    subprocess.run([*command, name], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def large(folder, count, size, runs):
    tree = os.path.join(folder, 'large')
    make_large(tree, count, size)
    names = [os.path.join(tree, name) for name in sorted(os.listdir(tree))]
    total = sum(map(os.path.getsize, names))
    line(f'  {count} files of {size / 2**20:.0f} MiB, warm; {runs} interleaved runs')
    openssl = ['openssl', 'dgst', '-sha256'] if shutil.which('openssl') else None
    times = {'ours': [], 'one': [], 'all': [], 'sum': []}
    for _ in range(runs):
        times['ours'].append(ours(tree, count))
        if openssl:
            times['one'].append(one_process(names[0], *openssl) * total / os.path.getsize(names[0]))
            times['all'].append(by_xargs(names, *openssl))
    times['sum'].append(by_xargs(names, 'sha256sum'))
    rate = {name: total / median(values) / 1e9 for name, values in times.items() if values}
    row('  scitrace: add, until every digest is recorded', seconds(median(times['ours'])), 's',
        f'{rate["ours"]:.2f} GB/s')
    if openssl:
        row('  openssl dgst, one process', f'{rate["one"]:.2f}', 'GB/s',
            f'ours {rate["ours"] / (CORES * rate["one"]):.2f} x cores x this')
        row(f'  openssl dgst, {CORES} processes at once', f'{rate["all"]:.2f}', 'GB/s',
            f'ours {rate["ours"] / rate["all"]:.2f} x')
    else:
        skipped('  openssl', 'it is not installed')
    row(f'  sha256sum, {CORES} processes at once (1 run)', f'{rate["sum"]:.2f}', 'GB/s',
        f'ours {rate["ours"] / rate["sum"]:.2f} x')
    shutil.rmtree(tree)


def aide(tree, folder):
    """Its database of the tree: the same state, and SHA-256."""
    config = os.path.join(folder, 'aide.conf')
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, 'aide.db'))
    with open(config, 'w', encoding='utf-8') as file:
        file.write(f'database_out=file:{folder}/aide.db\ngzip_dbout=no\nreport_url=file:/dev/null\n'
                   f'{tree} p+i+n+u+g+s+m+c+ftype+sha256\n')
    return one_process(config, 'aide', '--init', '--config')


def annex(folder, count):
    """`git annex add` of as many files: seconds."""
    tree = os.path.join(folder, 'annex')
    os.mkdir(tree)
    env = dict(os.environ, HOME=folder, GIT_AUTHOR_NAME='b', GIT_AUTHOR_EMAIL='b@localhost', GIT_COMMITTER_NAME='b',
               GIT_COMMITTER_EMAIL='b@localhost')
    options = {'check': True, 'env': env, 'cwd': tree, 'stdin': subprocess.DEVNULL, 'stdout': subprocess.DEVNULL,
               'stderr': subprocess.DEVNULL}
    subprocess.run(['git', 'init', '-q'], **options)
    subprocess.run(['git', 'annex', 'init'], **options)
    make_tree(tree, max(1, count // 100), count)
    began = time.monotonic()
    subprocess.run(['git', 'annex', 'add', '-q', f'-J{CORES}', '.'], **options)
    taken = time.monotonic() - began
    harness.remove(tree)
    return taken


def small(folder, files, annexed, runs):
    tree = os.path.join(folder, 'small')
    os.mkdir(tree)
    make_tree(tree, files // 10, files)
    line(f'  {files} files of 100 bytes in {files // 10} directories, warm; {runs} interleaved runs')
    has_aide = shutil.which('aide') is not None
    mine, theirs = [], []
    for _ in range(runs):
        mine.append(ours(tree, files))
        if has_aide:
            theirs.append(aide(tree, folder))
    row('  scitrace: add, until every digest is recorded', seconds(median(mine)), 's',
        f'{files / median(mine):.0f} files/s')
    if has_aide:
        row('  aide --init, SHA-256', seconds(median(theirs)), 's', f'{files / median(theirs):.0f} files/s, '
            f'ours {median(theirs) / median(mine):.2f} x')
    else:
        skipped('  aide --init', 'it is not installed')
    if shutil.which('git-annex'):
        taken = annex(folder, annexed)
        row(f'  git annex add of {annexed} (1 run)', seconds(taken), 's', f'{annexed / taken:.0f} files/s, '
            f'ours {files / median(mine) / (annexed / taken):.0f} x')
    else:
        skipped('  git annex add', 'it is not installed')


def place(size):
    """In memory, where there is room: so that nothing is written to a disk meanwhile."""
    with contextlib.suppress(OSError):
        if os.access('/dev/shm', os.W_OK) and shutil.disk_usage('/dev/shm').free > 2 * size:
            return '/dev/shm'
    return tempfile.gettempdir()


def b4(quick, runs):
    where = place(8 * 2**29)
    line(f'B4  digests of what is in the page cache; in {where}')
    with tempfile.TemporaryDirectory(prefix='scitrace-bench-', dir=where) as folder:
        if quick:
            large(folder, 2, 2**20, runs)
            small(folder, 200, 20, runs)
        else:
            large(folder, 8, 2**29, runs)
            small(folder, 100000, 2000, runs)
    line()
