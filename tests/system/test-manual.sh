#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The manual pages of the daemons name the options that --help names, and no others; and all pages are well formed.
set -eu

source=${SCITRACE_SOURCE:-.}
build=${SCITRACE_BUILD:-.}
n=0
failed=0
result() {              # result STATUS NAME
        n=$((n + 1))
        if [ "$1" = 0 ]; then
                echo "ok $n - $2"
        else
                echo "not ok $n - $2"
                failed=1
        fi
}

program=scitraced
if [ -x "$build/$program" ]; then
        helped=$("$build/$program" --help | grep -o -- '--[a-z][a-z-]*' | sort -u)
        manual=$(grep -o 'Fl -[a-z][a-z-]*' "$source/man/$program.8" | sed 's/Fl -/--/' | sort -u)
        same=0
        [ "$helped" = "$manual" ] || same=1
        result $same "$program.8 has the options of $program --help"
        [ $same = 0 ] || printf '# help: %s\n# manual: %s\n' "$(echo "$helped" | tr '\n' ' ')" "$(echo "$manual" | tr '\n' ' ')"
else
        n=$((n + 1))
        echo "ok $n - $program.8 has the options of $program --help # SKIP $program is not built"
fi

for page in "$source"/man/*.[0-9]; do
        name="${page##*/} is well formed"
        if command -v man > /dev/null; then
                said=$(MANROFFSEQ='' LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l "$page" 2>&1 > /dev/null) || said="man fails"
                if [ -z "$said" ]; then result 0 "$name"; else result 1 "$name"; echo "# $said"; fi
        else
                n=$((n + 1))
                echo "ok $n - $name # SKIP man is not installed"
        fi
done

echo "1..$n"
exit $failed
