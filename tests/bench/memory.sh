#!/usr/bin/env bash
# Resident memory of captaind under 1,000 TFTP transfers and 1,000 HTTP downloads at one time, all slow, above what
# it has when idle. At most 64 MiB are wanted.
#
# usage: tests/bench/memory.sh [CLIENTS OF EACH, 1000]     as root; CAPTAIND=path of a release build
# needs: curl; $TOOLS/boot-load (cargo build --release -p captain-tests)
. "$(dirname "$0")/common.sh"
need curl curl
private "$0" "$@"
network
clients=${1:-1000}
for last in $(seq 40); do ip -n client addr add "10.77.2.$last/16" dev c0; done
mkdir osie tftp; head -c 64M /dev/urandom >osie/initramfs-x86_64; echo bench >osie/vmlinuz-x86_64
cp osie/initramfs-x86_64 tftp/file; chmod -R a+rX tftp
ulimit -n "$(ulimit -Hn)"
resident() { awk '/^Rss/ { rss = $2 } /^Private_Dirty/ { own = $2 } END { print rss }' "/proc/$server/smaps_rollup"; }
busy() { ss -Htn state established "( sport = :7080 )" | wc -l; }

captaind_up "[tftp]
root = \"./tftp\"
[dhcp]
mode = \"disabled\""
client curl -fsS -o /dev/null http://10.77.0.1:7080/osie/default/initramfs-x86_64
client "$TOOLS/boot-load" tftp 10.77.0.1:69 file 1 1468 16 0 10.77.2.1 >/dev/null
idle=$(resident)
client "$TOOLS/boot-load" tftp 10.77.0.1:69 file "$clients" 1468 16 500 10.77.2.1 >tftp.out 2>&1 & tftp=$!
client "$TOOLS/boot-load" http 10.77.0.1:7080 /osie/default/initramfs-x86_64 "$clients" 16384 500 10.77.2.1 >http.out 2>&1 & http=$!
peak=0
for second in $(seq 20); do
    sleep 1; now=$(resident); [ "$now" -gt "$peak" ] && peak=$now
    echo "  after $second s: $now KiB, $(busy) HTTP connections, $(ss -Huan | grep -c "10.77.0.1:[1-9]") TFTP transfers" >&2
done
kill $tftp $http; wait $tftp $http || true
cat tftp.out http.out >&2
down
echo "idle $idle KiB, at most $peak KiB: $(((peak - idle) / 1024)) MiB above idle for $clients + $clients clients"
note memory-of-64MiB "$((peak - idle))" 65536
verdict memory-of-64MiB 1 most
finish
