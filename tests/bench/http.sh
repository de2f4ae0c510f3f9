#!/usr/bin/env bash
# What 16 HTTP clients get in sum of a 100 MB file: captaind, and nginx with sendfile, in turns.
#
# usage: tests/bench/http.sh [MEGABYTES, 100] [ROUNDS, 7]     as root; CAPTAIND=path of a release build
# Each server has half of the processors and a worker for each, the clients have the others.
# needs: nginx (nginx-light), curl
. "$(dirname "$0")/common.sh"
need nginx nginx-light; need curl curl
private "$0" "$@"
network
apart
megabytes=${1:-100} rounds=${2:-7}
mkdir osie; head -c "${megabytes}M" /dev/urandom >osie/initramfs-x86_64; echo bench >osie/vmlinuz-x86_64

# load NAME PID URL: MB/s in sum. A curl that got less than all of it ends the script.
load() {
    local begin=$EPOCHREALTIME cpu clients=(); cpu=$(spent "$2")
    for _ in $(seq 16); do client curl -fsS -o /dev/null "$3" & clients+=($!); done
    for one in "${clients[@]}"; do wait "$one"; done
    awk -v name="$1" -v mb="$megabytes" -v from="$begin" -v to="$EPOCHREALTIME" -v before="$cpu" -v after="$(spent "$2")" 'BEGIN {
        sum = 16 * mb * 1.048576; printf "%.0f\n", sum / (to - from)
        printf "  %s: %.0f MB/s, %.2f s of processor time per GB\n", name, sum / (to - from), (after - before) * 1000 / sum > "/dev/stderr" }'
}

captaind_up "[dhcp]
mode = \"disabled\""
ours=$server
cat >nginx.conf <<CONF
daemon off; worker_processes $SERVERS; pid $DIR/nginx.pid; error_log stderr;
events { worker_connections 1024; }
http { sendfile on; tcp_nopush on; access_log off;
  server { listen 10.77.0.1:8080; root $DIR; } }
CONF
$SERVER_ON nginx -e stderr -c "$DIR/nginx.conf" >nginx.log 2>&1 & theirs=$!
sleep 1
for _ in $(seq "$rounds"); do
    note http-nginx "$(load captaind $ours http://10.77.0.1:7080/osie/default/initramfs-x86_64)" \
        "$(load nginx $theirs http://10.77.0.1:8080/osie/initramfs-x86_64)"
done
kill $ours $theirs
verdict http-nginx 0.9
finish
