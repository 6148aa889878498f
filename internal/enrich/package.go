package enrich

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// packages tells which installed package a file of the host belongs to. The
// databases are not kept in memory: a look-up reads dpkg's file lists once for
// all the paths that are not known yet (7 MB and 120,000 paths in some
// milliseconds), and remembers the answers, also the negative ones, until
// anything is installed.
type packages struct {
	root     string
	commands bool
	now      func() time.Time
	run      func(ctx context.Context, path string, args ...string) (string, error)
	known    *lru[string, string] // path to "name version", "" in no package

	mu      sync.Mutex // one look-up at a time
	checked time.Time  // mu
	stamps  [3]stamp   // mu; of the databases that known was filled from
}

func newPackages(cfg Config, now func() time.Time) *packages {
	return &packages{root: cfg.Root, commands: cfg.Commands, now: now, run: runCommand, known: newLRU[string, string](cachePackages)}
}

// find returns for each path the package that it belongs to, "" none or unknown.
func (k *packages) find(ctx context.Context, paths []string) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refresh()
	out := make([]string, len(paths))
	missing := make(map[string]bool)
	for i, p := range paths {
		var ok bool
		if out[i], ok = k.known.get(p); !ok {
			missing[p] = true
		}
	}
	if len(missing) == 0 {
		return out
	}
	found, complete := k.look(ctx, missing)
	for p := range missing {
		if complete || found[p] != "" {
			k.known.put(p, found[p])
		}
	}
	for i, p := range paths {
		if missing[p] {
			out[i] = found[p]
		}
	}
	return out
}

// refresh forgets everything when a database changed.
func (k *packages) refresh() {
	if now := k.now(); now.Sub(k.checked) >= time.Second {
		k.checked = now
		stamps := [3]stamp{
			stampOf(filepath.Join(k.root, dpkgStatus)),
			stampOf(filepath.Join(k.root, "var/lib/rpm")),
			stampOf(filepath.Join(k.root, "usr/lib/sysimage/rpm")),
		}
		if stamps != k.stamps {
			k.stamps = stamps
			k.known.clear()
		}
	}
}

// look asks the package manager of this machine; complete is false when it was
// interrupted, and paths without an answer have none yet.
func (k *packages) look(ctx context.Context, paths map[string]bool) (found map[string]string, complete bool) {
	if _, err := os.Stat(filepath.Join(k.root, dpkgStatus)); err == nil {
		return dpkg{k.root}.find(ctx, paths)
	}
	const rpm = "/usr/bin/rpm"
	if _, err := os.Stat(rpm); err != nil || !k.commands || k.root != "/" {
		return nil, true
	}
	// rpm's databases (SQLite, ndb, Berkeley DB) are its own affair.
	found = make(map[string]string)
	for p := range paths {
		out, err := k.run(ctx, rpm, "-qf", "--qf", `%{NAME} %{VERSION}-%{RELEASE}\n`, "--", p)
		if ctx.Err() != nil {
			return found, false
		}
		if name, _, ok := strings.Cut(out, "\n"); ok && err == nil { // the first of several
			found[p] = name
		}
	}
	return found, true
}
