package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/testutil"
)

func serveUnix(t testing.TB, path string, h Handler) *Server {
	t.Helper()
	s, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

func dialUnix(t testing.TB, path string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "control.sock")
	t.Run("serve", func(t *testing.T) {
		serveUnix(t, path, &recorder{socks: table(100)})
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o660 {
			t.Errorf("mode %v", info.Mode())
		}
		c := dialUnix(t, path)
		if got := len(collect(t, c.List(t.Context()))); got != 100 {
			t.Errorf("%d sockets", got)
		}
		if c.PID() != os.Getpid() {
			t.Errorf("pid %d", c.PID())
		}
	})
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket outlives its server: %v", err)
	}
}

func TestDialErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := Dial(t.Context(), filepath.Join(dir, "none")); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no socket: %v", err)
	}
	stale := filepath.Join(dir, "stale")
	leaveStale(t, stale)
	_, err := Dial(t.Context(), stale)
	want := "connect to the recorder: no recorder is running: nothing listens on " + stale + "; start it with: portreporter record"
	if !errors.Is(err, ErrNotRunning) || err.Error() != want {
		t.Errorf("stale socket: %v", err)
	}
	_, err = Dial(t.Context(), filepath.Join(dir, strings.Repeat("x", 120)))
	if err == nil || !strings.Contains(err.Error(), "a socket's can be 107") {
		t.Errorf("long path: %v", err)
	}
}

// leaveStale leaves a socket file behind as a killed recorder does.
func leaveStale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestListenReplacesStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	leaveStale(t, path)
	serveUnix(t, path, &recorder{})
	dialUnix(t, path)
}

func TestListenRefusesLive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	serveUnix(t, path, &recorder{})
	if _, err := Listen(path); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "another recorder is running: pid ") {
		t.Errorf("second recorder: %v", err)
	}
	dialUnix(t, path)
}

func TestListenOneOfMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	leaveStale(t, path)
	var g sync.WaitGroup
	won := make(chan *Server, 8)
	for range cap(won) {
		g.Go(func() {
			s, err := Listen(path)
			if err == nil {
				won <- s
			} else if !errors.Is(err, ErrInUse) {
				t.Error(err)
			}
		})
	}
	g.Wait()
	close(won)
	if len(won) != 1 {
		t.Errorf("%d servers on one socket", len(won))
	}
	for s := range won {
		s.Close()
	}
}

func TestListenRefusesFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "no socket is in the way") {
		t.Errorf("got %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "x" {
		t.Error("the file is gone")
	}
}

// A server that closes leaves the socket of its successor alone.
func TestCloseLeavesSuccessor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".old"); err != nil { // still open, its inode not reused
		t.Fatal(err)
	}
	serveUnix(t, path, &recorder{})
	s.Close()
	s.Close()
	dialUnix(t, path)
}

// The peer's credentials are those that the kernel took when it connected.
func TestAuthorize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := authorize(s, path); err != nil {
		t.Errorf("own user: %v", err)
	}
	cred, err := peer(s)
	if err != nil || int(cred.Uid) != os.Geteuid() || int(cred.Pid) != os.Getpid() {
		t.Errorf("peer %+v, %v", cred, err)
	}
	groups, err := peerGroups(s)
	if err != nil {
		t.Fatal(err)
	}
	want, err := unix.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	if len(groups) != len(want) {
		t.Errorf("groups %v, want %v", groups, want)
	}
	a, b := net.Pipe()
	defer b.Close()
	if err := authorize(a, path); !errors.Is(err, ErrPermission) {
		t.Errorf("no credentials: %v", err)
	}
}

func TestAdmits(t *testing.T) {
	tests := []struct {
		socket, primary uint32
		groups          []uint32
		want            bool
	}{
		{socket: 7, primary: 7, want: true},
		{socket: 7, primary: 1, groups: []uint32{3, 7}, want: true},
		{socket: 7, primary: 1, groups: []uint32{3}},
		{socket: 0, primary: 1000},
	}
	for _, tt := range tests {
		if got := admits(tt.socket, tt.primary, tt.groups); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

// Another user is kept out by the socket's mode, by its credentials where the
// mode was widened, and let in as a member of the socket's group.
func TestOtherUsers(t *testing.T) {
	testutil.Root(t, "becoming another user")
	const gid = 54242
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	s := serveUnix(t, path, &recorder{})
	exe := copyTest(t, dir)
	try := func(groups ...uint32) string {
		cmd := exec.Command(exe, "-test.run=^TestDialAsOther$", "-test.v")
		cmd.Env = []string{"CONTROL_DIAL=" + path, "GORACE=atexit_sleep_ms=0"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, Groups: groups}}
		out, err := cmd.CombinedOutput()
		_, said, ok := strings.Cut(string(out), "dial: ")
		if err != nil || !ok {
			t.Fatalf("%v: %s", err, out)
		}
		said, _, _ = strings.Cut(said, "\n")
		return said
	}
	want := "connect to the recorder: permission denied: " + path + "; run this as root"
	if got := try(); got != want {
		t.Errorf("mode 0660: %q", got)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if got := try(gid); got != "connect to the recorder: permission denied: uid 65534; run this as root" {
		t.Errorf("mode 0666: %q", got)
	}
	if err := s.Admit(gid); err != nil {
		t.Fatal(err)
	}
	if got := try(7); got != "connect to the recorder: permission denied: uid 65534; run this as root or as a member of group 54242" {
		t.Errorf("other group: %q", got)
	}
	if got := try(7, gid); got != "<nil>" {
		t.Errorf("member: %q", got)
	}
}

// TestDialAsOther is the other user's process.
// TestAdmitOpensDirectory: a directory that Listen made is entered by the group
// too; one that somebody else arranged is left alone, and that is said.
func TestAdmitOpensDirectory(t *testing.T) {
	testutil.Root(t, "giving files to a group")
	const gid, other = 54242, 54243
	for _, c := range []struct {
		name    string
		mode    os.FileMode
		group   int
		want    int // the directory's group afterwards
		refused bool
	}{
		{"made by listen", 0o750, os.Getegid(), gid, false},
		{"open to all", 0o755, other, other, false},
		{"the group's already", 0o750, gid, gid, false},
		{"another group's", 0o750, other, other, true},
		{"the owner's alone", 0o700, os.Getegid(), os.Getegid(), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := errors.Join(os.Chmod(dir, c.mode), os.Chown(dir, -1, c.group)); err != nil {
				t.Fatal(err)
			}
			s, err := Listen(filepath.Join(dir, "s"))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Admit(gid); (err != nil) != c.refused {
				t.Errorf("Admit: %v", err)
			}
			var st unix.Stat_t
			if err := unix.Stat(dir, &st); err != nil || int(st.Gid) != c.want {
				t.Errorf("the directory is of group %d, want %d (%v)", st.Gid, c.want, err)
			}
		})
	}
}

func TestDialAsOther(t *testing.T) {
	path := os.Getenv("CONTROL_DIAL")
	if path == "" {
		return // only TestOtherUsers runs it to a purpose
	}
	_, err := Dial(t.Context(), path)
	fmt.Println("dial:", err)
}

// copyTest puts this test's program where any user can run it.
func copyTest(t *testing.T, dir string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "test")
	if err := os.WriteFile(name, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// The aim is 30 ms for 50,000 sockets, from request to the last one decoded.
func BenchmarkList50k(b *testing.B) {
	path := filepath.Join(b.TempDir(), "s")
	serveUnix(b, path, &recorder{socks: table(50_000)})
	c := dialUnix(b, path)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range c.List(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 50_000 {
			b.Fatal(n)
		}
	}
}
