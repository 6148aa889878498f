package cli

import (
	"fmt"
	"os"
)

// paths are the places where things are unless configured.
type paths struct {
	config  string // configuration file
	dir     string // the record
	control string // socket or pipe of the recorder
}

// defaultPaths gives the places for this user: the machine's for who
// administrates it and for the service, else the user's own. getenv is
// os.Getenv.
func defaultPaths(getenv func(string) string) paths { return osPaths(getenv, isAdmin()) }

// machinePaths gives the places of the machine's own recorder.
func machinePaths() paths {
	// LOGS_DIRECTORY and its like are a service's, not those of who asks it.
	unset := map[string]bool{"LOGS_DIRECTORY": true, "RUNTIME_DIRECTORY": true}
	return osPaths(func(name string) string {
		if unset[name] {
			return ""
		}
		return os.Getenv(name)
	}, true)
}

// hintMachine tells an ordinary user who finds nothing of their own that the
// machine's recorder has it; "" where that has nothing either.
func hintMachine(cfg Config, machine paths) string {
	if isAdmin() || cfg.Dir == machine.dir || cfg.ControlPath == machine.control {
		return ""
	}
	if _, err := os.Stat(machine.dir); err == nil {
		return fmt.Sprintf("; this machine's record is in %s: read it as root, or have control.group set for its live events", machine.dir)
	}
	return ""
}
