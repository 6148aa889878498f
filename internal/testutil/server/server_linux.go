package server

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portreporter/portreporter/internal/testutil"
)

// patience is for a machine that does much else; servers take a tenth of a second.
const patience = 60 * time.Second

// Recipe is how a server is started. In its texts {dir} stands for the
// server's directory and {addr} for its address.
type Recipe struct {
	Program string            // found in PATH, or with its path
	Args    []string          //
	Env     []string          // beside the test's own
	Files   map[string]string // by name, in {dir}; those ending in / are directories
	Owner   string            // user whom {dir} and all in it belongs to, "" root
	Prepare []string          // commands for a shell in {dir}, in the server's namespaces, before it
	TCP     []uint16          // it is up when all of these are bound
	UDP     []uint16          //
	Log     string            // and has printed this, for a server that binds before it can answer
}

// Server runs until the test ends.
type Server struct {
	NS   *testutil.NetNS
	Addr netip.Addr // where it listens; reached from within NS
	Dir  string     // its directory, which is removed with it
}

// Start starts the named recipe in a namespace of its own.
func Start(t testing.TB, name string) *Server {
	t.Helper()
	return StartIn(t, testutil.NewNetNS(t), netip.MustParseAddr("127.0.0.1"), name)
}

// StartIn starts the named recipe beside what else runs in ns.
func StartIn(t testing.TB, ns *testutil.NetNS, addr netip.Addr, name string) *Server {
	t.Helper()
	r, ok := recipes()[name]
	if !ok {
		t.Fatalf("no recipe for server %q", name)
	}
	return Run(t, ns, addr, r)
}

// Run starts a recipe of the test's own in ns, and returns when the server's
// ports are bound. The test fails if that does not happen; what the server
// printed is in the log of a test that failed.
func Run(t testing.TB, ns *testutil.NetNS, addr netip.Addr, r Recipe) *Server {
	t.Helper()
	s := &Server{NS: ns, Addr: addr, Dir: directory(t)}
	fill := strings.NewReplacer("{dir}", s.Dir, "{addr}", addr.String())
	program := testutil.Program(t, r.Program)
	if err := s.write(r, fill); err != nil {
		t.Fatalf("%s: %v", r.Program, err)
	}
	script := slices.Concat([]string{"mount -t proc proc /proc", "mount -t tmpfs -o mode=755 tmpfs /run"}, r.Prepare, []string{`exec "$@"`})
	// The server is process 1 of its namespace: with it, all that it started ends.
	args := []string{"-ec", fill.Replace(strings.Join(script, "\n")), "sh", program}
	for _, a := range r.Args {
		args = append(args, fill.Replace(a))
	}
	c := exec.Command("/bin/sh", args...)
	c.Dir, c.Env = s.Dir, os.Environ()
	for _, e := range r.Env {
		c.Env = append(c.Env, fill.Replace(e))
	}
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS}
	s.start(t, c, r)
	return s
}

// directory is one that other users may enter, unlike t.TempDir's.
func directory(t testing.TB) string {
	dir, err := os.MkdirTemp("", "server")
	if err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func (s *Server) write(r Recipe, fill *strings.Replacer) error {
	for name, text := range r.Files {
		path := filepath.Join(s.Dir, name)
		dir := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			dir = path
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		if err := os.WriteFile(path, []byte(fill.Replace(text)), 0o644); err != nil {
			return err
		}
	}
	if r.Owner == "" {
		return nil
	}
	if out, err := exec.Command("chown", "-R", r.Owner, s.Dir).CombinedOutput(); err != nil {
		return fmt.Errorf("chown: %w: %s", err, out)
	}
	return nil
}

// start runs c, its output in a file, and ends it with the test.
func (s *Server) start(t testing.TB, c *exec.Cmd, r Recipe) {
	t.Helper()
	log, err := os.Create(filepath.Join(s.Dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c.Stdout, c.Stderr = log, log
	if err := s.NS.Start(c); err != nil {
		t.Fatalf("start %s: %v", r.Program, err)
	}
	ended := make(chan struct{})
	go func() { _ = c.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("%s printed:\n%s", r.Program, tail(log.Name()))
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !s.up(c.Process.Pid, r) {
		select {
		case <-poll.C:
		case <-ended:
			t.Fatalf("%s ended before it was up: %v", r.Program, c.ProcessState)
		case <-ctx.Done():
			t.Fatalf("%s is not up after %v: tcp %v, udp %v wanted", r.Program, patience, r.TCP, r.UDP)
		}
	}
}

// up says whether all ports of r are taken, as the server's namespace tells, and
// its word is in the log.
func (s *Server) up(pid int, r Recipe) bool {
	const listen, any = "0A", ""
	if !hasPorts(pid, "tcp", r.TCP, listen) || !hasPorts(pid, "udp", r.UDP, any) {
		return false
	}
	if r.Log == "" {
		return true
	}
	log, err := os.ReadFile(filepath.Join(s.Dir, "log"))
	return err == nil && bytes.Contains(log, []byte(r.Log))
}

// hasPorts looks for the ports in /proc/PID/net/tcp and its like (proc(5)):
// "  0: 0100007F:0035 00000000:0000 0A ...".
func hasPorts(pid int, proto string, ports []uint16, state string) bool {
	if len(ports) == 0 {
		return true
	}
	var found []uint16
	for _, name := range []string{proto, proto + "6"} {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, name)) // absent without IPv6
		for line := range bytes.Lines(b) {
			f := strings.Fields(string(line))
			if len(f) < 4 || state != "" && f[3] != state {
				continue
			}
			if p, err := strconv.ParseUint(f[1][strings.LastIndexByte(f[1], ':')+1:], 16, 16); err == nil {
				found = append(found, uint16(p))
			}
		}
	}
	return !slices.ContainsFunc(ports, func(p uint16) bool { return !slices.Contains(found, p) })
}

// tail is the end of a log.
func tail(name string) []byte {
	b, err := os.ReadFile(name)
	if err != nil {
		return []byte(err.Error())
	}
	return b[max(0, len(b)-8<<10):]
}
