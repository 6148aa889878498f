/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Port Reporter's capture. One object, two hook sets:
 *   tracepoint: BTF tracepoints, cgroup socket hooks and iterators, on any kernel from 5.15 or so;
 *   trampoline: the same and fentry/fexit programs, where the kernel allows text patching.
 * No kprobe, no tracefs, nothing that changes the host. */
#include "core.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_endian.h>
#include "record.h"
#include "state.h"
#include "process.h"
#include "emit.h"
#include "tcp.h"
#include "udp.h"
#include "bind.h"
#include "trampoline.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Names for the generator of the Go types. */
const struct rec *unused_rec __attribute__((unused));
const struct rec_end *unused_rec_end __attribute__((unused));
const struct rec_proc *unused_rec_proc __attribute__((unused));
const struct rec_held *unused_rec_held __attribute__((unused));
const struct rec_live *unused_rec_live __attribute__((unused));
const struct rec_gone *unused_rec_gone __attribute__((unused));
const enum rec_type unused_rec_type __attribute__((unused));
const enum rec_count unused_rec_count __attribute__((unused));
const enum rec_bit unused_rec_bit __attribute__((unused));
const enum rec_held_bit unused_rec_held_bit __attribute__((unused));

static __always_inline int used(struct sock *sk, int ret, int flags, int rx)
{
	__u16 proto = sk->sk_protocol, family = sk->__sk_common.skc_family;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	if (proto == IPPROTO_TCP)
		tcp_used(sk);
	else if (proto == IPPROTO_MPTCP)
		mptcp_used(sk);
	else if (proto == IPPROTO_UDP && ret >= 0 && !udp_trampolines && !(rx && (flags & (MSG_PEEK | MSG_ERRQUEUE))))
		udp_used(sk, ret, rx);
	return 0;
}
SEC("tp_btf/sock_send_length") int BPF_PROG(sock_send, struct sock *sk, int ret, int flags) { return used(sk, ret, flags, 0); }
SEC("tp_btf/sock_recv_length") int BPF_PROG(sock_recv, struct sock *sk, int ret, int flags) { return used(sk, ret, flags, 1); }

/* A segment or datagram that met no socket. Half of the ring is kept from it, so that a scan or a
 * flood cannot push out what the machine itself does; what is left out is counted. */
SEC("tp_btf/kfree_skb")
int knock(__u64 *ctx)
{
	int reason = (int)ctx[2];
	if (reason != bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_NO_SOCKET))
		return 0;
	struct sk_buff *skb = (struct sk_buff *)ctx[0];
	unsigned char *h = BPF_CORE_READ(skb, head), *net = h + BPF_CORE_READ(skb, network_header), *tp = h + BPF_CORE_READ(skb, transport_header);
	__u8 ip[40] = {}, th[14] = {};
	bool v6 = BPF_CORE_READ(skb, protocol) == bpf_htons(0x86dd);
	__u8 proto;
	if (v6)
		bpf_probe_read_kernel(ip, 40, net);
	else
		bpf_probe_read_kernel(ip, 20, net);
	bpf_probe_read_kernel(th, sizeof(th), tp);
	proto = v6 ? ip[6] : ip[9];
	if (proto == IPPROTO_TCP ? (th[13] & 0x12) != 0x02 : proto != IPPROTO_UDP) /* SYN and not ACK */
		return 0;
	if (bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > ring_bytes / 2) {
		count(COUNT_LOST + REC_KNOCK);
		return 0;
	}
	struct rec *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count(COUNT_LOST + REC_KNOCK);
		return 0;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->type = REC_KNOCK; e->proto = proto; e->family = v6 ? AF_INET6 : AF_INET;
	e->ts = bpf_ktime_get_boot_ns();
	e->netns = BPF_CORE_READ(skb, dev, nd_net.net, ns.inum);
	e->rport = (__u16)th[0] << 8 | th[1]; e->lport = (__u16)th[2] << 8 | th[3];
	if (v6) {
		__builtin_memcpy(e->raddr, ip + 8, 16); __builtin_memcpy(e->laddr, ip + 24, 16);
	} else {
		__builtin_memcpy(e->raddr, ip + 12, 4); __builtin_memcpy(e->laddr, ip + 16, 4);
	}
	bpf_ringbuf_submit(e, wake_flags(sizeof(*e)));
	return 0;
}

/* The last thread of an announced process ends. Its sockets are closed after this. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *p)
{
	struct task_struct *t = bpf_get_current_task_btf();
	if (BPF_CORE_READ(t, signal, live.counter))
		return 0;
	__u32 tgid = t->tgid;
	if (!bpf_map_lookup_elem(&seen, &tgid))
		return 0;
	bpf_map_delete_elem(&seen, &tgid);
	struct owner o;
	owner_now(&o);
	struct rec *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count(COUNT_LOST + REC_EXIT);
		return 0;
	}
	__builtin_memset(e, 0, sizeof(*e));
	fill_owner(e, &o, 0, REC_EXIT, 0, bpf_ktime_get_boot_ns());
	bpf_ringbuf_submit(e, wake_flags(sizeof(*e)));
	return 0;
}

/* The addresses of a socket that the verifier knows as one, or (walked 0) of any other: a probe read
 * costs twenty times a load, and a machine may have 100,000 sockets to list. */
static __always_inline void held_addr(struct rec_held *r, struct sock_common *c, int walked)
{
#define OF(field) (walked ? c->field : BPF_CORE_READ(c, field))
	r->lport = OF(skc_num); r->rport = bpf_ntohs(OF(skc_dport));
	if (r->family == AF_INET) {
		v4(r->laddr, OF(skc_rcv_saddr));
		v4(r->raddr, OF(skc_daddr));
	} else {
		BPF_CORE_READ_INTO(&r->laddr, c, skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&r->raddr, c, skc_v6_daddr);
	}
#undef OF
}

static __always_inline __u32 seed_state(__u8 state)
{
	return S_SEED | (state == TCP_LISTEN ? S_LISTEN : state == TCP_SYN_SENT ? S_CONNECTING : S_EST);
}

static __always_inline void seed(struct tsock *s, struct owner *o, struct sock *sk, __u32 state)
{
	struct sock_common *c = &sk->__sk_common;
	s->o = *o; s->netns = c->skc_net.net->ns.inum; s->lport = c->skc_num; s->rport = bpf_ntohs(c->skc_dport);
	s->state = state;
	if (state & S_LISTEN)
		tcp_listens(sk, s);
}

/* Every open file that is a TCP or UDP socket, with its process, in all network namespaces: the
 * snapshot, and the holders. Sockets that no hook knows yet get their entry here, so what they do
 * next has an owner; what a hook knows is never overwritten. */
SEC("iter/task_file")
int held(struct bpf_iter__task_file *ctx)
{
	struct file *f = ctx->file;
	struct task_struct *t = ctx->task;
	if (!f || !t)
		return 0;
	struct socket *so = bpf_sock_from_file(f);
	if (!so)
		return 0;
	struct sock *sk = so->sk;
	if (!sk)
		return 0;
	__u16 family = sk->__sk_common.skc_family, proto = sk->sk_protocol;
	if ((family != AF_INET && family != AF_INET6) || (proto != IPPROTO_TCP && proto != IPPROTO_UDP && proto != IPPROTO_MPTCP))
		return 0;
	struct rec_held r = {};
	struct owner o = {};
	owner_of(&o, t);
	r.state = sk->__sk_common.skc_state;
	r.netns = sk->__sk_common.skc_net.net->ns.inum;
	r.family = family; r.proto = proto;
	if (proto == IPPROTO_MPTCP) {
		struct sock *first = BPF_CORE_READ((struct mptcp_sock *)sk, first);
		if (!first)
			return 0;
		__u64 key = (__u64)first;
		r.flags = HELD_MPTCP; r.proto = IPPROTO_TCP;
		r.state = BPF_CORE_READ(first, __sk_common.skc_state);
		r.cookie = BPF_CORE_READ(first, __sk_common.skc_cookie.counter);
		r.backlog = BPF_CORE_READ(first, sk_ack_backlog);
		held_addr(&r, &first->__sk_common, 0);
		/* A cookie does not tell: a recorder before this one may have asked for it. */
		if (!list_only && !bpf_map_lookup_elem(&subflows, &key)) {
			bpf_map_update_elem(&subflows, &key, &o, BPF_ANY);
			r.flags |= HELD_UNMET;
		}
	} else if (proto == IPPROTO_UDP) {
		if (!sk->__sk_common.skc_num)
			return 0;
		struct usock *s = list_only ? NULL : bpf_sk_storage_get(&usocks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (s && !(s->state & S_BOUND)) {
			s->o = o; s->lport = sk->__sk_common.skc_num; s->state = S_BOUND | S_SEED;
		}
		if (s) {
			r.birth = s->birth; r.owner = s->o.tgid; r.owner_start = s->o.start;
		}
	} else {
		if (r.state == TCP_CLOSE)
			return 0;
		struct tsock *s = NULL;
		if (!list_only) {
			s = tsock_of(sk, cookie_of(sk));
			if (!s)
				s = tsock_make(sk, bpf_get_socket_cookie(sk));
		}
		if (s && !s->state)
			seed(s, &o, sk, seed_state(r.state));
		if (s) {
			r.birth = s->birth; r.owner = s->o.tgid; r.owner_start = s->o.start;
		}
	}
	if (proto != IPPROTO_MPTCP) {
		r.cookie = bpf_get_socket_cookie(sk);
		r.backlog = sk->sk_ack_backlog;
		held_addr(&r, &sk->__sk_common, 1);
	}
	r.inode = f->f_inode->i_ino;
	r.tgid = o.tgid; r.start = o.start; r.uid = o.uid; r.fd = ctx->fd;
	copy16(r.comm, o.comm);
	bpf_seq_write(ctx->meta->seq, &r, sizeof(r));
	return 0;
}

/* Gives the MPTCP subflows that no hook has met their cookie and storage. One network namespace: the
 * opener's. */
SEC("iter/tcp")
int seed_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *c = ctx->sk_common;
	if (!c)
		return 0;
	__u8 st = c->skc_state;
	if (st == TCP_TIME_WAIT || st == TCP_NEW_SYN_RECV || st == TCP_CLOSE)
		return 0;
	__u64 key = (__u64)c;
	struct owner *o = bpf_map_lookup_elem(&subflows, &key);
	if (!o)
		return 0;
	struct tsock *s = tsock_make((struct sock *)c, bpf_get_socket_cookie(c));
	if (s && !s->state)
		seed(s, o, (struct sock *)c, S_MPTCP | seed_state(st));
	return 0;
}

/* A TCP socket that is alive: one that the verifier knows as one, or (walked 0) as a number. */
static __always_inline int live(struct seq_file *seq, struct tsock *s, struct sock *sk, __u64 cookie, int walked)
{
#define OF(field) (walked ? sk->field : BPF_CORE_READ(sk, field))
	struct rec_live r = {};
	r.cookie = cookie;
	r.state = OF(__sk_common.skc_state); r.proto = IPPROTO_TCP; r.child = s->state & S_CHILD ? 1 + !!s->accepted : 0;
	r.family = OF(__sk_common.skc_family);
	r.tgid = s->o.tgid; r.start = s->o.start; r.uid = s->o.uid; r.birth = s->birth;
	copy16(r.comm, s->o.comm);
	r.netns = walked ? sk->__sk_common.skc_net.net->ns.inum : BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	r.lport = s->lport ? s->lport : OF(__sk_common.skc_num); r.rport = bpf_ntohs(OF(__sk_common.skc_dport));
	r.backlog = OF(sk_ack_backlog);
	if (r.family == AF_INET) {
		v4(r.laddr, OF(__sk_common.skc_rcv_saddr));
		v4(r.raddr, OF(__sk_common.skc_daddr));
	} else {
		BPF_CORE_READ_INTO(&r.laddr, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&r.raddr, sk, __sk_common.skc_v6_daddr);
	}
#undef OF
	bpf_seq_write(seq, &r, sizeof(r));
	return 0;
}

static __always_inline bool is_alive(struct tsock *s, struct sock *sk, __u64 cookie)
{
	return cookie && (!s->cookie || s->cookie == cookie) && BPF_CORE_READ(sk, __sk_common.skc_refcnt.refs.counter);
}

/* What is alive, in all network namespaces: the table, of which the entries count whose socket is
 * still there. Its memory may have become another's, which has another cookie. */
SEC("iter/bpf_map_elem")
int live_tcp(struct bpf_iter__bpf_map_elem *ctx)
{
	__u64 *key = ctx->key;
	struct tsock *s = ctx->value;
	if (!key || !s || (s->state & S_ENDED))
		return 0;
	struct sock *sk = (void *)*key;
	__u64 cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	if (!is_alive(s, sk, cookie))
		return 0;
	return live(ctx->meta->seq, s, sk, cookie, 0);
}

/* The entries whose socket is gone. */
SEC("iter/bpf_map_elem")
int gone_tcp(struct bpf_iter__bpf_map_elem *ctx)
{
	__u64 *key = ctx->key;
	struct tsock *s = ctx->value;
	if (!key || !s)
		return 0;
	struct sock *sk = (void *)*key;
	if (s->cookie != GONE && is_alive(s, sk, BPF_CORE_READ(sk, __sk_common.skc_cookie.counter)))
		return 0;
	struct rec_gone r = { .address = *key, .birth = s->birth };
	bpf_seq_write(ctx->meta->seq, &r, sizeof(r));
	return 0;
}

/* What is alive of those that found the table full. */
SEC("iter/bpf_sk_storage_map")
int live_spill(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct tsock *s = ctx->value;
	if (!sk || !s || (s->state & S_ENDED))
		return 0;
	return live(ctx->meta->seq, s, sk, bpf_get_socket_cookie(sk), 1);
}

SEC("iter/bpf_sk_storage_map")
int live_udp(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct usock *s = ctx->value;
	if (!sk || !s || !(s->state & S_BOUND))
		return 0;
	struct rec_live r = {};
	r.cookie = bpf_get_socket_cookie(sk);
	r.state = sk->__sk_common.skc_state; r.proto = IPPROTO_UDP;
	r.family = sk->__sk_common.skc_family;
	r.tgid = s->o.tgid; r.start = s->o.start; r.uid = s->o.uid; r.birth = s->birth;
	copy16(r.comm, s->o.comm);
	r.netns = sk->__sk_common.skc_net.net->ns.inum;
	r.lport = s->lport; r.rport = bpf_ntohs(sk->__sk_common.skc_dport);
	if (r.family == AF_INET) {
		v4(r.laddr, sk->__sk_common.skc_rcv_saddr);
		v4(r.raddr, sk->__sk_common.skc_daddr);
	} else {
		BPF_CORE_READ_INTO(&r.laddr, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&r.raddr, sk, __sk_common.skc_v6_daddr);
	}
	if (s->valid) {
		copy16(r.fremote, s->remote); r.fport = s->rport; r.fvalid = 1;
		r.flast = s->f.last; r.ftx = s->f.tx; r.frx = s->f.rx; r.ftx_packets = s->f.tx_packets; r.frx_packets = s->f.rx_packets;
	}
	bpf_seq_write(ctx->meta->seq, &r, sizeof(r));
	return 0;
}
