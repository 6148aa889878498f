/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The records that go through the ring, and the lines that the iterators print.
 * Little endian, 8-byte aligned, the type first. The Go side is generated from these
 * (go generate) and never typed by hand. */
#ifndef RECORD_H
#define RECORD_H

enum rec_type {
	REC_PROC = 1, REC_EXIT, REC_LISTEN, REC_UNLISTEN, REC_CONNECT, REC_CONNECT_FAIL, REC_ACCEPT, REC_CLOSE,
	REC_BIND, REC_UNBIND, REC_FLOW, REC_FLOW_END, REC_BIND_FAIL, REC_KNOCK, REC_USER, REC_MAX = 16,
};

/* Indices of the per-CPU counters: lost by type, then what went wrong inside. */
enum rec_count {
	COUNT_LOST = 0,
	COUNT_STORE_FAIL = REC_MAX, /* no memory for a socket's storage: its events are lost, of unknown kind */
	COUNT_SEEN_FAIL,       /* process announced, but not remembered: it is announced again */
	COUNT_UNOWNED,         /* connection of a listener that was not known */
	COUNT_ARG_FAULT,       /* argv not in memory */
	COUNT_PATH_CUT,        /* path longer than PATH_BYTES or 32 components */
	COUNT_RECOVERED,       /* told by a second hook after the first was missed */
	COUNT_SPILLED,         /* sockets that found the table full and got storage of their own */
	COUNT_MAX,
};

/* Flags of a record. */
enum rec_bit {
	FLAG_KTHREAD = 1 << 0,
	FLAG_CHILD = 1 << 1,      /* passive open */
	FLAG_NOT_ACCEPTED = 1 << 2, /* the owner is the listener's */
	FLAG_RECOVERED = 1 << 3,
	FLAG_AUTO = 1 << 4,       /* the kernel chose the port */
	FLAG_RX = 1 << 5,         /* flow first seen inbound */
	FLAG_SEED = 1 << 6,       /* known from the start-up scan */
	FLAG_LOCAL_FAIL = 1 << 7, /* failed before any packet */
	FLAG_REMOTE6 = 1 << 8,    /* remote is in IPv6 form (mapped if IPv4) whatever family says */
	FLAG_PEER_FIRST = 1 << 9, /* the peer had closed when this side did */
	FLAG_MPTCP = 1 << 10,
	FLAG_NO_BYTES = 1 << 11,  /* this kernel does not tell datagram sizes */
	FLAG_CONCLUDED = 1 << 12, /* datagrams were read without asking for their sender; it is the only remote */
};

struct rec {                 /* 96 bytes */
	__u8 type, family, proto, old; /* old: TCP state before, or of the socket */
	__u16 lport, rport;        /* host order */
	__u64 ts;                  /* CLOCK_BOOTTIME ns */
	__u64 cookie;              /* as in sock_diag and ss -e */
	__u64 start;               /* owner's group leader start_boottime: (tgid, start) names a process for ever */
	__u32 tgid, uid;
	__u32 netns, flags;
	__u8 laddr[16], raddr[16]; /* v4 in the first 4 bytes, network order */
	char comm[16];
};

struct rec_end {             /* 152 bytes: every ending, and failures */
	struct rec h;
	__u64 birth;
	__u64 tx, rx, tx_packets, rx_packets;
	__u32 srtt_us, retrans, err, closer;
};

#define ANCESTORS 6
#define PATH_BYTES 1024
#define ARG_BYTES 2048
struct rec_ancestor { __u64 start; __u32 tgid, pad; char comm[16]; };
struct rec_proc {            /* variable: data = exe components leaf first, NUL each; cwd likewise; argv */
	__u8 type, flags, ancestors, pad;
	__u16 path_len, cwd_len, arg_len, arg_cut;
	__u32 nlink;
	__u64 ts, start, cgroup, cgroup1, inode;
	__u32 tgid, uid, euid, gid, loginuid, dev, netns, execs;
	char comm[16];
	struct rec_ancestor ancestor[ANCESTORS];
	__u8 data[2 * PATH_BYTES + ARG_BYTES];
};

/* Flags of a line of the file-table scan. */
enum rec_held_bit {
	HELD_MPTCP = 1 << 0,
	HELD_UNMET = 1 << 1, /* an MPTCP socket whose subflow no hook of ours knows: seed_tcp is to be run */
};

/* One line of the file-table scan: a process that holds a socket. */
struct rec_held {
	__u64 cookie, start, inode, birth;
	__u32 tgid, uid, netns, fd;
	__u8 family, proto, state, flags; /* proto 6 or 17; flags HELD_... */
	__u16 lport, rport;
	__u32 backlog, owner;    /* owner: tgid that the hooks know, 0 none */
	__u64 owner_start;
	__u8 laddr[16], raddr[16];
	char comm[16];
};

/* One line of the liveness scan: a socket that still has its storage. */
struct rec_live {
	__u64 cookie, birth;
	__u32 tgid, netns;
	__u64 start;
	__u8 family, proto, state, child;
	__u16 lport, rport;
	__u8 laddr[16], raddr[16];
	/* UDP: the flow in hand */
	__u8 fremote[16];
	__u64 flast, ftx, frx, ftx_packets, frx_packets;
	__u32 fport, fvalid;
	char comm[16];
	__u32 uid, backlog;
};

/* One line of the sweep: a TCP socket's address whose entry may go, and when its socket began. */
struct rec_gone { __u64 address, birth; };
#endif
