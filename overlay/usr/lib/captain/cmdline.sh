# shellcheck shell=bash
# Reads the kernel command line into ARG[name]. Sourced.
#
# As the kernel does it: words are split at white space outside of double quotes, the quotes
# themselves fall away, and the last of several equal names wins.

declare -gA ARG=()

# parse_cmdline TEXT
parse_cmdline() {
	local text=$1 word='' quoted='' char i
	for ((i = 0; i < ${#text}; i++)); do
		char=${text:i:1}
		case $char in
		'"') [[ $quoted ]] && quoted='' || quoted=1 ;;
		[[:space:]])
			if [[ $quoted ]]; then
				word+=$char
			else
				keep_argument "$word"
				word=''
			fi
			;;
		*) word+=$char ;;
		esac
	done
	keep_argument "$word"
}

# keep_argument NAME[=VALUE]
keep_argument() {
	case $1 in
	'' | '='*) ;;
	*=*) ARG[${1%%=*}]=${1#*=} ;;
	*) ARG[$1]='' ;;
	esac
}

# The machine's MAC: the one it booted from, else that of the first ethernet card.
machine_mac() {
	local mac=${ARG[hw_addr]:-} card
	for card in /sys/class/net/*; do
		[[ $mac ]] && break
		[[ -e $card/device && -r $card/address ]] && read -r mac <"$card/address"
	done
	mac=${mac//-/:}
	printf '%s' "${mac,,}"
}
