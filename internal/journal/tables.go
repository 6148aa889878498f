package journal

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/parquet-go/parquet-go"

	"github.com/portreporter/portreporter/internal/activity"
)

// Files of a segment.
const (
	eventsFile    = "events.parquet"
	processesFile = "processes.parquet"
	modulesFile   = "modules.parquet"
	rollupFile    = "rollup.parquet"
	peersFile     = "peers.parquet"
)

func segmentFiles() []string {
	return []string{eventsFile, processesFile, modulesFile, rollupFile, peersFile}
}

// processRow is one program image of one process. Empty text is unknown; args
// and ancestors are JSON text.
type processRow struct {
	Process       uint64 `parquet:"process"`
	Rev           uint32 `parquet:"rev"`
	PID           uint32 `parquet:"pid"`
	StartBoot     uint64 `parquet:"start_boot"`
	Execs         uint32 `parquet:"execs"`
	Start         int64  `parquet:"start,timestamp(nanosecond)"`
	Name          string `parquet:"name,dict"`
	Exe           string `parquet:"exe,dict"`
	Args          string `parquet:"args"`
	ArgsTruncated bool   `parquet:"args_truncated"`
	Cwd           string `parquet:"cwd,dict"`
	PPID          uint32 `parquet:"ppid"`
	Parent        string `parquet:"parent,dict"`
	Ancestors     string `parquet:"ancestors,dict"`
	Deleted       bool   `parquet:"deleted"`
	MemFD         bool   `parquet:"memfd"`
	Kernel        bool   `parquet:"kernel"`
	UID           uint32 `parquet:"uid"`
	EUID          uint32 `parquet:"euid"`
	GID           uint32 `parquet:"gid"`
	LoginUID      uint32 `parquet:"login_uid"`
	User          string `parquet:"user,dict"`
	EffectiveUser string `parquet:"effective_user,dict"`
	LoginUser     string `parquet:"login_user,dict"`
	ExeDev        uint64 `parquet:"exe_dev,dict"`
	ExeInode      uint64 `parquet:"exe_inode,dict"`
	ExeSHA256     string `parquet:"exe_sha256,dict"`
	ExePackage    string `parquet:"exe_package,dict"`
	Cgroup        string `parquet:"cgroup,dict"`
	CgroupID      uint64 `parquet:"cgroup_id,dict"`
	Unit          string `parquet:"unit,dict"`
	UnitText      string `parquet:"unit_description,dict"`
	UnitUser      string `parquet:"unit_user,dict"`
	Runtime       string `parquet:"container_runtime,dict"`
	ContainerID   string `parquet:"container_id,dict"`
	Container     string `parquet:"container_name,dict"`
	Image         string `parquet:"container_image,dict"`
	Pod           string `parquet:"pod,dict"`
	Modules       uint64 `parquet:"modules"`
	NetNS         uint32 `parquet:"netns,dict"`
}

// moduleRow is one module of a module set; rows of a set are by base address.
// An empty set has one row, of index -1.
type moduleRow struct {
	Modules uint64 `parquet:"modules,dict"`
	Index   int32  `parquet:"index,delta"`
	Path    string `parquet:"path,dict"`
	Base    uint64 `parquet:"base"`
	BuildID string `parquet:"build_id,dict"`
	Package string `parquet:"package,dict"`
	Deleted bool   `parquet:"deleted"`
}

type ancestorJSON struct {
	PID   uint32 `json:"pid"`
	Start uint64 `json:"start"`
	Name  string `json:"name"`
}

// texts lists the text columns that hold others' bytes.
func (r *processRow) texts() []*string {
	return []*string{&r.Name, &r.Exe, &r.Cwd, &r.Parent, &r.User, &r.EffectiveUser, &r.LoginUser, &r.ExeSHA256, &r.ExePackage, &r.Cgroup,
		&r.Unit, &r.UnitText, &r.UnitUser, &r.Runtime, &r.ContainerID, &r.Container, &r.Image, &r.Pod}
}

func rowOfProcess(p *activity.Process) processRow {
	r := processRow{Process: uint64(p.ID), Rev: p.Rev, PID: p.Key.PID, StartBoot: p.Key.Start, Execs: p.Execs, Start: p.Start,
		Name: p.Name, Exe: p.Exe, ArgsTruncated: p.ArgsTruncated, Cwd: p.Cwd, PPID: p.Parent().Key.PID, Parent: p.Parent().Name,
		Deleted: p.Deleted, MemFD: p.MemFD, Kernel: p.Kernel, UID: p.UID, EUID: p.EUID, GID: p.GID, LoginUID: p.LoginUID,
		User: p.User, EffectiveUser: p.EffectiveUser, LoginUser: p.LoginUser, ExeDev: p.ExeDev, ExeInode: p.ExeInode,
		ExeSHA256: p.ExeSHA256, ExePackage: p.ExePackage, Cgroup: p.Cgroup, CgroupID: p.CgroupID,
		Unit: p.Unit.Name, UnitText: p.Unit.Description, UnitUser: p.Unit.User,
		Runtime: p.Container.Runtime, ContainerID: p.Container.ID, Container: p.Container.Name, Image: p.Container.Image, Pod: p.Container.Pod,
		Modules: uint64(p.Modules), NetNS: p.NetNS}
	if p.Args != nil {
		args := make([]string, len(p.Args))
		for i, a := range p.Args {
			args[i] = toText(a)
		}
		r.Args = toJSON(args)
	}
	if len(p.Ancestors) > 0 {
		as := make([]ancestorJSON, len(p.Ancestors))
		for i, a := range p.Ancestors {
			as[i] = ancestorJSON{a.Key.PID, a.Key.Start, toText(a.Name)}
		}
		r.Ancestors = toJSON(as)
	}
	for _, t := range r.texts() {
		*t = toText(*t)
	}
	return r
}

func (r *processRow) process() (*activity.Process, error) {
	for _, t := range r.texts() {
		*t = fromText(*t)
	}
	p := &activity.Process{ID: activity.ProcessID(r.Process), Rev: r.Rev, Key: activity.ProcessKey{PID: r.PID, Start: r.StartBoot},
		Execs: r.Execs, Start: r.Start, Name: r.Name, Exe: r.Exe, ArgsTruncated: r.ArgsTruncated, Cwd: r.Cwd,
		Deleted: r.Deleted, MemFD: r.MemFD, Kernel: r.Kernel, UID: r.UID, EUID: r.EUID, GID: r.GID, LoginUID: r.LoginUID,
		User: r.User, EffectiveUser: r.EffectiveUser, LoginUser: r.LoginUser, ExeDev: r.ExeDev, ExeInode: r.ExeInode,
		ExeSHA256: r.ExeSHA256, ExePackage: r.ExePackage, Cgroup: r.Cgroup, CgroupID: r.CgroupID,
		Unit:      activity.Unit{Name: r.Unit, Description: r.UnitText, User: r.UnitUser},
		Container: activity.Container{Runtime: r.Runtime, ID: r.ContainerID, Name: r.Container, Image: r.Image, Pod: r.Pod},
		Modules:   activity.ModuleSetID(r.Modules), NetNS: r.NetNS}
	if r.Args != "" {
		if err := json.Unmarshal([]byte(r.Args), &p.Args); err != nil {
			return nil, fmt.Errorf("args of process %d: %w", r.Process, err)
		}
		for i := range p.Args {
			p.Args[i] = fromText(p.Args[i])
		}
	}
	if r.Ancestors != "" {
		var as []ancestorJSON
		if err := json.Unmarshal([]byte(r.Ancestors), &as); err != nil {
			return nil, fmt.Errorf("ancestors of process %d: %w", r.Process, err)
		}
		for _, a := range as {
			p.Ancestors = append(p.Ancestors, activity.ProcessRef{Key: activity.ProcessKey{PID: a.PID, Start: a.Start}, Name: fromText(a.Name)})
		}
	}
	return p, nil
}

// readTable gives each row of a Parquet file to visit.
func readTable[T any](path string, visit func(*T) error) (err error) {
	defer func() {
		if p := recover(); p != nil { // the Parquet reader panics on some damage
			err = fmt.Errorf("damaged: %v", p)
		}
	}()
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	pf, err := parquet.OpenFile(f, st.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return err
	}
	r := parquet.NewGenericReader[T](pf)
	defer r.Close()
	rows := make([]T, 64)
	for {
		n, err := r.Read(rows)
		for i := range rows[:n] {
			if err := visit(&rows[i]); err != nil {
				return err
			}
		}
		if n == 0 {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		clear(rows)
	}
}

// sortedValues lists a map's values by key, so that the same events make the
// same file.
func sortedValues[K cmp.Ordered, V any](m map[K]V) []V {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	vs := make([]V, len(keys))
	for i, k := range keys {
		vs[i] = m[k]
	}
	return vs
}

func writeProcesses(dir string, codec *zstdCodec, procs map[activity.ProcessID]*activity.Process) error {
	return writeTable(dir, processesFile, codec, len(procs), func(yield func(*processRow) bool) {
		for _, p := range sortedValues(procs) {
			if r := rowOfProcess(p); !yield(&r) {
				return
			}
		}
	})
}

func readProcesses(dir string) (map[activity.ProcessID]*activity.Process, error) {
	m := make(map[activity.ProcessID]*activity.Process)
	err := readTable(filepath.Join(dir, processesFile), func(r *processRow) error {
		p, err := r.process()
		if err == nil {
			m[p.ID] = p
		}
		return err
	})
	return m, err
}

func writeModules(dir string, codec *zstdCodec, sets iter.Seq[*activity.ModuleSet]) error {
	return writeTable(dir, modulesFile, codec, tableRows, func(yield func(*moduleRow) bool) {
		for s := range sets {
			if len(s.Modules) == 0 && !yield(&moduleRow{Modules: uint64(s.ID), Index: -1}) {
				return
			}
			for i, m := range s.Modules {
				if !yield(&moduleRow{uint64(s.ID), int32(i), toText(m.Path), m.Base, toText(m.BuildID), toText(m.Package), m.Deleted}) {
					return
				}
			}
		}
	})
}

func readModules(dir string) (map[activity.ModuleSetID]*activity.ModuleSet, error) {
	m := make(map[activity.ModuleSetID]*activity.ModuleSet)
	err := readTable(filepath.Join(dir, modulesFile), func(r *moduleRow) error {
		s := m[activity.ModuleSetID(r.Modules)]
		if s == nil {
			s = &activity.ModuleSet{ID: activity.ModuleSetID(r.Modules)}
			m[s.ID] = s
		}
		if r.Index >= 0 {
			s.Modules = append(s.Modules, activity.Module{Path: fromText(r.Path), Base: r.Base, BuildID: fromText(r.BuildID), Package: fromText(r.Package), Deleted: r.Deleted})
		}
		return nil
	})
	return m, err
}
