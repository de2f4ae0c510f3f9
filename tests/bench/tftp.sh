#!/usr/bin/env bash
# What 32 TFTP clients get in sum, block size 1468: captaind, dnsmasq and tftpd-hpa in lock-step (which is all that
# those two can do), and captaind with windowsize 16, as iPXE and U-Boot ask for; in turns.
#
# usage: tests/bench/tftp.sh [MEGABYTES PER CLIENT, 8] [ROUNDS, 7]     as root; CAPTAIND=path of a release build
# Each server has half of the processors, the clients the others.
# needs: dnsmasq (dnsmasq-base), in.tftpd (tftpd-hpa), curl; $TOOLS/boot-load (cargo build --release -p captain-tests)
. "$(dirname "$0")/common.sh"
need dnsmasq dnsmasq-base; need in.tftpd tftpd-hpa; need curl curl
private "$0" "$@"
network
apart
megabytes=${1:-8} rounds=${2:-7}
mkdir tftp; head -c "${megabytes}M" /dev/urandom >tftp/file; chmod -R a+rX tftp

# load NAME PID SUBNET WINDOW: MB/s in sum; a transfer that failed ends the script.
load() {
    local bytes seconds rate failed cpu; cpu=$(spent "$2")
    read -r bytes seconds rate failed < <(client "$TOOLS/boot-load" tftp "10.$3.0.1:69" file 32 1468 "$4" 0 "10.$3.0.2")
    echo "$rate"
    awk -v name="$1, window $4" -v bytes="$bytes" -v rate="$rate" -v failed="$failed" -v before="$cpu" -v after="$(spent "$2")" '
        BEGIN { printf "  %s: %s MB/s, %.2f s of processor time per GB, %s failed\n", name, rate, (after - before) * 1e9 / bytes, failed
                exit failed }' >&2
}

captaind_up "[tftp]
root = \"./tftp\"
[dhcp]
mode = \"disabled\""
ours=$server
another dnsmasq 78; another hpa 79
$SERVER_ON ip netns exec dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --user=nobody --port=0 --interface=s0 \
    --bind-interfaces --enable-tftp --tftp-root="$DIR/tftp" --tftp-max=100 >dnsmasq.log 2>&1 & dnsmasq=$!
$SERVER_ON ip netns exec hpa in.tftpd --foreground --address 10.79.0.1:69 --user nobody --secure "$DIR/tftp" >hpa.log 2>&1 & hpa=$!
sleep 1
for _ in $(seq "$rounds"); do
    one=$(load captaind $ours 77 1); many=$(load captaind $ours 77 16)
    for peer in "dnsmasq $dnsmasq 78" "hpa $hpa 79"; do
        theirs=$(load $peer 1)
        note "tftp-${peer%% *}" "$one" "$theirs"; note "tftp-window-${peer%% *}" "$many" "$theirs"
    done
done
kill $ours $dnsmasq $hpa
verdict tftp-dnsmasq 1.5; verdict tftp-hpa 1.5
verdict tftp-window-dnsmasq 4; verdict tftp-window-hpa 4
finish
