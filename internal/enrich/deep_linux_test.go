package enrich

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/proc"
	"github.com/portreporter/portreporter/internal/testutil"
)

func sleepPath(t testing.TB) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(testutil.Program(t, "sleep"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// copyOfSleep makes a program of our own that can be deleted or replaced.
func copyOfSleep(t testing.TB) (path, sum string) { return copyOf(t, sleepPath(t)) }

func copyOf(t testing.TB, program string) (path, sum string) {
	t.Helper()
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, data, 0o750); err != nil {
		t.Fatal(err)
	}
	sum, err = proc.Hash(t.Context(), strings.NewReader(string(data)), 0)
	if err != nil {
		t.Fatal(err)
	}
	return path, sum
}

// start runs a command until the test ends and returns what procfs has of it.
func start(t testing.TB, cmd *exec.Cmd) (p *activity.Process, stop func()) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(stop)
	p, err := proc.FS{}.Read(uint32(cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return p, stop
}

// startLoaded runs a copy of the shell, until it has mapped its libraries and
// waits for input.
func startLoaded(t testing.TB, shell string) (p *activity.Process, stop func()) {
	t.Helper()
	cmd := exec.Command(shell, "-c", "echo; read x")
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p, stop = start(t, cmd)
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return p, stop
}

func realResolver(t testing.TB, cfg Config) *Resolver {
	r := New(cfg)
	t.Cleanup(r.Close)
	return r
}

func deep(t testing.TB, r *Resolver, p *activity.Process) (*activity.Process, *activity.ModuleSet) {
	t.Helper()
	before := *p
	q, set, err := r.Deep(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(&before, p); d != "" {
		t.Error("changed its input: ", d)
	}
	return q, set
}

// TestDeepFillsKey knows only who it is, as when a capture record was lost.
func TestDeepFillsKey(t *testing.T) {
	path, sum := copyOf(t, "/bin/sh")
	cmd := exec.Command(path, "-c", "read x", "--password=x") // waits for input that never comes
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	full, _ := start(t, cmd)
	bare := &activity.Process{Key: full.Key, Name: full.Name, Rev: 4,
		UID: activity.NoID, EUID: activity.NoID, GID: activity.NoID, LoginUID: activity.NoID}
	bare.Key.Start += 1234567 // as the eBPF tier has it
	q, set := deep(t, realResolver(t, Config{}), bare)
	want := *full
	want.Key, want.Rev, want.Start = bare.Key, 5, q.Start
	want.Args = []string{path, "-c", "read x", "--password=" + Redacted}
	want.ExeSHA256 = sum
	want.User, want.EffectiveUser, want.LoginUser = q.User, q.EffectiveUser, q.LoginUser
	want.Unit, want.Container, want.Modules = q.Unit, q.Container, set.ID
	if d := cmp.Diff(&want, q); d != "" {
		t.Error(d)
	}
	if os.Getuid() == 0 && q.User != "root" {
		t.Errorf("user %q", q.User)
	}
	if d := q.Start - full.Start; d < -proc.Tick || d > proc.Tick {
		t.Errorf("start moved by %d ns", d)
	}
}

func TestDeepModules(t *testing.T) {
	path, _ := copyOf(t, "/bin/sh")
	r := realResolver(t, Config{})
	a, stopA := startLoaded(t, path)
	qa, set := deep(t, r, a)
	if set == nil || set.ID == 0 || qa.Modules != set.ID || set.Modules[0].Path != path || len(set.Modules[0].BuildID) != 40 {
		t.Fatalf("%+v", set)
	}
	for _, m := range set.Modules {
		if m.BuildID == "" || m.Base == 0 || m.Deleted {
			t.Errorf("%+v", m)
		}
	}
	again, same := deep(t, r, qa)
	if again != qa || same != set {
		t.Errorf("nothing new, and yet Rev %d, %d", again.Rev, qa.Rev)
	}
	stopA()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	last, none := deep(t, r, qa)
	if last != qa || none != nil {
		t.Errorf("after its end: %+v, %v", last, none)
	}
}

func TestDeepDeleted(t *testing.T) {
	path, sum := copyOfSleep(t)
	p, _ := start(t, exec.Command(path, "600"))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("another program"), 0o750); err != nil {
		t.Fatal(err)
	}
	q, set := deep(t, realResolver(t, Config{}), p)
	if q.ExeSHA256 != sum || !q.Deleted || q.ExePackage != "" {
		t.Errorf("%+v", q)
	}
	if m := set.Modules[0]; m.Path != path || !m.Deleted || m.BuildID != "" {
		t.Errorf("%+v", m)
	}
}

func TestDeepGone(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, path string, p *activity.Process)
		found  bool
	}{
		{"file still there", func(*testing.T, string, *activity.Process) {}, true},
		{"deleted", func(t *testing.T, path string, _ *activity.Process) { os.Remove(path) }, false},
		{"replaced", func(t *testing.T, path string, _ *activity.Process) {
			other := path + "2"
			if err := errors.Join(os.WriteFile(other, []byte("x"), 0o750), os.Rename(other, path)); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"overwritten", func(t *testing.T, path string, _ *activity.Process) {
			for before := changed(t, path); changed(t, path) == before; { // until the coarse clock moves
				if err := os.WriteFile(path, []byte("x"), 0o750); err != nil {
					t.Fatal(err)
				}
			}
		}, false},
		{"a pipe in its place", func(t *testing.T, path string, _ *activity.Process) {
			if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o640)); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"in a container", func(_ *testing.T, _ string, p *activity.Process) { p.Container.ID = "x" }, false},
		{"inode unknown", func(_ *testing.T, _ string, p *activity.Process) { p.ExeInode = 0 }, false},
		{"start unknown", func(_ *testing.T, _ string, p *activity.Process) { p.Start = 0 }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path, sum := copyOfSleep(t)
			p, stop := start(t, exec.Command(path, "600"))
			stop()
			p.Start = changed(t, path) + proc.Tick + 1 // as if the file had been there before
			tt.change(t, path, p)
			q, set := deep(t, realResolver(t, Config{}), p)
			want := ""
			if tt.found {
				want = sum
			}
			if q.ExeSHA256 != want || set != nil {
				t.Errorf("hash %q, want %q; %v", q.ExeSHA256, want, set)
			}
		})
	}
}

func changed(t testing.TB, path string) int64 {
	t.Helper()
	id, err := statFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return id.CTime
}

// TestDeepOtherProgram gives the key of a living process with the facts of a
// program that it does not run.
func TestDeepOtherProgram(t *testing.T) {
	path, _ := copyOfSleep(t)
	p, _ := start(t, exec.Command(path, "600"))
	p.Exe, p.ExeInode, p.Args = "/nonexistent/before", p.ExeInode+1, nil
	q, set := deep(t, realResolver(t, Config{}), p)
	if q.ExeSHA256 != "" || q.Args != nil || set != nil {
		t.Errorf("%+v %v", q, set)
	}
}

func TestDeepHashLimits(t *testing.T) {
	path, _ := copyOfSleep(t)
	p, _ := start(t, exec.Command(path, "600"))
	for _, limit := range []int64{-1, 100} {
		if q, _ := deep(t, realResolver(t, Config{HashLimit: limit}), p); q.ExeSHA256 != "" {
			t.Errorf("limit %d: %q", limit, q.ExeSHA256)
		}
	}
}

func TestDeepEndedContext(t *testing.T) {
	path, sum := copyOfSleep(t)
	p, _ := start(t, exec.Command(path, "600"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := realResolver(t, Config{})
	q, _, err := r.Deep(ctx, p)
	if !errors.Is(err, context.Canceled) || q.ExeSHA256 != "" {
		t.Errorf("%v, %+v", err, q)
	}
	if q, _ := deep(t, r, p); q.ExeSHA256 != sum {
		t.Errorf("remembered a hash that was not made: %q", q.ExeSHA256)
	}
	if _, _, err := r.Deep(ctx, nil); err == nil {
		t.Error("resolved nothing")
	}
}

// TestDeepPackage compares with the package manager of this machine.
func TestDeepPackage(t *testing.T) {
	path := sleepPath(t)
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Package} ${Version}", "coreutils").Output()
	testutil.Skip(t, testutil.Need{What: "dpkg's database", Linux: true, Lacks: func() string {
		if _, err := os.Stat("/var/lib/dpkg/status"); errors.Is(err, os.ErrNotExist) {
			return "not a Debian system"
		}
		return ""
	}}, err)
	p, _ := start(t, exec.Command(path, "600"))
	q, set := deep(t, realResolver(t, Config{}), p)
	if q.ExePackage != string(out) {
		t.Errorf("%s is of %q, want %q", path, q.ExePackage, out)
	}
	for _, m := range set.Modules {
		if m.Package == "" {
			t.Errorf("module of no package: %+v", m)
		}
	}
}

// TestOtherRoot has its process see another root directory: nothing of the
// host's packages is said of it.
func TestOtherRoot(t *testing.T) {
	testutil.Root(t, "chroot(2)")
	out, err := exec.Command(testutil.Program(t, "ldd"), sleepPath(t)).Output()
	if err != nil {
		t.Fatal(err)
	}
	box := t.TempDir()
	files := []string{sleepPath(t)}
	for _, w := range strings.Fields(string(out)) {
		if filepath.IsAbs(w) {
			files = append(files, w)
		}
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(box, filepath.Dir(f)), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(box, f), data, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(sleepPath(t), "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: box}
	cmd.Dir = "/"
	p, _ := start(t, cmd)
	q, set := deep(t, realResolver(t, Config{}), p)
	if q.ExeSHA256 == "" || q.ExePackage != "" || set == nil {
		t.Fatalf("%+v %v", q, set)
	}
	for _, m := range set.Modules {
		if m.Package != "" {
			t.Errorf("%+v", m)
		}
	}
}

func TestNamesElsewhere(t *testing.T) {
	r := realResolver(t, Config{Root: t.TempDir(), Commands: true})
	var calls []string
	r.run = func(_ context.Context, path string, args ...string) (string, error) {
		calls = append(calls, path+" "+strings.Join(args, " "))
		switch args[1] {
		case "70000":
			return "ldap\x1buser:*:70000:1::/home/l:/bin/sh\n", nil
		case "70001":
			return "liar:*:0:0::/:/bin/sh\n", nil
		}
		return "", errors.New("exit status 2")
	}
	p := &activity.Process{Key: activity.ProcessKey{PID: 1 << 30, Start: 1}, UID: 70000, EUID: 70001, LoginUID: 70002}
	for range 2 {
		q, _ := deep(t, r, p)
		if q.User != "ldap\x1buser" || q.EffectiveUser != "" || q.LoginUser != "" {
			t.Errorf("%+v", q)
		}
	}
	want := []string{"/usr/bin/getent passwd 70000", "/usr/bin/getent passwd 70001", "/usr/bin/getent passwd 70002"}
	if d := cmp.Diff(want, calls); d != "" {
		t.Error(d)
	}
}

func TestRunCommand(t *testing.T) {
	t.Setenv("SECRET", "x")
	out, err := runCommand(t.Context(), "/bin/sh", "-c", `echo "$SECRET$PWD"; head -c 100000 /dev/zero`)
	if err != nil || !strings.HasPrefix(out, "/\n") || len(out) != maxOutput {
		t.Errorf("%d bytes %.20q, %v", len(out), out, err)
	}
	if _, err := runCommand(t.Context(), "/bin/sh", "-c", "exit 3"); err == nil || err.Error() != "run /bin/sh: exit status 3" {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runCommand(ctx, "/bin/sh", "-c", "sleep 600"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestConcurrent is for the race detector: Quick and Deep share caches.
func TestConcurrent(t *testing.T) {
	path, _ := copyOfSleep(t)
	p, _ := start(t, exec.Command(path, "600"))
	r := realResolver(t, Config{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20 {
			_, _, _ = r.Deep(t.Context(), p)
		}
	}()
	for range 200 {
		r.Quick(p)
	}
	<-done
}

func BenchmarkDeep(b *testing.B) {
	p, _ := start(b, exec.Command(sleepPath(b), "600"))
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r := newResolver(Config{}, time.Now)
			if _, _, err := r.Deep(b.Context(), p); err != nil {
				b.Fatal(err)
			}
			r.Close()
		}
	})
	b.Run("cached", func(b *testing.B) {
		r := realResolver(b, Config{})
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := r.Deep(b.Context(), p); err != nil {
				b.Fatal(err)
			}
		}
	})
}
