#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The units are sound and closely confined, as systemd-analyze says of what `make` has made of them.
set -eu

limit=12        # ten times the exposure that systemd-analyze prints; resolved of Debian 12 has 22

command -v systemd-analyze > /dev/null || { echo "1..0 # SKIP systemd-analyze is not installed"; exit 0; }
build=${SCITRACE_BUILD:-.}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

n=0
failed=0
check() {               # check NAME COMMAND...: passes if the command succeeds and prints nothing
        name=$1
        shift
        n=$((n + 1))
        if "$@" > "$work/out" 2>&1 && { [ "${quiet:-}" != yes ] || [ ! -s "$work/out" ]; }; then
                echo "ok $n - $name"
        else
                echo "not ok $n - $name"
                sed 's/^/# /' "$work/out"
                failed=1
        fi
}

# The programs need not be installed: their places are taken by a program that is there.
mkdir "$work/system" "$work/user"
for unit in "$build"/units/*.service "$build"/units/*.socket "$build"/units/*.timer; do
        sed 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' "$unit" > "$work/system/${unit##*/}"
done
for unit in "$build"/units/user/*; do
        sed 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' "$unit" > "$work/user/${unit##*/}"
done

quiet=yes
for unit in scitraced.service scitraced.socket scitrace-watch.socket scitrace-watch@.service \
        scitrace-maintain.service scitrace-maintain.timer scitrace-verify.service scitrace-verify.timer; do
        check "systemd-analyze verify $unit" systemd-analyze verify --man=no "$work/system/$unit"
done
export XDG_RUNTIME_DIR="$work"
for unit in scitraced.service scitrace-maintain.service scitrace-maintain.timer scitrace-verify.service \
        scitrace-verify.timer; do
        check "systemd-analyze --user verify $unit" systemd-analyze --user verify --man=no "$work/user/$unit"
done

quiet=no
for unit in scitraced.service scitrace-watch@.service scitrace-maintain.service scitrace-verify.service; do
        check "exposure of $unit is at most $limit tenths" \
                systemd-analyze security --offline=true --threshold=$limit "$work/system/$unit"
done

# shellcheck disable=SC2317  # called by check
only() {                # only UNIT KEY VALUE: the unit sets the key once, to this value
        [ "$(sed -n "s/^$2=//p" "$build/units/$1")" = "$3" ]
}
check "scitraced has no capability" only scitraced.service CapabilityBoundingSet ""
check "scitrace-watch has the capability to read, and no other" \
        only scitrace-watch@.service CapabilityBoundingSet CAP_DAC_READ_SEARCH
check "the watchers' socket is scitrace's alone" only scitrace-watch.socket SocketMode 0600
# shellcheck disable=SC2317
without_placeholder() {
        ! grep -rn '@[a-z]*@' "$build/units/"
}
check "no placeholder is left in what make has made" without_placeholder

echo "1..$n"
exit $failed
