/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who: the owner of the moment, and the announcement of a process on its first network use. */
#ifndef PROCESS_H
#define PROCESS_H

static __always_inline __u32 tgid_now(void)
{
	return bpf_get_current_task_btf()->tgid;
}

static __always_inline void owner_now(struct owner *o)
{
	struct task_struct *t = bpf_get_current_task_btf(); /* plain loads: the helpers for these cost more than all else here */
	o->tgid = t->tgid;
	o->start = t->group_leader->start_boottime;
	o->uid = t->cred->uid.val;
	copy16(o->comm, t->comm);
}

static __always_inline void owner_of(struct owner *o, struct task_struct *t)
{
	o->tgid = t->tgid;
	o->start = t->group_leader->start_boottime;
	o->uid = t->cred->uid.val;
	BPF_CORE_READ_STR_INTO(&o->comm, t, comm);
}

/* The path of the current process's executable, or of its working directory, as NUL separated
 * components, leaf first, crossing mounts; written to the scratch record at base. Works where
 * bpf_d_path is not allowed. Returns the bytes written, at most PATH_BYTES.
 *
 * A global function, as announce is: the verifier takes it once and not at each call. */
__noinline int walk_path(__u32 base, int cwd)
{
	__u32 zero = 0, off = 0;
	struct rec_proc *p = bpf_map_lookup_elem(&scratch, &zero);
	struct task_struct *t = (void *)bpf_get_current_task();
	struct file *f = cwd ? NULL : BPF_CORE_READ(t, mm, exe_file);
	if (!p || base > PATH_BYTES || (!cwd && !f))
		return 0;
	struct dentry *d = cwd ? BPF_CORE_READ(t, fs, pwd.dentry) : BPF_CORE_READ(f, f_path.dentry);
	struct vfsmount *vm = cwd ? BPF_CORE_READ(t, fs, pwd.mnt) : BPF_CORE_READ(f, f_path.mnt);
	struct mount *m = (void *)vm - bpf_core_field_offset(struct mount, mnt);
	for (int i = 0; i < 32; i++) {
		struct dentry *par = BPF_CORE_READ(d, d_parent);
		struct dentry *root = BPF_CORE_READ(m, mnt.mnt_root);
		if ((d == root || d == par) && !(d == par && d != root && i == 0)) { /* a memfd has no parent, but a name */
			struct mount *mp = BPF_CORE_READ(m, mnt_parent);
			if (mp == m || d != root)
				return off;
			d = BPF_CORE_READ(m, mnt_mountpoint);
			m = mp;
			continue;
		}
		if (off > PATH_BYTES - 256)
			break;
		long n = bpf_probe_read_kernel_str(p->data + base + off, 256, BPF_CORE_READ(d, d_name.name));
		if (n <= 0 || n > 256)
			break;
		off += n;
		if (d == par)
			return off;
		d = par;
	}
	count(COUNT_PATH_CUT);
	return off;
}

static __always_inline void ancestors(struct rec_proc *p, struct task_struct *t)
{
	p->ancestors = 0;
	for (int i = 0; i < ANCESTORS; i++) {
		struct task_struct *par = BPF_CORE_READ(t, real_parent);
		par = BPF_CORE_READ(par, group_leader);
		if (!par || par == t)
			return;
		p->ancestor[i].tgid = BPF_CORE_READ(par, tgid);
		p->ancestor[i].start = BPF_CORE_READ(par, start_boottime);
		BPF_CORE_READ_STR_INTO(&p->ancestor[i].comm, par, comm);
		if (!p->ancestor[i].tgid)
			return;
		p->ancestors = i + 1;
		t = par;
	}
}

/* Announce the current process once for each program that it runs, on its first network use.
 * Self-healing: it is marked only when the record went out. */
__noinline int announce(void)
{
	struct task_struct *t = bpf_get_current_task_btf();
	__u32 execs = t->self_exec_id + 1, zero = 0, tgid = t->tgid;
	struct seen *old = bpf_map_lookup_elem(&seen, &tgid);
	if (old && old->execs == execs && old->start == t->group_leader->start_boottime)
		return 0;
	struct rec_proc *p = bpf_map_lookup_elem(&scratch, &zero);
	if (!p)
		return 0;
	struct task_struct *l = BPF_CORE_READ(t, group_leader);
	struct mm_struct *mm = BPF_CORE_READ(t, mm);
	p->type = REC_PROC;
	p->flags = p->pad = 0;
	p->ts = bpf_ktime_get_boot_ns();
	p->tgid = tgid;
	p->execs = execs;
	p->start = BPF_CORE_READ(l, start_boottime);
	p->cgroup = bpf_get_current_cgroup_id();
	p->cgroup1 = 0;
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id)) {
		int id = bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id);
		struct css_set *set = BPF_CORE_READ(t, cgroups);
		struct cgroup_subsys_state *css = NULL;
		bpf_core_read(&css, sizeof(css), &set->subsys[id & 15]);
		p->cgroup1 = BPF_CORE_READ(css, cgroup, kn, id);
	}
	p->uid = BPF_CORE_READ(t, cred, uid.val);
	p->euid = BPF_CORE_READ(t, cred, euid.val);
	p->gid = BPF_CORE_READ(t, cred, gid.val);
	p->loginuid = -1;
	if (bpf_core_field_exists(t->loginuid))
		p->loginuid = BPF_CORE_READ(t, loginuid.val);
	p->netns = BPF_CORE_READ(t, nsproxy, net_ns, ns.inum);
	bpf_get_current_comm(p->comm, 16);
	p->inode = 0; p->dev = 0; p->nlink = 1;
	__u32 path = 0, cwd = 0, arg = 0;
	p->arg_cut = 0;
	if (mm) {
		struct file *f = BPF_CORE_READ(mm, exe_file);
		if (f) {
			p->inode = BPF_CORE_READ(f, f_inode, i_ino);
			p->nlink = BPF_CORE_READ(f, f_inode, i_nlink);
			p->dev = BPF_CORE_READ(f, f_inode, i_sb, s_dev);
			path = walk_path(0, 0);
		}
		if (path > PATH_BYTES)
			path = PATH_BYTES;
		cwd = walk_path(path, 1);
		if (cwd > PATH_BYTES)
			cwd = PATH_BYTES;
		unsigned long a = BPF_CORE_READ(mm, arg_start), e = BPF_CORE_READ(mm, arg_end);
		__u64 n = e - a;
		__u32 at = path + cwd;
		if (n > ARG_BYTES) {
			n = ARG_BYTES;
			p->arg_cut = 1;
		}
		if (at <= 2 * PATH_BYTES && n) {
			n &= 2 * ARG_BYTES - 1;
			if (n > ARG_BYTES)
				n = ARG_BYTES;
			if (bpf_probe_read_user(p->data + at, n, (void *)a) == 0)
				arg = n;
			else
				count(COUNT_ARG_FAULT);
		}
	} else
		p->flags |= FLAG_KTHREAD;
	ancestors(p, l);
	p->path_len = path; p->cwd_len = cwd; p->arg_len = arg;
	__u64 size = __builtin_offsetof(struct rec_proc, data) + path + cwd + arg;
	if (size > sizeof(*p))
		size = sizeof(*p);
	if (bpf_ringbuf_output(&ring, p, size, wake_flags(size))) {
		count(COUNT_LOST + REC_PROC);
		return 0;
	}
	struct seen now = { .start = p->start, .execs = execs };
	if (bpf_map_update_elem(&seen, &tgid, &now, BPF_ANY))
		count(COUNT_SEEN_FAIL);
	return 0;
}
#endif
