package svc

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// stateProperties lists what parseState wants of `systemctl show`.
func stateProperties() []string {
	return []string{"LoadState", "UnitFileState", "ActiveState", "SubState", "MainPID", "StatusText", "Result", "ExecMainStatus", "StateChangeTimestamp"}
}

// parseState reads the KEY=VALUE lines of `systemctl show`, run with TZ=UTC.
// Keys that it does not know are skipped, and absent ones leave their field.
func parseState(out []byte) (State, error) {
	var s State
	result, status, sub := "", "", ""
	for line := range strings.Lines(string(out)) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok {
			return State{}, fmt.Errorf("systemctl show: %q is not KEY=VALUE", line)
		}
		switch key {
		case "LoadState":
			s.Installed = value == "loaded"
		case "UnitFileState":
			s.Enabled = strings.HasPrefix(value, "enabled")
		case "ActiveState":
			s.Phase, s.Running = value, value == "active"
		case "SubState":
			sub = value
		case "StatusText":
			s.Text = value
		case "Result":
			result = value
		case "ExecMainStatus":
			status = value
		case "MainPID":
			pid, err := strconv.Atoi(value)
			if err != nil || pid < 0 {
				return State{}, fmt.Errorf("systemctl show: MainPID %q", value)
			}
			s.PID = pid
		case "StateChangeTimestamp":
			// Absent, empty and "n/a" all mean that it never changed.
			s.Since, _ = time.Parse("Mon 2006-01-02 15:04:05 MST", value)
		}
	}
	// A restart that is being waited for is a failure too.
	if result != "" && result != "success" && (s.Phase == "failed" || sub == "auto-restart") {
		s.Problem = fmt.Sprintf("%s (exit status %s)", result, status)
	}
	return s, nil
}
