/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What fentry and fexit add where the kernel allows them: the errno of what fails inside this host,
 * the accept itself, and datagrams with size and sender in one place. */
#ifndef TRAMPOLINE_H
#define TRAMPOLINE_H

static __always_inline int fexit_accept(struct sock *sk)
{
	if (!sk || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	__u64 cookie = bpf_get_socket_cookie(sk);
	struct tsock *s = tsock_of(sk, cookie);
	if (!s)
		s = tsock_make(sk, cookie);
	if (!s)
		return 0;
	if (!(s->state & S_CHILD)) {
		if (s->state & S_LISTEN)
			fix_child(s, cookie);
		else {
			s->state = S_CHILD | S_EST | S_SEED; s->birth = bpf_ktime_get_boot_ns();
		}
	}
	if (!UNACCEPTED(s))
		return 0;
	accepted(sk, AS_BTF, s);
	if (s->state & S_MPTCP) { /* its first use is no accept any more */
		__u64 key = (__u64)sk;
		bpf_map_update_elem(&subflows, &key, &s->o, BPF_ANY);
	}
	return 0;
}
/* Four arguments before 6.10, two since; the return value follows them. The loader keeps the one
 * that fits the running kernel's BTF. */
SEC("fexit/inet_csk_accept") int fx_accept2(__u64 *ctx) { return fexit_accept((struct sock *)ctx[2]); }
SEC("fexit/inet_csk_accept") int fx_accept4(__u64 *ctx) { return fexit_accept((struct sock *)ctx[4]); }

SEC("fexit/inet_csk_listen_start")
int fx_listen(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	__u64 ret = 0;
	bpf_get_func_ret(ctx, &ret);
	__u64 cookie = bpf_get_socket_cookie(sk);
	struct tsock *s = tsock_of(sk, cookie);
	if (!s || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if ((int)ret == 0) {
		s->lport = sk->__sk_common.skc_num;
		emit_tcp(sk, AS_BTF, s, REC_LISTEN, 0, s->birth);
		return 0;
	}
	struct rec addr = {};
	fill_addr(&addr, sk, AS_BTF, &s->netns, &s->number);
	emit_fail(sk, AS_BTF, cookie, &s->o, &s->netns, &s->number, REC_BIND_FAIL, addr.family, addr.laddr, addr.lport, s->birth, -(int)ret);
	return 0;
}

static __always_inline void tcp_refused_here(struct sock *sk, struct tsock *s, void *to, __u32 err)
{
	owner_now(&s->o);
	__u16 family = 0;
	__be16 port = 0;
	bpf_probe_read_kernel(&family, 2, to);
	bpf_probe_read_kernel(&port, 2, to + 2);
	v4(s->try_addr, 0);
	if (family == AF_INET6)
		bpf_probe_read_kernel(s->try_addr, 16, to + 8);
	else
		bpf_probe_read_kernel(s->try_addr, 4, to + 4);
	s->try_port = bpf_ntohs(port); s->try_family = family; s->birth = bpf_ktime_get_boot_ns();
	announce();
	tcp_fails_here(sk, AS_BTF, s, err);
	s->state &= ~S_ENDED;
}

/* connect(2): only failures that sent no SYN; the others are told at TCP_CLOSE. */
SEC("fexit/__inet_stream_connect")
int fx_connect(__u64 *ctx)
{
	int ret = ctx[5];
	/* EINPROGRESS, EALREADY, EISCONN, ERESTARTSYS, EINTR are no failures */
	if (ret >= 0 || ret == -115 || ret == -114 || ret == -106 || ret == -512 || ret == -4)
		return 0;
	struct sock *sk = ((struct socket *)ctx[0])->sk;
	if (!sk || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	struct tsock *s = tsock_make(sk, bpf_get_socket_cookie(sk));
	if (s && (s->state & (S_CONNECTING | S_ENDED)) == (S_CONNECTING | S_ENDED))
		s->state = 0; /* told when it closed; the socket may try again */
	else if (s && !(s->state & (S_CONNECTING | S_ENDED | S_EST)))
		tcp_refused_here(sk, s, (void *)ctx[1], -ret);
	return 0;
}

static __always_inline int fexit_bind(struct sock *sk, void *to, int ret, int v6)
{
	if (ret >= 0 || !sk || (sk->sk_protocol != IPPROTO_TCP && sk->sk_protocol != IPPROTO_UDP))
		return 0;
	struct owner o;
	owner_now(&o);
	announce();
	__u8 addr[16] = {};
	__be16 port = 0;
	bpf_probe_read_kernel(&port, 2, to + 2);
	if (v6)
		bpf_probe_read_kernel(addr, 16, to + 8);
	else
		bpf_probe_read_kernel(addr, 4, to + 4);
	__u32 netns = 0;
	__u64 number = 0;
	emit_fail(sk, AS_BTF, bpf_get_socket_cookie(sk), &o, &netns, &number, REC_BIND_FAIL, v6 ? AF_INET6 : AF_INET, addr, bpf_ntohs(port),
		  bpf_ktime_get_boot_ns(), -ret);
	return 0;
}
SEC("fexit/__inet_bind") int fx_bind4(__u64 *ctx) { return fexit_bind((struct sock *)ctx[0], (void *)ctx[1], (int)ctx[4], 0); }
SEC("fexit/__inet6_bind") int fx_bind6(__u64 *ctx) { return fexit_bind((struct sock *)ctx[0], (void *)ctx[1], (int)ctx[4], 1); }

static __always_inline bool is_mapped(__u32 *a)
{
	return !a[0] && !a[1] && a[2] == bpf_htonl(0xffff);
}

static __always_inline int fexit_send(struct sock *sk, struct msghdr *msg, int ret, int v6fn)
{
	if (ret < 0 || sk->sk_protocol != IPPROTO_UDP)
		return 0;
	struct usock *s = usock_make(sk);
	if (!s)
		return 0;
	__u32 a[4] = {};
	__u16 port;
	void *name = msg->msg_name;
	if (name) {
		__u16 family = 0;
		__be16 p = 0;
		bpf_probe_read_kernel(&family, 2, name);
		bpf_probe_read_kernel(&p, 2, name + 2);
		port = bpf_ntohs(p);
		if (family == AF_INET6)
			bpf_probe_read_kernel(a, 16, name + 8);
		else {
			__be32 v = 0;
			bpf_probe_read_kernel(&v, 4, name + 4);
			mapped(a, v);
		}
	} else {
		remote_of(sk, a);
		port = bpf_ntohs(sk->__sk_common.skc_dport);
	}
	if (v6fn && is_mapped(a))
		return 0; /* the nested udp_sendmsg call told it */
	__u64 cookie = bpf_get_socket_cookie(sk);
	udp_bound(sk, AS_BTF, cookie, s, 1);
	flow_take(sk, AS_BTF, cookie, s, (void *)a, port, 0);
	flow_add(s, ret, 0);
	return 0;
}
SEC("fexit/udp_sendmsg") int fx_udp_send(__u64 *ctx) { return fexit_send((struct sock *)ctx[0], (struct msghdr *)ctx[1], (int)ctx[3], 0); }
SEC("fexit/udpv6_sendmsg") int fx_udp6_send(__u64 *ctx) { return fexit_send((struct sock *)ctx[0], (struct msghdr *)ctx[1], (int)ctx[3], 1); }

SEC("fentry/skb_consume_udp")
int BPF_PROG(fe_udp_recv, struct sock *sk, struct sk_buff *skb, int len)
{
	if (len < 0 || sk->sk_protocol != IPPROTO_UDP)
		return 0;
	struct usock *s = usock_make(sk);
	if (!s)
		return 0;
	__u32 a[4] = {};
	__be16 port = 0;
	unsigned char *h = skb->head;
	if (skb->protocol == bpf_htons(0x86dd))
		bpf_probe_read_kernel(a, 16, h + skb->network_header + 8);
	else {
		__be32 v = 0;
		bpf_probe_read_kernel(&v, 4, h + skb->network_header + 12);
		mapped(a, v);
	}
	bpf_probe_read_kernel(&port, 2, h + skb->transport_header);
	__u64 cookie = bpf_get_socket_cookie(sk);
	udp_bound(sk, AS_BTF, cookie, s, 1);
	flow_take(sk, AS_BTF, cookie, s, (void *)a, bpf_ntohs(port), 1);
	flow_add(s, len, 1);
	return 0;
}
#endif
