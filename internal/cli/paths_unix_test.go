//go:build unix

package cli

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/portreporter/portreporter/internal/journal"
)

func TestDefaultsFollowSystemd(t *testing.T) {
	env := map[string]string{"LOGS_DIRECTORY": "/var/log/portreporter", "RUNTIME_DIRECTORY": "/run/portreporter"}
	got := osPaths(func(k string) string { return env[k] }, false)
	if got.dir != "/var/log/portreporter" || got.control != "/run/portreporter/control.sock" {
		t.Errorf("got %+v", got)
	}
	for name, c := range map[string]struct {
		env                 map[string]string
		admin               bool
		wantDir, wantSocket string
	}{
		"root":     {map[string]string{"HOME": "/root"}, true, "/var/log/portreporter", "/run/portreporter/control.sock"},
		"user":     {map[string]string{"HOME": "/home/u"}, false, "/home/u/.local/state/portreporter", "/home/u/.local/state/portreporter/control.sock"},
		"xdg":      {map[string]string{"HOME": "/home/u", "XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/run/user/7"}, false, "/s/portreporter", "/run/user/7/portreporter/control.sock"},
		"relative": {map[string]string{"HOME": "/home/u", "XDG_STATE_HOME": "s"}, false, "/home/u/.local/state/portreporter", "/home/u/.local/state/portreporter/control.sock"},
	} {
		got := osPaths(func(k string) string { return c.env[k] }, c.admin)
		if got.dir != c.wantDir || got.control != c.wantSocket {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// TestPreferMachine: who reads takes the machine's record and recorder, each
// where it is and may be used, and else keeps the user's own.
func TestPreferMachine(t *testing.T) {
	dir := t.TempDir()
	record, socket := filepath.Join(dir, "record"), filepath.Join(dir, "control.sock")
	own := Config{Dir: "/own", ControlPath: "/own.sock"}
	c := own
	c.preferMachine(paths{dir: record, control: socket})
	if c != own {
		t.Errorf("there is nothing of the machine's, and %+v is taken", c)
	}
	if err := os.Mkdir(record, 0o750); err != nil {
		t.Fatal(err)
	}
	c.preferMachine(paths{dir: record, control: socket})
	if c != own {
		t.Errorf("a directory without a record is taken: %+v", c)
	}
	w, err := journal.Open(journal.Config{Dir: record})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c.preferMachine(paths{dir: record, control: socket})
	if c.Dir != record || c.ControlPath != socket {
		t.Errorf("the machine's are not taken: %+v", c)
	}
}
