/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making the child that setup.c describes.
 */
#ifndef HUSK_AGENT_CLONE_H
#define HUSK_AGENT_CLONE_H

struct setup;

/**
 * clone_child() - a child of ours that runs setup_run(setup)
 * @cgroup: O_DIRECTORY fd of the cgroup it starts in
 * @pid_ns: pidfd of a process whose pid namespace it joins, or -1
 * @pidfd: out
 *
 * Return: its pid in our namespace, or -errno.
 */
int clone_child(const struct setup *setup, int cgroup, int pid_ns, int *pidfd);

#endif
