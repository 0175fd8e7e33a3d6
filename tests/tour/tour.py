# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the tour of README.md, word for word, as a newcomer: in a clean Debian 12 made by debootstrap, with a copy of
this source and nothing else. Root only; takes minutes; TAP, one test a command.

A command is a line `$ COMMAND` in a block marked console (its further lines begin with `> `). It must end with 0 and
say what the lines below it say: the words of a shown line stand in this order in a line that it printed, where a
word with a digit in it may differ, and a line `...` stands for any lines.

    tour.py                 the whole thing; MIRROR=URL and ROOT=FOLDER (kept, and used again) may be set
    tour.py --here FOLDER   here, in this source, with FOLDER as home: prints what it sees, to copy into README.md"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.environ.get('SCITRACE_SOURCE') or os.path.realpath(os.path.join(os.path.dirname(__file__), '..', '..'))
MIRROR = os.environ.get('MIRROR', 'http://deb.debian.org/debian')
MARK = 'end of a command of the tour'


def commands():
    """(command, the lines shown below it) of README.md."""
    with open(os.path.join(SOURCE, 'README.md'), encoding='utf-8') as file:
        text = file.read()
    found = []
    for block in re.findall(r'^```console\n(.*?)^```', text, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith('$ '):
                found.append((line[2:], []))
            elif line.startswith('> ') and not found[-1][1]:
                found[-1] = (found[-1][0] + '\n' + line[2:], [])
            elif line.strip():
                found[-1][1].append(line)
    return found


def words(line):
    return re.findall(r'\S+', line)


def said(shown, line):
    """The words of the shown line stand in the printed one, in order; one with a digit stands for any."""
    rest = iter(words(line))
    return all(any(re.search(r'\d', word) or word == other for other in rest) for word in words(shown))


def differences(shown, printed):
    lines = printed.splitlines()
    missing = []
    for wanted in shown:
        if wanted.strip() == '...':
            continue
        at = next((number for number, line in enumerate(lines) if said(wanted, line)), None)
        if at is None:
            missing.append(wanted)
        else:
            del lines[:at + 1]
    return missing


def play(shell, found):
    """Runs all commands in one shell, as a person does. Yields (command, shown, code, what it printed)."""
    with subprocess.Popen(shell, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        for command, shown in found:
            process.stdin.write(f'{{ {command}\n}} </dev/null\n'.encode() + f'echo "{MARK}" $?\n'.encode())
            process.stdin.flush()
            printed = b''
            for line in process.stdout:
                match = re.search(MARK.encode() + rb' (\d+)\n', line)
                if match:
                    printed += line[:match.start()]
                    yield command, shown, int(match[1]), printed.decode('utf-8', 'backslashreplace')
                    break
                printed += line
            else:
                raise SystemExit(f'Bail out! the shell ended within {command!r}: {printed!r}')
        process.stdin.close()
        process.wait()


def clean_debian(root):
    """A minimal Debian 12 with a copy of this source in /root/scitrace."""
    if not os.path.isdir(os.path.join(root, 'usr')):
        subprocess.run(['debootstrap', '--variant=minbase', 'bookworm', root, MIRROR], check=True,
                       stdout=sys.stderr)
    shutil.copy('/etc/resolv.conf', os.path.join(root, 'etc', 'resolv.conf'))
    copy = os.path.join(root, 'root', 'scitrace')
    shutil.rmtree(copy, ignore_errors=True)
    os.makedirs(copy)
    listed = subprocess.run(['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'], cwd=SOURCE,
                            check=True, stdout=subprocess.PIPE).stdout
    packed = subprocess.run(['tar', '-c', '--null', '-T', '-'], cwd=SOURCE, input=listed, check=True,
                            stdout=subprocess.PIPE).stdout
    subprocess.run(['tar', '-x', '--no-same-owner', '-C', copy], input=packed, check=True)


def inside(root):
    """A shell in that Debian, with processes and mounts of its own that end with it."""
    script = (f'mount --rbind /dev {shlex.quote(root)}/dev && mount -t proc proc {shlex.quote(root)}/proc && '
              f'exec chroot {shlex.quote(root)} env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 '
              'bash -c "cd /root/scitrace && exec bash"')
    return ['unshare', '--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', script]


def show(home):
    os.makedirs(home, exist_ok=True)
    shell = ['env', f'HOME={home}', 'LC_ALL=C.UTF-8', 'bash', '-c', f'cd {shlex.quote(SOURCE)} && exec bash']
    for command, shown, code, printed in play(shell, commands()):
        print(f'$ {command}' + (f'        [{code}]' if code else ''))
        print(printed.replace(home, '/root'), end='')
        for line in differences(shown, printed.replace(home, '/root')):
            print(f'-- not said: {line}')


def main():
    if sys.argv[1:2] == ['--here']:
        return show(os.path.abspath(sys.argv[2]))
    for reason in (['it needs root'] if os.getuid() != 0 else []) + \
            [f'{tool} is not installed' for tool in ('debootstrap', 'git', 'unshare') if not shutil.which(tool)]:
        print(f'1..0 # SKIP {reason}')
        return 0
    root, failed, count = os.environ.get('ROOT') or tempfile.mkdtemp(prefix='scitrace-tour-'), 0, 0
    try:
        clean_debian(root)
        for command, shown, code, printed in play(inside(root), commands()):
            count += 1
            missing = differences(shown, printed)
            for line in printed.splitlines():
                print('#   ' + line)
            for line in missing:
                print('# not said: ' + line)
            failed += bool(code or missing)
            print('ok' if not code and not missing else f'not ok (it ended with {code})', count, '-',
                  command.splitlines()[0], flush=True)
    finally:
        if 'ROOT' not in os.environ:
            subprocess.run(['rm', '-rf', '--one-file-system', root], check=False)
    print(f'1..{count}')
    return 1 if failed or not count else 0


sys.exit(main())
