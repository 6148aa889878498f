/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* TCP: listen, connect, accept, close, from the state changes of the socket.
 *
 *   client  connect(2) [owner's context] -> SYN_SENT -> ESTABLISHED [anyone's] -> ... -> CLOSE [anyone's]
 *   server  CLOSE -> LISTEN [owner's] -> CLOSE
 *   child   SYN_RECV (value cloned from the listener) -> ESTABLISHED [anyone's] -> accept [acceptor's] -> ... -> CLOSE
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

static __always_inline struct tsock *tsock_make(void *sk)
{
	struct tsock *s = bpf_sk_storage_get(&tsocks, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s)
		count(COUNT_STORE_FAIL);
	return s;
}

/* A child whose SYN_RECV -> ESTABLISHED event was missed still carries the listener's value. */
static __always_inline void fix_child(struct tsock *s)
{
	s->state = S_CHILD | S_EST | (s->state & (S_SEED | S_MPTCP));
	s->birth = bpf_ktime_get_boot_ns();
	s->closer = 0; s->lport = s->rport = 0; s->user = s->nuser = 0;
	count(COUNT_RECOVERED);
}

static __always_inline void accepted(void *sk, int as, __u64 cookie, struct tsock *s)
{
	owner_now(&s->o);
	s->state |= S_ACCEPTED;
	announce();
	emit_tcp(sk, as, cookie, s, REC_ACCEPT, FLAG_CHILD, bpf_ktime_get_boot_ns());
}

#define LISTEN_FAIL_NS 1000000 /* longer than a listen(2) takes to find its port taken */
#define UNACCEPTED(s) (((s)->state & (S_CHILD | S_ACCEPTED)) == S_CHILD)
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
	struct tsock s = { .state = S_MPTCP };
	owner_now(&s.o);
	bpf_map_update_elem(&subflows, &key, &s.o, BPF_ANY);
	announce();
	emit_tcp(first, AS_NUMBER, BPF_CORE_READ(first, __sk_common.skc_cookie.counter), &s, REC_ACCEPT, FLAG_CHILD, bpf_ktime_get_boot_ns());
}

/* Before a child's end is told: did its MPTCP socket find an acceptor? */
static __always_inline void mptcp_owner(struct sock *sk, struct tsock *s)
{
	__u64 key = (__u64)sk;
	struct owner *known = bpf_map_lookup_elem(&subflows, &key);
	if (known && known->tgid) {
		s->o = *known;
		s->state |= S_ACCEPTED;
	}
}

/* The socket starts anew: it may have failed, or been connected, before. */
static __always_inline void tcp_fresh(struct tsock *s)
{
	owner_now(&s->o);
	announce(); /* now: when a dying process's socket is released, its memory is gone */
	s->birth = bpf_ktime_get_boot_ns();
	s->closer = 0; s->end = 0; s->lport = s->rport = 0; s->user = s->nuser = 0;
}

static __always_inline void tcp_begins(struct sock *sk, int new)
{
	struct tsock *s = tsock_make(sk);
	if (!s)
		return;
	if (new == TCP_SYN_SENT && (s->state & S_TRY)) {
		s->state = S_CONNECTING;
		return;
	}
	tcp_fresh(s);
	s->netns = sk->__sk_common.skc_net.net->ns.inum; /* its children inherit it: accept would walk to it */
	s->state = new == TCP_LISTEN ? S_LISTEN : S_CONNECTING;
	if (new == TCP_LISTEN && is_subflow(sk))
		s->state |= S_MPTCP; /* its children inherit the mark */
	if (new == TCP_LISTEN && !trampolines) /* with trampolines, inet_csk_listen_start's return tells */
		emit_tcp(sk, AS_BTF, bpf_get_socket_cookie(sk), s, REC_LISTEN, sk->__sk_common.skc_num ? 0 : FLAG_AUTO, s->birth);
}

static __always_inline void tcp_established(struct sock *sk, struct tsock *s)
{
	__u16 lport = sk->__sk_common.skc_num, rport = bpf_ntohs(sk->__sk_common.skc_dport);
	if (!s) { /* child of a listener unknown to us */
		s = tsock_make(sk);
		if (!s)
			return;
		count(COUNT_UNOWNED);
	}
	if (s->state & S_OUTGOING) {
		s->state = (s->state & ~S_OUTGOING) | S_EST; s->lport = lport; s->rport = rport;
		s->birth = bpf_ktime_get_boot_ns();
		emit_tcp(sk, AS_BTF, bpf_get_socket_cookie(sk), s, REC_CONNECT, 0, s->birth);
	} else if (!(s->state & (S_EST | S_CHILD))) {
		s->user = s->nuser = 0;
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
static __always_inline void connected(void *sk, int as, __u64 cookie, struct tsock *s)
{
	s->state = (s->state & ~S_OUTGOING) | S_EST;
	count(COUNT_RECOVERED);
	emit_tcp(sk, as, cookie, s, REC_CONNECT, FLAG_RECOVERED, s->birth);
}

static __always_inline void tcp_closed(struct sock *sk, struct tsock *s, int old)
{
	if (!s) {
		if (old == TCP_CLOSE)
			return;
		s = tsock_make(sk);
		if (!s)
			return;
		count(COUNT_UNOWNED);
		s->state = S_EST;
	}
	if (s->state & (S_ENDED | S_PEND))
		return;
	if ((s->state & S_LISTEN) && old != TCP_LISTEN)
		fix_child(s);
	__u64 now = bpf_ktime_get_boot_ns(), cookie = bpf_get_socket_cookie(sk);
	if ((s->state & S_MPTCP) && UNACCEPTED(s))
		mptcp_owner(sk, s);
	if ((s->state & S_OUTGOING) && old != TCP_CLOSE) {
		if (old != TCP_SYN_SENT && old != TCP_SYN_RECV)
			connected(sk, AS_BTF, cookie, s);
		else
			s->state = (s->state & ~S_TRY) | S_CONNECTING;
	}
	if (old == TCP_LISTEN) {
		/* listen(2) sets LISTEN first and takes it back when it does not get the port. With
		 * trampolines its return value tells; else the reader joins the two. */
		bool failed = !s->closer && !(s->state & S_MPTCP) && now - s->birth < LISTEN_FAIL_NS && (__u32)(bpf_get_current_pid_tgid() >> 32) == s->o.tgid &&
			      !(trampolines && s->lport);
		s->state |= S_ENDED;
		if (!failed || !trampolines)
			emit_tcp_end(sk, cookie, s, REC_UNLISTEN, failed ? FLAG_LOCAL_FAIL : 0, now, old, 0);
	} else if (s->state & S_CONNECTING) {
		s->state |= S_ENDED;
		emit_tcp_end(sk, cookie, s, REC_CONNECT_FAIL, 0, now, old, sk->sk_err);
	} else if (old == TCP_SYN_RECV && !(s->state & S_EST)) {
		s->state |= S_ENDED; /* half open, never established */
	} else if (UNACCEPTED(s)) {
		s->state |= S_PEND; /* the owner is not known yet: decided at destroy, or accept */
		s->end = now; s->end_old = old; s->end_err = sk->sk_err;
	} else {
		s->state |= S_ENDED;
		emit_tcp_end(sk, cookie, s, REC_CLOSE, 0, now, old, sk->sk_err);
	}
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(set_state, struct sock *sk, int old, int new)
{
	if (new != TCP_CLOSE && new != TCP_ESTABLISHED && new != TCP_SYN_SENT && new != TCP_LISTEN)
		return 0;
	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (new == TCP_SYN_SENT || new == TCP_LISTEN) {
		tcp_begins(sk, new);
		return 0;
	}
	struct tsock *s = bpf_sk_storage_get(&tsocks, sk, 0, 0);
	if (new == TCP_ESTABLISHED)
		tcp_established(sk, s);
	else
		tcp_closed(sk, s, old);
	return 0;
}

/* Closes that waited for an acceptor, and the second chance of ends that were missed. */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(destroy, struct sock *sk)
{
	struct tsock *s = bpf_sk_storage_get(&tsocks, sk, 0, 0);
	if (!s)
		return 0;
	if (s->state & S_MPTCP) {
		__u64 key = (__u64)sk;
		if (UNACCEPTED(s))
			mptcp_owner(sk, s); /* used at last, after its connection had closed */
		bpf_map_delete_elem(&subflows, &key);
	}
	if ((s->state & S_ENDED) || !(s->state & (S_PEND | S_EST | S_CONNECTING)))
		return 0;
	__u32 pend = s->state & S_PEND;
	s->state |= S_ENDED;
	if (s->state & S_CONNECTING) {
		count(COUNT_RECOVERED);
		emit_tcp_end(sk, bpf_get_socket_cookie(sk), s, REC_CONNECT_FAIL, FLAG_RECOVERED, bpf_ktime_get_boot_ns(), TCP_SYN_SENT, sk->sk_err);
		return 0;
	}
	if (!pend)
		count(COUNT_RECOVERED);
	emit_tcp_end(sk, bpf_get_socket_cookie(sk), s, REC_CLOSE, pend ? 0 : FLAG_RECOVERED, pend ? s->end : bpf_ktime_get_boot_ns(),
		     s->end_old, s->end_err);
	return 0;
}

/* accept(2) with an address buffer asks for the peer's name in the acceptor's context. */
static __always_inline int peername(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *bs = ctx->sk;
	if (!bs || ctx->protocol != IPPROTO_TCP)
		return 1;
	struct tsock *s = bpf_sk_storage_get(&tsocks, bs, 0, 0);
	if (!s) {
		s = tsock_make(bs); /* was in the accept queue before the recorder started */
		if (!s)
			return 1;
		s->state = S_CHILD | S_EST | S_SEED; s->lport = bs->src_port; s->rport = bpf_ntohs(bs->dst_port);
	}
	if ((s->state & S_LISTEN) && bs->state != TCP_LISTEN)
		fix_child(s);
	if (UNACCEPTED(s))
		accepted(bs, AS_BPF_SOCK, bpf_get_socket_cookie(ctx), s);
	return 1;
}
SEC("cgroup/getpeername4") int cg_peer4(struct bpf_sock_addr *ctx) { return peername(ctx); }
SEC("cgroup/getpeername6") int cg_peer6(struct bpf_sock_addr *ctx) { return peername(ctx); }

/* Sending or receiving: the first use of a connection that was accepted with no address buffer, and
 * the use by another process than the owner (fd passed, inherited or stolen). */
static __always_inline void tcp_used(struct sock *sk)
{
	struct tsock *s = bpf_sk_storage_get(&tsocks, sk, 0, 0);
	if (!s)
		return;
	__u8 state = sk->__sk_common.skc_state;
	if ((s->state & S_LISTEN) && state != TCP_LISTEN)
		fix_child(s);
	if (UNACCEPTED(s)) {
		accepted(sk, AS_BTF, bpf_get_socket_cookie(sk), s);
		return;
	}
	if ((s->state & S_OUTGOING) && HAS_CONNECTED(state))
		connected(sk, AS_BTF, bpf_get_socket_cookie(sk), s);
	__u32 me = bpf_get_current_pid_tgid() >> 32;
	if (me == s->o.tgid || me == s->user || !s->o.tgid || s->nuser >= 16)
		return;
	s->user = me; s->nuser++;
	struct owner o = s->o;
	owner_now(&s->o);
	announce();
	emit_tcp(sk, AS_BTF, bpf_get_socket_cookie(sk), s, REC_USER, 0, bpf_ktime_get_boot_ns());
	s->o = o;
}

/* The attempt, before the kernel has looked for a route: SYN_SENT clears the mark; where that never
 * comes the attempt failed inside this host. */
static __always_inline void tcp_tries(struct bpf_sock_addr *ctx, int v6)
{
	struct bpf_sock *bs = ctx->sk;
	struct tsock *s = tsock_make(bs);
	if (!s || (s->state & (S_CONNECTING | S_EST)))
		return;
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

static __always_inline void tcp_fails_here(void *sk, int as, __u64 cookie, struct tsock *s, __u32 err)
{
	s->state = (s->state & ~S_TRY) | S_ENDED;
	emit_fail(sk, as, cookie, &s->o, &s->netns, &s->number, REC_CONNECT_FAIL, s->try_family, s->try_addr, s->try_port, s->birth, err);
}

static __always_inline void tcp_bind_fails(void *sk, int as, __u64 cookie, struct tsock *s, __u32 err)
{
	s->state &= ~S_BIND_TRY;
	emit_fail(sk, as, cookie, &s->o, &s->netns, &s->number, REC_BIND_FAIL, s->try_family, s->try_addr, s->try_port, s->birth, err);
}

static __always_inline void tcp_released(struct bpf_sock *ctx)
{
	struct tsock *s = bpf_sk_storage_get(&tsocks, ctx, 0, 0);
	if (!s)
		return;
	__u32 state = ctx->state;
	if ((s->state & S_LISTEN) && state != TCP_LISTEN && state != TCP_CLOSE)
		fix_child(s);
	s->closer = bpf_get_current_pid_tgid() >> 32;
	if (state == TCP_LISTEN && !s->lport) { /* listen(2) without bind(2) */
		struct sock *k = launder(&s->number, ctx);
		struct sock_common *c = &k->__sk_common;
		s->lport = BPF_CORE_READ(c, skc_num);
	}
	if (state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK || state == TCP_CLOSE)
		s->state |= S_PEER_FIRST;
	__u64 cookie = bpf_get_socket_cookie(ctx);
	if (UNACCEPTED(s))
		accepted(ctx, AS_NUMBER, cookie, s);
	else if (s->state & S_BIND_TRY)
		tcp_bind_fails(ctx, AS_NUMBER, cookie, s, 0);
	else if ((s->state & S_OUTGOING) && HAS_CONNECTED(state))
		connected(ctx, AS_NUMBER, cookie, s);
	else if (s->state & S_TRY)
		tcp_fails_here(ctx, AS_NUMBER, cookie, s, 0);
}
#endif
