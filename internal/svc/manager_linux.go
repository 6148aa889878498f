package svc

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// unitText and sysusersText are what the packages install, byte for byte.
//
//go:embed portreporter.service
var unitText string

//go:embed portreporter.sysusers
var sysusersText string

const (
	packagedExe  = "/usr/bin/portreporter" // as unitText has it
	unitName     = Name + ".service"
	unitPath     = "/etc/systemd/system/" + unitName
	sysusersPath = "/etc/sysusers.d/" + Name + ".conf"
	systemctl    = "/usr/bin/systemctl"
	sysusers     = "/usr/bin/systemd-sysusers"
)

// manager drives systemd by its own command, always by its absolute path and
// with fixed arguments.
type manager struct {
	root string // before every path that is looked at or written; "" but in tests
	uid  int
	run  func(ctx context.Context, argv ...string) (stdout []byte, err error)
}

func newManager() manager { return manager{uid: os.Geteuid(), run: runCommand} }

func (m manager) install(ctx context.Context, exe string) error {
	if err := m.ready(); err != nil {
		return err
	}
	if err := m.reachable(exe); err != nil {
		return err
	}
	// The package's own files are used where they are, and where they fit.
	if packaged := m.packagedUnit(); packaged == "" || exe != packagedExe {
		if err := m.writeFile(sysusersPath, sysusersText); err != nil {
			return err
		}
		if err := m.writeFile(unitPath, unitFor(exe)); err != nil {
			return err
		}
	}
	if _, err := m.run(ctx, sysusers, Name+".conf"); err != nil {
		return err
	}
	return m.systemctl(ctx, "daemon-reload", "enable "+unitName)
}

func (m manager) uninstall(ctx context.Context) error {
	if err := m.ready(); err != nil {
		return err
	}
	installed, err := m.exists(unitPath)
	if err != nil {
		return err
	}
	if !installed && m.packagedUnit() == "" {
		return ErrNotInstalled
	}
	if err := m.systemctl(ctx, "disable --now "+unitName); err != nil {
		return err
	}
	for _, path := range []string{unitPath, sysusersPath} {
		if err := os.Remove(m.root + path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := m.systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	if unit := m.packagedUnit(); unit != "" {
		return fmt.Errorf("it is stopped and disabled, but %s belongs to a package: remove that", unit)
	}
	return nil
}

func (m manager) start(ctx context.Context) error { return m.act(ctx, "start "+unitName) }
func (m manager) stop(ctx context.Context) error  { return m.act(ctx, "stop "+unitName) }

// act is for what needs the service to be there.
func (m manager) act(ctx context.Context, command string) error {
	if err := m.ready(); err != nil {
		return err
	}
	if installed, err := m.exists(unitPath); err != nil {
		return err
	} else if !installed && m.packagedUnit() == "" {
		return ErrNotInstalled
	}
	return m.systemctl(ctx, command)
}

func (m manager) state(ctx context.Context) (State, error) {
	if err := m.booted(); err != nil {
		return State{}, err
	}
	out, err := m.run(ctx, systemctl, "show", "--no-pager", "--property="+strings.Join(stateProperties(), ","), unitName)
	if err != nil {
		return State{}, err
	}
	return parseState(out)
}

// ready tells why nothing can be changed here, if so.
func (m manager) ready() error {
	if err := m.booted(); err != nil {
		return err
	}
	if m.uid != 0 {
		return fmt.Errorf("%w: run it as root, or with sudo", ErrPrivilege)
	}
	return nil
}

// booted is sd_booted(3).
func (m manager) booted() error {
	if fi, err := os.Lstat(m.root + "/run/systemd/system"); err != nil || !fi.IsDir() {
		return ErrNoManager
	}
	return nil
}

// packagedUnit gives the path of the unit that a package installed, or "".
func (m manager) packagedUnit() string {
	for _, dir := range []string{"/usr/lib/systemd/system/", "/lib/systemd/system/"} {
		if ok, _ := m.exists(dir + unitName); ok {
			return dir + unitName
		}
	}
	return ""
}

func (m manager) exists(path string) (bool, error) {
	_, err := os.Stat(m.root + path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// reachable checks that the service's user can run exe: it is not root, and
// may not look into a home directory.
func (m manager) reachable(exe string) error {
	if !filepath.IsAbs(exe) || strings.ContainsFunc(exe, unfitForUnit) {
		return fmt.Errorf("%q can't stand in a unit file: it must be an absolute path without spaces, quotes, %% or $", exe)
	}
	for path := exe; path != "/"; path = filepath.Dir(path) {
		fi, err := os.Stat(m.root + path)
		if err != nil {
			return err
		}
		if fi.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("the service's user can't reach %s (mode %#o): copy the program to /usr/local/bin, and call it there", path, fi.Mode().Perm())
		}
	}
	return nil
}

// unfitForUnit finds what systemd would read as more than a path (systemd.service(5), "Command lines").
func unfitForUnit(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`"'\%$;`, r) }

// unitFor gives the unit that runs exe.
func unitFor(exe string) string { return strings.Replace(unitText, packagedExe, exe, 1) }

// writeFile writes by rename, so that systemd never reads half a unit.
func (m manager) writeFile(path, text string) error {
	path = m.root + path
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+Name+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

func (m manager) systemctl(ctx context.Context, commands ...string) error {
	for _, c := range commands {
		if _, err := m.run(ctx, append([]string{systemctl}, strings.Fields(c)...)...); err != nil {
			return err
		}
	}
	return nil
}

// runCommand runs argv with no input and a plain environment: UTC, so that
// times can be read, and no language, so that words can.
func runCommand(ctx context.Context, argv ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC", "SYSTEMD_PAGER="}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		what := strings.Join(append([]string{filepath.Base(argv[0])}, argv[1:]...), " ")
		if said, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n"); said != "" {
			return nil, fmt.Errorf("%s: %w: %s", what, err, said)
		}
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return stdout.Bytes(), nil
}
