/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* UDP: the port taken and given back, and one flow for each remote.
 *
 * The flow in hand lives in the socket's storage. When a socket speaks with another remote, it is
 * put away in the flows map and the other one taken out or begun, so a socket with one remote
 * (nearly all) never touches that map. */
#ifndef UDP_H
#define UDP_H

static __always_inline struct usock *usock_make(void *sk)
{
	struct usock *s = bpf_sk_storage_get(&usocks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s)
		count(COUNT_STORE_FAIL);
	return s;
}

static __always_inline bool same16(const void *a, const void *b)
{
	return ((const __u64 *)a)[0] == ((const __u64 *)b)[0] && ((const __u64 *)a)[1] == ((const __u64 *)b)[1];
}

static __always_inline void fill_udp(struct rec *e, void *sk, int as, struct usock *s)
{
	fill_addr(e, sk, as, &s->netns, &s->number);
	e->proto = IPPROTO_UDP;
	if (s->lport)
		e->lport = s->lport;
}

/* The socket has a port now: taken by bind(2), or by the kernel at first use. */
static __always_inline void udp_bound(void *sk, int as, __u64 cookie, struct usock *s, int automatic)
{
	if (s->state & S_BOUND)
		return;
	__u16 port;
	if (as == AS_BTF)
		port = ((struct sock *)sk)->__sk_common.skc_num;
	else if (as == AS_BPF_SOCK)
		port = ((struct bpf_sock *)sk)->src_port;
	else {
		struct sock *k = launder(&s->number, sk);
		struct sock_common *c = &k->__sk_common;
		port = BPF_CORE_READ(c, skc_num);
	}
	if (!port)
		return;
	if (s->state & S_TRY) /* connect(2) took it */
		s->state = S_BOUND;
	else {
		owner_now(&s->o);
		announce();
		s->state = S_BOUND; s->birth = bpf_ktime_get_boot_ns();
	}
	s->lport = port;
	struct rec *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count(COUNT_LOST + REC_BIND);
		return;
	}
	fill_owner(e, &s->o, cookie, REC_BIND, automatic ? FLAG_AUTO : 0, s->birth);
	fill_udp(e, sk, as, s);
	bpf_ringbuf_submit(e, wake_flags(sizeof(*e)));
}

static __always_inline void emit_udp_end(void *sk, int as, __u64 cookie, struct usock *s, __u8 type, __u64 ts)
{
	struct rec_end *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count(COUNT_LOST + type);
		return;
	}
	__u32 flags = s->state & S_SEED ? FLAG_SEED : 0;
	if (type == REC_FLOW_END && (s->state & S_CONCLUDED))
		flags |= FLAG_CONCLUDED;
	if (!io_hooks && !udp_trampolines)
		flags |= FLAG_NO_BYTES;
	fill_owner(&e->h, &s->o, cookie, type, type == REC_FLOW_END ? flags | FLAG_REMOTE6 : flags, ts);
	fill_udp(&e->h, sk, as, s);
	e->srtt_us = e->retrans = e->err = 0;
	e->closer = s->closer;
	if (type == REC_FLOW_END) {
		copy16(e->h.raddr, s->remote); e->h.rport = s->rport;
		e->birth = s->f.birth; e->tx = s->f.tx; e->rx = s->f.rx; e->tx_packets = s->f.tx_packets; e->rx_packets = s->f.rx_packets;
	} else {
		e->birth = s->birth; e->tx = s->tx; e->rx = s->rx; e->tx_packets = s->tx_packets; e->rx_packets = s->rx_packets;
	}
	bpf_ringbuf_submit(e, wake_flags(sizeof(*e)));
}

static __always_inline void flow_begins(void *sk, int as, __u64 cookie, struct usock *s, int rx, __u64 now)
{
	struct owner me;
	owner_now(&me);
	announce();
	__builtin_memset(&s->f, 0, sizeof(s->f));
	s->f.birth = s->f.last = now;
	struct rec *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count(COUNT_LOST + REC_FLOW);
		return;
	}
	fill_owner(e, &me, cookie, REC_FLOW, FLAG_REMOTE6 | (rx ? FLAG_RX : 0), now);
	fill_udp(e, sk, as, s);
	copy16(e->raddr, s->remote); e->rport = s->rport;
	bpf_ringbuf_submit(e, wake_flags(sizeof(*e)));
}

/* Make the flow with this remote (IPv6 form, mapped if IPv4; port 0: not told) the one in hand. */
static __always_inline void flow_take(void *sk, int as, __u64 cookie, struct usock *s, __u8 *addr, __u16 port, int rx)
{
	__u64 now = bpf_ktime_get_boot_ns();
	if (s->valid && s->rport == port && same16(s->remote, addr)) {
		if (now - s->f.last > idle_ns) { /* the same remote again after the idle time: another flow */
			emit_udp_end(sk, as, cookie, s, REC_FLOW_END, s->f.last);
			flow_begins(sk, as, cookie, s, rx, now);
		}
		s->f.last = now;
		return;
	}
	struct flow_key k = { .cookie = cookie };
	if (s->valid) {
		copy16(k.addr, s->remote); k.port = s->rport;
		bpf_map_update_elem(&flows, &k, &s->f, BPF_ANY);
	}
	copy16(k.addr, addr); k.port = port;
	struct flow *f = s->nflows ? bpf_map_lookup_elem(&flows, &k) : NULL;
	copy16(s->remote, addr); s->rport = port; s->valid = 1;
	if (f && now - f->last <= idle_ns) {
		s->f = *f;
		s->f.last = now;
		return;
	}
	if (f) {
		s->f = *f;
		emit_udp_end(sk, as, cookie, s, REC_FLOW_END, s->f.last);
	}
	if (!s->nflows++ && !rx)
		s->state |= S_OPENED_OUT;
	flow_begins(sk, as, cookie, s, rx, now);
}

static __always_inline void flow_add(struct usock *s, int bytes, int rx)
{
	if (rx) {
		s->rx += bytes; s->rx_packets++;
		s->f.rx += bytes; s->f.rx_packets++;
	} else {
		s->tx += bytes; s->tx_packets++;
		s->f.tx += bytes; s->f.tx_packets++;
	}
}

static __always_inline int datagram(struct bpf_sock_addr *ctx, int v6, int rx)
{
	struct bpf_sock *bs = ctx->sk;
	if (!bs || ctx->protocol != IPPROTO_UDP || udp_trampolines)
		return 1;
	struct usock *s = usock_make(bs);
	if (!s)
		return 1;
	__u64 cookie = bpf_get_socket_cookie(ctx);
	udp_bound(bs, AS_BPF_SOCK, cookie, s, 1);
	__u32 a[4];
	if (v6) {
		a[0] = ctx->user_ip6[0]; a[1] = ctx->user_ip6[1]; a[2] = ctx->user_ip6[2]; a[3] = ctx->user_ip6[3];
	} else
		mapped(a, ctx->user_ip4);
	flow_take(bs, AS_BPF_SOCK, cookie, s, (void *)a, bpf_ntohs(ctx->user_port), rx);
	if (rx)
		s->rx_named = 1;
	return 1;
}
SEC("cgroup/sendmsg4") int cg_sendmsg4(struct bpf_sock_addr *ctx) { return datagram(ctx, 0, 0); }
SEC("cgroup/sendmsg6") int cg_sendmsg6(struct bpf_sock_addr *ctx) { return datagram(ctx, 1, 0); }
SEC("cgroup/recvmsg4") int cg_recvmsg4(struct bpf_sock_addr *ctx) { return datagram(ctx, 0, 1); }
SEC("cgroup/recvmsg6") int cg_recvmsg6(struct bpf_sock_addr *ctx) { return datagram(ctx, 1, 1); }

static __always_inline void remote_of(struct sock *sk, __u32 *a)
{
	if (sk->__sk_common.skc_family == AF_INET)
		mapped(a, sk->__sk_common.skc_daddr);
	else
		BPF_CORE_READ_INTO((__u8(*)[16])a, sk, __sk_common.skc_v6_daddr);
}

/* sock_send_length and sock_recv_length: sizes, and the datagrams of connected sockets. */
static __always_inline void udp_used(struct sock *sk, int ret, int rx)
{
	struct usock *s = usock_make(sk);
	if (!s)
		return;
	int named = rx ? s->rx_named : 1;
	s->rx_named = 0;
	__u32 a[4] = {};
	if (sk->__sk_common.skc_state == TCP_ESTABLISHED || !named || !s->valid) {
		__u64 cookie = bpf_get_socket_cookie(sk);
		udp_bound(sk, AS_BTF, cookie, s, 1);
		__u16 port = 0;
		if (sk->__sk_common.skc_state == TCP_ESTABLISHED && !(rx && named && s->valid)) {
			remote_of(sk, a);
			port = bpf_ntohs(sk->__sk_common.skc_dport);
			flow_take(sk, AS_BTF, cookie, s, (void *)a, port, rx);
		} else if (!named) {
			/* recv(2) without an address on an unconnected socket: the sender is not told. If the
			 * socket has asked one remote and heard of no other, that is who answers. */
			if (s->valid && s->nflows == 1 && (s->state & S_OPENED_OUT) && s->rport)
				s->state |= S_CONCLUDED;
			else
				flow_take(sk, AS_BTF, cookie, s, (void *)a, 0, rx);
		}
	}
	flow_add(s, ret, rx);
}

/* connect(2) takes a port; nothing need ever be sent. */
static __always_inline void udp_tries(struct bpf_sock *bs)
{
	struct usock *s = usock_make(bs);
	if (!s || (s->state & (S_BOUND | S_TRY)))
		return;
	owner_now(&s->o);
	announce();
	s->state = S_TRY; s->birth = bpf_ktime_get_boot_ns();
}

static __always_inline void udp_released(struct bpf_sock *ctx)
{
	struct usock *s = bpf_sk_storage_get(&usocks, ctx, 0, 0);
	if (!s)
		return;
	__u64 cookie = bpf_get_socket_cookie(ctx), now = bpf_ktime_get_boot_ns();
	s->closer = tgid_now();
	if (s->state & S_BIND_TRY) {
		s->state &= ~S_BIND_TRY;
		emit_fail(ctx, AS_NUMBER, cookie, &s->o, &s->netns, &s->number, REC_BIND_FAIL, s->try_family, s->try_addr, s->try_port, s->birth, 0);
	}
	udp_bound(ctx, AS_NUMBER, cookie, s, 1);
	if (!(s->state & S_BOUND))
		return;
	if (s->valid)
		emit_udp_end(ctx, AS_NUMBER, cookie, s, REC_FLOW_END, now);
	emit_udp_end(ctx, AS_NUMBER, cookie, s, REC_UNBIND, now);
	s->state = S_ENDED;
	s->valid = 0;
}
#endif
