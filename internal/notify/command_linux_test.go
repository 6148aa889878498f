package notify

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/testutil"
)

// TestCommandWithoutCapabilities: what the recorder's service has as ambient
// capabilities does not pass to the command. It is looked at in a process of its
// own, since a capability that all threads were given can't be taken back.
func TestCommandWithoutCapabilities(t *testing.T) {
	if dir := os.Getenv("NOTIFY_TEST_AMBIENT"); dir != "" {
		ambient(t, dir)
		return
	}
	testutil.Root(t, "giving a capability to a command")
	dir := t.TempDir()
	c := exec.Command(os.Args[0], "-test.run=^TestCommandWithoutCapabilities$", "-test.v")
	c.Env = append(os.Environ(), "NOTIFY_TEST_AMBIENT="+dir)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "cgo")); err == nil {
		t.Skip("Go cannot change all threads in a build with cgo, which ours is not")
	}
	for name, want := range map[string]bool{"plain": false, "ours": true} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		_, caps, _ := strings.Cut(string(text), "CapAmb:")
		if none := strings.Trim(caps, "0 \t\n") == ""; none != want {
			t.Errorf("%s: ambient capabilities %q, want none: %v", name, strings.TrimSpace(caps), want)
		}
	}
}

// ambient gives every thread CAP_NET_RAW as an ambient capability, and starts a
// command in the ordinary way and in ours.
func ambient(t *testing.T, dir string) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	data[0].Inheritable |= 1 << unix.CAP_NET_RAW
	if _, _, errno := syscall.AllThreadsSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0); errno == syscall.ENOTSUP {
		if err := os.WriteFile(filepath.Join(dir, "cgo"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	} else if errno != 0 {
		t.Fatal(errno)
	}
	if _, _, errno := syscall.AllThreadsSyscall6(syscall.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_NET_RAW, 0, 0, 0); errno != 0 {
		t.Fatal(errno)
	}
	script := func(name string) []string {
		return []string{"/bin/sh", "-c", "grep CapAmb /proc/self/status > " + filepath.Join(dir, name)}
	}
	if err := exec.Command(script("plain")[0], script("plain")[1:]...).Run(); err != nil {
		t.Fatal(err)
	}
	s, err := NewCommand(script("ours"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(context.Background(), alert(1)); err != nil {
		t.Fatal(err)
	}
}
