package sockdiag

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/portreporter/portreporter/internal/activity"
)

// child starts the test binary in a role, and waits until it says that it is
// ready. It ends with the test.
func child(t *testing.T, name string, attr *syscall.SysProcAttr, files ...*os.File) (key activity.ProcessKey, end func()) {
	t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), role+"="+name)
	c.SysProcAttr, c.ExtraFiles = attr, files
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() { in.Close(); _ = c.Wait() }
	t.Cleanup(end)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("%s: %q, %v", name, line, err)
	}
	w, err := newWalker("/")
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	key, ok := w.key(uint32(c.Process.Pid))
	if !ok {
		t.Fatalf("%s: not in /proc", name)
	}
	return key, end
}

// answer is what the unprivileged child tells.
type answer struct {
	Uid     int
	Hint    string
	Sockets map[string]activity.ProcessKey
	PID     int
}

// runUnprivileged opens a listener beside the one of its parent and tells what
// it sees of both.
func runUnprivileged() int {
	a := answer{Uid: os.Geteuid(), PID: os.Getpid(), Sockets: map[string]activity.ProcessKey{}}
	err := func() error {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		s, err := Open(Config{})
		if err != nil {
			return err
		}
		defer s.Close()
		a.Hint = s.Info().Hint
		own := s.spaces.own.inode
		_, err = s.Sockets(func(s *activity.Socket) bool {
			if s.NetNS == own {
				a.Sockets[s.Local.String()] = s.Owner
			}
			return true
		})
		return err
	}()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if json.NewEncoder(os.Stdout).Encode(a) != nil {
		return 1
	}
	return 0
}

func TestUnprivileged(t *testing.T) {
	inNamespace(t)
	const nobody = 65534
	l := listen(t)
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), role+"=unprivileged")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	var diagnosis bytes.Buffer
	c.Stderr = &diagnosis
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %s%s", err, out, &diagnosis)
	}
	var a answer
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	if a.Uid != nobody || len(a.Sockets) != 2 {
		t.Fatalf("%+v, want two sockets", a)
	}
	for local, owner := range a.Sockets {
		want := uint32(a.PID)
		if local == l.Addr().String() {
			want = 0
		}
		if owner.PID != want {
			t.Errorf("%s owned by %v, want %d", local, owner, want)
		}
	}
	for _, word := range []string{"owners of other users' sockets", "other network namespaces", "run as root", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN"} {
		if !strings.Contains(a.Hint, word) {
			t.Errorf("hint %q does not name %q", a.Hint, word)
		}
	}
}

// TestProcess checks what is told of a process, and that another program in it
// is told anew.
func TestProcess(t *testing.T) {
	w, err := newWalker("/")
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	people := newPeople(w)
	cmd := exec.Command("/bin/sh", "-c", "echo; read line; exec cat")
	cmd.Dir = "/"
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); _ = cmd.Wait() }()
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil { // sh runs
		t.Fatal(err)
	}
	k, ok := w.key(uint32(cmd.Process.Pid))
	if !ok {
		t.Fatal("not in /proc")
	}
	p := people.meet(k, 1)
	if p == nil || p.Name != "sh" || len(p.Args) != 3 || p.Cwd != "/" || p.UID != uint32(os.Getuid()) || p.Parent().Key.PID != uint32(os.Getpid()) ||
		p.ExeInode == 0 || p.NetNS == 0 || p.Start == 0 {
		t.Errorf("%+v", p)
	}
	if again := people.meet(k, 2); again != nil {
		t.Errorf("told twice: %+v", again)
	}
	if _, err := io.WriteString(in, "\nx\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil { // cat runs
		t.Fatal(err)
	}
	q := people.meet(k, 3)
	if q == nil || q.Name != "cat" || q.Execs != 1 || q.ID == p.ID || q.Key != p.Key {
		t.Errorf("after exec: %+v", q)
	}
	in.Close()
	_ = cmd.Wait()
	var left []activity.ProcessKey
	people.departed(func(k activity.ProcessKey) { left = append(left, k) })
	if len(left) != 1 || left[0] != k {
		t.Errorf("departed %v, want %v", left, k)
	}
}
