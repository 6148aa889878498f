package enrich

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
)

func TestUnitDescription(t *testing.T) {
	dir := tree(t, map[string]string{
		"usr/lib/systemd/system/nginx.service":                 "# x\n[Unit]\nDescription=Vendor's\n[Service]\nDescription=trap\n",
		"etc/systemd/system/nginx.service":                     "[Unit]\nDescription = A web server \n",
		"lib/systemd/system/getty@.service":                    "[Unit]\nDescription=Getty on %I (%i, %p, %n, %N, 100%%, %H)\n",
		"lib/systemd/system/getty@tty9.service":                "[Unit]\nDescription=The ninth\n",
		"lib/systemd/system/plain.service":                     "[Unit]\nDescription=Plain\n",
		"lib/systemd/system/plain.service.d/20-b.conf":         "[Unit]\nDescription=Second\n",
		"etc/systemd/system/plain.service.d/10-a.conf":         "[Unit]\nDescription=First\n",
		"run/systemd/system/plain.service.d/20-b.conf":         "[Unit]\nDescription=Runtime\n",
		"lib/systemd/system/plain.service.d/README":            "[Unit]\nDescription=Trap\n",
		"etc/systemd/system/masked.service":                    "-> /dev/null",
		"run/systemd/transient/run-1.scope":                    "[Unit]\nDescription=Transient \\\n  and long\n",
		"usr/lib/systemd/user/sync.service":                    "[Unit]\nDescription=User's\n",
		"lib/systemd/system/none.service":                      "[Service]\nExecStart=/bin/x\n",
		"lib/systemd/system/endless.service":                   "[Unit]\nDescription=" + strings.Repeat("x", 5000),
		"secret":                                               "[Unit]\nDescription=trap\n",
		"lib/systemd/system/dir.service/x":                     "",
		"lib/systemd/system/escape\\x2dd@.service":             "[Unit]\nDescription=%P %I\n",
		"lib/systemd/system/empty@.service":                    "[Unit]\nDescription=[%i]\n",
		"lib/systemd/system/onlydropin.service.d/10.conf":      "[Unit]\nDescription=Drop-in\n",
		"lib/systemd/system/evil.service":                      "[Unit]\nDescription=\x1b[2J\x00x\n",
		"etc/systemd/user/sync.service.d/x.conf/not-a-file":    "",
		"lib/systemd/system/continued-to-the-end.service":      "[Unit]\nDescription=x\\",
		"run/systemd/generator.late/sysv.service":              "[Unit]\nDescription=LSB: x\n",
		"run/user/1000/systemd/transient/app-not-read.service": "[Unit]\nDescription=trap\n",
	})
	tests := []struct {
		unit activity.Unit
		want string
	}{
		{activity.Unit{Name: "nginx.service"}, "A web server"},
		{activity.Unit{Name: "getty@tty-1.service"}, "Getty on tty/1 (tty-1, getty, getty@tty-1.service, getty@tty-1, 100%, %H)"},
		{activity.Unit{Name: "getty@tty9.service"}, "The ninth"},
		{activity.Unit{Name: "plain.service"}, "Runtime"},
		{activity.Unit{Name: "masked.service"}, ""},
		{activity.Unit{Name: "run-1.scope"}, "Transient  and long"},
		{activity.Unit{Name: "sync.service", User: "bob"}, "User's"},
		{activity.Unit{Name: "sync.service"}, ""},
		{activity.Unit{Name: "none.service"}, ""},
		{activity.Unit{Name: "endless.service"}, strings.Repeat("x", 1024)},
		{activity.Unit{Name: "../../../../secret"}, ""},
		{activity.Unit{Name: ".."}, ""},
		{activity.Unit{Name: "dir.service"}, ""},
		{activity.Unit{Name: `escape\x2dd@a\x20b.service`}, "escape-d a b"},
		{activity.Unit{Name: "empty@.service"}, "[]"},
		{activity.Unit{Name: "onlydropin.service"}, "Drop-in"},
		{activity.Unit{Name: "evil.service"}, "\x1b[2J\x00x"},
		{activity.Unit{Name: "continued-to-the-end.service"}, `x\`},
		{activity.Unit{Name: "sysv.service"}, "LSB: x"},
		{activity.Unit{Name: "app-not-read.service", User: "1000"}, ""},
		{activity.Unit{}, ""},
	}
	u := newUnits(dir, newClock().now)
	for _, tt := range tests {
		if d := cmp.Diff(tt.want, u.description(tt.unit)); d != "" {
			t.Errorf("%+v: %s", tt.unit, d)
		}
	}
}

func TestUnitIsReadAgain(t *testing.T) {
	c := newClock()
	dir := tree(t, map[string]string{"etc/systemd/system/a.service": "[Unit]\nDescription=one\n"})
	u := newUnits(dir, c.now)
	unit := activity.Unit{Name: "a.service"}
	got := []string{u.description(unit)}
	write(t, dir, map[string]string{"etc/systemd/system/a.service": "[Unit]\nDescription=two\n"})
	got = append(got, u.description(unit))
	c.advance(unitLife)
	got = append(got, u.description(unit))
	if d := cmp.Diff([]string{"one", "one", "two"}, got); d != "" {
		t.Error(d)
	}
}

func FuzzLastDescription(f *testing.F) {
	f.Add([]byte("[Unit]\nDescription=a \\\n b\n"), "getty@x.service")
	f.Fuzz(func(t *testing.T, b []byte, name string) {
		text := lastDescription(b, "")
		if len(text) > 1024 || strings.Contains(text, "\n") {
			t.Errorf("%q", text)
		}
		expandSpecifiers(text, name)
		if template, instance := splitInstance(name); len(template)+len(instance) != len(name) {
			t.Errorf("%q into %q and %q", name, template, instance)
		}
	})
}
