#!/bin/bash
# The table of sizes in crates/captain-osie/README.md: each shipped recipe at its smallest (level 19), for amd64.
#
#   tests/bench/sizes.sh             needs the package mirror; two minutes for each recipe on two cores
. "$(dirname "$0")/common.sh"
work=$(mktemp -d "${TMPDIR:-/var/tmp}/captaind-sizes.XXXXXX")
trap 'rm -rf "$work"' EXIT
megabytes() { awk -v bytes="$(stat -c %s "$1")" 'BEGIN { printf "%.1f MB", bytes / 1e6 }'; }
echo '| recipe | initramfs | kernel |'
echo '|---|---|---|'
echo '| CaptainOS, as published | 88 MB | 9.5 MB |'
for recipe in ${RECIPES:-default slim}; do
    "$CAPTAIND" build --profile "$recipe" --level "${LEVEL:-19}" -o "$work" >/dev/null
    echo "| \`$recipe\` | $(megabytes "$work/initramfs-x86_64") | $(megabytes "$work/vmlinuz-x86_64") |"
done
