package cli

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// osPaths keeps the record where the original kept its logs.
func osPaths(getenv func(string) string, admin bool) paths {
	p := paths{
		config:  filepath.Join(getenv("ProgramData"), "PortReporter", "config.toml"),
		dir:     filepath.Join(getenv("SystemRoot"), "System32", "LogFiles", "PortReporter"),
		control: `\\.\pipe\portreporter`,
	}
	if !admin {
		p.dir = filepath.Join(getenv("LocalAppData"), "PortReporter")
		p.control = `\\.\pipe\portreporter-` + getenv("USERNAME")
	}
	return p
}

// isAdmin tells whether this process runs elevated; services of the local
// system do.
func isAdmin() bool { return windows.GetCurrentProcessToken().IsElevated() }

// mayRead tells whether this user may list dir.
func mayRead(dir string) bool {
	_, err := os.ReadDir(dir)
	return err == nil
}

// mayConnect is false: this system has no control socket yet.
func mayConnect(string) bool { return false }
