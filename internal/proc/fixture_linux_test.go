package proc

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
)

// tree makes files beneath a new directory; "-> x" makes a symbolic link.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o640)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func statLine(comm string, ppid, start string) string {
	s := strings.Replace(statTail, " 811 ", " "+ppid+" ", 1)
	return "1 (" + comm + ")" + strings.Replace(s, " 80261 ", " "+start+" ", 1)
}

// webServer is a process as a hybrid Debian machine shows it.
func webServer() map[string]string {
	return map[string]string{
		"proc/42/stat":     statLine("nginx", "811", "80261"),
		"proc/42/status":   "Name:\tnginx\nTgid:\t42\nUid:\t33\t34\t33\t33\nGid:\t33\t33\t33\t33\n",
		"proc/42/cmdline":  "nginx\x00-c\x00/etc/n\x1b.conf\x00",
		"proc/42/loginuid": "1000",
		"proc/42/cgroup":   "4:memory:/x\n1:name=systemd:/system.slice/nginx.service\n0::/system.slice/nginx.service\n",
		"proc/42/cwd":      "-> /srv/www",
		"proc/42/exe":      "-> ../../usr/sbin/nginx",
		"proc/42/ns/net":   "-> net:[4026531833]",
		"proc/42/root":     "-> ../..",
		"proc/42/maps":     "1-2 r-xp 0 fe:00 7 /usr/sbin/nginx\n",
		"proc/811/stat":    statLine("sh", "1", "700"),
		"proc/1/stat":      statLine("systemd", "0", "2"),
		"usr/sbin/nginx":   "program",
		"cg/unified/system.slice/nginx.service/cgroup.procs": "42\n",
		"proc/sys/kernel/random/boot_id":                     "f5e14c05-690a-4cff-ab4f-b92847ed78a0\n",
		"proc/acpi/x":                                        "",
	}
}

func fixture(t testing.TB, files map[string]string) (FS, string) {
	dir := tree(t, files)
	return FS{Root: filepath.Join(dir, "proc"), Cgroup: filepath.Join(dir, "cg")}, dir
}

func key(pid uint32, ticks uint64) activity.ProcessKey {
	return activity.ProcessKey{PID: pid, Start: ticks * Tick}
}

func TestReadFixture(t *testing.T) {
	f, dir := fixture(t, webServer())
	p, err := f.Read(42)
	if err != nil {
		t.Fatal(err)
	}
	var exe, cg unix.Stat_t
	if err := errors.Join(unix.Stat(dir+"/usr/sbin/nginx", &exe), unix.Stat(dir+"/cg/unified/system.slice/nginx.service", &cg)); err != nil {
		t.Fatal(err)
	}
	if p.Start == 0 {
		t.Error("no start")
	}
	want := &activity.Process{
		Key: key(42, 80261), Start: p.Start, Name: "nginx", Exe: "../../usr/sbin/nginx",
		Args: []string{"nginx", "-c", "/etc/n\x1b.conf"}, Cwd: "/srv/www",
		Ancestors: []activity.ProcessRef{{Key: key(811, 700), Name: "sh"}, {Key: key(1, 2), Name: "systemd"}},
		UID:       33, EUID: 34, GID: 33, LoginUID: 1000,
		ExeDev: exe.Dev, ExeInode: exe.Ino, NetNS: 4026531833,
		Cgroup: "/system.slice/nginx.service", CgroupID: cg.Ino,
	}
	if d := cmp.Diff(want, p); d != "" {
		t.Error(d)
	}
}

// TestReadWithout takes single files away: what they told becomes unknown, and
// only the three that identify the process are needed.
func TestReadWithout(t *testing.T) {
	tests := []struct {
		name   string
		change func(m map[string]string)
		gone   bool
		check  func(p *activity.Process) bool
	}{
		{"stat", func(m map[string]string) { delete(m, "proc/42/stat") }, true, nil},
		{"status", func(m map[string]string) { delete(m, "proc/42/status") }, true, nil},
		{"loginuid", func(m map[string]string) { delete(m, "proc/42/loginuid") }, false,
			func(p *activity.Process) bool { return p.LoginUID == activity.NoID }},
		{"login unset", func(m map[string]string) { m["proc/42/loginuid"] = "4294967295" }, false,
			func(p *activity.Process) bool { return p.LoginUID == activity.NoID }},
		{"cmdline", func(m map[string]string) { delete(m, "proc/42/cmdline") }, false,
			func(p *activity.Process) bool { return p.Args == nil }},
		{"exe", func(m map[string]string) { delete(m, "proc/42/exe") }, false,
			func(p *activity.Process) bool { return p.Exe == "" && p.ExeInode == 0 && !p.Deleted }},
		{"deleted exe", func(m map[string]string) { m["proc/42/exe"] = "-> /opt/x (deleted)" }, false,
			func(p *activity.Process) bool { return p.Exe == "/opt/x" && p.Deleted && !p.MemFD }},
		{"memfd exe", func(m map[string]string) { m["proc/42/exe"] = "-> /memfd:payload (deleted)" }, false,
			func(p *activity.Process) bool { return p.Exe == "/memfd:payload" && p.MemFD && !p.Deleted }},
		{"memfd is only a name", func(m map[string]string) { m["proc/42/exe"] = "-> /memfd:payload" }, false,
			func(p *activity.Process) bool { return p.Exe == "/memfd:payload" && !p.MemFD }},
		{"cgroup", func(m map[string]string) { delete(m, "proc/42/cgroup") }, false,
			func(p *activity.Process) bool { return p.Cgroup == "" && p.CgroupID == 0 }},
		{"foreign cgroup", func(m map[string]string) { m["proc/42/cgroup"] = "0::/../system.slice/nginx.service\n" }, false,
			func(p *activity.Process) bool {
				return p.Cgroup == "/../system.slice/nginx.service" && p.CgroupID == 0
			}},
		{"thread", func(m map[string]string) { m["proc/42/status"] = "Tgid:\t41\n" }, true, nil},
		{"parent younger", func(m map[string]string) { m["proc/811/stat"] = statLine("sh", "1", "80262") }, false,
			func(p *activity.Process) bool { return len(p.Ancestors) == 0 }},
		{"parent gone", func(m map[string]string) { delete(m, "proc/811/stat") }, false,
			func(p *activity.Process) bool { return len(p.Ancestors) == 0 }},
		{"parent loop", func(m map[string]string) { m["proc/811/stat"] = statLine("sh", "811", "700") }, false,
			func(p *activity.Process) bool { return len(p.Ancestors) == maxAncestors }},
		{"long arguments", func(m map[string]string) { m["proc/42/cmdline"] = "x\x00" + strings.Repeat("y", 2*maxArgs) }, false,
			func(p *activity.Process) bool {
				return p.ArgsTruncated && len(p.Args) == 2 && len(p.Args[1]) == maxArgs-2
			}},
		{"exactly the bound", func(m map[string]string) { m["proc/42/cmdline"] = strings.Repeat("y", maxArgs-1) + "\x00" }, false,
			func(p *activity.Process) bool { return !p.ArgsTruncated && len(p.Args) == 1 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := webServer()
			tt.change(m)
			f, _ := fixture(t, m)
			p, err := f.Read(42)
			if errors.Is(err, ErrGone) != tt.gone || (err != nil) != tt.gone {
				t.Fatalf("error %v, want gone %v", err, tt.gone)
			}
			if tt.check != nil && !tt.check(p) {
				t.Errorf("%+v", p)
			}
		})
	}
}

// TestReusedPID changes the fixture under an open handle, which a real kernel
// never does: the second line of defence holds alone.
func TestReusedPID(t *testing.T) {
	f, dir := fixture(t, webServer())
	if _, err := f.Open(key(42, 80262)); !errors.Is(err, ErrGone) {
		t.Errorf("another start: %v", err)
	}
	h, err := f.Open(activity.ProcessKey{PID: 42, Start: 80261*Tick + 7654321})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if d := cmp.Diff(key(42, 80261), h.Key()); d != "" {
		t.Error(d)
	}
	if err := os.WriteFile(dir+"/proc/42/stat", []byte(statLine("other", "1", "90000")), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Process(); !errors.Is(err, ErrGone) {
		t.Errorf("reused pid: %v", err)
	}
}

func TestModulesFixture(t *testing.T) {
	m := webServer()
	m["proc/42/maps"] = mapsSample
	f, _ := fixture(t, m)
	mods, err := f.Modules(key(42, 80261))
	if err != nil || len(mods) != 4 {
		t.Fatalf("%d modules, %v", len(mods), err)
	}
	m["proc/42/maps"] = "junk\n"
	f, _ = fixture(t, m)
	if _, err := f.Modules(key(42, 80261)); message(err) != `read maps of process 42: parse maps: no range in "junk"` {
		t.Errorf("error %v", err)
	}
}

// TestOpenFileStaysInRoot follows links inside the process's root only, and
// opens nothing but regular files.
func TestOpenFileStaysInRoot(t *testing.T) {
	m := webServer()
	m["secret"] = "outside"
	m["box/etc/passwd"] = "inside"
	m["box/abs"] = "-> /etc/passwd"
	m["box/up"] = "-> ../../../etc/passwd"
	m["box/magic"] = "-> /proc/self/exe"
	m["proc/42/root"] = "-> ../../box"
	f, dir := fixture(t, m)
	if err := unix.Mkfifo(dir+"/box/pipe", 0o640); err != nil {
		t.Fatal(err)
	}
	h, err := f.Open(key(42, 80261))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for path, want := range map[string]string{
		"/etc/passwd": "inside", "/abs": "inside", "/up": "inside", "/../../etc/passwd": "inside",
		"/secret": "", "/../secret": "", "/magic": "", "/pipe": "", "/none": "",
	} {
		file, id, err := h.OpenFile(path)
		if want == "" {
			if err == nil {
				t.Errorf("%s opened", path)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		got, _ := io.ReadAll(file)
		file.Close()
		if string(got) != want || id.Size != int64(len(want)) {
			t.Errorf("%s: %q, %+v", path, got, id)
		}
	}
}

func TestPIDsAndBootID(t *testing.T) {
	f, _ := fixture(t, webServer())
	pids, err := f.PIDs()
	if err != nil || len(pids) != 3 {
		t.Errorf("pids %v, %v", pids, err)
	}
	id, err := f.BootID()
	if err != nil || id != "f5e14c05-690a-4cff-ab4f-b92847ed78a0" {
		t.Errorf("boot id %q, %v", id, err)
	}
	m := webServer()
	m["proc/sys/kernel/random/boot_id"] = "x"
	f, _ = fixture(t, m)
	if _, err := f.BootID(); message(err) != `read boot id: "x" is not a UUID` {
		t.Errorf("error %v", err)
	}
	none := FS{Root: filepath.Join(t.TempDir(), "none")}
	if _, err := none.PIDs(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if _, err := none.HashExe(context.Background(), key(1, 1), 0); !errors.Is(err, ErrGone) {
		t.Errorf("error %v", err)
	}
}
