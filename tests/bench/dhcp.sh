#!/usr/bin/env bash
# DISCOVER-OFFER-REQUEST-ACK exchanges per second that each server sustains with less than 1 % loss:
# captaind with leases on disk before each ACK, Kea with its memfile, dnsmasq with its lease file.
#
# usage: tests/bench/dhcp.sh [SECONDS PER STEP, 3]     as root; CAPTAIND=path of a release build
# needs: perfdhcp (kea-admin), kea-dhcp4 (kea-dhcp4-server), dnsmasq (dnsmasq-base), curl
# Each server has one processor, perfdhcp the other; no server logs single packets.
# Raises the rate until 1 % is lost, then halves the steps; the best rate that held is the figure.
. "$(dirname "$0")/common.sh"
need perfdhcp kea-admin; need kea-dhcp4 kea-dhcp4-server; need dnsmasq dnsmasq-base; need curl curl
private "$0" "$@"
network
apart
export CAPTAIND_LOG=warn
period=${1:-3}
RANGE='["10.77.1.0", "10.77.250.255"]'

# holds RATE: whether the server in question answers RATE exchanges per second; prints what it did.
holds() {
    client perfdhcp -4 -r "$1" -R 60000 -p "$period" -W 1000000 -l 10.77.0.2 10.77.0.1 >perf.out 2>&1 || true
    awk -v want="$1" -v seconds="$period" '
        /^sent packets/ { sent += $3 } /^received packets/ { got += $3; acks = $3 }
        END { held = sent > 0 && got >= sent * 0.99 && acks >= want * seconds * 0.95
              printf "  asked %d/s: %.0f/s, %d of %d answered\n", want, acks / seconds, got, sent > "/dev/stderr"; exit !held }' perf.out
}

# best START STEP: the highest rate that held.
best() {
    local rate=$1 step=$2 top=0
    while holds "$rate"; do top=$rate; rate=$((rate * 2)); done
    [ "$top" = 0 ] && { rate=$((rate / 8)); holds "$rate" && top=$rate; }
    local low=$top high=$rate
    [ "$top" = 0 ] || while [ $((high - low)) -gt $((low / 8 + step)) ]; do
        rate=$(((low + high) / 2))
        if holds "$rate"; then low=$rate; else high=$rate; fi
    done
    echo "$low"
}

echo "captaind" >&2
captaind_up "[dhcp]
mode = \"dynamic\"
[[dhcp.subnet]]
network = \"10.77.0.0/16\"
range = $RANGE
lease_time = \"1h\""
ours=$(best 1000 100); down

echo "kea-dhcp4" >&2
mkdir -p /run/kea kea
cat >kea.json <<JSON
{ "Dhcp4": { "interfaces-config": { "interfaces": ["s0"], "dhcp-socket-type": "udp" },
  "lease-database": { "type": "memfile", "persist": true, "name": "$DIR/kea/leases.csv", "lfc-interval": 0 },
  "multi-threading": { "enable-multi-threading": true },
  "valid-lifetime": 3600,
  "loggers": [ { "name": "kea-dhcp4", "severity": "ERROR", "output_options": [ { "output": "stderr" } ] } ],
  "subnet4": [ { "subnet": "10.77.0.0/16", "pools": [ { "pool": "10.77.1.0 - 10.77.250.255" } ] } ] } }
JSON
KEA_PIDFILE_DIR=$DIR/kea KEA_LOCKFILE_DIR=$DIR/kea $SERVER_ON kea-dhcp4 -c kea.json >kea.log 2>&1 & server=$!
sleep 1; kea=$(best 1000 100); down

echo "dnsmasq" >&2
$SERVER_ON dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --port=0 --interface=s0 --bind-interfaces --no-ping \
    --dhcp-range=10.77.1.0,10.77.250.255,255.255.0.0,1h --dhcp-lease-max=64000 --dhcp-leasefile="$DIR/dnsmasq.leases" \
    --quiet-dhcp >dnsmasq.log 2>&1 & server=$!
sleep 1; dnsmasq=$(best 200 10); down

echo "captaind $ours/s, kea $kea/s, dnsmasq $dnsmasq/s"
ratio dhcp-kea "$ours" "$kea"
ratio dhcp-dnsmasq "$ours" "$dnsmasq"
