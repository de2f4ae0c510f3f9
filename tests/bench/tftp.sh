#!/usr/bin/env bash
# What 32 TFTP clients get in sum, block size 1468: captaind, dnsmasq and tftpd-hpa in lock-step (which is all that
# those two can do), then captaind with windowsize 16, as iPXE and U-Boot ask for.
#
# usage: tests/bench/tftp.sh [MEGABYTES PER CLIENT, 32]     as root; CAPTAIND=path of a release build
# needs: dnsmasq (dnsmasq-base), in.tftpd (tftpd-hpa), curl; $TOOLS/boot-load (cargo build --release -p captain-tests)
. "$(dirname "$0")/common.sh"
need dnsmasq dnsmasq-base; need in.tftpd tftpd-hpa; need curl curl
private "$0" "$@"
network
megabytes=${1:-32}
mkdir tftp; head -c "${megabytes}M" /dev/urandom >tftp/file; chmod -R a+rX tftp

# load NAME WINDOW: three runs, the best counts: the machine is seldom ours alone.
load() {
    local best=0
    for _ in 1 2 3; do
        read -r bytes seconds rate failed < <(client "$TOOLS/boot-load" tftp 10.77.0.1:69 file 32 1468 "$2" 0 10.77.0.2)
        echo "  $1, window $2: $bytes bytes in $seconds s, $rate MB/s, $failed failed" >&2
        [ "$failed" = 0 ] && best=$(printf '%s\n' "$best" "$rate" | sort -n | tail -n 1)
    done
    echo "$best"
}

captaind_up "[tftp]
root = \"./tftp\"
[dhcp]
mode = \"disabled\""
ours=$(load captaind 1); windowed=$(load captaind 16); down
dnsmasq --keep-in-foreground --conf-file=/dev/null --user=nobody --port=0 --interface=s0 --bind-interfaces \
    --enable-tftp --tftp-root="$DIR/tftp" --tftp-max=100 >dnsmasq.log 2>&1 & server=$!
sleep 1; dnsmasq=$(load dnsmasq 1); down
in.tftpd --foreground --address 10.77.0.1:69 --user nobody --secure "$DIR/tftp" >hpa.log 2>&1 & server=$!
sleep 1; hpa=$(load tftpd-hpa 1); down

echo "captaind $ours MB/s, with windows $windowed MB/s, dnsmasq $dnsmasq MB/s, tftpd-hpa $hpa MB/s"
ratio tftp-dnsmasq "$ours" "$dnsmasq"
ratio tftp-hpa "$ours" "$hpa"
ratio tftp-window-dnsmasq "$windowed" "$dnsmasq"
ratio tftp-window-hpa "$windowed" "$hpa"
