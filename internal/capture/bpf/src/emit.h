/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Filling and sending records. A socket comes in three guises: */
#ifndef EMIT_H
#define EMIT_H
#define AS_BTF 0    /* tracing programs: a BTF pointer, plain loads */
#define AS_BPF_SOCK 1 /* cgroup sock_addr programs: struct bpf_sock */
#define AS_NUMBER 2 /* cgroup sock programs, which may not read most of bpf_sock: probe reads */

static __always_inline __u32 netns_of(void *skp, int as, __u32 *cached, __u64 *slot)
{
	if (as == AS_BTF)
		return ((struct sock *)skp)->__sk_common.skc_net.net->ns.inum;
	if (*cached)
		return *cached;
	struct sock *k = launder(slot, skp);
	return *cached = BPF_CORE_READ(k, __sk_common.skc_net.net, ns.inum);
}

static __always_inline void fill_addr(struct rec *e, void *skp, int as, __u32 *netns, __u64 *slot)
{
	e->netns = netns_of(skp, as, netns, slot);
	if (as == AS_BTF) {
		struct sock *sk = skp;
		e->family = sk->__sk_common.skc_family; e->proto = sk->sk_protocol;
		e->lport = sk->__sk_common.skc_num; e->rport = bpf_ntohs(sk->__sk_common.skc_dport);
		if (e->family == AF_INET) {
			v4(e->laddr, sk->__sk_common.skc_rcv_saddr);
			v4(e->raddr, sk->__sk_common.skc_daddr);
		} else {
			__u32 *l = (void *)e->laddr, *r = (void *)e->raddr;
			struct in6_addr *la = &sk->__sk_common.skc_v6_rcv_saddr, *ra = &sk->__sk_common.skc_v6_daddr;
			l[0] = la->in6_u.u6_addr32[0]; l[1] = la->in6_u.u6_addr32[1]; l[2] = la->in6_u.u6_addr32[2]; l[3] = la->in6_u.u6_addr32[3];
			r[0] = ra->in6_u.u6_addr32[0]; r[1] = ra->in6_u.u6_addr32[1]; r[2] = ra->in6_u.u6_addr32[2]; r[3] = ra->in6_u.u6_addr32[3];
		}
	} else if (as == AS_NUMBER) {
		struct sock *sk = launder(slot, skp);
		struct sock_common *c = &sk->__sk_common;
		e->family = BPF_CORE_READ(c, skc_family); e->proto = BPF_CORE_READ(sk, sk_protocol);
		e->lport = BPF_CORE_READ(c, skc_num); e->rport = bpf_ntohs(BPF_CORE_READ(c, skc_dport));
		if (e->family == AF_INET) {
			v4(e->laddr, BPF_CORE_READ(c, skc_rcv_saddr));
			v4(e->raddr, BPF_CORE_READ(c, skc_daddr));
		} else {
			BPF_CORE_READ_INTO(&e->laddr, c, skc_v6_rcv_saddr);
			BPF_CORE_READ_INTO(&e->raddr, c, skc_v6_daddr);
		}
	} else {
		struct bpf_sock *bs = skp;
		__u32 *l = (void *)e->laddr, *r = (void *)e->raddr;
		e->family = bs->family; e->proto = bs->protocol;
		e->lport = bs->src_port; e->rport = bpf_ntohs(bs->dst_port);
		if (e->family == AF_INET) {
			v4(e->laddr, bs->src_ip4);
			v4(e->raddr, bs->dst_ip4);
		} else {
			l[0] = bs->src_ip6[0]; l[1] = bs->src_ip6[1]; l[2] = bs->src_ip6[2]; l[3] = bs->src_ip6[3];
			r[0] = bs->dst_ip6[0]; r[1] = bs->dst_ip6[1]; r[2] = bs->dst_ip6[2]; r[3] = bs->dst_ip6[3];
		}
	}
}

static __always_inline void fill_owner(struct rec *e, struct owner *o, __u64 cookie, __u8 type, __u32 flags, __u64 ts)
{
	e->type = type; e->old = 0; e->flags = flags; e->ts = ts; e->cookie = cookie;
	e->start = o->start; e->tgid = o->tgid; e->uid = o->uid;
	copy16(e->comm, o->comm);
}

static __always_inline void fill_tcp(struct rec *e, void *skp, int as, struct tsock *s)
{
	fill_addr(e, skp, as, &s->netns, &s->number);
	e->proto = IPPROTO_TCP;
	if (s->lport)
		e->lport = s->lport;
	if (s->rport && !e->rport)
		e->rport = s->rport;
	if (s->state & S_MPTCP)
		e->flags |= FLAG_MPTCP;
}

static __always_inline void emit_tcp(void *skp, int as, struct tsock *s, __u8 type, __u32 flags, __u64 ts)
{
	struct rec *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count(COUNT_LOST + type);
		return;
	}
	fill_owner(e, &s->o, s->cookie, type, flags, ts);
	fill_tcp(e, skp, as, s);
	bpf_ringbuf_submit(e, wake_flags(sizeof(*e)));
}

static __always_inline void fill_counters(struct rec_end *e, struct tcp_sock *tp, struct sock *sk)
{
	if (!e->h.lport)
		e->h.lport = bpf_ntohs(tp->inet_conn.icsk_inet.inet_sport);
	e->tx = tp->bytes_sent - tp->bytes_retrans;
	__u64 rx = tp->bytes_received;
	if (rx && (sk->__sk_common.skc_flags >> bpf_core_enum_value(enum sock_flags, SOCK_DONE) & 1))
		rx--; /* the peer's FIN is counted as one byte */
	e->rx = rx;
	e->tx_packets = tp->segs_out; e->rx_packets = tp->segs_in;
	e->srtt_us = tp->srtt_us >> 3; e->retrans = tp->total_retrans;
}

static __always_inline void emit_tcp_end(struct sock *sk, struct tsock *s, __u8 type, __u32 flags, __u64 ts, __u32 old, __u32 err)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct rec_end *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count(COUNT_LOST + type);
		return;
	}
	if (s->state & S_CHILD)
		flags |= s->accepted ? FLAG_CHILD : FLAG_CHILD | FLAG_NOT_ACCEPTED;
	if (s->state & S_SEED)
		flags |= FLAG_SEED;
	if (s->peer_first)
		flags |= FLAG_PEER_FIRST;
	fill_owner(&e->h, &s->o, s->cookie, type, flags, ts);
	fill_tcp(&e->h, sk, AS_BTF, s);
	e->h.old = old;
	e->birth = s->birth; e->closer = s->closer; e->err = err;
	e->tx = e->rx = e->tx_packets = e->rx_packets = 0;
	e->srtt_us = e->retrans = 0;
	if (tp)
		fill_counters(e, tp, sk);
	bpf_ringbuf_submit(e, wake_flags(sizeof(*e)));
}

/* A failure that produced no packet: the address is what the caller asked for. */
static __always_inline void emit_fail(void *skp, int as, __u64 cookie, struct owner *o, __u32 *netns, __u64 *slot, __u8 type, __u8 family,
				      const __u8 *addr, __u16 port, __u64 ts, __u32 err)
{
	struct rec_end *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count(COUNT_LOST + type);
		return;
	}
	__builtin_memset(e, 0, sizeof(*e));
	fill_addr(&e->h, skp, as, netns, slot);
	fill_owner(&e->h, o, cookie, type, FLAG_LOCAL_FAIL, ts);
	if (e->h.proto != IPPROTO_UDP)
		e->h.proto = IPPROTO_TCP;
	e->h.family = family;
	if (type == REC_BIND_FAIL) {
		copy16(e->h.laddr, addr); e->h.lport = port;
		v4(e->h.raddr, 0); e->h.rport = 0;
	} else {
		copy16(e->h.raddr, addr); e->h.rport = port;
	}
	e->birth = ts; e->err = err;
	bpf_ringbuf_submit(e, wake_flags(sizeof(*e)));
}
#endif
