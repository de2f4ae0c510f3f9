#!/usr/bin/env bash
# Time of a cold build (empty cache), beside `mmdebstrap | cpio | zstd` on the same package list from the same mirror, in
# turns; and of a warm rebuild after an overlay changed. Wanted: cold faster than the peer, warm at most 15 s on two cores.
#
# The peer only unpacks (--variant=extract): no maintainer scripts, no module indices, no accounts. It is given the same
# level of zstd.
#
# usage: tests/bench/build.sh [ROUNDS, 3]     as root; CAPTAIND=path of a release build, MIRROR=URL of a near mirror
# needs: mmdebstrap, cpio, zstd, jq, GNU time; 2 GB of disk
. "$(dirname "$0")/common.sh"
[ -x "$CAPTAIND" ] || { echo "no $CAPTAIND: cargo build --release --package captaind, or set CAPTAIND" >&2; exit 66; }
need mmdebstrap mmdebstrap; need cpio cpio; need zstd zstd; need jq jq; need /usr/bin/time time
CAPTAIND=$(realpath "$CAPTAIND") rounds=${1:-3} level=9
DIR=$(mktemp -d "${TMPDIR:-/var/tmp}/captaind-bench.XXXXXX"); cd "$DIR"
trap 'cd /; rm -rf "$DIR"' EXIT
MIRROR=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -1)}
[ -n "$MIRROR" ] || { echo "apt names no mirror: set MIRROR" >&2; exit 69; }
mkdir -p mine/etc; echo 0 >mine/etc/motd
printf '[osie]\nmirror = "%s"\n[osie.default]\noverlay = ["./mine"]\n' "${MIRROR%/}" >captaind.toml

# timed NAME COMMAND...: its seconds, in $seconds; seconds and processor time in one line for people.
timed() {
    local name=$1; shift
    /usr/bin/time -o took -f '%e %U %S' "$@" >"$name.log" 2>&1 || { tail -5 "$name.log" >&2; exit 1; }
    read -r seconds user system <took
    echo "  $name: $seconds s (processor: $user s, $system s for the kernel)"
}
ours() { timed "$1" "$CAPTAIND" build -c captaind.toml --cache-dir cache -o out --level $level; }

export list MIRROR level
peer() {
    rm -rf root; mkdir root
    mmdebstrap --quiet --variant=extract --architectures=amd64 --include="$list" \
        trixie root "deb $MIRROR trixie main" &&
    cp -a mine/. root/ &&
    (cd root && find . -print0 | LC_ALL=C sort -z | cpio --null --quiet -o -H newc) | zstd -q -f "-$level" -T0 -o peer.cpio.zst
}
export -f peer

"$CAPTAIND" plan -c captaind.toml --cache-dir first --json >plan.json 2>plan.log
list=$(jq -r '.[].steps[] | select(.step == "fetch").packages[].name' plan.json | paste -sd,)
rm -rf first
for round in $(seq "$rounds"); do
    echo "round $round of $rounds, level $level, $(nproc) processors"
    rm -rf cache
    ours cold; cold=$seconds
    timed peer-cold bash -c peer; note cold "$cold" "$seconds"
    echo "$round" >mine/etc/motd
    ours warm; note warm-15s "$seconds" 15
done
ls -l out/initramfs-x86_64 peer.cpio.zst | awk '{ printf "  %.1f MB %s\n", $5 / 1e6, $NF }'
verdict cold 1 most
verdict warm-15s 1 most
finish
