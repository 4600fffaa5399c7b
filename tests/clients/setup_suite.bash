# SPDX-License-Identifier: Apache-2.0
#
# Once per run of tests/clients: finds the runtime and makes $SUITE on a real file system, with a root file system of
# busybox in it. Engines are started by the first file that wants one; each leaves a script in $SUITE/end.d, which ends it.
#
# What an engine needs of a runtime, and the cases that prove it:
#
#    1  pid file, cgroup and namespaces right after create      containerd.bats "the pid file", "with an empty environment"
#    2  networks: bridge, names, ports, connect, IPv6, MTU      docker-net.bats; podman.bats "a network of its own", "network connect"
#    3  anything killed, nothing left                           crash-matrix.bats; podman.bats "conmon killed"; ../crash.bats
#    4  statuses 0 1 42 126 127 137 139 143                     podman.bats "run:", "exec:", "stop:"; containerd.bats "run:", "kill"; docker.bats
#    5  standard streams: end of input, bulk, order             podman.bats and containerd.bats "megabytes", "standard input"; docker.bats
#    6  terminals: size, keys                                   podman.bats, containerd.bats "terminal"; ../stdio.bats
#    7  log.json as podman and containerd read it               podman.bats "reads the runtime's error"; containerd.bats "wrapper"
#    8  statistics, limits, OOM                                 podman.bats "-m", "--cpus", "top, stats"; containerd.bats "metrics", "--memory-limit"
#    9  pods                                                    pods.bats; podman.bats "a pod of", "two pods"
#   10  volumes, cp, read-only                                  docker-files.bats; podman.bats "-v", "cp both ways"; containerd.bats "an image"; ../mounts.bats
#   11  delete and kill of what is dead, unknown, half made     containerd.bats "of two creates", "kill of a dead"; ../delete.bats, ../kill.bats
#   12  features, ps, state, empty environment                  containerd.bats "with an empty environment"; ../spec.bats

setup_suite() {
	local here
	here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
	# shellcheck source=tests/lib/suite.bash
	. "$here/lib/suite.bash"
	suite_runtime "$here"
	make_rootfs "$SUITE/rootfs"
	mkdir "$SUITE/end.d"
}

teardown_suite() {
	local f
	[ -n "${SUITE:-}" ] || return 0
	for f in "$SUITE"/end.d/*; do
		[ ! -e "$f" ] || bash "$f" >"$SUITE/end.log" 2>&1 3>&- || { sed 's/^/# /' "$SUITE/end.log" >&3; }
	done
	rm -rf --one-file-system "$SUITE" || { echo "# cannot remove $SUITE" >&3; return 1; }
}
