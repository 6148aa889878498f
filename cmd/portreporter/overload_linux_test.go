package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil"
)

const smallRing = "65536"

// TestSmallRing gives the recorder a buffer that full traffic overruns, and wants
// what did not fit declared, to the event and by kind.
func TestSmallRing(t *testing.T) {
	n := "50000"
	if testing.Short() {
		n = "20000"
	}
	for _, args := range [][]string{{"tcp", n}, {"-threads", "2", "-float", "-data", "1", "tcp", n}} {
		t.Run(strings.Join(args, ","), func(t *testing.T) {
			r := startRecorder(t, "--capture-ring-bytes", smallRing)
			log := generate(t, args...)
			r.settled(log)
			r.stop()
			rep, foreign := r.account(log)
			wantDeclared(t, rep, foreign)
			t.Logf("%d declared lost", lostTotal(rep.Lost))
		})
	}
}

func lostTotal(lost [activity.NumKinds]uint64) (sum uint64) {
	for _, n := range lost {
		sum += n
	}
	return sum
}

// TestStopped stops the recorder while the machine goes on, so that its buffer
// overruns. Then the loss is declared, and the table is the kernel's again.
func TestStopped(t *testing.T) {
	for _, args := range [][]string{{"tcp", "20000"}, {"udp", "10000"}} {
		t.Run(args[0], func(t *testing.T) {
			r := startRecorder(t, "--capture-ring-bytes", smallRing)
			ns := testutil.NewNetNS(t)
			inhabit(t, ns)
			stays, goes := openPorts(t, ns), openPorts(t, ns)
			defer stays.close()
			eventually(t, "the table has what was opened", func() bool { return r.sockets(ns.Inode) >= stays.n+goes.n })

			r.signal(syscall.SIGSTOP)
			log := generate(t, args...) // fills the buffer; what follows is lost
			goes.close()
			defer openPorts(t, ns).close()
			r.signal(syscall.SIGCONT)
			r.settled(log)

			r.wantKernelTable(ns.Inode, 2*stays.n)
			r.wantMemory(128 << 10)
			r.stop()
			rep, foreign := r.account(log)
			for k := range foreign { // the losses of this test's own ports are there too
				foreign[k]++
			}
			wantDeclared(t, rep, foreign)
			if n := lostTotal(rep.Lost); n == 0 {
				t.Errorf("nothing was lost: the recorder was not stopped\n%s", rep)
			}
		})
	}
}

func (r *recorderUnderTest) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// inhabit keeps a process in a network namespace until the test ends: one that
// only its sockets keep alive has no entry in /proc, and `list --kernel` does
// not find it.
func inhabit(t *testing.T, ns *testutil.NetNS) {
	t.Helper()
	c := exec.Command("cat")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Start(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = c.Wait()
	})
}

// ports are open sockets of the test's own process.
type ports struct {
	open []interface{ Close() error }
	n    int // sockets
}

// openPorts opens listeners, connections and UDP sockets.
func openPorts(t *testing.T, ns *testutil.NetNS) *ports {
	t.Helper()
	p := &ports{}
	keep := func(c interface{ Close() error }, err error) {
		if err != nil {
			t.Fatal(err)
		}
		p.open = append(p.open, c)
		p.n++
	}
	ns.Do(func() {
		for range 20 {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			keep(l, err)
			c, err := net.Dial("tcp", l.Addr().String())
			keep(c, err)
			a, err := l.Accept()
			keep(a, err)
			u, err := net.ListenPacket("udp", "[::1]:0")
			keep(u, err)
		}
	})
	return p
}

func (p *ports) close() {
	for _, c := range p.open {
		c.Close()
	}
}

// table lists the sockets of a network namespace, each with its owner.
func (r *recorderUnderTest) table(netns uint32, flags ...string) (all []string) {
	r.t.Helper()
	args := append([]string{"list", "--all", "--json", "--control-path", r.control}, flags...)
	out := r.run(append(args, "netns:"+strconv.FormatUint(uint64(netns), 10))...)
	for line := range bytes.Lines(out) {
		var s struct {
			Proto, State  string
			Socket        uint64
			Local, Remote struct {
				IP   string
				Port uint16
			}
			Process struct{ PID uint32 }
		}
		if err := json.Unmarshal(line, &s); err != nil {
			r.t.Fatalf("%v: %s", err, line)
		}
		all = append(all, fmt.Sprint(s))
	}
	slices.Sort(all)
	return all
}

// wantKernelTable waits until the table of a network namespace is what the
// kernel has: n sockets, each with its owner.
func (r *recorderUnderTest) wantKernelTable(netns uint32, n int) {
	r.t.Helper()
	var want, got []string
	for late := time.Now().Add(giveUp); ; time.Sleep(20 * time.Millisecond) {
		want, got = r.table(netns, "--kernel"), r.table(netns)
		if len(want) != n {
			r.t.Fatalf("the kernel has %d sockets, want %d", len(want), n)
		}
		if slices.Equal(want, got) {
			return
		}
		if time.Now().After(late) {
			r.t.Fatalf("the table is not the kernel's (-kernel +table):\n%s", cmp.Diff(want, got))
		}
	}
}

// wantMemory wants that the recorder never had more resident, in kB.
func (r *recorderUnderTest) wantMemory(most int) {
	r.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		r.t.Fatal(err)
	}
	kB := 0
	_, rest, _ := strings.Cut(string(b), "VmHWM:") // proc_pid_status(5)
	if _, err := fmt.Sscan(rest, &kB); err != nil {
		r.t.Fatalf("VmHWM: %v", err)
	}
	if r.t.Logf("the recorder took %d kB of memory", kB); kB > most {
		r.t.Errorf("that is over %d kB", most)
	}
}
