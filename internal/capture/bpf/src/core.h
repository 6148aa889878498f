/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The kernel's types, reduced to the fields that the recorder reads.
 * preserve_access_index makes every access a CO-RE relocation that the loader resolves
 * against the running kernel's BTF, so neither order nor layout matters here; a field that
 * does not exist there makes the program that reads it fail to load. */
#ifndef CORE_H
#define CORE_H
typedef unsigned char __u8; typedef signed char __s8; typedef unsigned short __u16; typedef short __s16;
typedef unsigned int __u32; typedef int __s32; typedef unsigned long long __u64; typedef long long __s64;
typedef __u16 __be16; typedef __u32 __be32; typedef __u32 __wsum; typedef __u16 __le16; typedef __u32 __le32; typedef __u64 __be64; typedef __u64 __le64; typedef __u16 __sum16;
typedef __u8 u8; typedef __u16 u16; typedef __u32 u32; typedef __u64 u64; typedef int s32; typedef long long s64;
typedef _Bool bool;
#define true 1
#define false 0
#ifndef NULL
#define NULL ((void*)0)
#endif

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4, BPF_MAP_TYPE_PERCPU_HASH = 5, BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9, BPF_MAP_TYPE_SK_STORAGE = 24, BPF_MAP_TYPE_RINGBUF = 27, BPF_MAP_TYPE_TASK_STORAGE = 29,
};
enum { BPF_ANY = 0, BPF_NOEXIST = 1, BPF_EXIST = 2 };
enum { BPF_F_NO_PREALLOC = 1, BPF_F_CLONE = 1 << 9 };
enum { BPF_LOCAL_STORAGE_GET_F_CREATE = 1, BPF_SK_STORAGE_GET_F_CREATE = 1 };
enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2 };
enum { BPF_RB_AVAIL_DATA = 0, BPF_RB_RING_SIZE = 1 };
enum { BPF_F_CURRENT_CPU = 0xffffffff };

/* program contexts that are UAPI (stable layout, no CO-RE) */
struct bpf_sock { __u32 bound_dev_if, family, type, protocol, mark, priority, src_ip4, src_ip6[4], src_port; __be16 dst_port; __u16 :16; __u32 dst_ip4, dst_ip6[4], state; __s32 rx_queue_mapping; };
struct bpf_sock_addr { __u32 user_family, user_ip4, user_ip6[4], user_port, family, type, protocol, msg_src_ip4, msg_src_ip6[4]; union { struct bpf_sock *sk; __u64 :64; } __attribute__((aligned(8))); };
struct pt_regs;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct in6_addr { union { __u8 u6_addr8[16]; __be32 u6_addr32[4]; } in6_u; };
struct ns_common { unsigned int inum; };
struct net { struct ns_common ns; };
typedef struct { struct net *net; } possible_net_t;
typedef struct { __s64 counter; } atomic64_t;
typedef struct { int counter; } atomic_t;
typedef struct refcount_struct { atomic_t refs; } refcount_t;
struct sock_common {
	atomic64_t skc_cookie; 	__be32 skc_daddr; __be32 skc_rcv_saddr; __be16 skc_dport; __u16 skc_num; unsigned short skc_family; volatile unsigned char skc_state;
	unsigned char skc_ipv6only:1; possible_net_t skc_net; unsigned long skc_flags; struct in6_addr skc_v6_daddr; struct in6_addr skc_v6_rcv_saddr; refcount_t skc_refcnt;
};
struct socket; struct file;
enum sock_flags { SOCK_DEAD, SOCK_DONE };
enum skb_drop_reason { SKB_DROP_REASON_NO_SOCKET };
enum cgroup_subsys_id { pids_cgrp_id, memory_cgrp_id };
struct sock { struct sock_common __sk_common; __u16 sk_protocol; __u16 sk_type; int sk_err; __u32 sk_ack_backlog, sk_max_ack_backlog; struct socket *sk_socket; };
struct inet_sock { struct sock sk; __be16 inet_sport; };
struct inet_connection_sock { struct inet_sock icsk_inet; const void *icsk_ulp_ops; };
struct minmax_sample { __u32 t, v; };
struct minmax { struct minmax_sample s[3]; };
struct tcp_sock {
	struct inet_connection_sock inet_conn; __u64 bytes_received, bytes_acked, bytes_sent, bytes_retrans; __u32 srtt_us, mdev_us, total_retrans, segs_in, segs_out; struct minmax rtt_min;
};
struct socket { short type; struct sock *sk; struct file *file; };
struct qstr { __u32 len; const unsigned char *name; };
struct super_block; struct super_block { __u32 s_dev; };
struct inode { unsigned long i_ino; unsigned int i_nlink; struct super_block *i_sb; };
struct dentry { struct dentry *d_parent; struct qstr d_name; struct inode *d_inode; };
struct vfsmount { struct dentry *mnt_root; };
struct mount { struct mount *mnt_parent; struct dentry *mnt_mountpoint; struct vfsmount mnt; };
struct path { struct vfsmount *mnt; struct dentry *dentry; };
struct file { struct path f_path; struct inode *f_inode; void *private_data; };
struct mm_struct { unsigned long arg_start, arg_end; struct file *exe_file; };
struct fs_struct { struct path pwd; };
typedef struct { __u32 val; } kuid_t; typedef struct { __u32 val; } kgid_t;
struct cred { kuid_t uid, euid; kgid_t gid; };
struct nsproxy { struct net *net_ns; };
struct kernfs_node { __u64 id; };
struct cgroup { struct kernfs_node *kn; };
struct cgroup_subsys_state { struct cgroup *cgroup; };
struct css_set { struct cgroup_subsys_state *subsys[16]; struct cgroup *dfl_cgrp; };
struct signal_struct { atomic_t live; };
struct task_struct {
	unsigned int flags; int pid, tgid; __u64 start_boottime; struct task_struct *group_leader, *real_parent; struct mm_struct *mm;
	const struct cred *cred; struct nsproxy *nsproxy; struct fs_struct *fs; char comm[16]; __u32 self_exec_id; int exit_code; kuid_t loginuid; struct css_set *cgroups; struct signal_struct *signal;
};
struct linux_binprm { struct file *file; const char *filename; };
struct bpf_iter_meta { struct seq_file *seq; __u64 session_id, seq_num; };
struct bpf_iter__task_file { struct bpf_iter_meta *meta; struct task_struct *task; __u32 fd; struct file *file; };
struct bpf_iter__tcp { struct bpf_iter_meta *meta; struct sock_common *sk_common; __u32 uid; };
struct udp_sock { struct inet_sock inet; };
struct mptcp_sock { struct inet_connection_sock sk; struct sock *first; };
struct bpf_map;
struct bpf_iter__bpf_map_elem { struct bpf_iter_meta *meta; struct bpf_map *map; void *key, *value; };
struct bpf_iter__bpf_sk_storage_map { struct bpf_iter_meta *meta; struct bpf_map *map; struct sock *sk; void *value; };
struct bpf_iter__udp { struct bpf_iter_meta *meta; struct udp_sock *udp_sk; __u32 uid; int bucket; };
/* fentry targets */
struct msghdr { void *msg_name; int msg_namelen; };
struct net_device { possible_net_t nd_net; };
struct sk_buff { struct net_device *dev; unsigned char *head; __u16 network_header, transport_header; unsigned int len; __be16 protocol; struct sock *sk; };
#pragma clang attribute pop
struct seq_file;
struct sockaddr_in { __u16 sin_family; __be16 sin_port; __be32 sin_addr; };
struct sockaddr_in6 { __u16 sin6_family; __be16 sin6_port; __be32 sin6_flowinfo; __u8 sin6_addr[16]; };
enum { TCP_ESTABLISHED = 1, TCP_SYN_SENT, TCP_SYN_RECV, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_TIME_WAIT, TCP_CLOSE, TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_LISTEN, TCP_CLOSING, TCP_NEW_SYN_RECV };
#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262
#define PF_KTHREAD 0x00200000
#define MSG_PEEK 2
#define MSG_ERRQUEUE 0x2000
#endif
