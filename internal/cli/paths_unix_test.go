//go:build unix

package cli

import "testing"

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
