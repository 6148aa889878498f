package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"syscall"
	"testing"

	"github.com/portreporter/portreporter/internal/testutil"
)

// TestStart: a server is reachable in its namespace on its own port when Start
// returns, writes in its own directory, and is gone with the test.
func TestStart(t *testing.T) {
	testutil.Root(t, "servers in namespaces")
	var dir string
	var left *testutil.NetNS
	t.Run("up", func(t *testing.T) {
		left = testutil.NewNetNS(t)
		s := StartIn(t, left, netip.MustParseAddr("127.0.0.1"), "vsftpd")
		dir = s.Dir
		left.Do(func() {
			c, err := net.Dial("tcp", netip.AddrPortFrom(s.Addr, 21).String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			b := make([]byte, 4)
			if _, err := c.Read(b); err != nil || string(b[:3]) != "220" {
				t.Errorf("banner %q, %v", b, err)
			}
		})
	})
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", dir, err)
	}
	if n := inNamespace(t, left.Inode); n != "" {
		t.Errorf("processes outlive the test: %s", n)
	}
}

// inNamespace lists the processes of a network namespace.
func inNamespace(t *testing.T, inode uint32) (found string) {
	t.Helper()
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if link, err := os.Readlink("/proc/" + d.Name() + "/ns/net"); err == nil && link == fmt.Sprintf("net:[%d]", inode) {
			found += d.Name() + " "
		}
	}
	return found
}

// TestRun: children end with their server, and directory and address reach
// arguments, files, environment and preparation.
func TestRun(t *testing.T) {
	ns := testutil.NewNetNS(t)
	var s *Server
	t.Run("up", func(t *testing.T) {
		s = Run(t, ns, netip.MustParseAddr("127.0.0.1"), Recipe{
			Program: "python3", Args: []string{"{dir}/run.py", "{addr}"}, Env: []string{"WHERE={dir}"},
			Files: map[string]string{"sub/": "", "run.py": `import os, socket, subprocess, sys
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM); s.bind((sys.argv[1], 7)); s.listen()
subprocess.Popen(["sleep", "600"], start_new_session=True)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
open(os.environ["WHERE"] + "/sub/" + open("made").read(), "w").write("{dir}")
u.bind((sys.argv[1], 7)); os.mkdir("up"); print("ready now" + "\n." * 9999, flush=True); u.recv(1)
`},
			Prepare: []string{"printf {addr} >made"},
			TCP:     []uint16{7}, UDP: []uint16{7}, Log: "ready now",
		})
		if _, err := os.Stat(s.Dir + "/up"); err != nil {
			t.Errorf("not waited for what it prints: %v", err)
		}
		if b, err := os.ReadFile(s.Dir + "/sub/127.0.0.1"); err != nil || string(b) != s.Dir {
			t.Errorf("file %q, %v", b, err)
		}
		if inNamespace(t, ns.Inode) == "" {
			t.Error("no process is seen while the server runs")
		}
	})
	if n := inNamespace(t, ns.Inode); n != "" {
		t.Errorf("processes outlive the test: %s", n)
	}
}

// TestBroken: a server that does not come up fails its test, and shows its log.
func TestBroken(t *testing.T) {
	if os.Getenv("BROKEN") != "" {
		Run(t, testutil.NewNetNS(t), netip.MustParseAddr("127.0.0.1"), Recipe{Program: "sleep", Prepare: []string{"(echo no licence; exit 3)", "true"}, TCP: []uint16{1}})
		return
	}
	testutil.Root(t, "servers in namespaces")
	c := exec.Command(os.Args[0], "-test.run=^TestBroken$", "-test.v")
	c.Env = append(os.Environ(), "BROKEN=1")
	out, err := c.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no licence") || !strings.Contains(string(out), "exit status 3") {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestRecipes: what a recipe's ports say is what it binds; the others are
// started where their protocols are tested.
func TestRecipes(t *testing.T) {
	for name, r := range recipes() {
		if r.Program == "" || len(r.TCP)+len(r.UDP) == 0 {
			t.Errorf("recipe %q: %+v", name, r)
		}
		if r.Owner != "" && syscall.Geteuid() == 0 {
			if _, err := user.Lookup(r.Owner); err != nil {
				t.Errorf("recipe %q: %v", name, err)
			}
		}
	}
}
