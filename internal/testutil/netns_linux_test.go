package testutil

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestNetNS(t *testing.T) {
	n := NewNetNS(t)
	var l net.Listener
	n.Do(func() {
		var err error
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	})
	defer l.Close()
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("the listener can be reached from another namespace")
	}
	n.Do(func() {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	})
	here, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	there, err := n.Output(exec.Command("readlink", "/proc/self/ns/net"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "net:["; !strings.HasPrefix(string(there), want) || strings.TrimSpace(string(there)) == here {
		t.Errorf("child is in %s, the test in %s", there, here)
	}
}

func TestVeth(t *testing.T) {
	a := NewNetNS(t)
	b := a.Veth()
	for i, network := range []string{"tcp4", "tcp6"} {
		addr := Veth4[1].Addr()
		if i == 1 {
			addr = Veth6[1].Addr()
		}
		var l net.Listener
		b.Do(func() {
			var err error
			if l, err = net.Listen(network, net.JoinHostPort(addr.String(), "7000")); err != nil {
				t.Fatal(err)
			}
		})
		a.Do(func() {
			c, err := net.Dial(network, l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
		})
		l.Close()
	}
}

// A failure inside Do must fail the test that Do was called from.
func TestNetNSDoFails(t *testing.T) {
	r := do(&tester{}, func(t testing.TB) {
		n := NewNetNS(t)
		n.Do(func() { t.Fatalf("inside") })
		t.Errorf("went on")
	})
	r.finish()
	if r.skipped == "" && r.failed != "inside" {
		t.Errorf("failed %q", r.failed)
	}
}
