package enrich

import (
	"bufio"
	"context"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// debian is a system with merged /usr: libc's list still says /lib.
func debian() map[string]string {
	return map[string]string{
		"lib":                                 "-> usr/lib",
		"usr/lib/x/libc.so.6":                 "",
		"var/lib/dpkg/info/libc6:amd64.list":  "/.\n/lib\n/lib/x\n/lib/x/libc.so.6\n",
		"var/lib/dpkg/info/libc6:i386.list":   "/.\n/lib/i386/libc.so.6\n",
		"var/lib/dpkg/info/nginx.list":        "/usr/sbin/nginx\n/usr/share/doc/nginx\n",
		"var/lib/dpkg/info/nginx.md5sums":     "/usr/sbin/other\n",
		"var/lib/dpkg/info/odd.list":          "/usr/sbin/odd",
		"var/lib/dpkg/info/long.list":         "/" + strings.Repeat("x", 200<<10) + "\n/usr/bin/after\n",
		"var/lib/dpkg/info/gone.list/subdir":  "",
		"var/lib/dpkg/status":                 dpkgStatusSample,
		"var/lib/dpkg/info/second-nginx.list": "/usr/sbin/nginx\n",
	}
}

const dpkgStatusSample = `Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9
Description: C library
 Version: 9.9-trap

Package: libc6
Architecture: i386
Version: 2.36-8

Package: nginx
Architecture: amd64
Version: 1.22.1-9

Package: long
Version: 7`

func TestPackages(t *testing.T) {
	c := newClock()
	dir := tree(t, debian())
	k := newPackages(Config{Root: dir}, c.now)
	paths := []string{"/usr/lib/x/libc.so.6", "/lib/i386/libc.so.6", "/usr/sbin/nginx", "/usr/sbin/other", "/usr/sbin/odd",
		"/usr/bin/after", "/opt/none", "/usr/sbin/nginx", ""}
	want := []string{"libc6 2.36-9", "libc6 2.36-8", "nginx 1.22.1-9", "", "odd", "long 7", "", "nginx 1.22.1-9", ""}
	for range 2 { // the second time from memory
		if d := cmp.Diff(want, k.find(t.Context(), paths)); d != "" {
			t.Error(d)
		}
	}
	if n := k.known.len(); n != 8 {
		t.Errorf("%d answers remembered", n)
	}
	write(t, dir, map[string]string{"var/lib/dpkg/info/new.list": "/opt/none\n", "var/lib/dpkg/status": dpkgStatusSample + "\n\nPackage: new\nVersion: 1\n"})
	if got := k.find(t.Context(), []string{"/opt/none"}); got[0] != "" {
		t.Errorf("forgot at once: %q", got)
	}
	c.advance(time.Second)
	if got := k.find(t.Context(), []string{"/opt/none"}); got[0] != "new 1" {
		t.Errorf("after an installation: %q", got)
	}
}

func TestPackagesInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k := newPackages(Config{Root: tree(t, debian())}, newClock().now)
	if got := k.find(ctx, []string{"/usr/sbin/nginx"}); got[0] != "" || k.known.len() != 0 {
		t.Errorf("%q, %d remembered", got, k.known.len())
	}
	if got := k.find(t.Context(), []string{"/usr/sbin/nginx"}); got[0] != "nginx 1.22.1-9" {
		t.Errorf("%q", got)
	}
}

func TestNoPackageManager(t *testing.T) {
	k := newPackages(Config{Root: t.TempDir(), Commands: true}, newClock().now)
	if got := k.find(t.Context(), []string{"/bin/sh"}); got[0] != "" {
		t.Errorf("%q", got)
	}
}

// TestUnmerged has /lib as a directory of its own: no alias.
func TestUnmerged(t *testing.T) {
	m := debian()
	delete(m, "lib")
	m["lib/x/libc.so.6"] = ""
	k := newPackages(Config{Root: tree(t, m)}, newClock().now)
	if d := cmp.Diff([]string{"", "libc6 2.36-9"}, k.find(t.Context(), []string{"/usr/lib/x/libc.so.6", "/lib/x/libc.so.6"})); d != "" {
		t.Error(d)
	}
}

func FuzzParseDpkgStatus(f *testing.F) {
	f.Add([]byte(dpkgStatusSample))
	f.Fuzz(func(t *testing.T, b []byte) {
		want := map[dpkgName]string{{"libc6", "amd64"}: "", {"nginx", ""}: ""}
		got := maps.Clone(want)
		parseDpkgStatus(bufio.NewReaderSize(strings.NewReader(string(b)), 64), got)
		if len(got) != len(want) {
			t.Errorf("%v", got)
		}
		for _, v := range got {
			if strings.Contains(v, "\n") || !strings.Contains(string(b), v) {
				t.Errorf("version %q", v)
			}
		}
	})
}

func BenchmarkPackages(b *testing.B) {
	root := "/"
	if _, err := filepath.Glob("/var/lib/dpkg/info/*.list"); err != nil {
		b.Skip("not a Debian system")
	}
	paths := []string{"/usr/bin/bash", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/opt/none"}
	for b.Loop() {
		newPackages(Config{Root: root}, time.Now).find(b.Context(), paths)
	}
}
