#!/usr/bin/env bash
# scripts/setup with an apt that only pretends: who may sudo sees progress, packages' scripts may print, and a failure is
# told. (Each list installs on a bare Debian: that takes the network, and is tried by hand.)

# shellcheck source=../lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/scripts" "$work/bin"
cp "$root"/scripts/setup "$root"/scripts/lib*.sh "$work/scripts/"

# sudo closes all descriptors but the first three.
cat >"$work/bin/sudo" <<'SUDO'
#!/bin/bash
for fd in /proc/$$/fd/*; do fd=${fd##*/}; [ "$fd" -le 2 ] || [ "$fd" = 255 ] || eval "exec $fd>&-" 2>/dev/null; done
exec "$@"
SUDO
echo '#!/bin/sh' >"$work/bin/dpkg-query" # nothing is installed
cat >"$work/bin/apt-get" <<'APT'
#!/bin/bash
# Takes its status descriptor from packages' scripts, which print.
echo "$@" >>"$WORK/asked"
[[ " $* " == *' install '* ]] || exit 0
[ -z "$APT_FAILS" ] || { echo "E: no such package" >&2; exit 100; }
[[ "$*" =~ APT::Status-Fd=([0-9]+) ]] || exit 1
fd=${BASH_REMATCH[1]}
echo "pmstatus:gcc:50.0000:Installing gcc" >&$fd || exit 3
(eval "exec $fd>&-"; echo "the script of a package prints" && echo "also here" >&2) || exit 4
APT
chmod -R a+rX "$work"
chmod +x "$work"/bin/*
chmod 777 "$work"
user=()
[ "$EUID" != 0 ] || user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
setup() {
    "${user[@]}" env WORK="$work" PATH="$work/bin:$PATH" DATABASE_URL=postgresql:///x REDIS_URL=unix:///x TMPDIR="$work" \
        "$work/scripts/setup" "$@"
}

check "all that is missing is installed" setup --bench
for package in libc6-dev libgrpc++-dev; do check "$package is among it" grep -q "install .* $package" "$work/asked"; done
shows_progress() {
    # On a terminal, as "script" makes one.
    "${user[@]}" env WORK="$work" PATH="$work/bin:$PATH" DATABASE_URL=postgresql:///x REDIS_URL=unix:///x TMPDIR="$work" \
        script -qec "$work/scripts/setup" /dev/null </dev/null | grep 'installing (percent)  50 of 100'
}
if command -v script >/dev/null; then
    check "progress is shown" shows_progress
else
    skip "progress is shown" "there is no program script here"
fi
check "a failure is told, with apt's words" says 'E: no such package' env APT_FAILS=1 bash -c "$(declare -p user work); $(declare -f setup); setup"
done_testing
