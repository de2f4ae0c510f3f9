#!/bin/bash
# Boot time and memory, against the same packages put together the way CaptainOS does it: a copying init, every unit
# that the packages enable, kernel modules as the package ships them.
#
#   tests/bench/boot.sh              default recipe, amd64, QEMU without KVM
#   RUNS=5 LIMIT=0.6 tests/bench/boot.sh
#
# Prints seconds from kernel start until containerd is ready, the peak of memory (pages that the machine ever
# touched), and both ratios; fails when one is above LIMIT. Needs qemu-system-x86, mmdebstrap, cpio and zstd, and the
# mirror of this machine's apt.
. "$(dirname "$0")/common.sh"
runs=${RUNS:-3} limit=${LIMIT:-0.6} memory=${MEMORY:-3072} patience=${PATIENCE:-600}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/captaind-boot.XXXXXX")
trap 'rm -rf "$work" "/dev/shm/captaind-boot.$$"' EXIT
for tool in "qemu-system-x86_64 qemu-system-x86" "mmdebstrap mmdebstrap" "cpio cpio" "zstd zstd"; do
	# shellcheck disable=SC2086
	need $tool
done

# The same marker in both: it runs when containerd has told systemd that it is ready.
mkdir -p "$work/marker/etc/systemd/system"
cat >"$work/marker/etc/systemd/system/bench-ready.service" <<'UNIT'
[Unit]
After=containerd.service
Requires=containerd.service
[Service]
Type=oneshot
StandardOutput=file:/dev/console
ExecStart=/bin/sh -c 'read -r up _ </proc/uptime; echo; echo "BENCH ready $up"'
[Install]
WantedBy=multi-user.target
UNIT

ours() {
	cat >"$work/captaind.toml" <<-TOML
		[osie.default]
		overlay = ["$work/marker"]
		services = ["bench-ready.service"]
	TOML
	"$CAPTAIND" build -c "$work/captaind.toml" -o "$work/ours" --json >"$work/manifest.json"
}

# The packages that were asked for by name; what they need is mmdebstrap's business here.
packages() {
	python3 -c 'import json,sys; print(",".join(p["name"] for p in json.load(open(sys.argv[1]))[0]["packages"] if p["why"] == "wanted"))' "$work/manifest.json"
}

# What mkosi.conf of CaptainOS removes from the tree (RemoveFiles).
trim() {
	(cd "$1" && rm -rf usr/share/{doc,man,info,locale,i18n,zoneinfo,bash-completion,lintian,bug} usr/lib/udev/hwdb.d \
		usr/lib/systemd/catalog var/cache/apt var/lib/apt var/log boot etc/machine-id && mkdir -p var/log boot && : >etc/machine-id)
}

theirs() {
	local root=$work/root
	INITRD=No mmdebstrap --variant=essential --include="$(packages)" --format=directory trixie "$root" >"$work/mmdebstrap.log" 2>&1 || {
		grep -aE 'rror|^dpkg' "$work/mmdebstrap.log" | cut -c1-200 | tail -n 20 >&2
		return 1
	}
	trim "$root"
	cp "$work/marker/etc/systemd/system/bench-ready.service" "$root/etc/systemd/system/"
	ln -sf ../bench-ready.service "$root/etc/systemd/system/multi-user.target.wants/bench-ready.service"
	ln -sf /usr/lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
	cat >"$root/init" <<-'INIT'
		#!/bin/sh
		mount -t proc proc /proc
		mount -t sysfs sysfs /sys
		mount -t devtmpfs devtmpfs /dev
		mount -t tmpfs -o size=90% tmpfs /mnt
		cp -ax / /mnt/
		mount --move /proc /mnt/proc
		mount --move /sys /mnt/sys
		mount --move /dev /mnt/dev
		rm -f /mnt/init
		exec switch_root /mnt /lib/systemd/systemd
	INIT
	chmod 0755 "$root/init"
	mkdir -p "$work/theirs"
	(cd "$root" && find . -mindepth 1 -print0 | LC_ALL=C sort -z | cpio --null --create --quiet --format=newc) |
		zstd -q -9 -T0 >"$work/theirs/initramfs-x86_64"
	cp "$work/ours/vmlinuz-x86_64" "$work/theirs/"
	rm -rf "$root"
}

# boot FOLDER: "SECONDS MEGABYTES" of one boot.
boot() {
	local ram=/dev/shm/captaind-boot.$$ console=$work/console qemu
	rm -f "$ram" "$console"
	qemu-system-x86_64 -machine q35,memory-backend=ram -accel tcg,thread=multi -cpu max -smp 2 -m "$memory" \
		-object "memory-backend-file,id=ram,size=${memory}M,mem-path=$ram,share=on" -nic none -no-reboot \
		-display none -monitor none -serial "file:$console" -kernel "$1/vmlinuz-x86_64" -initrd "$1/initramfs-x86_64" \
		-append 'console=ttyS0,115200 no_timer_check panic=-1' &
	qemu=$!
	local waited=0
	until grep -q 'BENCH ready' "$console" 2>/dev/null; do
		sleep 1
		((++waited < patience)) && kill -0 "$qemu" 2>/dev/null || {
			kill "$qemu" 2>/dev/null || true
			echo "boot.sh: $1 was not ready after $waited s; its console ends with:" >&2
			tail -n 20 "$console" >&2
			return 1
		}
	done
	echo "$(sed -n 's/.*BENCH ready \([0-9.]*\).*/\1/p' "$console") $(($(du -k "$ram" | cut -f1) / 1000))"
	kill "$qemu"
	wait "$qemu" 2>/dev/null || true
}

# middle COLUMN: the median of a column of standard input.
middle() { cut -d' ' -f"$1" | sort -n | awk '{v[NR]=$1} END {print v[int((NR+1)/2)]}'; }

ours
theirs
for ((run = 0; run < runs; run++)); do
	boot "$work/theirs" >>"$work/theirs.txt"
	boot "$work/ours" >>"$work/ours.txt"
done
for who in ours theirs; do
	printf '%-7s ready after %6s s, %5s MB of memory at most, initramfs %s MB\n' "$who" "$(middle 1 <"$work/$who.txt")" \
		"$(middle 2 <"$work/$who.txt")" "$(($(stat -c %s "$work/$who/initramfs-x86_64") / 1000000))"
done
awk -v limit="$limit" -v o1="$(middle 1 <"$work/ours.txt")" -v t1="$(middle 1 <"$work/theirs.txt")" \
	-v o2="$(middle 2 <"$work/ours.txt")" -v t2="$(middle 2 <"$work/theirs.txt")" 'BEGIN {
	printf "ratio   time %.2f, memory %.2f (at most %s)\n", o1 / t1, o2 / t2, limit
	exit o1 / t1 > limit || o2 / t2 > limit
}'
