# SPDX-License-Identifier: LGPL-2.1-or-later
"""The table of commands, the help, the completion and the manual have the same words. Needs no daemon."""

import os
import re
import subprocess
import tempfile

import harness
from harness import check, equal


HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ.get('SCITRACE_SOURCE') or os.path.dirname(os.path.dirname(HERE))
NOWHERE = ['--socket', '/nonexistent/socket']


def ctl(*arguments):
    done = subprocess.run([harness.program('scitracectl'), *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          check=False, timeout=harness.LIMIT, env={**os.environ, 'LC_ALL': 'C.UTF-8'})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def help_of(*command):
    code, text, said = ctl('help', *command)
    equal((code, said), (0, ''), f'help {command}')
    return text


def commands():
    """{name: arguments}, as help lists them."""
    section = help_of().split('Commands:\n')[1].split('\n\n')[0]
    found = {}
    for line in section.splitlines():
        words = line[2:26].split()
        name = ' '.join(word for word in words if word.islower())
        found[name] = ' '.join(word for word in words if not word.islower())
    check(len(found) >= 14, f'help lists {sorted(found)}')
    return found


def options(text):
    return set(re.findall(r'^ +(?:-., )? *--([a-z-]+)', text, re.MULTILINE))


def manual(section):
    with open(os.path.join(SOURCE, 'man', 'scitracectl.1'), encoding='utf-8') as file:
        return re.split(r'^\.Sh ', file.read().split(f'\n.Sh {section}\n')[1], flags=re.MULTILINE)[0]


def candidates(*words):
    code, text, said = ctl('--complete', *words)
    equal((code, said), (0, ''), f'completion of {words}')
    return text.split()


def the_manuals_synopsis_has_the_commands_of_help():
    found = {}
    for line in re.findall(r'^\.Ic (.*)', manual('SYNOPSIS'), re.MULTILINE):
        line = re.sub(r'Op Ar (\S+)', r'[\1]', line)
        line = re.sub(r'Ar (\S+)', r'\1', line)
        found[' '.join(w for w in line.split() if w.islower())] = ' '.join(w for w in line.split() if not w.islower())
    equal(found, commands(), 'the synopsis')


def the_manual_explains_every_command():
    explained = [' '.join(w for w in line.split() if w.islower())
                 for line in re.findall(r'^\.It Ic (.*)', manual('COMMANDS'), re.MULTILINE)]
    equal(sorted(explained), sorted(commands()), 'the commands explained')


def the_manual_has_every_option():
    every = options(help_of())
    for name in commands():
        every |= options(help_of(*name.split()))
    written = set(re.findall(r'Fl -([a-z-]+)', '\n'.join(re.findall(r'^\.It .*', manual('OPTIONS'), re.MULTILINE))))
    equal(written, every, 'the options of the manual')


def the_manual_has_every_exit_status():
    written = re.findall(r'^\.It (\d+)', manual('EXIT STATUS'), re.MULTILINE)
    equal(written, ['0', '1', '2', '3', '4', '5', '130'], 'the exit statuses of the manual')


def completion_offers_the_commands():
    equal(sorted(set(candidates(''))), sorted({name.split()[0] for name in commands()}), 'candidates')
    equal(candidates('store', ''), [name.split()[1] for name in commands() if name.startswith('store ')], 'of store')
    equal(candidates('cover'), ['coverage'], 'of cover')


def completion_offers_the_options_of_the_command():
    for name in commands():
        wanted = options(help_of()) | options(help_of(*name.split()))
        equal({word[2:] for word in candidates(*name.split(), '--')}, wanted, f'of {name}')


def completion_offers_values():
    equal(candidates('files', '-o', ''), ['table', 'json', 'json-pretty'], 'of -o')
    equal(candidates('log', '--kind', 'rena'), ['rename'], 'of --kind')
    equal(candidates(*NOWHERE, 'files', ''), [], 'with no daemon there')


def the_completion_of_bash_knows_an_equals_sign():
    harness.need('bash')
    script = os.path.join(SOURCE, 'ctl', 'scitracectl.bash-completion')
    for words, wanted in ((['cover'], 'coverage'), (['log', '--kind', '=', 'rena'], 'rename'),
                          (['files', '--output', '='], 'table json json-pretty')):
        lines = ('PATH=$1:$PATH; . "$2"; shift 2; COMP_WORDS=(scitracectl "$@"); COMP_CWORD=$#; '
                 '_scitracectl scitracectl; echo "${COMPREPLY[*]}"')
        done = subprocess.run(['bash', '-c', lines, 'bash', harness.BUILD, script, *words], capture_output=True, check=False,
                              timeout=harness.LIMIT)
        equal((done.stdout.decode().strip(), done.stderr), (wanted, b''), f'of {words}')


def what_is_shown_as_a_command_line_fits_the_screen():
    for text in [help_of()] + [help_of(*name.split()) for name in commands()]:
        for line in text.splitlines():
            check(len(line) <= 80, f'{len(line)} columns: {line!r}')


def wrong_words_say_what_was_meant():
    for words, wanted in ((['stauts'], "'status'"), (['store'], "'store backup FILE'"),
                          (['store', 'bakcup', 'x'], "'store backup"),
                          (['help', 'hist'], "'history'"), (['files', '--nul'], ''), (['files', '--ful', 'x'], ''),
                          (['log', '--folow'], '--follow'), (['log', '-Z'], '-Z'),
                          (['status', 'x'], 'one word too many'),
                          (['add'], "'add DIR'"), (['log', '-n'], '--lines N'), (['log', '-n', '0'], '"0"'),
                          (['log', '--full=x'], '--full takes no value'), (['log', '-S', 'yesteryear'], 'yesterday'),
                          (['log', '--kind', 'creat'], 'create'), (['files', '-f'], 'help files'),
                          (['log', '-f', '-r'], '--reverse'), (['--user', '--system', 'status'], 'ask one'),
                          (['log', '--kind', '\x1b[31m'], '"\\x1b[31m"'), (['help', '\x1b'], '"\\x1b"'),
                          (['show', ''], "'show FILE'"), (['log', 'x', ''], "'log [PATH...]'"),
                          (['status', '-o', 'xml'], 'json-pretty'), (['settle', '--timeout', 'soon'], '"soon"')):
        code, text, said = ctl(*NOWHERE, *words)
        if wanted == '':                # a beginning of an option that is one of ours is that option
            equal(code, 3, f'{words} ({said})')
            continue
        equal((code, text), (2, ''), f'{words} ({said})')
        check(wanted in said and said.startswith('scitracectl: ') and said.count('\n') == 1, f'{words}: {said!r}')


def a_system_daemon_that_is_not_there_says_how_its_unit_is():
    if os.path.exists('/run/scitrace/control.sock'):
        harness.skip('a scitraced of the system runs here')
    with tempfile.TemporaryDirectory() as folder:
        for load, active, wanted in (('loaded', 'inactive', 'sudo systemctl start scitraced'),
                                     ('loaded', 'failed', 'journalctl -u scitraced'),
                                     ('loaded', 'active', 'restart scitraced.socket'),
                                     ('not-found', 'inactive', 'not installed')):
            systemctl = os.path.join(folder, 'systemctl')
            with open(systemctl, 'w', encoding='utf-8') as file:
                file.write(f'#!/bin/sh\necho LoadState={load}\necho ActiveState={active}\n')
            os.chmod(systemctl, 0o755)
            env = {**os.environ, 'PATH': folder + ':' + os.environ['PATH']}
            done = subprocess.run([harness.program('scitracectl'), '--system', 'status'], capture_output=True,
                                  check=False, env=env)
            equal((done.returncode, done.stdout), (3, b''), f'{load} {active}')
            check(wanted in done.stderr.decode(), f'{load} {active}: {done.stderr!r}')


def options_stand_before_or_behind():
    for words in (['-o', 'json', *NOWHERE, 'status'], ['status', *NOWHERE, '-o', 'json'],
                  [*NOWHERE, 'status', '-o', 'json']):
        equal(ctl(*words)[0], 3, f'{words}')


def a_version_and_help_are_no_errors():
    code, text, _ = ctl('--version')
    check(code == 0 and re.fullmatch(r'scitracectl \d+\.\d+\.\d+\n', text), f'{code} {text!r}')
    equal(ctl('--help')[:2], (0, help_of()), '--help')
    equal(ctl('log', '--help')[:2], (0, help_of('log')), 'log --help')
    equal(ctl()[:2], (2, help_of()), 'no words at all')


def a_full_disk_is_an_error():
    with open('/dev/full', 'wb') as full:
        done = subprocess.run([harness.program('scitracectl'), 'help'], stdout=full, stderr=subprocess.PIPE,
                              check=False)
    equal(done.returncode, 1, 'the exit code')
    check(b'No space left' in done.stderr, f'{done.stderr!r}')


harness.run([the_manuals_synopsis_has_the_commands_of_help, the_manual_explains_every_command,
             the_manual_has_every_option, the_manual_has_every_exit_status, completion_offers_the_commands,
             completion_offers_the_options_of_the_command, completion_offers_values,
             the_completion_of_bash_knows_an_equals_sign, what_is_shown_as_a_command_line_fits_the_screen,
             wrong_words_say_what_was_meant, a_system_daemon_that_is_not_there_says_how_its_unit_is,
             options_stand_before_or_behind, a_version_and_help_are_no_errors, a_full_disk_is_an_error])
