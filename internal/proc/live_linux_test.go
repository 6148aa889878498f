package proc

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil"
)

// start runs a program that lives until the test ends.
func start(t *testing.T, cmd *exec.Cmd) uint32 {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(cmd) })
	return uint32(cmd.Process.Pid)
}

func stop(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func sleepPath(t *testing.T) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(testutil.Program(t, "sleep"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadSelf(t *testing.T) {
	var f FS
	p, err := f.Read(uint32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	exe, _ := os.Executable()
	cwd, _ := os.Getwd()
	netns, _ := os.Readlink("/proc/self/ns/net")
	var st unix.Stat_t
	if err := unix.Stat(exe, &st); err != nil {
		t.Fatal(err)
	}
	switch {
	case p.Exe != exe, p.ExeDev != st.Dev, p.ExeInode != st.Ino, p.Deleted, p.MemFD, p.Kernel:
		t.Errorf("program: %+v", p)
	case p.Cwd != cwd, !slices.Equal(p.Args, os.Args), p.Name != filepath.Base(exe)[:min(15, len(filepath.Base(exe)))]:
		t.Errorf("call: %+v", p)
	case p.UID != uint32(os.Getuid()), p.EUID != uint32(os.Geteuid()), p.GID != uint32(os.Getgid()):
		t.Errorf("ids: %+v", p)
	case p.Parent().Key.PID != uint32(os.Getppid()), p.Parent().Key.Start > p.Key.Start, p.NetNS != parseNS(netns, "net"):
		t.Errorf("surroundings: %+v", p)
	}
	h, err := f.Open(p.Key)
	if err != nil {
		t.Fatalf("own key %+v: %v", p.Key, err)
	}
	h.Close()
}

// TestStartIsWallTime compares with the time that the kernel gives the pid's
// directory: both are within the life of this process.
func TestStartIsWallTime(t *testing.T) {
	c, err := ReadClock()
	if err != nil {
		t.Fatal(err)
	}
	var f FS
	p, err := f.Read(uint32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		t.Fatal(err)
	}
	if p.Key.Start > uint64(ts.Nano()) || p.Start > c.Wall(uint64(ts.Nano())) {
		t.Errorf("started in the future: %+v", p)
	}
}

func TestDeletedProgram(t *testing.T) {
	copied := filepath.Join(t.TempDir(), "odd (deleted)")
	data, err := os.ReadFile(sleepPath(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, data, 0o750); err != nil {
		t.Fatal(err)
	}
	pid := start(t, exec.Command(copied, "600"))
	var f FS
	p, err := f.Read(pid)
	if err != nil || p.Exe != copied || p.Deleted {
		t.Errorf("named: %v, %+v", err, p)
	}
	if err := os.Remove(copied); err != nil {
		t.Fatal(err)
	}
	p, err = f.Read(pid)
	if err != nil || p.Exe != copied || !p.Deleted {
		t.Errorf("deleted: %v, %+v", err, p)
	}
	got, err := f.HashExe(t.Context(), p.Key, 0)
	want, _ := Hash(t.Context(), strings.NewReader(string(data)), 0)
	if got != want || err != nil {
		t.Errorf("hash %q, %v; want %q", got, err, want)
	}
	if _, err := f.HashExe(t.Context(), p.Key, 100); !errors.Is(err, ErrTooBig) {
		t.Errorf("limit: %v", err)
	}
	mods, err := f.Modules(p.Key)
	if err != nil || !slices.ContainsFunc(mods, func(m Mapping) bool { return m.Path == copied && m.Deleted }) {
		t.Errorf("modules: %v, %+v", err, mods)
	}
}

func TestMemFDProgram(t *testing.T) {
	fd, err := unix.MemfdCreate("pay load", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	mem := os.NewFile(uintptr(fd), "mem")
	data, err := os.ReadFile(sleepPath(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mem.Write(data); err != nil {
		t.Fatal(err)
	}
	// A file open for writing cannot be executed: hand it on read-only.
	ro, err := os.Open("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		t.Fatal(err)
	}
	defer ro.Close()
	mem.Close()
	cmd := exec.Command("/proc/self/fd/3", "600")
	cmd.ExtraFiles = []*os.File{ro}
	pid := start(t, cmd)
	var f FS
	p, err := f.Read(pid)
	if err != nil || p.Exe != "/memfd:pay load" || !p.MemFD || p.Deleted {
		t.Fatalf("%v, %+v", err, p)
	}
	if got, err := f.HashExe(t.Context(), p.Key, 0); err != nil || len(got) != 64 {
		t.Errorf("hash %q, %v", got, err)
	}
}

func TestOtherUser(t *testing.T) {
	testutil.Root(t, "changing the user")
	cmd := exec.Command(sleepPath(t), "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65533, NoSetGroups: true}}
	var f FS
	p, err := f.Read(start(t, cmd))
	if err != nil || p.UID != 65534 || p.EUID != 65534 || p.GID != 65533 || p.Exe != sleepPath(t) {
		t.Errorf("%v, %+v", err, p)
	}
}

// TestExitWhileRead holds a process, lets it end, and asks again: the answer is
// that it is gone, from a zombie as from nothing.
func TestExitWhileRead(t *testing.T) {
	var f FS
	cmd := exec.Command(sleepPath(t), "600")
	pid := start(t, cmd)
	h, err := f.Open(activity.ProcessKey{PID: pid})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := h.Process(); err != nil {
		t.Fatal(err)
	}
	stop(cmd)
	for name, call := range map[string]func() error{
		"process": func() error { _, err := h.Process(); return err },
		"modules": func() error { _, err := h.Modules(); return err },
		"program": func() error { _, _, err := h.OpenExe(); return err },
		"cgroup":  func() error { _, err := h.CgroupPath(); return err },
		"file":    func() error { _, _, err := h.OpenFile("/etc/passwd"); return err },
		"read":    func() error { _, err := f.Read(pid); return err },
		"hash":    func() error { _, err := f.HashExe(context.Background(), h.Key(), 0); return err },
	} {
		if err := call(); !errors.Is(err, ErrGone) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestZombie(t *testing.T) {
	var f FS
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// WNOWAIT leaves the zombie in place.
	if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	p, err := f.Read(uint32(cmd.Process.Pid))
	if err != nil || p.Name != "true" || p.Exe != "" || p.Args != nil || p.Key.Start == 0 {
		t.Errorf("%v, %+v", err, p)
	}
	_ = cmd.Wait()
}

// TestReadWhileExecuting reads a process that executes one program after
// another: arguments and program always belong together.
func TestReadWhileExecuting(t *testing.T) {
	shell := testutil.Program(t, "bash") // for exec -a
	const script = `[ "$1" = 0 ] && exec sleep 600; exec -a step "$BASH" -c "$0" "$0" $(($1-1))`
	pid := start(t, exec.Command(shell, "-c", script, script, "300"))
	var f FS
	for {
		p, err := f.Read(pid)
		if errors.Is(err, ErrGone) && strings.Contains(err.Error(), "keeps executing") {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		slept := len(p.Args) > 0 && p.Args[0] == "sleep"
		if p.Exe != "" && len(p.Args) > 0 && slept != (filepath.Base(p.Exe) == "sleep") {
			t.Fatalf("mixed: %q %q", p.Exe, p.Args)
		}
		if slept {
			return
		}
	}
}

func TestModulesSelf(t *testing.T) {
	var f FS
	pid := start(t, exec.Command(sleepPath(t), "600"))
	h, err := f.Open(activity.ProcessKey{PID: pid})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	mods, err := h.Modules()
	if err != nil || len(mods) == 0 {
		t.Fatalf("%d modules, %v", len(mods), err)
	}
	for _, m := range mods {
		file, id, err := h.OpenFile(m.Path)
		if err != nil {
			t.Errorf("%s: %v", m.Path, err)
			continue
		}
		if id.Dev != m.Dev || id.Inode != m.Inode {
			t.Errorf("%s: mapped %d:%d, found %d:%d", m.Path, m.Dev, m.Inode, id.Dev, id.Inode)
		}
		if id, err := BuildID(file); err != nil || len(id) != 40 {
			t.Errorf("%s: build id %q, %v", m.Path, id, err)
		}
		file.Close()
	}
}

func TestKernelThread(t *testing.T) {
	var f FS
	p, err := f.Read(2)
	testutil.Skip(t, testutil.Need{What: "kthreadd", Linux: true, Lacks: func() string {
		const first = "pid:[4026531836]" // PROC_PID_INIT_INO of include/linux/proc_ns.h
		if ns, err := os.Readlink("/proc/self/ns/pid"); err == nil && ns != first {
			return "in a pid namespace"
		}
		return ""
	}}, err)
	if p.Name != "kthreadd" || !p.Kernel || p.Args != nil || p.Exe != "" {
		t.Errorf("%+v", p)
	}
}

func BenchmarkRead(b *testing.B) {
	var f FS
	pid := uint32(os.Getpid())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Read(pid); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkModules(b *testing.B) {
	var f FS
	p, err := f.Read(uint32(os.Getpid()))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Modules(p.Key); err != nil {
			b.Fatal(err)
		}
	}
}
