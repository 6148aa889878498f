package journal

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/klauspost/compress/zstd"

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

// tableReader is a file of rows, open for reading.
type tableReader struct {
	f      *os.File
	src    pageSource
	groups []groupMeta
	specs  []columnSpec
}

func openTable[T any](path string, dec *zstd.Decoder) (t *tableReader, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	m, err := readFooter(f, st.Size())
	if err != nil {
		return nil, err
	}
	t = &tableReader{f: f, src: pageSource{f: f, dec: dec}, groups: m.groups, specs: columnsOf(reflect.TypeFor[T]())}
	return t, checkColumns(m, t.specs)
}

// group reads these columns of a row group; none: all.
func (t *tableReader) group(i int, columns ...int) (cols []chunkReader, err error) {
	if len(columns) == 0 {
		for c := range t.specs {
			columns = append(columns, c)
		}
	}
	return cols, guarded(func() error {
		cols, err = t.read(&t.groups[i], columns)
		return err
	})
}

// readGroups gives the columns of each row group of a file of rows of T to
// visit, who may keep them.
func readGroups[T any](path string, visit func(cols []chunkReader, rows int) error) (err error) {
	dec := newDecompressor()
	defer dec.Close()
	t, err := openTable[T](path, dec)
	if err != nil {
		return err
	}
	defer t.f.Close()
	for i := range t.groups {
		cols, err := t.group(i)
		if err == nil {
			err = visit(cols, t.groups[i].rows)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tableReader) read(g *groupMeta, columns []int) ([]chunkReader, error) {
	cols := make([]chunkReader, len(columns))
	for i, column := range columns {
		c := &cols[i]
		c.spec = t.specs[column]
		err := c.use(&t.src, &g.chunks[column], g.rows, true)
		if err == nil {
			err = c.seek(0, g.rows)
		}
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.spec.name, err)
		}
		c.whole, c.raw = nil, nil
	}
	return cols, nil
}

// getRow is setRow's inverse.
func getRow[T any](cols []chunkReader, row int, out *T) { rowFields(out, len(cols)).get(cols, row) }

// fields are pointers to the fields of a row, which spare reflection for each
// row.
type fields []any

func rowFields[T any](r *T, n int) fields {
	v := reflect.ValueOf(r).Elem()
	fs := make(fields, n)
	for i := range fs {
		fs[i] = v.Field(i).Addr().Interface()
	}
	return fs
}

func (fs fields) get(cols []chunkReader, row int) {
	for i := range cols {
		n, _ := cols[i].at(row)
		switch f := fs[i].(type) {
		case *string:
			*f = cols[i].text(n)
		case *bool:
			*f = n != 0
		case *int32:
			*f = int32(n)
		case *int64:
			*f = n
		case *uint32:
			*f = uint32(n)
		case *uint64:
			*f = uint64(n)
		default:
			panic(fmt.Sprintf("column %s of type %T", cols[i].spec.name, f)) // the types are this package's own
		}
	}
}

// readTable gives each row of a file to visit.
func readTable[T any](path string, visit func(*T) error) error {
	return readGroups[T](path, func(cols []chunkReader, rows int) error {
		var r T
		fs := rowFields(&r, len(cols))
		for i := range rows {
			fs.get(cols, i)
			if err := visit(&r); err != nil {
				return err
			}
		}
		return nil
	})
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

// processTable is a segment's processes, each made when it is asked for.
type processTable struct {
	*tableReader
	cols   [][]chunkReader // of the row groups, as far as they are read
	places map[activity.ProcessID]processPlace
	made   processCache
	err    error // why one could not be made
}

type processPlace struct {
	group, row int32
	rev        uint32
}

// processCache holds processes made before, of any segment. One whose facts
// make no sense is nil.
type processCache map[processRev]*activity.Process

type processRev struct {
	id  activity.ProcessID
	rev uint32
}

// maxMade bounds a cache.
const maxMade = 1 << 14

// lookProcesses opens a segment's processes, of which it reads the numbers only.
// It is to be closed.
func lookProcesses(dir string, dec *zstd.Decoder, made processCache) (*processTable, error) {
	f, err := openTable[processRow](filepath.Join(dir, processesFile), dec)
	if err != nil {
		return nil, err
	}
	t := &processTable{tableReader: f, cols: make([][]chunkReader, len(f.groups)), places: make(map[activity.ProcessID]processPlace), made: made}
	for g := range f.groups {
		cols, err := f.group(g, 0, 1) // process, rev
		if err != nil {
			t.close()
			return nil, err
		}
		for row := range f.groups[g].rows {
			id, _ := cols[0].at(row)
			rev, _ := cols[1].at(row)
			t.places[activity.ProcessID(id)] = processPlace{int32(g), int32(row), uint32(rev)}
		}
	}
	return t, nil
}

func (t *processTable) close() {
	if t != nil {
		t.f.Close()
	}
}

// openProcesses reads all of a segment's processes.
func openProcesses(dir string) (*processTable, error) {
	dec := newDecompressor()
	defer dec.Close()
	t, err := lookProcesses(dir, dec, make(processCache))
	if err != nil {
		return nil, err
	}
	defer t.close()
	for g := range t.groups {
		if t.cols[g], err = t.group(g); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// process returns a process, or nil if it isn't there or what is told of it
// makes no sense.
func (t *processTable) process(id activity.ProcessID) *activity.Process {
	at, there := t.places[id]
	if !there {
		return nil
	}
	p, ok := t.made[processRev{id, at.rev}]
	if ok {
		return p
	}
	if t.cols[at.group] == nil && t.err == nil {
		t.cols[at.group], t.err = t.group(int(at.group))
	}
	if t.err != nil {
		return nil
	}
	var r processRow
	getRow(t.cols[at.group], int(at.row), &r)
	p, _ = r.process()
	if len(t.made) >= maxMade {
		clear(t.made)
	}
	t.made[processRev{id, at.rev}] = p
	return p
}

// all makes all of them.
func (t *processTable) all(yield func(activity.ProcessID, *activity.Process) bool) {
	for id := range t.places {
		if p := t.process(id); p != nil && !yield(id, p) {
			return
		}
	}
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
