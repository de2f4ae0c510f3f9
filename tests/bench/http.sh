#!/usr/bin/env bash
# What 16 HTTP clients get in sum of a 100 MB file: captaind, and nginx with sendfile.
#
# usage: tests/bench/http.sh [MEGABYTES, 100]     as root; CAPTAIND=path of a release build
# needs: nginx (nginx-light), curl
. "$(dirname "$0")/common.sh"
need nginx nginx-light; need curl curl
private "$0" "$@"
network
megabytes=${1:-100}
mkdir osie; head -c "${megabytes}M" /dev/urandom >osie/initramfs-x86_64; echo bench >osie/vmlinuz-x86_64

# load NAME URL: MB/s in sum, the best of three runs.
load() {
    local best=0
    for _ in 1 2 3; do
        local begin=$EPOCHREALTIME clients=()
        for _ in $(seq 16); do client curl -fsS -o /dev/null "$2" & clients+=($!); done
        for one in "${clients[@]}"; do wait "$one"; done
        local rate; rate=$(awk -v mb="$megabytes" -v from="$begin" -v to="$EPOCHREALTIME" \
            'BEGIN { printf "%.0f", 16 * mb * 1.048576 / (to - from) }')
        echo "  $1: $rate MB/s" >&2
        [ "$rate" -gt "$best" ] && best=$rate
    done
    echo "$best"
}

captaind_up "[dhcp]
mode = \"disabled\""
ours=$(load captaind http://10.77.0.1:7080/osie/default/initramfs-x86_64); down
cat >nginx.conf <<CONF
daemon off; worker_processes auto; pid $DIR/nginx.pid; error_log stderr;
events { worker_connections 1024; }
http { sendfile on; tcp_nopush on; access_log off;
  server { listen 10.77.0.1:8080; root $DIR; } }
CONF
nginx -e stderr -c "$DIR/nginx.conf" >nginx.log 2>&1 & server=$!
sleep 1; nginx=$(load nginx http://10.77.0.1:8080/osie/initramfs-x86_64); down

echo "captaind $ours MB/s, nginx $nginx MB/s"
ratio http-nginx "$ours" "$nginx"
