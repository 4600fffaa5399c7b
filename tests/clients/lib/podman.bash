# SPDX-License-Identifier: Apache-2.0
#
# podman for the client cases. A file has storage of its own below $SUITE, an image ($IMAGE) of the suite's root file
# system, and one container ($LIVE) for cases that only run something in it. Each case names what it makes with $C
# ("$C", "$C-2"...); at its end these are removed, and nothing may be left that carries their ids.
#
#   pm ARGS...        podman with the runtime under test
#   run_in ARGS...    podman run --rm --network none ARGS..., which must succeed; what it prints is in $out
#   start [OPTIONS]   podman run -d --name $C --network none OPTIONS; its id is in $ID
#   $PM               the same as a program, for terminal

# Debian's podman takes 3 to 15 seconds for one command in an emulated host.
export BATS_TEST_TIMEOUT=600
IMAGE=localhost/husk-test

setup_file() {
	PM_DIR=$SUITE/pm # podman wants less than 50 characters
	PATH=$HUSK_TEST_TOOLS:$PATH
	PM=$PM_DIR/pm
	export PM_DIR PM
	for p in podman conmon; do
		command -v "$p" >/dev/null || { echo "$p is missing: see tests/packages.txt"; return 1; }
	done
	mkdir -p "$PM_DIR/run"
	printf '#!/bin/sh\nexec podman --root %s/root --runroot %s/run --tmpdir %s/tmp --storage-driver overlay --log-level error \\\n\t--events-backend file --cgroup-manager cgroupfs --runtime %s "$@"\n' \
		"$PM_DIR" "$PM_DIR" "$PM_DIR" "$RUNTIME_BIN" >"$PM_DIR/pm"
	chmod 755 "$PM_DIR/pm"
	# the runtime's base name decides whether podman reads its errors from --log: some cases ask for that
	printf '[engine]\nruntime_supports_json = ["crun", "husk"]\n' >"$PM_DIR/json.conf"
	tar -C "$SUITE/rootfs" -c . | pm import -q - "$IMAGE" >/dev/null
	if [ -n "${LIVE_WANTED:-}" ]; then
		LIVE=live$$r$RANDOM
		export LIVE
		pm run -d --name "$LIVE" --network none "$IMAGE" sleep 100000 >"$PM_DIR/live"
	fi
}

teardown_file() {
	local bad='' id
	id=$(cat "$PM_DIR/live" 2>/dev/null)
	pm rm -fa -t 0 >/dev/null || bad=1
	pm rmi -fa >/dev/null 2>&1
	if [ -n "$id" ]; then no_trace "$id" || bad=1; fi
	awk -v d="$PM_DIR/" 'index($5, d) == 1 { print $5 }' /proc/self/mountinfo | tac | xargs -r umount -l
	rm -rf --one-file-system "$PM_DIR"
	[ -z "$bad" ]
}

pm() { "$PM_DIR/pm" "$@" 3>&- 4>&-; }

# "no such process, mount, cgroup": nothing on the host carries the id.
no_trace() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		leaks "$1" >"$PM_DIR/leaks" && return 0
		sleep 0.5
	done
	sed 's/^/left behind: /' "$PM_DIR/leaks"
	return 1
}

local_setup() { cd "$T" || return 1; } # conmon leaves a file "oom" in the current folder

local_teardown() {
	local ids
	cd / || bad=1
	pm ps -a --no-trunc --format '{{.Names}} {{.ID}}' >"$T/ps" 2>"$T/ps.err" || { cat "$T/ps.err"; bad=1; }
	ids=$(sed -n "s/^${C}[^ ]* //p" "$T/ps")
	for i in $(pm pod ls --format '{{.Name}}' 2>/dev/null | grep "^$C"); do pm pod rm -f -t 0 "$i" >"$T/rm" 2>&1 || { cat "$T/rm"; bad=1; }; done
	if [ -n "$ids" ]; then
		# shellcheck disable=SC2086 # one word per id
		pm rm -f -i -t 0 -v $ids >"$T/rm" 2>&1 || { cat "$T/rm"; bad=1; }
	fi
	for i in $ids $ID; do no_trace "$i" || bad=1; done
}

run_in() {
	must pm run --rm --network none --name "$C" "$@"
}

start() {
	must pm run -d --network none --name "$C" "$@"
	ID=$out
}

state_is() {
	local s
	s=$(pm inspect --type container --format '{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}' "${2:-$C}")
	[ "${s%% *}" = "$1" ] || { echo "state: $s"; return 1; }
}
inspect() { pm inspect --type container --format "$1" "${2:-$C}"; }
log_has() { pm logs "$C" 2>&1 | grep -q -- "$1"; }
