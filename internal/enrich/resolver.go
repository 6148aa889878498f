package enrich

import (
	"context"
	"strconv"
	"time"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/proc"
)

// Config says where to look and what to keep. The zero Config is this machine
// with secrets redacted.
type Config struct {
	Root      string   // directory that holds etc, var, usr and run; "" is /
	Proc      proc.FS  // process facts
	Args      ArgsMode // what is kept of command lines
	HashLimit int64    // largest program that is hashed, bytes; 0 is proc.DefaultHashLimit, negative hashes none
	Commands  bool     // Deep may run /usr/bin/getent and /usr/bin/rpm, with no input but a number or a path
}

// Capacities of the caches, in entries. Full, they hold about 6 MB together.
const (
	cacheAttributions = 4096 // cgroup paths
	cacheHashes       = 2048 // programs
	cacheModules      = 4096 // mapped files
	cachePackages     = 8192 // paths
	cacheUnits        = 1024 // descriptions
	cacheContainers   = 1024
	cacheSets         = 256 // sets of modules
)

// Resolver adds facts to processes. Quick and Deep may be called at the same
// time, Quick by any number of goroutines, Deep by any number too.
type Resolver struct {
	cfg          Config
	users        *users
	cgroups      *cgroups
	attributions *lru[string, attribution]
	run          func(ctx context.Context, path string, args ...string) (string, error) // runs a command

	// Deep's.
	hashes     *lru[proc.FileID, string]
	modules    *lru[proc.FileID, moduleFile]
	sets       *lru[activity.ModuleSetID, *activity.ModuleSet]
	packages   *packages
	units      *units
	containers *containers
}

// New makes a Resolver. It reads nothing yet but where the cgroups are.
func New(cfg Config) *Resolver { return newResolver(cfg, time.Now) }

func newResolver(cfg Config, now func() time.Time) *Resolver {
	if cfg.Root == "" {
		cfg.Root = "/"
	}
	users := newUsers(cfg.Root, now)
	return &Resolver{
		cfg:          cfg,
		users:        users,
		cgroups:      newCgroups(cfg.Proc, now),
		attributions: newLRU[string, attribution](cacheAttributions),
		run:          runCommand,
		hashes:       newLRU[proc.FileID, string](cacheHashes),
		modules:      newLRU[proc.FileID, moduleFile](cacheModules),
		sets:         newLRU[activity.ModuleSetID, *activity.ModuleSet](cacheSets),
		packages:     newPackages(cfg, now),
		units:        newUnits(cfg.Root, now),
		containers:   newContainers(cfg.Root, users, now),
	}
}

// Close gives back what the Resolver holds open.
func (r *Resolver) Close() { r.cgroups.close() }

// Quick returns a copy of p with what is known at once: names of users, unit
// and container by the cgroup, and the command line as the configuration wants
// it. Rev stays. It is for the recorder's goroutine: some microseconds, and no
// file but small ones that are kept in memory.
func (r *Resolver) Quick(p *activity.Process) *activity.Process {
	if p == nil {
		return nil
	}
	q := *p
	r.nameUsers(&q)
	if !q.Kernel {
		r.attribute(&q)
	}
	r.keepArgs(&q)
	return &q
}

func (r *Resolver) nameUsers(q *activity.Process) {
	name := func(have *string, id uint32) {
		if *have == "" && id != activity.NoID {
			*have = r.users.name(id)
		}
	}
	name(&q.User, q.UID)
	if q.EUID == q.UID {
		q.EffectiveUser = q.User
	}
	name(&q.EffectiveUser, q.EUID)
	name(&q.LoginUser, q.LoginUID)
}

func (r *Resolver) keepArgs(q *activity.Process) {
	switch r.cfg.Args {
	case ArgsRedacted:
		q.Args = Redact(q.Args)
	case ArgsNone:
		q.Args, q.ArgsTruncated = nil, false
	}
}

// attribute finds the cgroup's path if need be, and reads it.
func (r *Resolver) attribute(q *activity.Process) {
	if q.Cgroup == "" { // else procfs was asked already, for every hierarchy
		r.findCgroup(q)
	}
	if q.Cgroup == "" || q.Cgroup == "/" || q.Unit.Name != "" || q.Container.ID != "" {
		return
	}
	a, ok := r.attributions.get(q.Cgroup)
	if !ok {
		a = attribute(q.Cgroup)
		a.unit.User = r.managerName(a.unit.User)
		r.attributions.put(q.Cgroup, a)
	}
	q.Unit, q.Container = a.unit, a.container
}

// findCgroup looks for the cgroup of a process that only the kernel told of.
func (r *Resolver) findCgroup(q *activity.Process) {
	if q.CgroupID != 0 {
		q.Cgroup = r.cgroups.path(q.CgroupID)
	}
	if (q.Cgroup == "" || q.Cgroup == "/") && r.cgroups.legacyUnits() {
		if path := r.legacyPath(q.Key); path != "" {
			q.Cgroup = path
		}
	}
}

// legacyPath asks procfs where a process stands in systemd's v1 hierarchy. Most
// of its 17 µs are the kernel's, to make up two files of procfs; no other
// interface tells a v1 path.
func (r *Resolver) legacyPath(key activity.ProcessKey) string {
	h, err := r.cfg.Proc.Open(key)
	if err != nil {
		return "" // gone, or not ours to read: unknown
	}
	defer h.Close()
	path, _ := h.CgroupPath()
	return path
}

// managerName turns the number in "user@1000.service" into a name, if it has one.
func (r *Resolver) managerName(uid string) string {
	n, err := strconv.ParseUint(uid, 10, 32)
	if err != nil {
		return uid
	}
	if name := r.users.name(uint32(n)); name != "" {
		return name
	}
	return uid
}
