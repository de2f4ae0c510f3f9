# shellcheck shell=bash
# What tink-agent-setup is made of: names, files and the reasons of a failure. Sourced after cmdline.sh.

# agent_image: the image that holds the agent; empty where the command line names none.
agent_image() {
	if [[ ${ARG[tink_worker_image]:-} ]]; then
		full_reference "${ARG[tink_worker_image]}"
	elif [[ ${ARG[docker_registry]:-} ]]; then
		full_reference "${ARG[docker_registry]%/}/tink-agent:latest"
	fi
}

# full_reference NAME: with registry and tag, which containerd asks for.
full_reference() {
	local name=$1 first=${1%%/*}
	case $name in
	*/*) [[ $first == *[.:]* || $first == localhost ]] || name=docker.io/$name ;;
	*) name=docker.io/library/$name ;;
	esac
	[[ ${name##*/} == *[:@]* ]] || name+=:latest
	printf '%s' "$name"
}

# registry_host: host[:port] that the credentials are for.
registry_host() {
	local host=${ARG[docker_registry]:-}
	[[ $host ]] || host=$(agent_image)
	printf '%s' "${host%%/*}"
}

# is_insecure REGISTRY: whether insecure_registries names it.
is_insecure() {
	[[ ",${ARG[insecure_registries]:-}," == *",$1,"* ]]
}

# write_hosts DIRECTORY: one hosts.toml for each registry that needs other than containerd's defaults.
write_hosts() {
	local registry insecure=",${ARG[insecure_registries]:-},"
	if [[ ${ARG[registry_mirror]:-} ]]; then
		mkdir -p "$1/_default"
		mirror_host >"$1/_default/hosts.toml"
	fi
	for registry in ${insecure//,/ } "$(registry_host)"; do
		[[ $registry == */* || -z $registry ]] && continue
		[[ $insecure == *",$registry,"* || ${ARG[registry_username]:-} ]] || continue
		mkdir -p "$1/$registry"
		(
			umask 077
			hosts_toml "$registry" "$insecure" >"$1/$registry/hosts.toml"
		)
	done
}

# mirror_host: captaind's own registry, asked first for every image where it says so.
mirror_host() {
	[[ ${ARG[registry_mirror]:-} ]] &&
		printf '\n[host."http://%s"]\n  capabilities = ["pull", "resolve"]\n' "${ARG[registry_mirror]}"
	return 0
}

# hosts_toml REGISTRY INSECURE: an insecure registry is tried by plain HTTP, then by TLS with any certificate.
hosts_toml() {
	local scheme schemes=https authorization=''
	[[ $2 == *",$1,"* ]] && schemes='http https'
	[[ ${ARG[registry_username]:-} && $1 == "$(registry_host)" ]] &&
		authorization=$(printf '%s:%s' "${ARG[registry_username]}" "${ARG[registry_password]:-}" | base64 -w0)
	echo "server = \"${schemes%% *}://$1\""
	[[ $1 == "${ARG[registry_mirror]:-}" ]] || mirror_host
	for scheme in $schemes; do
		printf '\n[host."%s://%s"]\n  capabilities = ["pull", "resolve"]\n' "$scheme" "$1"
		[[ $schemes == *http\ * && $scheme == https ]] && echo '  skip_verify = true'
		[[ $authorization ]] && printf '  [host."%s://%s".header]\n    authorization = ["Basic %s"]\n' "$scheme" "$1" "$authorization"
	done
	return 0
}

# env_line NAME VALUE: for systemd's EnvironmentFile; nothing where the value is empty.
env_line() {
	local value=$2
	[[ $value ]] || return 0
	value=${value//\\/\\\\}
	value=${value//\"/\\\"}
	value=${value//\$/\\\$}
	value=${value//\`/\\\`}
	printf '%s="%s"\n' "$1" "$value"
}

# agent_environment IMAGE
agent_environment() {
	local name
	env_line TINK_WORKER_IMAGE "$1"
	env_line WORKER_ID "${ARG[worker_id]:-$(machine_mac)}"
	env_line ID "${ARG[worker_id]:-$(machine_mac)}"
	env_line TINKERBELL_TLS "${ARG[tinkerbell_tls]:-false}"
	env_line HW_ADDR "$(machine_mac)"
	for name in docker_registry registry_username registry_password syslog_host syslog_port \
		captain_url captain_boot HTTP_PROXY HTTPS_PROXY NO_PROXY; do
		env_line "${name^^}" "${ARG[$name]:-}"
	done
	env_line TINKERBELL_GRPC_AUTHORITY "${ARG[grpc_authority]:-}"
	env_line TINKERBELL_INSECURE_TLS "${ARG[tinkerbell_insecure_tls]:-}"
}

# pull_failure IMAGE MESSAGE: what went wrong, in one sentence that says what to do.
pull_failure() {
	case ${2,,} in
	*401* | *unauthorized* | *403* | *forbidden* | *'authorization failed'* | *denied*)
		echo "the registry refused to give out $1: check registry_username and registry_password" ;;
	*x509* | *certificate*)
		echo "the certificate of the registry of $1 is not trusted: name it in insecure_registries or use a known one" ;;
	*'http response to https'* | *'first record does not look like a tls'*)
		# An insecure registry was asked by plain HTTP first, and that answer was no registry's.
		if is_insecure "${1%%/*}"; then
			echo "there is no registry at ${1%%/*}, which $1 is to come from: a web server without /v2/ answers there"
		else
			echo "the registry of $1 speaks plain HTTP: name it in insecure_registries"
		fi ;;
	*'no match for platform'*) echo "$1 has no image for $(uname -m)" ;;
	*'not found'* | *404*) echo "image not found: $1 is not in its registry" ;;
	*'no such host'* | *'server misbehaving'* | *'temporary failure in name'*)
		echo "the name of the registry of $1 cannot be resolved" ;;
	*refused* | *timeout* | *'no route'* | *unreachable* | *deadline*)
		echo "the registry of $1 cannot be reached: ${2##*: }" ;;
	*'no space'*) echo "no memory left for $1: give the machine more" ;;
	*) echo "$1 could not be pulled: ${2##*$'\n'}" ;;
	esac
}
