#!/usr/bin/env bash
# DISCOVER-OFFER-REQUEST-ACK exchanges per second that each server sustains with less than 1 % loss:
# captaind with leases on disk before each ACK, Kea with its memfile, dnsmasq with its lease file.
#
# usage: tests/bench/dhcp.sh [SECONDS PER STEP, 3] [ROUNDS, 3] [PERFDHCPS, 2]     as root; CAPTAIND=path of a release build
# needs: perfdhcp (kea-admin), kea-dhcp4 (kea-dhcp4-server), dnsmasq (dnsmasq-base), curl
#
# The rate is raised until 1 % is lost, then the steps are halved; the best rate that held is the figure. No server logs
# single packets. Beside Kea both have a quarter of a processor only, as on a small box: perfdhcp makes some 9,000
# exchanges per second of one processor, captaind more, and the figure would be perfdhcp's.
. "$(dirname "$0")/common.sh"
need perfdhcp kea-admin; need kea-dhcp4 kea-dhcp4-server; need dnsmasq dnsmasq-base; need curl curl
private "$0" "$@"
network
apart
export CAPTAIND_LOG=warn
period=${1:-3} rounds=${2:-3} perfdhcps=${3:-2}
RANGE='["10.77.1.0", "10.77.250.255"]'
for last in $(seq 3 $((perfdhcps + 1))); do ip -n client addr add "10.77.0.$last/16" dev c0; done

# exchange RATE: that many exchanges per second, from relays with MACs of their own. Prints packets sent, packets
# received, ACKs, and microseconds of the server's processor time for each ACK.
exchange() {
    local cpu clients=(); cpu=$(spent $server); rm -f perf.*.out
    for number in $(seq "$perfdhcps"); do
        client perfdhcp -4 -r $(($1 / perfdhcps)) -R $((60000 / perfdhcps)) -b "mac=0$((2 * number)):0c:01:02:03:04" -p "$period" \
            -W 1000000 -l "10.77.0.$((number + 1))" 10.77.0.1 >"perf.$number.out" 2>&1 & clients+=($!)
    done
    for one in "${clients[@]}"; do wait "$one" || true; done
    awk -v before="$cpu" -v after="$(spent $server)" '
        FNR == 1 { one = 0 } /^sent packets/ { sent += $3 } /^received packets/ { got += $3; if (one++) acks += $3 }
        END { printf "%d %d %d %.1f\n", sent, got, acks, (after - before) * 1e6 / (acks ? acks : 1) }' perf.*.out
}

# holds RATE: whether the server in question answers RATE exchanges per second; prints what it did.
holds() {
    exchange "$1" | awk -v want="$1" -v seconds="$period" '
        { held = $1 > 0 && $2 >= $1 * 0.99 && $3 >= want * seconds * 0.95
          printf "  asked %d/s: %.0f/s, %d of %d answered, %s us of processor time each\n", want, $3 / seconds, $2, $1, $4 > "/dev/stderr"
          exit !held }'
}

# best START STEP: the highest rate that held.
best() {
    local rate=$1 step=$2 top=0
    while holds "$rate"; do top=$rate; rate=$((rate * 2)); done
    while [ "$top" = 0 ] && [ "$rate" -gt "$step" ]; do
        rate=$((rate / 2))
        if holds "$rate"; then top=$rate rate=$((rate * 2)); fi
    done
    local low=$top high=$rate
    [ "$top" = 0 ] || while [ $((high - low)) -gt $((low / 8 + step)) ]; do
        rate=$(((low + high) / 2))
        if holds "$rate"; then low=$rate; else high=$rate; fi
    done
    echo "$low"
}

captaind() {
    captaind_up "[dhcp]
mode = \"dynamic\"
[[dhcp.subnet]]
network = \"10.77.0.0/16\"
range = $RANGE
lease_time = \"1h\""
}

kea() {
    mkdir -p /run/kea kea; rm -f kea/*
    cat >kea.json <<JSON
{ "Dhcp4": { "interfaces-config": { "interfaces": ["s0"], "dhcp-socket-type": "udp" },
  "lease-database": { "type": "memfile", "persist": true, "name": "$DIR/kea/leases.csv", "lfc-interval": 0 },
  "multi-threading": { "enable-multi-threading": true },
  "valid-lifetime": 3600,
  "loggers": [ { "name": "kea-dhcp4", "severity": "ERROR", "output_options": [ { "output": "stderr" } ] } ],
  "subnet4": [ { "subnet": "10.77.0.0/16", "pools": [ { "pool": "10.77.1.0 - 10.77.250.255" } ] } ] } }
JSON
    KEA_PIDFILE_DIR=$DIR/kea KEA_LOCKFILE_DIR=$DIR/kea $SERVER_ON kea-dhcp4 -c kea.json >kea.log 2>&1 & server=$!
    sleep 1
}

dnsmasq() {
    rm -f dnsmasq.leases
    $SERVER_ON "$(type -P dnsmasq)" --keep-in-foreground --conf-file=/dev/null --user=root --port=0 --interface=s0 \
        --bind-interfaces --no-ping --dhcp-range=10.77.1.0,10.77.250.255,255.255.0.0,1h --dhcp-lease-max=64000 \
        --dhcp-leasefile="$DIR/dnsmasq.leases" --quiet-dhcp >dnsmasq.log 2>&1 & server=$!
    sleep 1
}

# rate SERVER START STEP [quarter]: what a fresh server of that kind holds.
rate() {
    echo "$1${4:+, with a $4 of a processor}" >&2
    rm -rf state; "$1"
    [ -z "${4:-}" ] || slowly "$server"
    best "$2" "$3"
    down
}
for _ in $(seq "$rounds"); do
    note dhcp-kea "$(rate captaind 2000 100 quarter)" "$(rate kea 1000 100 quarter)"
    note dhcp-dnsmasq "$(rate captaind 4000 200)" "$(rate dnsmasq 200 10)"
done
verdict dhcp-kea 2; verdict dhcp-dnsmasq 20
finish
