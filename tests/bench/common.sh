# Shared by the scripts beside it: a veth pair in private namespaces, servers that end with the script, ratios.
# Sourced, never run. A script calls `private "$0" "$@"` first, which starts it again in namespaces of its own.

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CAPTAIND=${CAPTAIND:-$here/../../target/release/captaind}
TOOLS=${TOOLS:-$(dirname "$CAPTAIND")}

# need PROGRAM PACKAGE: installs the Debian package where the program is missing and we are root.
need() {
    command -v "$1" >/dev/null && return
    [ "$(id -u)" = 0 ] && apt-get install -y -qq --no-install-recommends "$2" >/dev/null && return
    echo "$1 is missing: apt-get install $2" >&2; exit 69
}

# private SCRIPT ARGUMENTS...: runs the rest in private network, mount and process namespaces.
private() {
    [ -n "${IN_PRIVATE:-}" ] && return
    [ -x "$CAPTAIND" ] || { echo "no $CAPTAIND: cargo build --release --package captaind, or set CAPTAIND" >&2; exit 66; }
    export CAPTAIND TOOLS IN_PRIVATE=1
    exec unshare --net --mount --pid --fork --kill-child --mount-proc timeout --kill-after=5 900 bash "$@"
}

# network: we are 10.77.0.1 on s0; a namespace `client` has 10.77.0.2 on c0. $DIR is a fresh folder on the disk.
network() {
    DIR=$(mktemp -d "${TMPDIR:-/var/tmp}/captaind-bench.XXXXXX"); chmod 755 "$DIR"; cd "$DIR"
    trap 'cd /; rm -rf "$DIR"; rmdir /sys/fs/cgroup/{,cpu/}captaind-bench.$$ 2>/dev/null' EXIT
    mount -t tmpfs none /run; ip link set lo up
    ip netns add client
    ip link add s0 type veth peer name c0 netns client
    ip addr add 10.77.0.1/16 dev s0; ip link set s0 up
    ip -n client addr add 10.77.0.2/16 dev c0; ip -n client link set c0 up; ip -n client link set lo up
}
# another NAME NUMBER: a further server's namespace, 10.NUMBER.0.1 for the client, which is 10.NUMBER.0.2 there.
another() {
    ip netns add "$1"
    ip link add s0 netns "$1" type veth peer name "c$2" netns client
    ip -n "$1" addr add "10.$2.0.1/16" dev s0; ip -n "$1" link set s0 up; ip -n "$1" link set lo up
    ip -n client addr add "10.$2.0.2/16" dev "c$2"; ip -n client link set "c$2" up
}
client() { $LOAD_ON ip netns exec client "$@"; }

# apart: servers on one half of the processors, $SERVERS of them, clients on the other, so that the server is what is
# measured and not whose turn it is.
SERVER_ON= LOAD_ON= SERVERS=1
apart() {
    local all half; all=$(nproc) half=$(($(nproc) / 2))
    [ "$half" -gt 0 ] || return 0
    SERVERS=$((all - half)) SERVER_ON="taskset -c $half-$((all - 1))" LOAD_ON="taskset -c 0-$((half - 1))"
}

# captaind_up TOML: serves with the given further configuration, until `down`.
captaind_up() {
    mkdir -p osie loaders state
    for file in osie/vmlinuz-x86_64 osie/initramfs-x86_64 loaders/undionly.kpxe loaders/snponly.efi; do
        [ -e "$file" ] || echo bench >"$file"
    done
    printf '[server]\nloaders = "loaders"\n[profile.default]\nosie = "./osie"\n%s\n' "$1" >captaind.toml
    $SERVER_ON "$CAPTAIND" serve -c captaind.toml -i s0 --state-dir state --cache-dir cache >captaind.log 2>&1 & server=$!
    for _ in $(seq 100); do
        curl -fsS -o /dev/null http://10.77.0.1:7080/readyz 2>/dev/null && return
        kill -0 $server || break
        sleep 0.1
    done
    tail captaind.log >&2; exit 1
}
down() { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }

# spent PID: seconds of processor time of that process, its threads and its children, also of those that ended.
spent() {
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v root="$1" '{
        pid = $1; sub(/.*\) /, ""); if (pid == root || $2 == root) ticks += $12 + $13 + $14 + $15
    } END { printf "%.2f\n", ticks / 100 }'
}

# slowly PID: gives that process a quarter of a processor from now on, where the load generator would be the limit
# otherwise. The group goes when the script does.
slowly() {
    local group
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        group=/sys/fs/cgroup/captaind-bench.$$
        grep -qw cpu /sys/fs/cgroup/cgroup.subtree_control || echo +cpu >/sys/fs/cgroup/cgroup.subtree_control
        mkdir -p "$group"; echo "5000 20000" >"$group/cpu.max"
    else
        group=/sys/fs/cgroup/cpu/captaind-bench.$$
        mkdir -p "$group"; echo 20000 >"$group/cpu.cfs_period_us"; echo 5000 >"$group/cpu.cfs_quota_us"
    fi
    echo "$1" >"$group/cgroup.procs"
}

# note NAME OURS THEIRS: one round's ratio. What else runs on this machine hits both sides of a round alike.
note() {
    awk -v name="$1" -v ours="$2" -v theirs="$3" 'BEGIN { print name, (theirs > 0 ? ours / theirs : 0) }' >>"$DIR/rounds"
}

# verdict NAME [LEAST [most]]: prints the median of the noted ratios beside the target; remembers a miss for `finish`.
# A ratio without a target is told only.
missed=0
verdict() {
    awk -v name="$1" '$1 == name { print $2 }' "$DIR/rounds" | sort -n | awk -v name="$1" -v target="${2:-}" -v most="${3:-}" '
        { all[NR] = $1 }
        END { median = (all[int((NR + 1) / 2)] + all[int(NR / 2) + 1]) / 2
              met = target == "" || (most ? median <= target : median >= target)
              if (target != "") judged = (most ? "at most " : "at least ") target ": " (met ? "met" : "MISSED") "; "
              printf "ratio %s %.2f (%s%d rounds, %.2f to %.2f)\n", name, median, judged, NR, all[1], all[NR]
              exit !met }' || missed=1
}
finish() { exit $missed; }
