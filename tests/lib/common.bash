# SPDX-License-Identifier: Apache-2.0
#
# Helpers of the acceptance suite. A test gets a bundle of its own ($B, from lib/config.json and
# the suite's root file system), a container id ($C), a state directory ($ROOT) and a working
# folder ($T); all carry a token ($TOKEN) that nothing else on the machine carries. teardown
# deletes the containers by force and then demands that nothing with the token is left.
#
#   given FILTER [JQ-ARGS]    change $B/config.json
#   container FILTER SCRIPT   given + process.args = sh -c SCRIPT
#   try CMD...                run; $rc, $out, $err tell how it went (stdin is /dev/null)
#   must CMD...               the same, and it must succeed
#   rt ARGS...                the runtime with its --root
#   inside FILTER SCRIPT      container + must rt run: what the script prints is in $out
#   launch [ID]               run detached: stdio in $T/stdout and $T/stderr, its pid in $PID
#   is GOT WANT, has TEXT PART, lacks TEXT PART, fact KEY VALUE (a line KEY=VALUE in $out)

# An emulated host stalls now and then for longer than any limit of a case: a case that fails is tried once more.
export BATS_TEST_RETRIES=1

setup() {
	TOKEN=hb$$r$RANDOM
	T=$SUITE/$TOKEN
	B=$T/bundle
	C=$TOKEN-c
	ROOT=$T/state
	CG=/husk-bats/$TOKEN-
	TOOLS=$HUSK_TEST_TOOLS
	PATH=$TOOLS:$PATH
	export TOKEN ROOT
	JOBS=()
	rc=0 out='' err='' PID=''
	mkdir "$T"
	if declare -F local_setup >/dev/null; then local_setup; fi
}

teardown() {
	local p bad='' id
	set +eET
	trap - DEBUG ERR
	[ -d "${T:-}" ] || return 0
	if [ -z "${BATS_TEST_COMPLETED:-}" ] && [ -z "${BATS_TEST_SKIPPED:-}" ]; then
		context
		# a test that failed midway did not unmount what it had mounted
		awk -v t="$T/" 'index($5, t) == 1 { print $5 }' /proc/self/mountinfo | tac | xargs -r umount -l
	fi
	if declare -F local_teardown >/dev/null; then local_teardown; fi
	for p in "${JOBS[@]}"; do kill -9 "$p" && wait "$p"; done 2>/dev/null
	if [ -d "$ROOT" ]; then
		for id in "$ROOT"/*; do
			[ -e "$id" ] || continue
			rt delete --force "${id##*/}" >"$T/delete.out" 2>&1 || bad=1
			[ -s "$T/delete.out" ] && sed 's/^/delete --force: /' "$T/delete.out"
		done
		no_leaks || bad=1
	fi
	for p in 1 2 3; do
		rm -rf --one-file-system "$T" 2>"$T.rm" && break
		sleep 0.2
	done
	if [ -d "$T" ]; then cat "$T.rm"; bad=1; fi
	rm -f "$T.rm"
	[ -z "$bad" ]
}

# For a test that failed: what the last command said.
context() {
	echo "last status: $rc"
	[ -n "$out" ] && printf 'stdout: %s\n' "${out:0:3000}"
	[ -n "$err" ] && printf 'stderr: %s\n' "${err:0:3000}"
	for f in "$T/stdout" "$T/stderr"; do
		[ -s "$f" ] && { echo "${f##*/} of the container:"; head -c 2000 "$f"; }
	done
	for f in "$ROOT"/*/log; do
		[ -s "$f" ] && { echo "$f:"; tail -c 1500 "$f"; }
	done
	return 0
}

# Nothing on this host may still carry the token (what ends asynchronously gets a moment).
no_leaks() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		leaks "$TOKEN" "$ROOT" >"$T.leaks" && { rm -f "$T.leaks"; return 0; }
		sleep 0.2
	done
	sed 's/^/left behind: /' "$T.leaks"
	rm -f "$T.leaks"
	return 1
}

# ---- which runtime ----

is_husk() { [ "$RUNTIME_KIND" = husk ]; }

# Cases about the VM itself. Tag them vm, too.
husk_only() { is_husk || skip "husk only: $1"; }

# Cases that a VM cannot or need not serve, with the reason.
not_husk() { if is_husk; then skip "not for a VM: $1"; fi; }

# What other runtimes do in later versions only: runtime_at_least runc 1.2 "time namespaces".
runtime_at_least() {
	[ "$RUNTIME_KIND" = "$1" ] || return 0
	[ "$(printf '%s\n%s\n' "$2" "${RUNTIME_VERSION%%[+-]*}" | sort -V | head -n1)" = "$2" ] ||
		skip "$1 $RUNTIME_VERSION is too old for: $3"
}

# A fault that runc 1.1 has: the case stays valid for others.
runc_fault() { if [ "$RUNTIME_KIND" = runc ]; then skip "runc $RUNTIME_VERSION $1"; fi; }

need_cgroup2() { [ "$CGROUP_MODE" = v2 ] || is_husk || skip "this host has cgroup v1"; }

# ---- bundles ----

# A bundle in $1 (default $B).
bundle() {
	local b=${1:-$B}
	mkdir -p "$b"
	cp -a "$SUITE/rootfs" "$b/rootfs"
	cp "$TESTS/lib/config.json" "$b/config.json"
}

given() {
	local f=$1
	shift
	[ -e "$B/config.json" ] || bundle
	f="(.linux.cgroupsPath | select(. == \"/set-by-the-test\")) = \"$CG${B##*/}\" | $f"
	jq "$@" "$f" "$B/config.json" >"$B/config.json.new"
	mv "$B/config.json.new" "$B/config.json"
}

container() { given "${1:-.} | .process.args = [\"/bin/sh\", \"-c\", \$script]" --arg script "$2"; }

# ---- running ----

rt() { "$RUNTIME_BIN" --root "$ROOT" "$@" 3>&- 4>&-; }

try() {
	rc=0
	"$@" </dev/null >"$T/try.out" 2>"$T/try.err" || rc=$?
	out=$(<"$T/try.out")
	err=$(<"$T/try.err")
}

must() {
	try "$@"
	[ $rc -eq 0 ] || fail "status $rc from: $*"
}

must_fail() {
	try "$@"
	[ $rc -ne 0 ] || fail "should have failed: $*"
}

inside() {
	container "$1" "$2"
	must rt run -b "$B" "$C"
}

launch() {
	local id=${1:-$C} b=${2:-$B}
	rc=0
	rt run -d --pid-file "$T/pid" -b "$b" "$id" </dev/null >"$T/stdout" 2>"$T/stderr" || rc=$?
	[ $rc -eq 0 ] || fail "run -d: status $rc"
	PID=$(<"$T/pid")
}

create() {
	local id=${1:-$C} b=${2:-$B}
	rc=0
	rt create --pid-file "$T/pid" -b "$b" "$id" </dev/null >"$T/stdout" 2>"$T/stderr" || rc=$?
	[ $rc -eq 0 ] || fail "create: status $rc"
	PID=$(<"$T/pid")
}

# A background helper that teardown ends. Its pid is in $JOB.
background() {
	"$@" <&0 3>&- 4>&- &
	JOB=$!
	JOBS+=("$JOB")
}

# terminal ROWS COLS CMD: a shell command on a terminal of that size; what it prints is in $out without carriage
# returns, its status in $rc. terminal_start and terminal_end are its halves: in between, the terminal is $(<"$T/pty")
# and fd 7 its keyboard, which stays open, because script(1) types a NUL when its own input ends.
terminal() {
	terminal_start "$@"
	terminal_end
}
terminal_start() {
	[ -p "$T/keys" ] || mkfifo "$T/keys"
	exec 7<>"$T/keys"
	background script -qefc "tty >$T/pty; stty rows $1 cols $2; $3" /dev/null <&7 >"$T/tty" 2>&1 7>&-
}
terminal_end() {
	rc=0
	wait "$JOB" || rc=$?
	exec 7>&-
	out=$(tr -d '\r' <"$T/tty")
}

status_of() {
	local s
	s=$(rt state "${1:-$C}" 2>&1) || { echo unknown; return; }
	[[ $s =~ \"status\":\ *\"([a-z]+)\" ]] && echo "${BASH_REMATCH[1]}"
}

# poll SECONDS CMD...: until CMD succeeds. The time is for a host that is not busy; HUSK_TEST_SLOW stretches it.
poll() {
	local end=$((SECONDS + $1 * HUSK_TEST_SLOW)) probe=("${@:2}")
	until "${probe[@]}"; do
		[ $SECONDS -lt $end ] || { echo "not within $1 s: ${probe[*]}"; return 1; }
		sleep 0.1
	done
}

status_is() { [ "$(status_of "${2:-$C}")" = "$1" ]; }
wait_status() { poll "${3:-20}" status_is "$1" "${2:-$C}"; }
file_has() { grep -q -- "$2" "$1" 2>/dev/null; }
wait_output() { poll "${2:-20}" file_has "$T/stdout" "$1"; }
gone() { [ ! -e "/proc/$1/stat" ] || [[ $(cat "/proc/$1/stat" 2>/dev/null) =~ \)\ [ZX] ]]; }

# The husk-vmm of a container.
vmm_of() { jq -r .vmmPid "$ROOT/${1:-$C}/state.json"; }

# The container's cgroup directory on this host, and one of its files.
cgroup_dir() { echo "/sys/fs/cgroup$CG${B##*/}"; }
cgroup_file() { cat "$(cgroup_dir)/$1"; }

# ---- saying what is wrong ----

fail() {
	echo "$*"
	return 1
}

is() { [ "$1" = "$2" ] || fail "${3:-value}: got '$1', expected '$2'"; }
has() { [[ $1 == *"$2"* ]] || fail "'$2' is not in: ${1:0:2000}"; }
lacks() { [[ $1 != *"$2"* ]] || fail "'$2' is in: ${1:0:2000}"; }
matches() { [[ $1 =~ $2 ]] || fail "'$1' does not match $2"; }
has_line() { grep -qxF -- "$2" <<<"$1" || fail "no line '$2' in: ${1:0:2000}"; }
fact() { has_line "$out" "$1=$2"; }
fact_value() { sed -n "s/^$1=//p" <<<"$out"; }
