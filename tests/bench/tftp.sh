#!/usr/bin/env bash
# What 32 TFTP clients get in sum, block size 1468: captaind, dnsmasq and tftpd-hpa in lock-step (which is all that
# those two can do), and captaind with windowsize 16, as iPXE and U-Boot ask for; in turns. In two ways:
# - apart: clients with sockets on one half of the processors, the server on the other;
# - whole: the clients' end of the veth pair answers for them (a tcx program, Linux 6.6), as if they were other machines:
#   all processors serve. Answers come as from a network card that interrupts every 50 microseconds (ethtool's rx-usecs).
#
# usage: tests/bench/tftp.sh [MEGABYTES PER CLIENT, 8] [ROUNDS, 7]     as root; CAPTAIND=path of a release build
# needs: dnsmasq (dnsmasq-base), in.tftpd (tftpd-hpa), curl, ethtool; $TOOLS/boot-load (cargo build --release -p captain-tests)
. "$(dirname "$0")/common.sh"
need dnsmasq dnsmasq-base; need in.tftpd tftpd-hpa; need curl curl; need ethtool ethtool
private "$0" "$@"
network
mount -t sysfs sysfs /sys
megabytes=${1:-8} rounds=${2:-7}
mkdir tftp; head -c "${megabytes}M" /dev/urandom >tftp/file; chmod -R a+rX tftp

# load NAME PID NUMBER WINDOW [whole]: MB/s in sum; a transfer that failed ends the script.
load() {
    local bytes rate failed cpu way; cpu=$(spent "$2")
    way=(tftp "10.$3.0.1:69" file 32 1468 "$4" 0 "10.$3.0.2")
    [ -z "${5:-}" ] || way=(wire "10.$3.0.1:69" file 32 1468 "10.$3.0.2" "c$3")
    read -r bytes _ rate failed < <(client "$TOOLS/boot-load" "${way[@]}")
    echo "$rate"
    awk -v name="$1, window $4 ${5:-apart}" -v bytes="$bytes" -v rate="$rate" -v failed="$failed" -v before="$cpu" -v after="$(spent "$2")" '
        BEGIN { printf "  %s: %s MB/s, %.2f s of processor time per GB, %s failed\n", name, rate, (after - before) * 1e9 / bytes, failed
                exit failed }' >&2
}
# on PROCESSORS: moves the other servers there, and starts captaind anew there, which has a thread for each.
on() {
    for server in $dnsmasq $hpa; do taskset --cpu-list --pid "$1" "$server" >/dev/null; done
    [ -z "${ours:-}" ] || { server=$ours; down; }
    SERVER_ON="taskset -c $1" captaind_up "[tftp]
root = \"./tftp\"
[dhcp]
mode = \"disabled\""
    ours=$server
}

# moderate SERVER-NAMESPACE NUMBER: from now on a timer tells of frames on the clients' end. Without it, a program's answer
# is there before the call that sent the block returns, which no card does: no server would ever wait for a client.
# veth queues frames for it where the sender splits large ones itself.
moderate() {
    ${1:+ip netns exec "$1"} ethtool -K s0 tso off
    ip netns exec client ethtool -K "c$2" gro on
    ip netns exec client sh -c "cd /sys/class/net/c$2; echo 1000000 >napi_defer_hard_irqs; echo 50000 >gro_flush_timeout"
}

another dnsmasq 78; another hpa 79
$SERVER_ON ip netns exec dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --user=nobody --port=0 --interface=s0 \
    --bind-interfaces --enable-tftp --tftp-root="$DIR/tftp" --tftp-max=100 >dnsmasq.log 2>&1 & dnsmasq=$!
$SERVER_ON ip netns exec hpa in.tftpd --foreground --address 10.79.0.1:69 --user nobody --secure "$DIR/tftp" >hpa.log 2>&1 & hpa=$!
ip -n client link set c0 down; ip -n client link set c0 name c77; ip -n client link set c77 up
sleep 1
apart
everywhere=0-$(($(nproc) - 1)) half=${SERVER_ON##* }
on "$half"
for _ in $(seq "$rounds"); do
    one=$(load captaind $ours 77 1); many=$(load captaind $ours 77 16)
    for peer in "dnsmasq $dnsmasq 78" "hpa $hpa 79"; do
        theirs=$(load $peer 1)
        note "apart-${peer%% *}" "$one" "$theirs"; note "window-${peer%% *}" "$many" "$theirs"
    done
done
on "$everywhere"; LOAD_ON=
moderate "" 77; moderate dnsmasq 78; moderate hpa 79
for _ in $(seq "$rounds"); do
    one=$(load captaind $ours 77 1 whole)
    for peer in "dnsmasq $dnsmasq 78" "hpa $hpa 79"; do note "whole-${peer%% *}" "$one" "$(load $peer 1 whole)"; done
done
kill $ours $dnsmasq $hpa
verdict whole-dnsmasq 1.5; verdict whole-hpa 1.5
verdict window-dnsmasq 4; verdict window-hpa 4
verdict apart-dnsmasq; verdict apart-hpa
finish
