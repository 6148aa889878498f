/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Maps, constants and what is remembered of each socket. */
#ifndef STATE_H
#define STATE_H

const volatile __u32 wake_bytes = 65536;   /* the reader is woken when the backlog crosses this */
const volatile __u32 ring_bytes = 16 << 20;
const volatile __u32 trampolines = 0;      /* the fentry/fexit programs are attached too */
const volatile __u32 udp_trampolines = 0;  /* they count datagrams; the cgroup hooks leave it to them */
const volatile __u32 io_hooks = 0;         /* sock_send_length and sock_recv_length are attached (Linux 6.3) */
const volatile __u32 list_only = 0;        /* the iterators list and leave no trace */
__u32 seeded;                              /* the sockets of before are in the table */
__u32 spilled;                             /* some sockets are not, as it was full */
__u32 inherited;                           /* some listener has storage for its children */
const volatile __u64 idle_ns = 60000000000ULL; /* a flow without a datagram for so long has ended */

struct owner { __u64 start; __u32 tgid, uid; char comm[16]; };

/* State bits of a socket. */
#define S_CHILD 1u       /* made by a listener */
#define S_CONNECTING 4u
#define S_EST 8u
#define S_ENDED 16u      /* the ending is on record */
#define S_LISTEN 32u
#define S_BOUND 64u
#define S_PEND 128u      /* closed, but nobody accepted it yet: decided at destroy or accept */
#define S_SEED 256u
#define S_TRY 512u       /* connect() called, no SYN yet */
#define S_BIND_TRY 1024u /* bind() called, not successful yet */
#define S_MPTCP 4096u
#define S_OPENED_OUT 8192u /* the socket's first datagram went out */
#define S_CONCLUDED 16384u /* see FLAG_CONCLUDED */

/* TCP. A child begins with a copy of its listener's. */
struct tsock {
	struct owner o;
	__u64 cookie;        /* 0: a child that is not established yet, and may have none */
	__u64 birth, end;
	__u32 state, closer;
	__u32 end_err, netns;
	__u32 user, nuser;   /* last process other than the owner seen using it */
	__u16 lport, rport;  /* kept: inet_num is zero already when the trace event for TCP_CLOSE comes */
	__u8 end_old, try_family; __u16 try_port;
	__u8 try_addr[16];   /* of a listener: where it listens, with try_family and try_port */
	__u64 number;        /* the sock as a plain number: a PTR_TO_SOCKET cannot be walked */
	/* Not bits of state: set in the user's context, while a softirq may change that. */
	__u8 accepted, peer_first, pad[6];
};

struct flow { __u64 birth, last, tx, rx, tx_packets, rx_packets; };

/* UDP. Most sockets speak with one remote: its flow lives here, and the flows map is not touched. */
struct usock {
	struct owner o;
	__u64 birth, tx, rx, tx_packets, rx_packets;
	__u32 state, closer, netns, nflows;
	__u16 lport, try_port; __u8 rx_named, try_family, pad[2]; /* rx_named: recvmsg told the sender of the datagram now being received */
	__u8 try_addr[16];
	__u64 number;
	__u8 remote[16]; __u32 rport, valid;
	struct flow f;
};

struct place { __u8 addr[16]; __u32 netns; __u16 port, family; };
struct flow_key { __u64 cookie; __u8 addr[16]; __u32 port, pad; };
struct seen { __u64 start; __u32 execs, pad; };

struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 16 << 20); } ring SEC(".maps");
/* TCP sockets by their address as a number. To allocate and free socket storage, as UDP has it, was
 * half of what a short connection cost. An address is used again, mostly at once, so an entry is its
 * socket's only if it has its cookie, and stays when that is gone, for the next one at the address;
 * the reader sweeps out those that nobody has taken over. */
#define GONE (~0ULL) /* no socket's cookie */
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 32768); __type(key, __u64); __type(value, struct tsock); } tsocks SEC(".maps");
/* Those that found no room there: storage has no capacity and dies with its socket. */
struct { __uint(type, BPF_MAP_TYPE_SK_STORAGE); __uint(map_flags, BPF_F_NO_PREALLOC); __type(key, int); __type(value, struct tsock); } tspill SEC(".maps");
/* What children inherit, by where their listener listens: a child has no pointer to it. A listener
 * that is not the first there (SO_REUSEPORT, SO_BINDTODEVICE), or does not know its port yet, has
 * storage that the kernel hands down to each of its children. */
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(map_flags, BPF_F_NO_PREALLOC); __uint(max_entries, 65536); __type(key, struct place); __type(value, struct tsock); } listeners SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_SK_STORAGE); __uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE); __type(key, int); __type(value, struct tsock); } heirs SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_SK_STORAGE); __uint(map_flags, BPF_F_NO_PREALLOC); __type(key, int); __type(value, struct usock); } usocks SEC(".maps");
/* Announced processes. Task storage would be the natural map, but cgroup programs may not use it
 * on 6.1; an eviction here only repeats a record. */
struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 32768); __type(key, __u32); __type(value, struct seen); } seen SEC(".maps");
/* Flows of sockets with more than one remote. An eviction loses counters, which the reader then
 * calls unknown. */
struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 65536); __type(key, struct flow_key); __type(value, struct flow); } flows SEC(".maps");
/* Multipath TCP (RFC 8684): the file holds an MPTCP socket, the connection is its first subflow, and
 * only the file's socket is seen being used. Subflows by their address as a number: who uses them, or
 * tgid 0 for a child that nobody accepted yet. */
struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 16384); __type(key, __u64); __type(value, struct owner); } subflows SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, COUNT_MAX); __type(key, __u32); __type(value, __u64); } counts SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, struct rec_proc); } scratch SEC(".maps");

static __always_inline void copy16(void *to, const void *from)
{
	((__u64 *)to)[0] = ((const __u64 *)from)[0];
	((__u64 *)to)[1] = ((const __u64 *)from)[1];
}

static __always_inline void v4(__u8 *to, __be32 a)
{
	((__u32 *)to)[0] = a; ((__u32 *)to)[1] = 0; ((__u64 *)to)[1] = 0;
}

static __always_inline void mapped(__u32 *a, __be32 v)
{
	a[0] = a[1] = 0; a[2] = bpf_htonl(0xffff); a[3] = v;
}

static __always_inline void count(__u32 i)
{
	__u64 *p = bpf_map_lookup_elem(&counts, &i);
	if (p)
		*p += 1;
}

/* A PTR_TO_SOCKET of a cgroup program cannot be walked: written down as a number and read back it
 * can be, by probe reads. */
static __always_inline struct sock *launder(__u64 *slot, void *p)
{
	*(volatile __u64 *)slot = (__u64)p;
	return (void *)*(volatile __u64 *)slot;
}

/* Wake the reader once, when the backlog crosses the threshold, and not for each record above it:
 * a wake-up is an irq_work self-interrupt, microseconds in a virtual machine, and softirqs run
 * inside it. Below the threshold the reader's own timer finds the records. */
static __always_inline __u64 wake_flags(__u32 size)
{
	__u64 backlog = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	return backlog >= wake_bytes && backlog - (size + 8) < wake_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}
#endif
