/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire protocol between the host (proxy, CLI) and husk-agent.
 *
 * One vsock stream to WIRE_PORT is one session. A session carries frames, each an 8-byte little-endian header and
 * at most WIRE_PAYLOAD_MAX bytes. Only the host opens sessions. Both ends treat the other as hostile: a frame that
 * breaks a rule of this file ends the session (and, for an init or exec session, its process).
 *
 * A session has one role, decided by its first request:
 *   CREATE  init session of a container: relays its stdio; closing it kills the container.
 *   EXEC    one further process in a container: relays its stdio; closing it kills that process.
 *   RESOLVER, FORWARD, SOCKETS, ANSWER  see there; closing it ends the service.
 *   others  plain request/response, any number, answered in order.
 *
 * Data flow is bounded by credit. A sender may have at most the receiver's granted bytes in flight per channel;
 * it starts with WIRE_CREDIT and grows by each WINDOW frame. So a stalled reader of stdout never blocks stderr,
 * signals or the resize of the same session.
 */
#ifndef HUSK_AGENT_WIRE_H
#define HUSK_AGENT_WIRE_H

#include <stdint.h>

#define WIRE_VERSION 1u
#define WIRE_PORT 1024u /* vsock port on which the agent listens */
#define WIRE_READY_PORT \
	1023u /* the agent connects to CID 2, this port, once it listens; the VMM refuses and notes "ready" */
#define WIRE_PAYLOAD_MAX 65536u
#define WIRE_CREDIT 262144u	 /* initial credit of each data channel, bytes */
#define WIRE_PLAN_MAX (8u << 20) /* accumulated PLAN bytes of one session */
#define WIRE_TEXT_MAX 4096u	 /* error text, bytes, no NUL */
#define WIRE_CID_MAX 1024u	 /* container id, bytes, no NUL */
#define WIRE_DNS_MAX (WIRE_PAYLOAD_MAX - 4u)
#define WIRE_GROW_PORT 0x605u	  /* a byte written there: memory is short, the guest would like more */
#define WIRE_POWEROFF_PORT 0x604u /* x86 I/O port: a byte written there ends the VM without a failure */

/*
 * Words of the kernel command line that the agent knows:
 *   husk.nics=FIRST:COUNT  NIC slot n (WIRE_NET) is the platform device virtio-mmio.(FIRST + n); without it, slot n is
 *                          virtio-mmio.n: the number of the device among all that the VMM announced
 *   husk.grow              memory may be asked for at WIRE_GROW_PORT
 *   husk.exit=1            restart the VM as soon as the file systems are mounted (boot benchmarks)
 * The first instruction of the agent is CPUID with leaf WIRE_MARK_LEAF: the mark "guest user space runs".
 */
#define WIRE_MARK_LEAF 0x4d41524bu /* "MARK" */

struct wire_hdr {
	uint32_t len; /* payload bytes that follow, <= WIRE_PAYLOAD_MAX */
	uint8_t type; /* enum wire_type */
	uint8_t chan; /* enum wire_chan for DATA, EOF and WINDOW; else 0 */
	uint16_t zero;
};
_Static_assert(sizeof(struct wire_hdr) == 8, "frame header");

enum wire_chan {
	WIRE_STDIN = 0,	 /* host -> guest */
	WIRE_STDOUT = 1, /* guest -> host; the only output channel when a tty is used */
	WIRE_STDERR = 2, /* guest -> host */
};

enum wire_type {
	/* both directions */
	WIRE_HELLO = 1, /* struct wire_hello; first frame each way. The host's does not wait for the agent's, which may
			 * come together with the first answer */
	WIRE_DATA,	/* bytes of chan, within credit */
	WIRE_EOF,	/* no more DATA on chan (stdin: half-close; stdout/stderr: the last writer is gone).
			 * Agent on STDIN: the process has closed its stdin, further DATA is dropped */
	WIRE_WINDOW,	/* u32: more credit for chan. Host may close its reader with WIRE_EOF on STDOUT/STDERR:
			 * the agent then closes the pipe, so that the process gets SIGPIPE/EPIPE */
	WIRE_DNS,	/* u32 id, then a DNS message of at most WIRE_DNS_MAX bytes; chan 0: UDP, 1: TCP (without its
			 * length prefix). From the agent a query, from the host the answer to the query of that id, or
			 * the id alone when there is none */

	/* host -> agent */
	WIRE_PLAN = 16, /* next bytes of a plan (plan.h); consumed by CREATE, EXEC, UPDATE or NET */
	WIRE_CREATE,	/* no payload. -> OK { u32 guest pid } or ERROR. Environment built, process waits for START */
	WIRE_START,	/* cid (no NUL); from any session. -> OK or ERROR. The process has been exec'ed when OK */
	WIRE_EXEC,	/* no payload. -> OK { u32 guest pid } or ERROR. The process has been exec'ed when OK */
	/* struct wire_signal + cid; cid empty: the process of this session (then no answer). -> OK/ERROR */
	WIRE_SIGNAL,
	WIRE_RESIZE,   /* struct wire_winsize: tty of this session's process. No answer */
	WIRE_PS,       /* cid. -> OK { struct wire_ps[] each followed by its command line }. Command lines are cut until
			 * all records fit; when even that does not do (> 2000 processes), whole records come before in
			 * DATA frames on STDOUT. Such DATA, and that of STATS, needs no credit */
	WIRE_PAUSE,    /* cid. Freezes the container's cgroup and writes back its dirty files. -> OK/ERROR */
	WIRE_RESUME,   /* cid. -> OK/ERROR */
	WIRE_UPDATE,   /* no payload; the PLAN is of kind UPDATE. -> OK/ERROR */
	WIRE_STATS,    /* cid. -> DATA frames on STDOUT { name NUL len32 content }..., then OK.
			 * Each frame holds whole records. Names: files of the container's cgroup, and "net/dev" */
	WIRE_NET,      /* u32 slot, then rtnetlink messages (RTM_NEW/DEL LINK|ADDR|ROUTE|NEIGH) as the host's kernel
			 * gave them; the agent puts its own interface index in. -> OK or ERROR (first failure).
			 * What does not fit: the messages that come first in PLAN frames, the rest here */
	WIRE_SETTIME,  /* i64 ns since 1970: step the wall clock. -> OK/ERROR */
	WIRE_WAIT,     /* cid: keep this session open, send OOM and EXIT events of the container. -> OK (events follow;
			 * EXIT at once when it has ended already) or ERROR */
	WIRE_CPUS,     /* u32 n: bring vCPUs on or off line so that n are online. -> OK/ERROR */
	WIRE_DESTROY,  /* cid: kill everything in it, unmount, remove its cgroup. An unknown cid is OK. -> OK/ERROR */
	WIRE_RESOLVER, /* struct wire_resolver: take DNS queries on that address. -> OK, after which the session carries
			* WIRE_DNS both ways; or ERROR */
	WIRE_FORWARD,  /* struct wire_forward: connect to a TCP port of the guest's loopback. -> OK, after which the
			* connection is a plain byte stream, half-close included; or ERROR. The host sends
			* nothing before */

	WIRE_SOCKETS, /* cid: the host serves the container's sockets (OP_SOCKET). -> OK, after which WIRE_CALL frames
			* may come; or ERROR */
	WIRE_ANSWER,  /* u32 id of a WIRE_CALL, in a session of its own: the host has connected to the real socket.
			* -> OK, after which the connection is a byte stream as with WIRE_FORWARD; or ERROR: the caller
			* is gone. The host sends nothing before */
	WIRE_REFUSE,  /* u32 id of a WIRE_CALL of this session: the host cannot connect. No answer */

	/*
	 * struct wire_change[], each followed by its path and, when it moved, where to: relative to PLAN_SHARES, no
	 * NUL. The host has changed files of coherent shares: let inotify in the guest tell, in this order. -> OK/ERROR
	 */
	WIRE_CHANGES = 48,

	/* agent -> host */
	WIRE_OK = 64, /* payload as the request says */
	WIRE_ERROR,   /* struct wire_error + text */
	WIRE_EXIT,    /* struct wire_exit: sent after all output that the process had written */
	WIRE_OOM,     /* cid: the kernel killed a process of it for memory */
	WIRE_CALL,    /* struct wire_call: a process has connected to a socket that this session serves */
};

struct wire_hello {
	uint32_t version; /* WIRE_VERSION; another one ends the session with ERROR EPROTO */
	uint32_t zero;
	uint64_t boot_ns[4]; /* agent only, guest CLOCK_MONOTONIC ns: pid 1 entered, mounts done, listening, now */
};

struct wire_signal {
	uint32_t signo; /* 1..64 */
	uint32_t all;	/* 1: every process of the container */
};

struct wire_winsize {
	uint16_t rows, cols, xpixel, ypixel;
};

enum wire_change_kind {
	CHANGE_CREATED = 1,
	CHANGE_DELETED,
	CHANGE_MOVED,
	CHANGE_ATTRIBUTES,
	CHANGE_MODIFIED,
	CHANGE_WRITTEN, /* a descriptor for writing was closed */
};

struct wire_change {
	uint8_t kind;	   /* enum wire_change_kind */
	uint8_t directory; /* 1: it is one */
	uint16_t path_len, to_len;
	uint16_t zero;
};

struct wire_resolver {
	uint8_t addr[4];	     /* of 127.0.0.0/8; port 53 */
	uint16_t port_min, port_max; /* local ports that the host's side needs: the guest must not use them */
};

struct wire_forward {
	uint16_t port; /* 1..65535 */
	uint8_t v6;    /* 1: try ::1 first, 0: 127.0.0.1 first; the other one when that refuses */
	uint8_t zero;
};

struct wire_call {
	uint32_t id;	/* of the connection, until it is answered or refused */
	uint32_t index; /* which of the container's sockets */
};

struct wire_ps {
	uint32_t pid, ppid; /* in the guest's root pid namespace */
	uint32_t ns_pid;    /* in the container's */
	uint32_t uid;
	uint32_t start_s; /* seconds since the guest's boot */
	uint32_t cpu_ms;
	uint32_t rss_kib;
	uint32_t cmd_len; /* bytes of command line that follow, <= 4096 */
};

/* Which step failed; the host turns (stage, errno, text) into the words that engines match. */
enum wire_stage {
	STAGE_PROTOCOL = 1, /* malformed request or plan */
	STAGE_STATE,	    /* no such container, wrong state */
	STAGE_SETUP,	    /* namespaces, mounts, cgroup, devices...: text names the operation */
	STAGE_LOOKUP,	    /* the executable: text is args[0]; ENOENT, EACCES, EISDIR, ENOTDIR */
	STAGE_EXEC,	    /* execve failed: text is the path */
	STAGE_CWD,	    /* chdir failed: text is the directory */
	STAGE_HOOK,	    /* startContainer hook */
};

struct wire_error {
	uint32_t err;	/* positive errno */
	uint32_t stage; /* enum wire_stage */
};

struct wire_exit {
	uint32_t code;	 /* exit status 0..255; 0 when killed by a signal */
	uint32_t signal; /* 0, or the signal that ended it */
	uint32_t oom;	 /* 1: the container had an OOM kill */
	uint32_t zero;
	uint64_t user_us, system_us;
};

#endif
