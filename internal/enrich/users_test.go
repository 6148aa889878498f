package enrich

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clock is a time that stands still until it is moved.
type clock struct{ t time.Time }

func newClock() *clock                   { return &clock{time.Unix(1_700_000_000, 0)} }
func (c *clock) now() time.Time          { return c.t }
func (c *clock) advance(d time.Duration) { c.t = c.t.Add(d) }

// tree makes files beneath a new directory; "-> x" makes a symbolic link.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, files)
	return dir
}

func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
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
}

const passwd = `root:x:0:0:root:/root:/bin/bash
# comment:x:5:5::/:/bin/sh
toor:x:0:0:second name:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
+:x:7:7::/:/bin/sh
broken
:x:8:8::/:/bin/sh
high:x:4294967296:1::/:
evil` + "\x1b[2J" + `:x:66:66::/:
short:x:67
bob:x:1000:1000:Bob,,,:/home/bob:/bin/zsh`

func TestEachAccount(t *testing.T) {
	var got []account
	eachAccount([]byte(passwd), func(a account) bool { got = append(got, a); return true })
	want := []account{{"root", 0, "/root"}, {"toor", 0, "/root"}, {"www-data", 33, "/var/www"}, {"evil\x1b[2J", 66, "/"},
		{"short", 67, ""}, {"bob", 1000, "/home/bob"}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(account{})); d != "" {
		t.Error(d)
	}
}

func FuzzEachAccount(f *testing.F) {
	f.Add([]byte(passwd))
	f.Fuzz(func(t *testing.T, b []byte) {
		eachAccount(b, func(a account) bool {
			if a.name == "" || len(a.name) > maxUserName || strings.ContainsAny(a.name, ":\n") || strings.Contains(a.home, ":") {
				t.Errorf("%+v", a)
			}
			return true
		})
	})
}

func TestUsersFollowTheFile(t *testing.T) {
	c := newClock()
	dir := tree(t, map[string]string{"etc/passwd": passwd})
	u := newUsers(dir, c.now)
	if got := u.name(0); got != "root" {
		t.Errorf("uid 0 is %q", got)
	}
	if u.name(4242) != "" || u.home(1000) != "/home/bob" || u.home(4242) != "" {
		t.Error("names or homes made up")
	}
	write(t, dir, map[string]string{"etc/passwd": "admin:x:0:0::/:\n"})
	if got := u.name(0); got != "root" {
		t.Errorf("looked at the file again at once: %q", got)
	}
	c.advance(time.Second)
	if got := u.name(0); got != "admin" {
		t.Errorf("after the change: %q", got)
	}
	if err := os.Remove(filepath.Join(dir, "etc/passwd")); err != nil {
		t.Fatal(err)
	}
	c.advance(time.Second)
	if got := u.name(0); got != "" {
		t.Errorf("without a file: %q", got)
	}
	u.learn(70000, "ldapuser")
	u.learn(70001, "")
	if u.name(70000) != "ldapuser" || !u.asked(70001) || u.asked(70002) {
		t.Error("learnt names")
	}
}

func TestReadBounded(t *testing.T) {
	dir := tree(t, map[string]string{"f": "abcdef"})
	if b, err := readBounded(filepath.Join(dir, "f"), 3); string(b) != "abc" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := readBounded(dir, 3); err == nil {
		t.Error("read a directory")
	}
	if _, err := readBounded(filepath.Join(dir, "none"), 3); err == nil {
		t.Error("read nothing")
	}
}

func TestLRU(t *testing.T) {
	c := newLRU[int, string](2)
	c.put(1, "a")
	c.put(2, "b")
	c.get(1)
	c.put(3, "c") // 2 goes
	c.put(1, "A")
	got := map[int]string{}
	for i := range 5 {
		if v, ok := c.get(i); ok {
			got[i] = v
		}
	}
	if d := cmp.Diff(map[int]string{1: "A", 3: "c"}, got); d != "" || c.len() != 2 {
		t.Error(d)
	}
	c.clear()
	if _, ok := c.get(1); ok || c.len() != 0 {
		t.Error("not cleared")
	}
}
