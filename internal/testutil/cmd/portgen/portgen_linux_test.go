package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portreporter/portreporter/internal/activity"
	"github.com/portreporter/portreporter/internal/testutil"
	"github.com/portreporter/portreporter/internal/testutil/truth"
)

// The test binary is the generator too: portgen executes itself again for its
// children, and so gets here.
func TestMain(m *testing.M) {
	if os.Getenv("PORTGEN_TEST_MAIN") != "" {
		os.Exit(start(os.Args[1:]))
	}
	os.Exit(m.Run())
}

func portgen(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe, args...)
	c.Env = append(os.Environ(), "PORTGEN_TEST_MAIN=1")
	return c
}

// generate runs the generator in a namespace of the test's and returns its log.
func generate(t *testing.T, n *testutil.NetNS, args ...string) *truth.Log {
	t.Helper()
	out, err := n.Output(portgen(t, append([]string{"-here"}, args...)...))
	if err != nil {
		t.Fatalf("portgen %q: %v", args, err)
	}
	l, err := truth.Read(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(l.NetNS, n.Inode) {
		t.Errorf("namespaces %v, want %d among them", l.NetNS, n.Inode)
	}
	return l
}

// counters reads the namespace's own counts of what happened, which the
// generator has no hand in (RFC 1213; proc_net_snmp).
func counters(t *testing.T, n *testutil.NetNS) map[string]int {
	t.Helper()
	out := map[string]int{}
	n.Do(func() {
		for _, name := range []string{"snmp", "snmp6"} {
			b, err := os.ReadFile("/proc/thread-self/net/" + name)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(string(b), "\n")
			for i := 0; i+1 < len(lines) && name == "snmp"; i += 2 {
				names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
				for j := 1; j < len(names); j++ {
					v, _ := strconv.Atoi(values[j])
					out[names[0]+names[j]] = v
				}
			}
			for _, line := range lines {
				if f := strings.Fields(line); name == "snmp6" && len(f) == 2 {
					v, _ := strconv.Atoi(f[1])
					out[f[0]] = v
				}
			}
		}
	})
	return out
}

func made(l *truth.Log, k activity.Kind) (n int) {
	for i := range l.Exchanges {
		for x := range l.Exchanges[i].Expand() {
			if x.Kind == k && !x.May {
				n++
			}
		}
	}
	for _, x := range l.Expects {
		if x.Kind == k && !x.May {
			n++
		}
	}
	return n
}

func TestTCP(t *testing.T) {
	for _, args := range []string{
		"tcp 320",
		"-data 64 tcp 320",
		"-data 64 -close client tcp 64",
		"-data 64 -close server tcp 64",
		"-data 64 -close rst tcp 64",
		"-null-accept -close rst tcp 320",
		"-null-accept tcp 320",
		"-ipv6 -data 9 tcp 64",
		"-mapped -data 9 tcp 64",
		"-threads 2 -data 9 tcp 64",
		"-rate 2000 tcp 64",
		"procs 30",
		"-parallel 3 procs 30",
		"-close server procs 30",
		"-close rst procs 30",
	} {
		t.Run(args, func(t *testing.T) {
			n := testutil.NewNetNS(t)
			f := strings.Fields(args)
			l := generate(t, n, f...)
			want, err := strconv.Atoi(f[len(f)-1])
			if err != nil {
				t.Fatal(err)
			}
			c := counters(t, n)
			for what, got := range map[string]int{
				"connects told": made(l, activity.KindConnect), "accepts told": made(l, activity.KindAccept), "closes told": made(l, activity.KindClose) / 2,
				"connects counted": c["Tcp:ActiveOpens"], "accepts counted": c["Tcp:PassiveOpens"], "runs": l.Stats[0].N,
			} {
				if got != want {
					t.Errorf("%s: %d, want %d", what, got, want)
				}
			}
			if listens := made(l, activity.KindListen); listens != made(l, activity.KindUnlisten) || listens == 0 {
				t.Errorf("%d listeners opened, %d closed", listens, made(l, activity.KindUnlisten))
			}
			// Where both ends close at once, a late segment may be answered by RST.
			if rst := c["Tcp:OutRsts"]; strings.Contains(args, "rst") && rst < want || strings.Contains(args, "-close client") && rst > 0 {
				t.Errorf("%d resets", rst)
			}
			checkLog(t, l)
		})
	}
}

func TestUDP(t *testing.T) {
	for _, args := range []string{"udp 200", "-data 1000 udp 200", "-connected udp 200", "-ipv6 udp 50", "-mapped udp 50"} {
		t.Run(args, func(t *testing.T) {
			n := testutil.NewNetNS(t)
			f := strings.Fields(args)
			l := generate(t, n, f...)
			want, _ := strconv.Atoi(f[len(f)-1])
			c := counters(t, n)
			if got := c["Udp:OutDatagrams"] + c["Udp6OutDatagrams"]; got != 2*want {
				t.Errorf("%d datagrams counted, want %d", got, 2*want)
			}
			if got := made(l, activity.KindUnbind); got != want+1 {
				t.Errorf("%d sockets told, want %d", got, want+1)
			}
			checkLog(t, l)
		})
	}
}

// A perfect recorder must pass its own truth, whatever the scenario: the log
// must be whole and without contradiction.
func checkLog(t *testing.T, l *truth.Log) {
	t.Helper()
	procs := map[int]truth.Proc{}
	for _, p := range l.Procs {
		procs[p.N] = p
		if p.PID == 0 || p.StartMin > p.StartMax || p.StartMin == 0 {
			t.Errorf("process %+v", p)
		}
	}
	v := truth.NewVerifier(l)
	tell := func(x truth.Expect) {
		if _, ok := procs[x.Proc]; x.Proc != 0 && !ok {
			t.Errorf("%+v is of no known process", x)
		}
		e := activity.Event{Kind: x.Kind, Proto: x.Proto, Local: x.Local, Remote: x.Remote, NetNS: l.NetNS[0], Boot: l.To, Rx: x.Rx, Tx: x.Tx, Errno: x.Errno,
			Reason: x.Reason, Flags: x.Flags}
		owner := procs[x.Proc]
		e.Owner = activity.ProcessKey{PID: owner.PID, Start: owner.StartMin}
		if h, ok := procs[x.Holder]; ok {
			e.Holder = &activity.Process{Key: activity.ProcessKey{PID: h.PID, Start: h.StartMax}}
		}
		v.Add(&e)
	}
	for _, x := range l.Expects {
		tell(x)
	}
	for i := range l.Exchanges {
		for x := range l.Exchanges[i].Expand() {
			tell(x)
		}
	}
	if err := v.Report().Err(); err != nil {
		t.Errorf("%v\n%s", err, v.Report())
	}
}

// Each scenario must run as root, and leave no socket behind.
func TestCases(t *testing.T) {
	testutil.Root(t, "scenarios")
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			out, err := portgen(t, "case", c.name).Output()
			if err != nil {
				var exit *exec.ExitError
				if errors.As(err, &exit) {
					t.Logf("%s", exit.Stderr)
				}
				t.Fatal(err)
			}
			l, err := truth.Read(bytes.NewReader(out))
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range l.Skips { // by the kernel's own word: see able
				t.Skipf("this kernel cannot: %s", s.Why)
			}
			if len(l.Expects)+len(l.Exchanges) == 0 {
				t.Error("no truth")
			}
			checkLog(t, l)
		})
	}
}

func TestPick(t *testing.T) {
	names := map[string]bool{}
	for _, c := range cases() {
		if names[c.name] {
			t.Errorf("two scenarios are called %q", c.name)
		}
		names[c.name] = true
	}
	if all, err := pick("all"); err != nil || len(all) != len(names) {
		t.Errorf("all: %d, %v", len(all), err)
	}
	if two, err := pick("udp,prefork"); err != nil || len(two) != 2 || two[0].name != "udp" {
		t.Errorf("two: %v, %v", two, err)
	}
	if _, err := pick("udp,nonsense"); err == nil || !strings.Contains(err.Error(), `"nonsense"`) {
		t.Errorf("unknown: %v", err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range []string{"", "tcp", "tcp x", "tcp 0", "nonsense 1", "case nonsense", "-close never tcp 1", "-nonsense"} {
		c := portgen(t, strings.Fields(args)...)
		if err := c.Run(); c.ProcessState == nil || c.ProcessState.ExitCode() != 2 {
			t.Errorf("portgen %s: %v, want exit status 2", args, err)
		}
	}
}

func TestSockaddr(t *testing.T) {
	for _, s := range []string{"127.0.0.1:7000", "[::1]:65535", "[::ffff:127.0.0.1]:1"} {
		want := netip.MustParseAddrPort(s)
		if got := newSockaddr(want).addrPort(); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

func TestFork(t *testing.T) {
	pid, err := fork(func() int { return 42 })
	if err != nil {
		t.Fatal(err)
	}
	var st unix.WaitStatus
	if _, err := unix.Wait4(pid, &st, 0, nil); err != nil || st.ExitStatus() != 42 {
		t.Errorf("status %#x, %v", st, err)
	}
}

// What the machine at hand cannot run is compared with what LLVM makes of the
// same instructions.
func TestARM64(t *testing.T) {
	word := func(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
	for _, tt := range []struct {
		name string
		got  []byte
		want uint32
	}{
		{"mov x0, x19", arm64{}.syscall(0, 0, []arg{{socket, 0}}), 0xaa1303e0},
		{"mov x19, x0", arm64{}.keep(), 0xaa0003f3},
		{"neg x0, x0", arm64{}.negate(), 0xcb0003e0},
		{"svc #0", arm64{}.exit(94)[4:], 0xd4000001},
		{"movz x8, #198", arm64{}.syscall(0, 198, nil), 0xd28018c8},
		{"movz x1, #2", arm64{}.syscall(0, 0, []arg{{number, 0}, {number, 2}})[4:], 0xd2800041},
		{"tbnz x0, #63, .+64", arm64{}.jumpIfFailed(60), 0xb7f80200},
		{"adr x1, .-56", arm64{}.syscall(52, 0, []arg{{number, 0}, {data, 0}})[4:], 0x10fffe41},
		{"adr x2, .+9", arm64{}.syscall(0, 0, []arg{{number, 0}, {number, 0}, {data, 17}})[8:], 0x30000042},
	} {
		if got := word(tt.got); got != tt.want {
			t.Errorf("%s: %#x, want %#x", tt.name, got, tt.want)
		}
	}
	a, machine, err := assemblerFor("arm64")
	if err != nil {
		t.Fatal(err)
	}
	if b := oneShot(a, machine, 7000, closeReset); len(b)%4 != 0 || !bytes.HasPrefix(b, []byte("\x7fELF")) {
		t.Errorf("%d bytes", len(b))
	}
	if _, _, err := assemblerFor("pdp11"); err == nil {
		t.Error("no error for an unknown architecture")
	}
}

// With nobody listening the one-shot program must say why it failed.
func TestOneShotFails(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	a, machine, err := assemblerFor(runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	exe := fmt.Sprintf("%s/one", t.TempDir())
	if err := os.WriteFile(exe, oneShot(a, machine, uint16(port), closeClient), 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe)
	if err := c.Run(); c.ProcessState == nil || c.ProcessState.ExitCode() != int(unix.ECONNREFUSED) {
		t.Errorf("%v, want exit status %d", err, int(unix.ECONNREFUSED))
	}
}
