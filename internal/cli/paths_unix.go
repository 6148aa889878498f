//go:build unix

package cli

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// osPaths follows the file system hierarchy and, for users, the XDG base
// directory specification. Under systemd the unit's LogsDirectory= and
// RuntimeDirectory= come as variables (systemd.exec(5)): the service is not
// root, but its record is the machine's.
func osPaths(getenv func(string) string, admin bool) paths {
	p := paths{
		config:  "/etc/portreporter/config.toml",
		dir:     "/var/log/portreporter",
		control: "/run/portreporter/control.sock",
	}
	if !admin {
		state := xdg(getenv, "XDG_STATE_HOME", ".local/state")
		p.dir = filepath.Join(state, "portreporter")
		p.control = filepath.Join(p.dir, "control.sock")
		if run := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(run) {
			p.control = filepath.Join(run, "portreporter", "control.sock")
		}
	}
	if dir := getenv("LOGS_DIRECTORY"); filepath.IsAbs(dir) {
		p.dir = dir
	}
	if dir := getenv("RUNTIME_DIRECTORY"); filepath.IsAbs(dir) {
		p.control = filepath.Join(dir, "control.sock")
	}
	return p
}

// xdg gives a base directory; the specification says that one which is not
// absolute is to be ignored.
func xdg(getenv func(string) string, name, below string) string {
	if dir := getenv(name); filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(getenv("HOME"), below)
}

func isAdmin() bool { return os.Geteuid() == 0 }

// mayRead and mayConnect ask the kernel whether this user may: connect(2) wants
// a socket file to be writable.
func mayRead(dir string) bool { return unix.Access(dir, unix.R_OK|unix.X_OK) == nil }

func mayConnect(socket string) bool { return unix.Access(socket, unix.W_OK) == nil }
