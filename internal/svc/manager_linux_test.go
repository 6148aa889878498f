package svc

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/testutil"
)

// machine is a root directory with systemd's marks, and a fake of its commands.
type machine struct {
	manager
	ran  []string
	fail string // the command that fails
	out  string // what systemctl show prints
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{}
	m.manager = manager{root: t.TempDir(), run: func(_ context.Context, argv ...string) ([]byte, error) {
		command := strings.Join(argv, " ")
		m.ran = append(m.ran, command)
		if m.fail != "" && strings.Contains(command, m.fail) {
			return nil, errors.New("exit status 1")
		}
		return []byte(m.out), nil
	}}
	m.mkdir(t, "/run/systemd/system")
	m.write(t, "/usr/local/bin/portreporter", 0o755)
	// The temporary directory of the tests is private; what lies in it is not.
	return m
}

func (m *machine) mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(m.root+path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) write(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	m.mkdir(t, filepath.Dir(path))
	if err := os.WriteFile(m.root+path, nil, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(m.root+path, mode); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(m.root + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const exe = "/usr/local/bin/portreporter"

func TestInstall(t *testing.T) {
	m := newMachine(t)
	for range 2 { // the second renews the first
		if err := m.install(t.Context(), exe); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"/usr/bin/systemd-sysusers portreporter.conf",
		"/usr/bin/systemctl daemon-reload",
		"/usr/bin/systemctl enable portreporter.service",
	}
	if d := cmp.Diff(append(want, want...), m.ran); d != "" {
		t.Errorf("commands: -want +got\n%s", d)
	}
	unit := m.read(t, unitPath)
	if !strings.Contains(unit, "\nExecStart=/usr/local/bin/portreporter record\n") || strings.Contains(unit, packagedExe) {
		t.Errorf("the unit does not run %s:\n%s", exe, unit)
	}
	if got := m.read(t, sysusersPath); got != sysusersText {
		t.Errorf("sysusers file: %q", got)
	}
	fi, err := os.Stat(m.root + unitPath)
	if err != nil || fi.Mode() != 0o644 {
		t.Errorf("unit: mode %v, %v", fi.Mode(), err)
	}
	if left, _ := filepath.Glob(m.root + "/etc/systemd/system/.*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestInstallPackaged: where the package's own unit fits, nothing is written.
func TestInstallPackaged(t *testing.T) {
	m := newMachine(t)
	m.write(t, "/usr/lib/systemd/system/portreporter.service", 0o644)
	m.write(t, packagedExe, 0o755)
	if err := m.install(t.Context(), packagedExe); err != nil {
		t.Fatal(err)
	}
	if ok, _ := m.exists(unitPath); ok {
		t.Error("a second unit was written beside the package's")
	}
	if err := m.install(t.Context(), exe); err != nil {
		t.Fatal(err)
	}
	if ok, _ := m.exists(unitPath); !ok {
		t.Error("no unit was written for another program than the package's")
	}
}

func TestUninstall(t *testing.T) {
	m := newMachine(t)
	if err := m.uninstall(t.Context()); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("uninstall before install: %v", err)
	}
	if err := m.install(t.Context(), exe); err != nil {
		t.Fatal(err)
	}
	m.ran = nil
	if err := m.uninstall(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"/usr/bin/systemctl disable --now portreporter.service", "/usr/bin/systemctl daemon-reload"}, m.ran); d != "" {
		t.Errorf("commands: -want +got\n%s", d)
	}
	for _, path := range []string{unitPath, sysusersPath} {
		if ok, _ := m.exists(path); ok {
			t.Errorf("%s is still there", path)
		}
	}
	m.write(t, "/lib/systemd/system/portreporter.service", 0o644)
	if err := m.uninstall(t.Context()); err == nil || !strings.Contains(err.Error(), "belongs to a package") {
		t.Errorf("uninstall of the package's service: %v", err)
	}
}

func TestStartStop(t *testing.T) {
	m := newMachine(t)
	if err := m.start(t.Context()); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("start before install: %v", err)
	}
	if err := m.install(t.Context(), exe); err != nil {
		t.Fatal(err)
	}
	m.ran = nil
	if err := errors.Join(m.start(t.Context()), m.stop(t.Context())); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"/usr/bin/systemctl start portreporter.service", "/usr/bin/systemctl stop portreporter.service"}, m.ran); d != "" {
		t.Errorf("commands: -want +got\n%s", d)
	}
	m.fail = "start"
	if err := m.start(t.Context()); err == nil {
		t.Error("systemctl's failure is no error")
	}
}

func TestRefusals(t *testing.T) {
	home := func(m *machine, t *testing.T) string {
		m.write(t, "/home/u/portreporter", 0o755)
		if err := os.Chmod(m.root+"/home/u", 0o700); err != nil {
			t.Fatal(err)
		}
		return "/home/u/portreporter"
	}
	for name, c := range map[string]struct {
		prepare func(*machine, *testing.T) string
		want    string
	}{
		"no systemd": {func(m *machine, t *testing.T) string { m.root = t.TempDir(); return exe }, ErrNoManager.Error()},
		"not root":   {func(m *machine, _ *testing.T) string { m.uid = 1000; return exe }, "not permitted: run it as root, or with sudo"},
		"home":       {home, "the service's user can't reach /home/u (mode 0700)"},
		"relative":   {func(*machine, *testing.T) string { return "portreporter" }, "can't stand in a unit file"},
		"injection":  {func(*machine, *testing.T) string { return "/x\nExecStartPre=/bin/sh" }, "can't stand in a unit file"},
		"specifier":  {func(*machine, *testing.T) string { return "/opt/%h/x" }, "can't stand in a unit file"},
		"absent":     {func(*machine, *testing.T) string { return "/opt/x" }, "no such file"},
		"sysusers":   {func(m *machine, _ *testing.T) string { m.fail = "sysusers"; return exe }, "exit status 1"},
		"reload":     {func(m *machine, _ *testing.T) string { m.fail = "daemon-reload"; return exe }, "exit status 1"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			err := m.install(t.Context(), c.prepare(m, t))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("install = %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestState(t *testing.T) {
	m := newMachine(t)
	m.out = "LoadState=loaded\nUnitFileState=enabled\nActiveState=active\nSubState=running\nMainPID=811\nStatusText=ebpf: 12 events/s = fine\n" +
		"Result=success\nExecMainStatus=0\nStateChangeTimestamp=Tue 2026-11-24 20:41:50 UTC\n"
	got, err := m.state(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := State{Installed: true, Enabled: true, Running: true, Phase: "active", PID: 811, Text: "ebpf: 12 events/s = fine",
		Since: time.Date(2026, 11, 24, 20, 41, 50, 0, time.UTC)}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if d := cmp.Diff([]string{"/usr/bin/systemctl show --no-pager --property=LoadState,UnitFileState,ActiveState,SubState,MainPID," +
		"StatusText,Result,ExecMainStatus,StateChangeTimestamp portreporter.service"}, m.ran); d != "" {
		t.Errorf("commands: -want +got\n%s", d)
	}
}

func TestRunCommand(t *testing.T) {
	out, err := runCommand(t.Context(), "/bin/sh", "-c", "echo $TZ; echo $HOME")
	if err != nil || string(out) != "UTC\n\n" {
		t.Errorf("%q, %v", out, err)
	}
	_, err = runCommand(t.Context(), "/bin/sh", "-c", "echo first >&2; echo second >&2; exit 3")
	if err == nil || err.Error() != "sh -c echo first >&2; echo second >&2; exit 3: exit status 3: first" {
		t.Errorf("%v", err)
	}
}

// TestErrorsNameTheCommand: what a user sees.
func TestErrorsNameTheCommand(t *testing.T) {
	m := &Manager{manager{root: t.TempDir()}}
	_, stateErr := m.State(t.Context())
	for want, err := range map[string]error{
		"service install: ": m.Install(t.Context(), exe), "service uninstall: ": m.Uninstall(t.Context()),
		"service start: ": m.Start(t.Context()), "service stop: ": m.Stop(t.Context()), "service status: ": stateErr,
	} {
		if !errors.Is(err, ErrNoManager) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q and ErrNoManager", err, want)
		}
	}
}

// TestUnitExposure keeps the unit as tight as it is: 2.8 with systemd 252.
func TestUnitExposure(t *testing.T) {
	_, err := exec.LookPath("systemd-analyze")
	testutil.Skip(t, testutil.Need{What: "systemd-analyze", Linux: true}, err)
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=30", "--no-pager", "portreporter.service").CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		t.Errorf("exposure above 3.0: %v: %s", err, lines[len(lines)-1])
	}
}

// TestUnitKeepsProcessesVisible: options that would hide what is recorded.
func TestUnitKeepsProcessesVisible(t *testing.T) {
	for line := range strings.Lines(unitText) {
		for _, option := range []string{"ProtectProc=", "ProcSubset=", "PrivateNetwork=", "PrivateUsers=", "PrivatePIDs=", "NetworkNamespacePath="} {
			if strings.HasPrefix(line, option) {
				t.Errorf("the unit sets %s", strings.TrimSpace(line))
			}
		}
	}
	if strings.Count(unitText, packagedExe) != 1 {
		t.Errorf("%s must stand once in the unit: unitFor replaces it", packagedExe)
	}
}
