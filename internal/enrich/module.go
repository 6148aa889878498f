package enrich

import (
	"context"
	"crypto/sha256"
	"encoding/binary"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/proc"
)

// moduleSet turns mappings into an interned set. Build ids are read from the
// files that the process itself sees, where those are the mapped ones.
func (r *Resolver) moduleSet(ctx context.Context, h *proc.Handle, maps []proc.Mapping, hostFiles bool) *activity.ModuleSet {
	mods := make([]activity.Module, len(maps))
	var host []int // modules that are the host's own files
	for i, m := range maps {
		mods[i] = m.Module
		if m.Deleted || ctx.Err() != nil {
			continue
		}
		id, err := h.Stat(m.Path)
		if err != nil || id.Inode != m.Inode {
			continue // replaced since, or not visible: what is there now is another file
		}
		mods[i].Path, mods[i].BuildID = r.buildID(h, m.Path, id)
		if hostFiles {
			host = append(host, i)
		}
	}
	if len(host) > 0 {
		paths := make([]string, len(host))
		for i, at := range host {
			paths[i] = mods[at].Path
		}
		for i, pkg := range r.packages.find(ctx, paths) {
			mods[host[i]].Package = pkg
		}
	}
	return r.intern(mods)
}

// moduleFile is what is remembered of a mapped file. Its path is shared by all
// the sets that name it.
type moduleFile struct {
	path, buildID string
}

// buildID returns the build id of a file, "" if it has none, and the path as
// an earlier call had it.
func (r *Resolver) buildID(h *proc.Handle, path string, id proc.FileID) (sharedPath, buildID string) {
	if f, ok := r.modules.get(id); ok && f.path == path {
		return f.path, f.buildID
	}
	f := moduleFile{path: path}
	file, now, err := h.OpenFile(path)
	if err != nil {
		return path, ""
	}
	defer file.Close()
	if now != id {
		return path, "" // replaced between the two looks
	}
	f.buildID, _ = proc.BuildID(file)
	r.modules.put(id, f)
	return f.path, f.buildID
}

// intern returns the set of these modules, the same one as before if it is
// still remembered. Its number is the beginning of a SHA-256 of its content:
// whoever can choose what a process maps must not be able to choose a number
// that hides it behind another set.
func (r *Resolver) intern(mods []activity.Module) *activity.ModuleSet {
	sum := sha256.New()
	var b []byte
	for i := range mods {
		m := &mods[i]
		b = binary.LittleEndian.AppendUint64(b[:0], m.Base)
		for _, s := range [...]string{m.Path, m.BuildID, m.Package} {
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
		if m.Deleted {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
		sum.Write(b)
	}
	id := activity.ModuleSetID(max(binary.LittleEndian.Uint64(sum.Sum(nil)), 1))
	if s, ok := r.sets.get(id); ok {
		return s
	}
	s := &activity.ModuleSet{ID: id, Modules: mods}
	r.sets.put(id, s)
	return s
}
