# SPDX-License-Identifier: Apache-2.0
#
# A containerd of its own for the client cases, called by ctr with the runtime under test as the binary of
# io.containerd.runc.v2. A case works on a copy of the suite's root file system ($B/rootfs) and names all containers
# $C...; at its end their tasks and shims are removed, and nothing may be left that carries the case's token.
#
#   cc ARGS...              ctr in this containerd
#   go [OPTIONS] -- CMD...  ctr run --rm --rootfs; $rc, $out, $err tell how it went (stdin is /dev/null)
#   up [OPTIONS] -- CMD...  ctr run -d --rootfs, which must succeed; $PID is the task's pid
#   in_it CMD...            ctr task exec, which must succeed
#   task_is STATUS [ID]     RUNNING, STOPPED, PAUSED, CREATED, or "" for none

export BATS_TEST_TIMEOUT=600

setup_file() {
	CD=$SUITE/cd
	PATH=$HUSK_TEST_TOOLS:$PATH
	export CD PATH
	for p in containerd ctr; do
		command -v "$p" >/dev/null || { echo "$p is missing: see tests/packages.txt"; return 1; }
	done
	mkdir -p "$CD"
	cat >"$CD/config.toml" <<-EOT
		version = 2
		root = "$CD/root"
		state = "$CD/state"
		disabled_plugins = ["io.containerd.grpc.v1.cri"]
		[grpc]
		  address = "$CD/sock"
		[ttrpc]
		  address = "$CD/ttrpc"
		[timeouts] # five seconds are too few for a dead shim's container in an emulated host
		  "io.containerd.timeout.shim.cleanup" = "1m"
	EOT
	containerd_start
}

containerd_start() {
	# what it starts must not look like a case's own
	setsid env -u TOKEN -u ROOT -u T -u C -u B containerd --config "$CD/config.toml" >>"$CD/log" 2>&1 </dev/null 3>&- 4>&- &
	echo $! >"$CD/pid"
	poll 30 cc_answers || { tail "$CD/log"; return 1; }
}
cc_answers() { cc version >/dev/null 2>&1; }

containerd_stop() {
	kill "$1" "$(<"$CD/pid")"
	poll 20 gone "$(<"$CD/pid")"
}

teardown_file() {
	local bad=''
	containerd_stop -TERM || bad=1
	awk -v d="$CD/" 'index($5, d) == 1 { print $5 }' /proc/self/mountinfo | tac | xargs -r umount -l
	rm -rf --one-file-system "$CD" || bad=1
	[ -z "$bad" ]
}

cc() { ctr --address "$CD/sock" --namespace test "$@" 3>&- 4>&-; }

# ctr_run FLAG... -- OPTIONS -- CMD: the words of a ctr run
run_words() {
	local opts=()
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		opts+=("$1")
		shift
	done
	shift || true
	# without an image there is no environment
	WORDS=(--runc-binary "$RUNTIME_BIN" --env PATH=/usr/sbin:/usr/bin:/sbin:/bin "${opts[@]}"
		--rootfs "$B/rootfs" "$ID" "$@")
}

go() {
	[ -d "$B/rootfs" ] || bundle
	run_words --rm "$@"
	try cc run "${WORDS[@]}"
}

# A task's own output goes nowhere: ctr run -d --null-io
up() {
	[ -d "$B/rootfs" ] || bundle
	run_words -d --null-io --pid-file "$T/$ID.pid" "$@"
	must cc run "${WORDS[@]}"
	PID=$(<"$T/$ID.pid")
}

in_it() {
	EXECS=$((EXECS + 1))
	must cc task exec --exec-id "e$EXECS" "$ID" "$@"
}

# ctr's command line for terminal
ctr_text() { printf '%q ' ctr --address "$CD/sock" --namespace test "$@"; }

task_is() { [ "$(cc task ls | awk -v id="${2:-$ID}" '$1 == id { print $3 }')" = "$1" ]; }

local_setup() {
	ID=$C
	EXECS=0
}

local_teardown() {
	local i
	for i in "${JOBS[@]}"; do kill -9 "$i" && wait "$i"; done 2>/dev/null
	JOBS=()
	for i in $(cc task ls -q 2>/dev/null | grep "^$C"); do
		cc task rm -f "$i" >/dev/null 2>&1 || true
	done
	for i in $(cc container ls -q | grep "^$C"); do cc container rm "$i" >/dev/null || bad=1; done
	for i in $(ip netns list | awk -v c="$C" 'index($1, c) == 1 { print $1 }'); do ip netns del "$i"; done
	awk -v t="$T/" 'index($5, t) == 1 { print $5 }' /proc/self/mountinfo | tac | xargs -r umount
	if [ ! -d "$ROOT" ]; then ROOT='' no_leaks || bad=1; fi # else teardown looks when it has deleted those
	if [ -n "$bad" ] || [ -z "${BATS_TEST_COMPLETED:-}" ]; then tail -n 5 "$CD/log" | cut -c1-500; fi
}
