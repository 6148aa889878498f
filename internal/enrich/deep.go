package enrich

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/proc"
)

// Deep returns a copy of p, with Rev one higher, to which is added what takes
// time: facts of procfs that p lacks, the SHA-256 and package of the program,
// the unit's description, the container's name, image and pod, names of users
// that are not in /etc/passwd, and the modules. When it finds nothing new it
// returns p itself. The set of modules is nil when it could not be read; it is
// shared and must not be changed.
//
// If the process is gone, or runs another program by now, only the file that
// p names is looked at, and only believed if it is still the one that ran. The
// error is nil then; it is the context's when that ended, and what was found
// until then is returned with it.
//
// Deep is for a worker: it reads whole programs, once each.
func (r *Resolver) Deep(ctx context.Context, p *activity.Process) (*activity.Process, *activity.ModuleSet, error) {
	if p == nil {
		return nil, nil, errors.New("resolve process: none given")
	}
	q := *p
	var set *activity.ModuleSet
	h, err := r.sameImage(&q)
	switch {
	case err == nil:
		defer h.Close()
		set = r.living(ctx, h, &q)
	case errors.Is(err, proc.ErrGone):
		r.dead(ctx, &q)
	case !errors.Is(err, proc.ErrUnsupported):
		return p, nil, fmt.Errorf("resolve process %d: %w", p.Key.PID, err)
	}
	r.namesElsewhere(ctx, &q)
	if q.Unit.Name != "" && q.Unit.Description == "" {
		q.Unit.Description = r.units.description(q.Unit)
	}
	if q.Container.ID != "" {
		q.Container = r.containers.describe(q.Container, q.Cgroup)
	}
	if set != nil {
		q.Modules = set.ID
	}
	if !sameFacts(p, &q) {
		q.Rev++
		p = &q
	}
	if err := ctx.Err(); err != nil {
		return p, set, fmt.Errorf("resolve process %d: %w", p.Key.PID, err)
	}
	return p, set, nil
}

// sameFacts compares what Deep may change.
func sameFacts(a, b *activity.Process) bool {
	return a.Start == b.Start && a.Exe == b.Exe && len(a.Args) == len(b.Args) && a.ArgsTruncated == b.ArgsTruncated &&
		a.Cwd == b.Cwd && len(a.Ancestors) == len(b.Ancestors) && a.Deleted == b.Deleted && a.MemFD == b.MemFD &&
		a.UID == b.UID && a.EUID == b.EUID && a.GID == b.GID && a.LoginUID == b.LoginUID &&
		a.User == b.User && a.EffectiveUser == b.EffectiveUser && a.LoginUser == b.LoginUser &&
		a.ExeDev == b.ExeDev && a.ExeInode == b.ExeInode && a.ExeSHA256 == b.ExeSHA256 && a.ExePackage == b.ExePackage &&
		a.Cgroup == b.Cgroup && a.CgroupID == b.CgroupID && a.Unit == b.Unit && a.Container == b.Container &&
		a.Modules == b.Modules && a.NetNS == b.NetNS
}

// sameImage opens the process and fills what q lacks, if it still runs the
// program that q tells of; else the error is ErrGone.
func (r *Resolver) sameImage(q *activity.Process) (*proc.Handle, error) {
	h, err := r.cfg.Proc.Open(q.Key)
	if err != nil {
		return nil, err
	}
	now, err := h.Process()
	if err == nil && !sameProgram(q, now) {
		err = fmt.Errorf("another program: %w", proc.ErrGone)
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	r.fill(q, now)
	return h, nil
}

// sameProgram compares what identifies a program. Devices are compared only if
// paths differ: file systems with subvolumes (btrfs, overlayfs) show one number
// to stat(2) and another inside the kernel.
func sameProgram(p, now *activity.Process) bool {
	switch {
	case p.Kernel || now.Kernel:
		return p.Kernel == now.Kernel
	case p.ExeInode != 0 && now.ExeInode != 0:
		return p.ExeInode == now.ExeInode && (p.ExeDev == now.ExeDev || p.Exe == now.Exe)
	case p.Exe != "" && now.Exe != "":
		return p.Exe == now.Exe
	}
	return p.Name == now.Name
}

// fill copies facts that q does not have. User ids may change while a process
// lives: what capture saw is kept.
func (r *Resolver) fill(q, now *activity.Process) {
	if q.Start == 0 {
		q.Start = now.Start
	}
	if q.Exe == "" {
		q.Exe, q.MemFD = now.Exe, now.MemFD
	}
	q.Deleted = q.Deleted || now.Deleted
	if q.ExeInode == 0 {
		q.ExeDev, q.ExeInode = now.ExeDev, now.ExeInode
	}
	if q.Args == nil || q.ArgsTruncated && len(now.Args) >= len(q.Args) {
		q.Args, q.ArgsTruncated = now.Args, now.ArgsTruncated
		r.keepArgs(q)
	}
	if q.Cwd == "" {
		q.Cwd = now.Cwd
	}
	if len(q.Ancestors) < len(now.Ancestors) && (len(q.Ancestors) == 0 || q.Ancestors[0].Key.PID == now.Ancestors[0].Key.PID) {
		q.Ancestors = append(q.Ancestors[:len(q.Ancestors):len(q.Ancestors)], now.Ancestors[len(q.Ancestors):]...)
	}
	for _, id := range [...]struct{ have, now *uint32 }{
		{&q.UID, &now.UID}, {&q.EUID, &now.EUID}, {&q.GID, &now.GID}, {&q.LoginUID, &now.LoginUID},
	} {
		if *id.have == activity.NoID {
			*id.have = *id.now
		}
	}
	if q.NetNS == 0 {
		q.NetNS = now.NetNS
	}
	if q.Cgroup == "" || q.Cgroup == "/" {
		q.Cgroup = now.Cgroup
	}
	if q.CgroupID == 0 {
		q.CgroupID = now.CgroupID
	}
	r.nameUsers(q)
	if !q.Kernel {
		r.attribute(q)
	}
}

// living adds what can be learnt through the process itself.
func (r *Resolver) living(ctx context.Context, h *proc.Handle, q *activity.Process) *activity.ModuleSet {
	if q.Kernel {
		return nil
	}
	host := r.hostRoot(h)
	if file, id, err := h.OpenExe(); err == nil {
		q.ExeSHA256 = r.hash(ctx, file, id, q.ExeSHA256)
		file.Close()
		if here, err := h.Stat(q.Exe); host && !q.Deleted && !q.MemFD && q.ExePackage == "" && err == nil && here == id {
			q.ExePackage = r.packages.find(ctx, []string{q.Exe})[0]
		}
	}
	maps, err := h.Modules()
	if err != nil {
		return nil
	}
	return r.moduleSet(ctx, h, maps, host)
}

// hostRoot reports whether the process sees the host's own root directory, so
// that its paths are the host's. Services in a mount namespace of their own do;
// containers do not.
func (r *Resolver) hostRoot(h *proc.Handle) bool {
	theirs, err := h.Stat("/")
	if err != nil {
		return false
	}
	ours, err := statFile(r.cfg.Root)
	return err == nil && ours.Dev == theirs.Dev && ours.Inode == theirs.Inode
}

// dead looks at the file that ran, if it still exists. It is believed only with
// inode and device as the process had them and unchanged since a tick before it
// started (a running program cannot be written to, one that ended can; the
// kernel's file times lag by up to a tick), and not for containers, whose files
// are not where the path says.
func (r *Resolver) dead(ctx context.Context, q *activity.Process) {
	if q.Exe == "" || q.ExeInode == 0 || q.Deleted || q.MemFD || q.Container.ID != "" {
		return
	}
	path := filepath.Join(r.cfg.Root, q.Exe)
	if id, err := statFile(path); err != nil || id.Inode != q.ExeInode || id.Dev != q.ExeDev {
		return // not even opened: reading it would be for nothing
	}
	file, err := openRegular(path)
	if err != nil {
		return
	}
	defer file.Close()
	id, err := statOpen(file)
	if err != nil || id.Inode != q.ExeInode || id.Dev != q.ExeDev || id.CTime >= q.Start-proc.Tick {
		return
	}
	q.ExeSHA256 = r.hash(ctx, file, id, q.ExeSHA256)
	if q.ExePackage == "" {
		q.ExePackage = r.packages.find(ctx, []string{q.Exe})[0]
	}
}

// hash returns the SHA-256 of a file, or what was known when it cannot.
func (r *Resolver) hash(ctx context.Context, file io.Reader, id proc.FileID, known string) string {
	if known != "" || r.cfg.HashLimit < 0 {
		return known
	}
	if sum, ok := r.hashes.get(id); ok {
		return sum
	}
	sum, err := proc.Hash(ctx, file, r.cfg.HashLimit)
	if err != nil && !errors.Is(err, proc.ErrTooBig) {
		return ""
	}
	r.hashes.put(id, sum) // "" for one that is too big
	return sum
}

// namesElsewhere asks the system's name service about users that /etc/passwd
// does not have, each once.
func (r *Resolver) namesElsewhere(ctx context.Context, q *activity.Process) {
	if !r.cfg.Commands {
		return
	}
	for _, id := range [...]uint32{q.UID, q.EUID, q.LoginUID} {
		if id == activity.NoID || r.users.name(id) != "" || r.users.asked(id) {
			continue
		}
		out, err := r.run(ctx, "/usr/bin/getent", "passwd", strconv.FormatUint(uint64(id), 10))
		if ctx.Err() != nil {
			return
		}
		name := ""
		if a, ok := parseAccount([]byte(strings.TrimSpace(out))); err == nil && ok && a.uid == id {
			name = a.name
		}
		r.users.learn(id, name)
	}
	r.nameUsers(q)
}
