package analyse

import (
	"cmp"
	"path"
	"strconv"
	"strings"

	"github.com/portreporter/portreporter/internal/activity"
)

// programKey is what makes two processes the same program.
type programKey struct{ name, exe, container string }

func (k programKey) compare(l programKey) int {
	return cmp.Or(cmp.Compare(k.name, l.name), cmp.Compare(k.exe, l.exe), cmp.Compare(k.container, l.container))
}

// label is the program in a list of several.
func (k programKey) label() string {
	switch {
	case k.name != "":
		return k.name
	case k.exe != "":
		return path.Base(strings.ReplaceAll(k.exe, `\`, "/"))
	}
	return "unknown"
}

// image is what the reports know of a process image: of an activity.Process.
type image struct {
	program *programKey // nil: no process, or none known
	number  uint32      // of the program, for reports with many rows
	user    string      // "" unknown
	unit    *activity.Unit
	pid     uint32
	modules activity.ModuleSetID
	counted bool // as an instance
}

// known reports whether the image is that of a process.
func (m *image) known() bool { return m.program != nil }

func (m *image) key() programKey {
	if m.program == nil {
		return programKey{}
	}
	return *m.program
}

// A resolver keeps what it knows of the images of late, and of the programs.
const (
	maxImages   = 1 << 16 // in each of two generations
	maxPrograms = 1 << 15
)

// resolver gives the image of a process. Equal texts are kept once.
type resolver struct {
	none     image
	young    map[activity.ProcessID]*image
	old      map[activity.ProcessID]*image // looked at less, forgotten next
	programs map[programKey]uint32         // numbers
	listed   []*programKey                 // by number; 0 stands for all beyond maxPrograms
	units    map[activity.Unit]*activity.Unit
	users    map[string]string
}

func newResolver() *resolver {
	return &resolver{young: make(map[activity.ProcessID]*image), programs: make(map[programKey]uint32), listed: []*programKey{{name: "others"}},
		units: make(map[activity.Unit]*activity.Unit), users: make(map[string]string)}
}

// image returns what is known of p. fresh says that it is to be counted as an
// instance now: it was not before. An image of which nothing was seen while
// maxImages others were is counted once more when it comes back.
func (r *resolver) image(p *activity.Process, count bool) (m *image, fresh bool) {
	if p == nil || p.Name == "" && p.Exe == "" && p.Key.IsZero() { // or a stub, whose record is lost
		return &r.none, false
	}
	if m = r.young[p.ID]; m == nil {
		if m = r.old[p.ID]; m == nil {
			m = r.learn(p)
		}
		if len(r.young) >= maxImages {
			r.old, r.young = r.young, make(map[activity.ProcessID]*image)
		}
		r.young[p.ID] = m
	}
	fresh = count && !m.counted
	m.counted = m.counted || count
	return m, fresh
}

func (r *resolver) learn(p *activity.Process) *image {
	m := &image{user: r.user(p), pid: p.Key.PID, modules: p.Modules}
	m.program, m.number = r.program(p)
	if p.Unit.Name != "" {
		u := r.units[p.Unit]
		if u == nil {
			if len(r.units) >= maxPrograms {
				clear(r.units) // equal ones are kept twice from now on
			}
			u = &p.Unit
			r.units[p.Unit] = u
		}
		m.unit = u
	}
	return m
}

// program returns the program of a process, and its number.
func (r *resolver) program(p *activity.Process) (*programKey, uint32) {
	k := programKey{p.Name, p.Exe, containerOf(p)}
	if n, ok := r.programs[k]; ok {
		return r.listed[n], n
	}
	if len(r.programs) >= maxPrograms {
		return &k, 0
	}
	n := uint32(len(r.listed))
	r.listed = append(r.listed, &k)
	r.programs[k] = n
	return &k, n
}

// numbered is the label of the program of a number.
func (r *resolver) numbered(n uint32) string { return r.listed[n].label() }

func (r *resolver) user(p *activity.Process) string {
	u := userOf(p)
	if v, ok := r.users[u]; ok {
		return v
	}
	if len(r.users) >= maxPrograms {
		clear(r.users)
	}
	r.users[u] = u
	return u
}

// userOf is the real user's name, or number; "" unknown.
func userOf(p *activity.Process) string {
	if p.User == "" && p.UID != activity.NoID {
		return strconv.FormatUint(uint64(p.UID), 10)
	}
	return p.User
}

// programCell is a program in a column of its own.
func programCell(k programKey) Cell {
	if k.name == "" && k.exe == "" {
		return unknown()
	}
	return text(k.label())
}

// trimExe takes a program's name for comparison with others': without the case
// and the suffix of Windows.
func trimExe(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".exe") }

// orUnknown is the cell of a text that applies.
func orUnknown(s string) Cell {
	if s == "" {
		return unknown()
	}
	return text(s)
}

// Words for cells of several values.
func labelOf(k *programKey) string { return k.label() }

func same(s string) string { return s }

func decimal[N int | uint32](n N) string { return strconv.FormatInt(int64(n), 10) }
