/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* bind(2): the try marks the socket, success clears the mark. Without trampolines a mark that is
 * still there at the next try or at close is a failure whose errno is not known; its time is the
 * try's. A try for port 0 is not judged: with IP_BIND_ADDRESS_NO_PORT success leaves no trace. */
#ifndef BIND_H
#define BIND_H

static __always_inline int bind_tries(struct bpf_sock_addr *ctx, int v6)
{
	struct bpf_sock *bs = ctx->sk;
	__u16 port = bpf_ntohs(ctx->user_port);
	if (!bs || trampolines || !port)
		return 1;
	struct owner *o;
	__u8 *addr;
	__u64 cookie = bpf_get_socket_cookie(ctx);
	if (ctx->protocol == IPPROTO_TCP) {
		struct tsock *s = tsock_make(bs, cookie);
		if (!s || (s->state & ~(S_BIND_TRY | S_ENDED)))
			return 1;
		if (s->state & S_BIND_TRY)
			tcp_bind_fails(bs, AS_BPF_SOCK, s, 0);
		s->state = S_BIND_TRY; s->birth = bpf_ktime_get_boot_ns();
		s->try_port = port; s->try_family = v6 ? AF_INET6 : AF_INET;
		o = &s->o; addr = s->try_addr;
	} else if (ctx->protocol == IPPROTO_UDP) {
		struct usock *s = usock_make(bs);
		if (!s || (s->state & S_BOUND))
			return 1;
		if (s->state & S_BIND_TRY) {
			emit_fail(bs, AS_BPF_SOCK, cookie, &s->o, &s->netns, &s->number, REC_BIND_FAIL, s->try_family, s->try_addr, s->try_port, s->birth, 0);
		}
		s->state = S_BIND_TRY; s->birth = bpf_ktime_get_boot_ns();
		s->try_port = port; s->try_family = v6 ? AF_INET6 : AF_INET;
		o = &s->o; addr = s->try_addr;
	} else
		return 1;
	owner_now(o);
	announce(); /* now: when a dying process's socket is released, its memory is gone */
	__u32 *a = (void *)addr;
	if (v6) {
		a[0] = ctx->user_ip6[0]; a[1] = ctx->user_ip6[1]; a[2] = ctx->user_ip6[2]; a[3] = ctx->user_ip6[3];
	} else
		v4(addr, ctx->user_ip4);
	return 1;
}
SEC("cgroup/bind4") int cg_bind4(struct bpf_sock_addr *ctx) { return bind_tries(ctx, 0); }
SEC("cgroup/bind6") int cg_bind6(struct bpf_sock_addr *ctx) { return bind_tries(ctx, 1); }

static __always_inline int bind_done(struct bpf_sock *ctx)
{
	if (ctx->protocol == IPPROTO_TCP) {
		struct tsock *s = tsock_of(ctx, bpf_get_socket_cookie(ctx));
		if (s)
			s->state &= ~S_BIND_TRY;
	} else if (ctx->protocol == IPPROTO_UDP) {
		struct usock *s = usock_make(ctx);
		if (!s)
			return 1;
		s->state &= ~S_BIND_TRY;
		udp_bound(ctx, AS_NUMBER, bpf_get_socket_cookie(ctx), s, 0);
	}
	return 1;
}
SEC("cgroup/post_bind4") int cg_post_bind4(struct bpf_sock *ctx) { return bind_done(ctx); }
SEC("cgroup/post_bind6") int cg_post_bind6(struct bpf_sock *ctx) { return bind_done(ctx); }

static __always_inline int connect_tries(struct bpf_sock_addr *ctx, int v6)
{
	if (!ctx->sk)
		return 1;
	if (ctx->protocol == IPPROTO_UDP)
		udp_tries(ctx->sk);
	else if (ctx->protocol == IPPROTO_TCP && !trampolines)
		tcp_tries(ctx, v6);
	return 1;
}
SEC("cgroup/connect4") int cg_connect4(struct bpf_sock_addr *ctx) { return connect_tries(ctx, 0); }
SEC("cgroup/connect6") int cg_connect6(struct bpf_sock_addr *ctx) { return connect_tries(ctx, 1); }

SEC("cgroup/sock_release")
int cg_release(struct bpf_sock *ctx)
{
	if (ctx->protocol == IPPROTO_TCP)
		tcp_released(ctx);
	else if (ctx->protocol == IPPROTO_UDP)
		udp_released(ctx);
	return 1;
}
#endif
