package enrich

import (
	"sync"
	"time"

	"github.com/portreporter/portreporter/internal/proc"
)

// maxCgroups bounds the paths that are remembered by number, and how many
// directories a search visits.
const maxCgroups = 16384

// cgroups finds the path of a cgroup of the unified hierarchy by its number.
// The kernel never gives a number twice in one boot, so what is found stays
// true, and what is gone stays gone.
type cgroups struct {
	fs   proc.FS
	root string // of the unified hierarchy
	now  func() time.Time
	byID *lru[uint64, string]

	mu       sync.Mutex
	mount    int       // mu; open file of root for open_by_handle_at(2), -1 not possible
	searched time.Time // mu; when the whole tree was last walked
	checked  time.Time // mu; when legacy was last found
	legacy   bool      // mu; see useful
}

func newCgroups(fs proc.FS, now func() time.Time) *cgroups {
	c := &cgroups{fs: fs, root: fs.Cgroup2(), now: now, byID: newLRU[uint64, string](maxCgroups)}
	c.mount = openCgroups(c.root)
	return c
}

// path returns the path of a cgroup, "" unknown.
func (c *cgroups) path(id uint64) string {
	if p, ok := c.byID.get(id); ok {
		return p
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mount >= 0 {
		p, ok := cgroupByHandle(c.mount, c.root, id)
		if ok {
			c.byID.put(id, p)
			return p
		}
	}
	if now := c.now(); now.Sub(c.searched) >= time.Second {
		c.searched = now
		walkCgroups(c.root, func(id uint64, path string) { c.byID.put(id, path) })
	}
	p, _ := c.byID.get(id)
	return p
}

// legacyUnits reports whether units and containers show in systemd's own v1
// hierarchy: on hybrid machines every process is in the root of the unified
// one, or may be. It is looked at once a second.
func (c *cgroups) legacyUnits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.checked) >= time.Second {
		c.checked = now
		c.legacy = hasChildren(c.fs)
	}
	return c.legacy
}

func (c *cgroups) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	closeCgroups(c.mount)
	c.mount = -1
}
