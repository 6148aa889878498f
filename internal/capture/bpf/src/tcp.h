/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* TCP: listen, connect, accept, close, from the state changes of the socket.
 *
 *   client  connect(2) [owner's context] -> SYN_SENT -> ESTABLISHED [anyone's] -> ... -> CLOSE [anyone's]
 *   server  CLOSE -> LISTEN [owner's] -> CLOSE
 *   child   SYN_RECV (begins with a copy of its listener's value) -> ESTABLISHED [anyone's] -> accept [acceptor's] -> ... -> CLOSE
 *
 * On loopback `current` is the peer, on timers any task: an owner is only ever taken where the
 * table above says it is the owner's own context.
 *
 * The kernel skips a tracing program that is active on this CPU already: an interrupt whose softirq
 * changes a state in the middle of one is not told. So what can be done in a cgroup hook, which is
 * never skipped, is done there; every step takes the one before it for missed if it left no mark;
 * and a socket's next use, its release and its destruction are second chances. */
#ifndef TCP_H
#define TCP_H

/* What is remembered of a socket, or of the child that it is until it is established. */
static __always_inline struct tsock *tsock_of(void *sk, __u64 cookie)
{
	__u64 key = (__u64)sk;
	struct tsock *s = bpf_map_lookup_elem(&tsocks, &key);
	if (s && (s->cookie == cookie || !s->cookie))
		return s;
	return spilled ? bpf_sk_storage_get(&tspill, sk, 0, 0) : NULL;
}

/* The table is full: storage, which has no capacity. */
static __always_inline struct tsock *tsock_spill(void *sk, struct tsock *v)
{
	spilled = 1;
	count(COUNT_SPILLED);
	struct tsock *s = bpf_sk_storage_get(&tspill, sk, v, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s)
		count(COUNT_STORE_FAIL);
	return s;
}

/* An entry of a socket that is gone is taken over as it is: to free each and allocate another cost
 * more than all else that is done with them. */
static __always_inline struct tsock *tsock_make(void *sk, __u64 cookie)
{
	__u64 key = (__u64)sk;
	struct tsock *s = bpf_map_lookup_elem(&tsocks, &key);
	if (s && s->cookie == cookie)
		return s;
	struct tsock *own = spilled ? bpf_sk_storage_get(&tspill, sk, 0, 0) : NULL;
	if (own && own->cookie == cookie)
		return own;
	if (s) {
		__builtin_memset(s, 0, sizeof(*s));
		s->cookie = cookie;
		return s;
	}
	struct tsock v = { .cookie = cookie };
	if (bpf_map_update_elem(&tsocks, &key, &v, BPF_ANY))
		return tsock_spill(sk, &v);
	return bpf_map_lookup_elem(&tsocks, &key);
}

/* The cookie as it is: 0 if nobody has asked for it yet. */
static __always_inline __u64 cookie_of(struct sock *sk)
{
	return sk->__sk_common.skc_cookie.counter;
}

static __always_inline void local_of(__u8 *addr, struct sock_common *c)
{
	if (c->skc_family == AF_INET)
		v4(addr, c->skc_rcv_saddr);
	else {
		__u32 *to = (void *)addr;
		struct in6_addr *a = &c->skc_v6_rcv_saddr;
		to[0] = a->in6_u.u6_addr32[0]; to[1] = a->in6_u.u6_addr32[1]; to[2] = a->in6_u.u6_addr32[2]; to[3] = a->in6_u.u6_addr32[3];
	}
}

static __always_inline void place_of(struct place *p, struct tsock *s)
{
	copy16(p->addr, s->try_addr);
	p->netns = s->netns; p->port = s->try_port; p->family = s->try_family;
}

/* What the children of a listener begin with. */
static __always_inline void tcp_listens(struct sock *sk, struct tsock *s)
{
	struct sock_common *c = &sk->__sk_common;
	s->netns = c->skc_net.net->ns.inum; s->try_family = c->skc_family; s->try_port = c->skc_num;
	local_of(s->try_addr, c);
	struct place p;
	place_of(&p, s);
	if (p.port && bpf_map_update_elem(&listeners, &p, s, BPF_NOEXIST) == 0)
		return;
	inherited = 1;
	struct tsock *heir = bpf_sk_storage_get(&heirs, sk, s, BPF_SK_STORAGE_GET_F_CREATE);
	if (heir) /* else its children are unowned, and counted so */
		*heir = *s;
}

static __always_inline void tcp_unlistens(struct tsock *s)
{
	struct place p;
	place_of(&p, s);
	struct tsock *l = bpf_map_lookup_elem(&listeners, &p);
	if (l && l->cookie == s->cookie)
		bpf_map_delete_elem(&listeners, &p);
}

/* The listener of a child that is being made: of its socket the child is a copy still, but for the
 * address, which later kernels (6.18 does, 6.12 does not) have put in its place by now. */
static __always_inline struct tsock *listener_of(struct sock *sk)
{
	struct sock_common *c = &sk->__sk_common;
	struct tsock *l = inherited ? bpf_sk_storage_get(&heirs, sk, 0, 0) : NULL;
	if (l)
		return l;
	struct place p = { .netns = c->skc_net.net->ns.inum, .port = c->skc_num, .family = c->skc_family };
	local_of(p.addr, c);
	l = bpf_map_lookup_elem(&listeners, &p);
	if (l)
		return l;
	if (p.family == AF_INET6) { /* IPv4 on a socket for both */
		mapped((void *)p.addr, c->skc_rcv_saddr);
		l = bpf_map_lookup_elem(&listeners, &p);
		if (l)
			return l;
	}
	v4(p.addr, 0);
	return bpf_map_lookup_elem(&listeners, &p);
}

static __always_inline void tcp_child(struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct tsock *l = listener_of(sk), *s = bpf_map_lookup_elem(&tsocks, &key);
	if (!l) {
		if (s)
			s->cookie = GONE;
		return;
	}
	if (l->state & S_MPTCP)
		bpf_map_delete_elem(&subflows, &key);
	if (s) {
		*s = *l;
		s->cookie = 0;
		return;
	}
	struct tsock child = *l;
	child.cookie = 0;
	if (bpf_map_update_elem(&tsocks, &key, &child, BPF_ANY))
		tsock_spill(sk, &child);
}

/* A connection that we know nothing of: did a listener make it? The child has inherited the length of
 * its accept queue, which a socket that never listened has not. */
static __always_inline __u32 unknown_state(__u32 max_backlog)
{
	return max_backlog ? S_CHILD | S_EST : S_EST;
}

/* A child whose SYN_RECV -> ESTABLISHED event was missed still carries the listener's value. */
static __always_inline void fix_child(struct tsock *s, __u64 cookie)
{
	s->cookie = cookie;
	s->state = S_CHILD | S_EST | (s->state & (S_SEED | S_MPTCP));
	s->birth = bpf_ktime_get_boot_ns();
	s->closer = 0; s->lport = s->rport = 0; s->user = s->nuser = 0;
	count(COUNT_RECOVERED);
}

static __always_inline void accepted(void *sk, int as, struct tsock *s)
{
	owner_now(&s->o);
	s->accepted = 1;
	announce();
	__u32 late = s->birth || (s->state & S_SEED) ? 0 : FLAG_RECOVERED; /* all before was missed */
	emit_tcp(sk, as, s, REC_ACCEPT, FLAG_CHILD | late, bpf_ktime_get_boot_ns());
}

#define LISTEN_FAIL_NS 1000000 /* longer than a listen(2) takes to find its port taken */
#define UNACCEPTED(s) (((s)->state & S_CHILD) && !(s)->accepted)
#define S_OUTGOING (S_TRY | S_CONNECTING) /* connect() called, not told as connected or failed */
/* Of a socket that connects: its connection was there. */
#define HAS_CONNECTED(state) ((state) != TCP_CLOSE && (state) != TCP_SYN_SENT && (state) != TCP_SYN_RECV)

static __always_inline bool is_subflow(struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	return tp && tp->inet_conn.icsk_ulp_ops;
}

/* An MPTCP socket is used. Its first subflow can be reached as a number only: the first use of one
 * that a listener made is its accept. */
static __always_inline void mptcp_used(struct sock *sk)
{
	struct sock *first = BPF_CORE_READ((struct mptcp_sock *)sk, first);
	__u64 key = (__u64)first;
	struct owner *known = bpf_map_lookup_elem(&subflows, &key);
	if (!known || known->tgid)
		return;
	struct tsock s = { .state = S_MPTCP, .cookie = BPF_CORE_READ(first, __sk_common.skc_cookie.counter) };
	owner_now(&s.o);
	bpf_map_update_elem(&subflows, &key, &s.o, BPF_ANY);
	announce();
	emit_tcp(first, AS_NUMBER, &s, REC_ACCEPT, FLAG_CHILD, bpf_ktime_get_boot_ns());
}

/* Before a child's end is told: did its MPTCP socket find an acceptor? */
static __always_inline void mptcp_owner(struct sock *sk, struct tsock *s)
{
	__u64 key = (__u64)sk;
	struct owner *known = bpf_map_lookup_elem(&subflows, &key);
	if (known && known->tgid) {
		s->o = *known;
		s->accepted = 1;
	}
}

/* The socket starts anew: it may have failed, or been connected, before. */
static __always_inline void tcp_fresh(struct tsock *s)
{
	owner_now(&s->o);
	announce(); /* now: when a dying process's socket is released, its memory is gone */
	s->birth = bpf_ktime_get_boot_ns();
	s->closer = 0; s->end = 0; s->lport = s->rport = 0; s->user = s->nuser = 0; s->accepted = s->peer_first = 0;
}

static __always_inline void tcp_begins(struct sock *sk, int new)
{
	struct tsock *s = tsock_make(sk, cookie_of(sk) ?: bpf_get_socket_cookie(sk));
	if (!s)
		return;
	if (new == TCP_SYN_SENT && (s->state & S_TRY)) {
		s->state = S_CONNECTING;
		return;
	}
	tcp_fresh(s);
	s->state = new == TCP_LISTEN ? S_LISTEN : S_CONNECTING;
	if (new == TCP_LISTEN && is_subflow(sk))
		s->state |= S_MPTCP; /* its children inherit the mark */
	if (new == TCP_LISTEN)
		tcp_listens(sk, s);
	if (new == TCP_LISTEN && !trampolines) /* with trampolines, inet_csk_listen_start's return tells */
		emit_tcp(sk, AS_BTF, s, REC_LISTEN, sk->__sk_common.skc_num ? 0 : FLAG_AUTO, s->birth);
}

static __always_inline void tcp_established(struct sock *sk, struct tsock *s)
{
	__u16 lport = sk->__sk_common.skc_num, rport = bpf_ntohs(sk->__sk_common.skc_dport);
	if (!s) { /* child of a listener unknown to us */
		s = tsock_make(sk, bpf_get_socket_cookie(sk));
		if (!s)
			return;
		count(COUNT_UNOWNED);
	}
	if (s->state & S_OUTGOING) {
		s->state = (s->state & ~S_OUTGOING) | S_EST; s->lport = lport; s->rport = rport;
		s->birth = bpf_ktime_get_boot_ns();
		emit_tcp(sk, AS_BTF, s, REC_CONNECT, 0, s->birth);
	} else if (!(s->state & (S_EST | S_CHILD))) {
		s->cookie = bpf_get_socket_cookie(sk); s->user = s->nuser = 0;
		s->state = S_CHILD | S_EST | (s->state & (S_SEED | S_MPTCP));
		s->birth = bpf_ktime_get_boot_ns();
		s->closer = 0; s->lport = lport; s->rport = rport;
		if (s->state & S_MPTCP) {
			struct owner none = {};
			__u64 key = (__u64)sk;
			if (is_subflow(sk))
				bpf_map_update_elem(&subflows, &key, &none, BPF_NOEXIST);
			else
				s->state &= ~S_MPTCP; /* the peer speaks plain TCP */
		}
	}
}

/* A connection that we opened is used or closed and was not told: ESTABLISHED was missed. */
static __always_inline void connected(void *sk, int as, struct tsock *s)
{
	s->state = (s->state & ~S_OUTGOING) | S_EST;
	count(COUNT_RECOVERED);
	emit_tcp(sk, as, s, REC_CONNECT, FLAG_RECOVERED, s->birth);
}

static __always_inline void tcp_closed(struct sock *sk, struct tsock *s, int old)
{
	if (!s) {
		if (old == TCP_CLOSE)
			return;
		s = tsock_make(sk, bpf_get_socket_cookie(sk));
		if (!s)
			return;
		count(COUNT_UNOWNED);
		s->state = old != TCP_LISTEN && seeded ? unknown_state(sk->sk_max_ack_backlog) : S_EST;
	}
	if (s->state & (S_ENDED | S_PEND))
		return;
	if ((s->state & S_LISTEN) && old != TCP_LISTEN)
		fix_child(s, bpf_get_socket_cookie(sk));
	__u64 now = bpf_ktime_get_boot_ns();
	if ((s->state & S_MPTCP) && UNACCEPTED(s))
		mptcp_owner(sk, s);
	if ((s->state & S_OUTGOING) && old != TCP_CLOSE) {
		if (old != TCP_SYN_SENT && old != TCP_SYN_RECV)
			connected(sk, AS_BTF, s);
		else
			s->state = (s->state & ~S_TRY) | S_CONNECTING;
	}
	if (old == TCP_LISTEN) {
		/* listen(2) sets LISTEN first and takes it back when it does not get the port. With
		 * trampolines its return value tells; else the reader joins the two. */
		bool failed = !s->closer && !(s->state & S_MPTCP) && now - s->birth < LISTEN_FAIL_NS && tgid_now() == s->o.tgid &&
			      !(trampolines && s->lport);
		s->state |= S_ENDED;
		tcp_unlistens(s);
		if (!failed || !trampolines)
			emit_tcp_end(sk, s, REC_UNLISTEN, failed ? FLAG_LOCAL_FAIL : 0, now, old, 0);
	} else if (s->state & S_CONNECTING) {
		s->state |= S_ENDED;
		emit_tcp_end(sk, s, REC_CONNECT_FAIL, 0, now, old, sk->sk_err);
	} else if (old == TCP_SYN_RECV && !(s->state & S_EST)) {
		s->state |= S_ENDED; /* half open, never established */
	} else if (UNACCEPTED(s)) {
		s->state |= S_PEND; /* the owner is not known yet: decided at destroy, or accept */
		s->end = now; s->end_old = old; s->end_err = sk->sk_err;
	} else {
		s->state |= S_ENDED;
		emit_tcp_end(sk, s, REC_CLOSE, 0, now, old, sk->sk_err);
	}
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(set_state, struct sock *sk, int old, int new)
{
	if (new != TCP_CLOSE && new != TCP_ESTABLISHED && new != TCP_SYN_SENT && new != TCP_LISTEN && (new != TCP_SYN_RECV || old != TCP_LISTEN))
		return 0;
	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (new == TCP_SYN_SENT || new == TCP_LISTEN) {
		tcp_begins(sk, new);
		return 0;
	}
	if (new == TCP_SYN_RECV) {
		tcp_child(sk);
		return 0;
	}
	struct tsock *s = tsock_of(sk, cookie_of(sk));
	if (new == TCP_ESTABLISHED)
		tcp_established(sk, s);
	else
		tcp_closed(sk, s, old);
	return 0;
}

/* Closes that waited for an acceptor, and the second chance of ends that were missed. */
static __always_inline void tcp_destroyed(struct sock *sk, struct tsock *s)
{
	if (s->state & S_MPTCP) {
		__u64 key = (__u64)sk;
		if (UNACCEPTED(s))
			mptcp_owner(sk, s); /* used at last, after its connection had closed */
		bpf_map_delete_elem(&subflows, &key);
	}
	if ((s->state & (S_LISTEN | S_ENDED)) == S_LISTEN && s->cookie)
		tcp_unlistens(s);
	if ((s->state & S_ENDED) || !(s->state & (S_PEND | S_EST | S_CONNECTING)))
		return;
	__u64 now = s->state & S_PEND ? s->end : bpf_ktime_get_boot_ns();
	if (s->state & S_PEND)
		emit_tcp_end(sk, s, REC_CLOSE, 0, now, s->end_old, s->end_err);
	else if (s->state & S_CONNECTING)
		emit_tcp_end(sk, s, REC_CONNECT_FAIL, FLAG_RECOVERED, now, TCP_SYN_SENT, sk->sk_err);
	else
		emit_tcp_end(sk, s, REC_CLOSE, FLAG_RECOVERED, now, s->end_old, s->end_err);
	if (!(s->state & S_PEND))
		count(COUNT_RECOVERED);
	s->state |= S_ENDED;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(destroy, struct sock *sk)
{
	struct tsock *s = tsock_of(sk, cookie_of(sk));
	if (!s)
		return 0;
	tcp_destroyed(sk, s);
	s->cookie = GONE;
	return 0;
}

/* accept(2) with an address buffer asks for the peer's name in the acceptor's context. */
static __always_inline int peername(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *bs = ctx->sk;
	if (!bs || ctx->protocol != IPPROTO_TCP)
		return 1;
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct tsock *s = tsock_of(bs, cookie);
	if (!s) {
		s = tsock_make(bs, cookie); /* was in the accept queue before the recorder started */
		if (!s)
			return 1;
		s->state = S_CHILD | S_EST | S_SEED; s->lport = bs->src_port; s->rport = bpf_ntohs(bs->dst_port);
	}
	if ((s->state & S_LISTEN) && bs->state != TCP_LISTEN)
		fix_child(s, cookie);
	if (UNACCEPTED(s))
		accepted(bs, AS_BPF_SOCK, s);
	return 1;
}
SEC("cgroup/getpeername4") int cg_peer4(struct bpf_sock_addr *ctx) { return peername(ctx); }
SEC("cgroup/getpeername6") int cg_peer6(struct bpf_sock_addr *ctx) { return peername(ctx); }

/* Sending or receiving: the first use of a connection that was accepted with no address buffer, and
 * the use by another process than the owner (fd passed, inherited or stolen). */
static __always_inline void tcp_used(struct sock *sk)
{
	__u8 state = sk->__sk_common.skc_state;
	struct tsock *s = tsock_of(sk, cookie_of(sk));
	if (!s) {
		if (!seeded || !HAS_CONNECTED(state) || !sk->sk_max_ack_backlog)
			return;
		s = tsock_make(sk, bpf_get_socket_cookie(sk)); /* a child of which all was missed */
		if (!s)
			return;
		count(COUNT_UNOWNED);
		s->state = S_CHILD | S_EST;
	}
	if ((s->state & S_LISTEN) && state != TCP_LISTEN)
		fix_child(s, bpf_get_socket_cookie(sk));
	if (UNACCEPTED(s)) {
		accepted(sk, AS_BTF, s);
		return;
	}
	if ((s->state & S_OUTGOING) && HAS_CONNECTED(state))
		connected(sk, AS_BTF, s);
	__u32 me = tgid_now();
	if (me == s->o.tgid || me == s->user || !s->o.tgid || s->nuser >= 16)
		return;
	s->user = me; s->nuser++;
	struct owner o = s->o;
	owner_now(&s->o);
	announce();
	emit_tcp(sk, AS_BTF, s, REC_USER, 0, bpf_ktime_get_boot_ns());
	s->o = o;
}

static __always_inline void tcp_fails_here(void *sk, int as, struct tsock *s, __u32 err)
{
	s->state = (s->state & ~S_TRY) | S_ENDED;
	emit_fail(sk, as, s->cookie, &s->o, &s->netns, &s->number, REC_CONNECT_FAIL, s->try_family, s->try_addr, s->try_port, s->birth, err);
}

/* The attempt, before the kernel has looked for a route: SYN_SENT clears the mark; where that never
 * comes the attempt failed inside this host. */
static __always_inline void tcp_tries(struct bpf_sock_addr *ctx, int v6)
{
	struct bpf_sock *bs = ctx->sk;
	struct tsock *s = tsock_make(bs, bpf_get_socket_cookie(ctx));
	if (!s || (!(s->state & S_ENDED) && (s->state & (S_CONNECTING | S_EST))))
		return;
	if (s->state & S_TRY) /* the one before came to nothing */
		tcp_fails_here(bs, AS_BPF_SOCK, s, 0);
	tcp_fresh(s);
	s->state = (s->state & S_BIND_TRY) | S_TRY;
	s->try_port = bpf_ntohs(ctx->user_port);
	s->try_family = v6 ? AF_INET6 : AF_INET;
	__u32 *a = (void *)s->try_addr;
	if (v6) {
		a[0] = ctx->user_ip6[0]; a[1] = ctx->user_ip6[1]; a[2] = ctx->user_ip6[2]; a[3] = ctx->user_ip6[3];
	} else
		v4(s->try_addr, ctx->user_ip4);
}

static __always_inline void tcp_bind_fails(void *sk, int as, struct tsock *s, __u32 err)
{
	s->state &= ~S_BIND_TRY;
	emit_fail(sk, as, s->cookie, &s->o, &s->netns, &s->number, REC_BIND_FAIL, s->try_family, s->try_addr, s->try_port, s->birth, err);
}

static __always_inline void tcp_released(struct bpf_sock *ctx)
{
	__u32 state = ctx->state;
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct tsock *s = tsock_of(ctx, cookie);
	if (!s) {
		if (!seeded || !HAS_CONNECTED(state) || state == TCP_LISTEN)
			return;
		s = tsock_make(ctx, cookie); /* all was missed */
		if (!s)
			return;
		count(COUNT_UNOWNED);
		struct sock *k = launder(&s->number, ctx);
		s->state = unknown_state(BPF_CORE_READ(k, sk_max_ack_backlog));
	}
	if ((s->state & S_LISTEN) && state != TCP_LISTEN && state != TCP_CLOSE)
		fix_child(s, cookie);
	s->closer = tgid_now();
	if (state == TCP_LISTEN && !s->lport) { /* listen(2) without bind(2) */
		struct sock *k = launder(&s->number, ctx);
		struct sock_common *c = &k->__sk_common;
		s->lport = BPF_CORE_READ(c, skc_num);
	}
	if (state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK || state == TCP_CLOSE)
		s->peer_first = 1;
	if (UNACCEPTED(s))
		accepted(ctx, AS_NUMBER, s);
	else if (s->state & S_BIND_TRY)
		tcp_bind_fails(ctx, AS_NUMBER, s, 0);
	else if ((s->state & S_OUTGOING) && HAS_CONNECTED(state))
		connected(ctx, AS_NUMBER, s);
	else if (s->state & S_TRY)
		tcp_fails_here(ctx, AS_NUMBER, s, 0);
}
#endif
