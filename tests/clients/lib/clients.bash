# SPDX-License-Identifier: Apache-2.0
#
# Helpers of the Docker cases: a private containerd and dockerd per run, with the runtime under test as default.
#
#   engine_up [NAME [JSON]]   start it, or use the one that runs; JSON: more members of daemon.json
#   dk ARGS...                docker; $rc, $out, $err tell how it went (stdin is /dev/null)
#   ok ARGS..., no ARGS...    the same, and it must succeed, must fail
#   up NAME ARGS...           docker run -d --name $N-NAME; removed after the case
#   box ARGS... -- SCRIPT     docker run --rm ARGS box sh -c SCRIPT, which must succeed
#   on NAME SCRIPT            docker exec $N-NAME sh -c SCRIPT, which must succeed
#
# Images: box (busybox and the probe programs), debian (nginx, Redis and python3 of Debian; image_debian).

load ../lib/common

export BATS_TEST_RETRIES=1

setup() {
	TOKEN=hc$$r$RANDOM
	N=$TOKEN
	T=$SUITE/$TOKEN
	PATH=$HUSK_TEST_TOOLS:/usr/bin:$PATH # the client that came with the engine, before a newer one
	MADE=() NETS=() VOLUMES=() JOBS=()
	rc=0 out='' err=''
	mkdir "$T"
	engine_use main
	if declare -F local_setup >/dev/null; then local_setup; fi
}

teardown() {
	local p bad=''
	set +eET
	trap - DEBUG ERR
	[ -d "${T:-}" ] || return 0
	if [ -z "${BATS_TEST_COMPLETED:-}" ] && [ -z "${BATS_TEST_SKIPPED:-}" ]; then
		echo "last status: $rc"
		[ -n "$out" ] && printf 'stdout: %s\n' "${out:0:3000}"
		[ -n "$err" ] && printf 'stderr: %s\n' "${err:0:3000}"
		for p in "${MADE[@]}"; do
			echo "logs of $p:"
			docker logs --tail 30 "$p" 2>&1 3>&- | head -c 3000
		done
		tail -n 5 "$ENGINE/dockerd.log" | cut -c1-600
	fi
	if declare -F local_teardown >/dev/null; then local_teardown; fi
	for p in "${JOBS[@]}"; do kill -9 "$p" && wait "$p"; done 2>/dev/null
	[ ${#MADE[@]} = 0 ] || docker rm -fv "${MADE[@]}" >"$T/rm.out" 2>&1 3>&- ||
		! grep -v 'No such container' "$T/rm.out" | grep Error || bad=1
	for p in "${NETS[@]}"; do
		docker network rm "$p" >"$T/rm.out" 2>&1 3>&- || grep -qE 'No such network|not found' "$T/rm.out" || { cat "$T/rm.out"; bad=1; }
	done
	for p in "${VOLUMES[@]}"; do docker volume rm -f "$p" >/dev/null 2>"$T/rm.out" 3>&- || { cat "$T/rm.out"; bad=1; }; done
	awk -v t="$T/" 'index($5, t) == 1 { print $5 }' /proc/self/mountinfo | tac | xargs -r umount -l
	rm -rf --one-file-system "$T" || bad=1
	[ -z "$bad" ]
}

# ---- the engine ----

# engine_use NAME: docker talks to it from now on
engine_use() {
	ENGINE=$SUITE/engine-$1
	ENGINE_RUN=/run/husk-clients/$1
	export DOCKER_HOST=unix://$ENGINE_RUN/docker.sock DOCKER_BUILDKIT=0 DOCKER_CONFIG=$ENGINE/client DOCKER_CLI_HINTS=false
	export ENGINE ENGINE_RUN
}

# engine_daemon NAME LOG CMD...: in the background, without our descriptors; its pid goes to $ENGINE/NAME.pid
engine_daemon() {
	local name=$1 log=$2 fd
	shift 2
	(
		for fd in /proc/self/fd/*; do
			fd=${fd##*/}
			[ "$fd" -lt 3 ] || eval "exec $fd>&-" 2>/dev/null
		done
		exec setsid "$@"
	) </dev/null >>"$log" 2>&1 &
	echo $! >"$ENGINE/$name.pid"
}

# An engine without a bridge of its own removes docker0, which is the main one's: it gets a network of its own.
dockerd_start() {
	local apart=()
	[ "$ENGINE" = "$SUITE/engine-main" ] || apart=(unshare --net)
	engine_daemon dockerd "$ENGINE/dockerd.log" "${apart[@]}" dockerd --config-file "$ENGINE/daemon.json"
	poll 90 engine_answers || { tail -n 20 "$ENGINE/dockerd.log"; return 1; }
}

engine_answers() { docker version >/dev/null 2>&1 3>&-; }

engine_up() {
	local name=${1:-main} more=${2:-}
	engine_use "$name"
	[ ! -e "$ENGINE/ready" ] || return 0
	PATH=/usr/bin:$PATH:/usr/sbin:/sbin
	for p in dockerd containerd docker docker-proxy iptables; do
		command -v $p >/dev/null || fail "no $p: apt-get install docker.io containerd iptables (tests/packages.txt)" || return
	done
	mkdir -p "$ENGINE/client" "$ENGINE_RUN"
	cat >"$ENGINE/containerd.toml" <<-E
		version = 2
		root = "/var/lib/containerd/husk-clients-$name"
		state = "$ENGINE_RUN/containerd"
		disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
		[grpc]
		address = "$ENGINE_RUN/containerd.sock"
	E
	[ "$name" = main ] || more="\"bridge\": \"none\", \"iptables\": false, $more"
	cat >"$ENGINE/daemon.json" <<-E
		{
			${more:+$more,}
			"data-root": "/var/lib/docker/husk-clients-$name", "exec-root": "$ENGINE_RUN/exec", "pidfile": "$ENGINE_RUN/pid",
			"hosts": ["$DOCKER_HOST"], "containerd": "$ENGINE_RUN/containerd.sock", "storage-driver": "overlay2",
			"log-level": "warn", "live-restore": true, "ip-forward": true, "shutdown-timeout": 5,
			"runtimes": {"husk": {"path": "$(readlink -f "$TESTS/../build/husk")"}}, "default-runtime": "$RUNTIME"
		}
	E
	echo "{}" >"$ENGINE/client/config.json"
	cat >"$SUITE/end.d/$name" <<-E
		export DOCKER_HOST=$DOCKER_HOST
		docker ps -aq | xargs -r docker rm -fv
		for n in dockerd containerd; do
			p=\$(cat $ENGINE/\$n.pid) && kill \$p
			for _ in \$(seq 150); do [ -e /proc/\$p ] || break; sleep 0.1; done
			[ ! -e /proc/\$p ] || kill -9 \$p
		done
		awk '\$5 ~ "^(/run/husk-clients/|/var/lib/docker/husk-clients-)" { print \$5 }' /proc/self/mountinfo | tac | xargs -r umount -l
		rm -rf /var/lib/docker/husk-clients-$name /var/lib/containerd/husk-clients-$name $ENGINE_RUN
	E
	engine_daemon containerd "$ENGINE/containerd.log" containerd -c "$ENGINE/containerd.toml"
	poll 60 test -S "$ENGINE_RUN/containerd.sock" || { tail "$ENGINE/containerd.log"; return 1; }
	dockerd_start || return
	tar -C "$SUITE/rootfs" -c . | docker import -c 'CMD ["/bin/sh"]' - box >/dev/null 3>&- || return
	touch "$ENGINE/ready"
}

# Programs of Debian, put together outside of the KVM host by tests/clients/mkdebian.
image_debian() {
	docker image inspect debian >/dev/null 2>&1 3>&- && return
	[ -e "$TESTS/../build/debian.tar" ] || skip "no build/debian.tar: tests/clients/mkdebian build/debian.tar"
	docker import "$TESTS/../build/debian.tar" debian >/dev/null 3>&-
}

# ---- docker ----

dk() { try timeout $((HUSK_TEST_SLOW * 50)) docker "$@" 3>&- 4>&-; }

ok() {
	dk "$@"
	[ $rc -eq 0 ] || fail "status $rc from: docker $*"
}

no() {
	dk "$@"
	[ $rc -ne 0 ] || fail "should have failed: docker $*"
}

up() {
	MADE+=("$N-$1")
	ok run -d --name "$N-$1" "${@:2}"
}

box() {
	local opts=()
	while [ "$1" != -- ]; do
		opts+=("$1")
		shift
	done
	ok run --rm "${opts[@]}" box sh -c "$2"
}

on() { ok exec "$N-$1" sh -c "$2"; }

net() {
	NETS+=("$N-$1")
	ok network create "${@:2}" "$N-$1"
}

volume() {
	VOLUMES+=("$N-$1")
	ok volume create "$N-$1"
}

inspect() { docker inspect -f "$2" "$N-$1" 3>&-; }
logs_have() { docker logs "$N-$1" 2>&1 3>&- | grep -q -- "$2"; }
wait_log() { poll 40 logs_have "$1" "$2"; }
state_is() { [ "$(inspect "$1" '{{.State.Status}}')" = "$2" ]; }
inspect_is() { [ "$(inspect "$1" "$2")" = "$3" ]; }

# GET or POST on the engine's socket, for what its client does not offer.
api() { curl -s --unix-socket "$ENGINE_RUN/docker.sock" -X "$1" "http://d$2" 3>&-; }

# Nothing of the runtime is left when no container is: processes, state, cgroups, TAPs, mounts.
engine_clean() {
	local left
	[ -z "$(docker ps -aq 3>&-)" ] || { docker ps -a 3>&-; return 1; }
	left=$(
		ls -A "$ENGINE_RUN"/exec/runtime-*/moby 2>/dev/null
		find /sys/fs/cgroup -path '*/docker/*' -type d -name '????????????????????????????????????????????????????????????????' 2>/dev/null
		cd /sys/class/net && compgen -G 'veth*'
		grep -o " $ENGINE_RUN/exec/netns/[^d ][^ ]*" /proc/self/mountinfo
	)
	[ -z "$left" ] || { echo "left behind: $left"; return 1; }
}
