package enrich

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/proc"
	"github.com/portreporter/portreporter/internal/testutil"
)

func inode(t testing.TB, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func resolverFor(t testing.TB, dir string, c *clock) *Resolver {
	r := newResolver(Config{
		Root: dir,
		Proc: proc.FS{Root: filepath.Join(dir, "proc"), Cgroup: filepath.Join(dir, "cg")},
	}, c.now)
	t.Cleanup(r.Close)
	return r
}

func TestQuick(t *testing.T) {
	dir := tree(t, map[string]string{
		"etc/passwd": passwd,
		"cg/system.slice/nginx.service/cgroup.procs": "",
	})
	r := resolverFor(t, dir, newClock())
	p := &activity.Process{
		Key: activity.ProcessKey{PID: 42, Start: 5}, Rev: 3, UID: 33, EUID: 0, LoginUID: 1000,
		Args:     []string{"nginx", "--password", "x"},
		CgroupID: inode(t, filepath.Join(dir, "cg/system.slice/nginx.service")),
	}
	before := *p
	want := *p
	want.User, want.EffectiveUser, want.LoginUser = "www-data", "root", "bob"
	want.Args = []string{"nginx", "--password", Redacted}
	want.Cgroup = "/system.slice/nginx.service"
	want.Unit.Name = "nginx.service"
	if d := cmp.Diff(&want, r.Quick(p)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(&before, p); d != "" {
		t.Error("changed its input: ", d)
	}
	if r.Quick(nil) != nil {
		t.Error("made a process of nothing")
	}
}

func TestQuickUserUnit(t *testing.T) {
	r := resolverFor(t, tree(t, map[string]string{"etc/passwd": passwd}), newClock())
	for path, want := range map[string]activity.Unit{
		"/user.slice/user-1000.slice/user@1000.service/a.scope": {Name: "a.scope", User: "bob"},
		"/user.slice/user-1001.slice/user@1001.service/a.scope": {Name: "a.scope", User: "1001"},
	} {
		if d := cmp.Diff(want, r.Quick(&activity.Process{Cgroup: path}).Unit); d != "" {
			t.Error(d)
		}
	}
}

func TestQuickUnset(t *testing.T) {
	r := resolverFor(t, tree(t, map[string]string{"etc/passwd": "x:x:4294967295:1::/:\n"}), newClock())
	q := r.Quick(&activity.Process{UID: activity.NoID, EUID: activity.NoID, LoginUID: activity.NoID, Kernel: true, Cgroup: "/a.service"})
	if q.User != "" || q.EffectiveUser != "" || q.LoginUser != "" || q.Unit.Name != "" {
		t.Errorf("%+v", q)
	}
}

func TestArgsModes(t *testing.T) {
	p := &activity.Process{Args: []string{"x", "--token", "y"}, ArgsTruncated: true}
	for mode, want := range map[ArgsMode][]string{
		ArgsFull: {"x", "--token", "y"}, ArgsRedacted: {"x", "--token", Redacted}, ArgsNone: nil,
	} {
		r := New(Config{Args: mode})
		q := r.Quick(p)
		if d := cmp.Diff(want, q.Args); d != "" || q.ArgsTruncated != (mode != ArgsNone) {
			t.Errorf("mode %d: %s", mode, d)
		}
		r.Close()
	}
}

// TestNewCgroup makes a cgroup after the tree was read: it is found, but not
// within the same second.
func TestNewCgroup(t *testing.T) {
	c := newClock()
	dir := tree(t, map[string]string{"cg/a.service/x": ""})
	r := resolverFor(t, dir, c)
	if got := r.cgroups.path(inode(t, dir+"/cg")); got != "/" {
		t.Errorf("root is %q", got)
	}
	write(t, dir, map[string]string{"cg/b.service/x": ""})
	id := inode(t, dir+"/cg/b.service")
	if got := r.cgroups.path(id); got != "" {
		t.Errorf("searched again at once: %q", got)
	}
	c.advance(time.Second)
	if got := r.cgroups.path(id); got != "/b.service" {
		t.Errorf("a second later: %q", got)
	}
}

// TestHybrid has the unit in systemd's own hierarchy only.
func TestHybrid(t *testing.T) {
	dir := tree(t, map[string]string{
		"cg/unified/x":      "",
		"cg/systemd/a/x":    "",
		"proc/42/stat":      "42 (x) S 1 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 500 0",
		"proc/42/cgroup":    "1:name=systemd:/system.slice/a.service\n0::/\n",
		"proc/43/not a pid": "",
	})
	r := resolverFor(t, dir, newClock())
	id := inode(t, dir+"/cg/unified")
	for _, tt := range []struct {
		pid   uint32
		start uint64
		want  string
	}{{42, 500 * proc.Tick, "a.service"}, {42, 500*proc.Tick + 1234, "a.service"}, {42, 501 * proc.Tick, ""}, {43, 1, ""}} {
		q := r.Quick(&activity.Process{Key: activity.ProcessKey{PID: tt.pid, Start: tt.start}, CgroupID: id})
		if q.Unit.Name != tt.want {
			t.Errorf("pid %d start %d: unit %q, want %q", tt.pid, tt.start, q.Unit.Name, tt.want)
		}
	}
	if q := r.Quick(&activity.Process{Key: activity.ProcessKey{PID: 42, Start: 500 * proc.Tick}, Cgroup: "/"}); q.Cgroup != "/" {
		t.Errorf("procfs was asked again: %q", q.Cgroup)
	}
}

// TestRealCgroup makes a cgroup on this machine's own unified hierarchy and
// finds it by its number alone.
func TestRealCgroup(t *testing.T) {
	var f proc.FS
	dir, err := os.MkdirTemp(f.Cgroup2(), "portreporter-test-")
	testutil.Skip(t, testutil.Need{What: "a cgroup of the unified hierarchy", Linux: true, Root: true}, err)
	defer os.Remove(dir)
	r := New(Config{})
	defer r.Close()
	if r.cgroups.mount < 0 {
		err = errors.New("not the unified hierarchy: " + dir)
	}
	testutil.Skip(t, testutil.Need{What: "the unified hierarchy", Lacks: func() string {
		if mounts, err := os.ReadFile("/proc/self/mountinfo"); err == nil && !strings.Contains(string(mounts), " - cgroup2 ") {
			return "it is not mounted"
		}
		return ""
	}}, err)
	id := inode(t, dir)
	got, ok := cgroupByHandle(r.cgroups.mount, r.cgroups.root, id)
	if !ok || got != "/"+filepath.Base(dir) {
		t.Errorf("by handle: %q, %v", got, ok)
	}
	r.cgroups.byID.clear()
	closeCgroups(r.cgroups.mount)
	r.cgroups.mount = -1
	if got := r.cgroups.path(id); got != "/"+filepath.Base(dir) {
		t.Errorf("by search: %q", got)
	}
}

func BenchmarkQuick(b *testing.B) {
	dir := tree(b, map[string]string{"etc/passwd": passwd})
	r := newResolver(Config{Root: dir}, time.Now)
	defer r.Close()
	p := &activity.Process{Key: activity.ProcessKey{PID: 42, Start: 5}, UID: 33, EUID: 33, LoginUID: activity.NoID,
		Args: []string{"/usr/sbin/nginx", "-c", "/etc/nginx/nginx.conf", "-g", "daemon off;"}, Cgroup: "/system.slice/nginx.service"}
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Quick(p)
		}
	})
	b.Run("new cgroup", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			q := *p
			q.Cgroup = fmt.Sprintf("/system.slice/docker-%064x.scope", n)
			r.Quick(&q)
			n++
		}
	})
	b.Run("legacy", func(b *testing.B) {
		b.ReportAllocs()
		self, err := proc.FS{}.Read(uint32(os.Getpid()))
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			r.legacyPath(self.Key)
		}
	})
	b.Run("number", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.cgroups.byID.clear()
			r.cgroups.path(1)
		}
	})
}
