//go:build !plainwire

package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portreporter/portreporter/internal/testutil"
	"github.com/portreporter/portreporter/internal/testutil/link"
)

// labTask names the environment variable that makes the test's program a run of
// the Runner alone: it is started by the tests as an ordinary user in the lab.
const labTask = "PORTREPORTER_TEST_PROBE"

func TestMain(m *testing.M) {
	if os.Getenv(labTask) != "" {
		os.Exit(labRun())
	}
	os.Exit(m.Run())
}

// task is what an ordinary user runs in the lab.
type task struct {
	Runner  Runner
	Targets []Target
	First   uint16 // instead of Targets: all TCP ports of the loopback from First to Last
	Last    uint16
}

// verdict is what it found, without what differs each time.
type verdict struct {
	Verdict string
	Sign    Sign
	ICMP    [2]uint8 // type and code
	From    string
	Tries   int
	Err     string
}

// labRun runs the task on its standard input and prints the verdicts by target, one line each; of a task
// without a list, all that is not a closed port.
func labRun() int {
	var k task
	if err := json.NewDecoder(os.Stdin).Decode(&k); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for p := int(k.First); k.First > 0 && p <= int(k.Last); p++ {
		k.Targets = append(k.Targets, Target{Addr: loopback4(), Proto: TCP, Port: uint16(p)})
	}
	n := 0
	err := k.Runner.Run(context.Background(), slices.Values(k.Targets), func(r Result) {
		n++
		if k.First > 0 && r.Verdict == NotListening {
			return
		}
		b, err := json.Marshal(result{r.Target, told(r)})
		if err != nil {
			panic(err)
		}
		fmt.Println(string(b))
	})
	if err != nil || n != len(k.Targets) || os.Getuid() == 0 {
		fmt.Fprintf(os.Stderr, "%d of %d targets, user %d, %v\n", n, len(k.Targets), os.Getuid(), err)
		return 1
	}
	return 0
}

// result is one line of labRun.
type result struct {
	Target  Target
	Verdict verdict
}

func told(r Result) verdict {
	e := r.Evidence
	v := verdict{Verdict: r.Verdict.String(), Sign: e.Sign, ICMP: [2]uint8{e.ICMPType, e.ICMPCode}, Tries: e.Tries}
	if e.From.IsValid() {
		v.From = e.From.String()
	}
	if e.Err != nil {
		v.Err = e.Err.Error()
	}
	return v
}

// labVerdicts has nobody run a task in a namespace.
func labVerdicts(t *testing.T, ns *testutil.NetNS, k task) map[Target]verdict {
	t.Helper()
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	// By its descriptor: nobody may not search the directories that it is in.
	c := exec.CommandContext(t.Context(), "/proc/self/fd/3")
	c.ExtraFiles = []*os.File{exe}
	c.Env = append(os.Environ(), labTask+"=1")
	c.Stdin = bytes.NewReader(text)
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, Pdeathsig: syscall.SIGKILL}
	out, err := ns.Output(c)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := map[Target]verdict{}
	for line := range strings.Lines(string(out)) {
		var r result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got[r.Target] = r.Verdict
	}
	return got
}

// sysctl sets what is the namespace's own.
func sysctl(t *testing.T, ns *testutil.NetNS, name, value string) {
	t.Helper()
	ns.Do(func() {
		if err := os.WriteFile(filepath.Join("/proc/sys/net", name), []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	})
}

// command runs a program in the namespace.
func command(t *testing.T, ns *testutil.NetNS, stdin string, args ...string) {
	t.Helper()
	c := exec.Command(testutil.Program(t, args[0]), args[1:]...)
	c.Stdin = strings.NewReader(stdin)
	if _, err := ns.Output(c); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
}

// Ports of the lab's host, both transports.
const (
	labOpen   = 2000 // it listens; by UDP it answers
	labMute   = 2001 // by UDP, it listens and says nothing
	labClosed = 2002
	labDrop   = 2003
	labReset  = 2004 // TCP, by a firewall
	labICMP   = 2100 // and the code, rejected with it
)

// lab is two namespaces: who asks, and a host behind rules, which forwards too.
func lab(t *testing.T) (client *testutil.NetNS) {
	client = testutil.NewNetNS(t)
	host := client.Veth()
	for name, value := range map[string]string{
		"ipv4/icmp_ratelimit": "0", "ipv6/icmp/ratelimit": "0", "ipv4/icmp_msgs_per_sec": "100000",
		"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1",
	} {
		sysctl(t, host, name, value)
	}
	var rules strings.Builder
	for code, name := range map[int]string{0: "net-unreachable", 1: "host-unreachable", 2: "prot-unreachable", 3: "port-unreachable",
		9: "net-prohibited", 10: "host-prohibited", 13: "admin-prohibited"} {
		fmt.Fprintf(&rules, "meta nfproto ipv4 th dport %d reject with icmp type %s\n", labICMP+code, name)
	}
	for code, name := range map[int]string{0: "no-route", 1: "admin-prohibited", 3: "addr-unreachable", 4: "port-unreachable",
		5: "policy-fail", 6: "reject-route"} {
		fmt.Fprintf(&rules, "meta nfproto ipv6 th dport %d reject with icmpv6 type %s\n", labICMP+code, name)
	}
	command(t, host, fmt.Sprintf(`table inet lab {
chain in { type filter hook input priority 0
th dport %d drop
tcp dport %d reject with tcp reset
%s}
chain forward { type filter hook forward priority 0
ip daddr 203.0.113.1 reject with icmp type host-unreachable
ip daddr 203.0.113.2 reject with icmp type admin-prohibited
ip daddr 203.0.113.3 reject with icmp type port-unreachable
ip6 daddr 2001:db8:9::1 reject with icmpv6 type addr-unreachable
ip6 daddr 2001:db8:9::2 reject with icmpv6 type admin-prohibited
ip6 daddr 2001:db8:9::3 reject with icmpv6 type port-unreachable
drop
}
}`, labDrop, labReset, rules.String()), "nft", "-f", "-")
	command(t, client, "", "ip", "route", "add", "203.0.113.0/24", "via", "198.51.100.2")
	command(t, client, "", "ip", "route", "add", "2001:db8:9::/64", "via", "2001:db8::2")
	command(t, host, "", "ip", "route", "add", "203.0.113.0/24", "dev", "veth1")
	command(t, host, "", "ip", "route", "add", "2001:db8:9::/64", "dev", "veth1")
	labServe(t, host)
	return client
}

// labServe listens on the lab's open ports, of both versions.
func labServe(t *testing.T, ns *testutil.NetNS) {
	var l net.Listener
	var answers, mute net.PacketConn
	ns.Do(func() {
		var errs [3]error
		l, errs[0] = net.Listen("tcp", fmt.Sprintf(":%d", labOpen))
		mute, errs[2] = net.ListenPacket("udp", fmt.Sprintf(":%d", labMute))
		answers, errs[1] = net.ListenPacket("udp", fmt.Sprintf(":%d", labOpen))
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
	})
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); mute.Close(); answers.Close(); <-done })
	go func() {
		defer close(done)
		b := make([]byte, 100)
		for {
			_, from, err := answers.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = answers.WriteTo([]byte("what?"), from)
		}
	}()
}

// TestVerdicts: every verdict and its evidence, by both transports and both
// versions, as an ordinary user.
func TestVerdicts(t *testing.T) {
	client := lab(t)
	want := map[Target]verdict{}
	add := func(a netip.Addr, proto Proto, port uint16, v Verdict, sign Sign, icmp [2]uint8, from string) {
		w := verdict{Verdict: v.String(), Sign: sign, ICMP: icmp, From: from, Tries: 1}
		if sign == Silence && proto == TCP {
			w.Tries = 3
		}
		want[Target{Addr: a, Proto: proto, Port: port}] = w
	}
	none := [2]uint8{}
	for version, self := range map[int]netip.Addr{4: testutil.Veth4[1].Addr(), 6: testutil.Veth6[1].Addr()} {
		unreachable, portCode, codes := uint8(3), uint8(3), []uint8{0, 1, 2, 3, 9, 10, 13}
		if version == 6 {
			unreachable, portCode, codes = 1, 4, []uint8{0, 1, 3, 4, 5, 6}
		}
		add(self, TCP, labOpen, Listening, Accepted, none, "")
		add(self, TCP, labClosed, NotListening, Reset, none, "")
		add(self, TCP, labReset, NotListening, Reset, none, "")
		add(self, TCP, labDrop, Filtered, Silence, none, "")
		add(self, UDP, labOpen, Listening, Reply, none, "")
		add(self, UDP, labMute, ListeningOrFiltered, Silence, none, "")
		add(self, UDP, labClosed, NotListening, ICMP, [2]uint8{unreachable, portCode}, self.String())
		add(self, UDP, labDrop, ListeningOrFiltered, Silence, none, "")
		for _, code := range codes {
			port := labICMP + uint16(code)
			add(self, TCP, port, Filtered, ICMP, [2]uint8{unreachable, code}, self.String())
			v := Filtered
			if code == portCode {
				v = NotListening // a firewall can say the host's own words
			}
			add(self, UDP, port, v, ICMP, [2]uint8{unreachable, code}, self.String())
		}
	}
	// What a firewall before the host says is its own word, port unreachable too.
	for router, ends := range map[netip.Addr]map[string][2]uint8{
		testutil.Veth4[1].Addr(): {"203.0.113.1": {3, 1}, "203.0.113.2": {3, 13}, "203.0.113.3": {3, 3}, "203.0.113.4": {}},
		testutil.Veth6[1].Addr(): {"2001:db8:9::1": {1, 3}, "2001:db8:9::2": {1, 1}, "2001:db8:9::3": {1, 4}, "2001:db8:9::4": {}},
	} {
		for end, icmp := range ends {
			a := netip.MustParseAddr(end)
			if icmp == none {
				add(a, TCP, 80, Filtered, Silence, none, "")
				add(a, UDP, 80, ListeningOrFiltered, Silence, none, "")
				continue
			}
			add(a, TCP, 80, Filtered, ICMP, icmp, router.String())
			add(a, UDP, 80, Filtered, ICMP, icmp, router.String())
		}
	}
	nowhere := netip.AddrFrom4([4]byte{192, 0, 2, 9}) // no route leads there
	for _, proto := range []Proto{TCP, UDP} {
		add(nowhere, proto, 80, NoVerdict, LocalFail, none, "")
	}
	var k task
	for target, w := range want {
		k.Targets = append(k.Targets, target)
		if w.Sign == LocalFail {
			w.Err = map[Proto]string{TCP: "connect: ", UDP: "send: "}[target.Proto] + "network is unreachable"
			want[target] = w
		}
	}
	if diff := cmp.Diff(want, labVerdicts(t, client, k), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

// TestNoFalseListening: on loopback a connection may meet its own socket, or
// another of ours. The kernel is given few ports to choose from, so that it
// happens all the time; then come whole scans.
func TestNoFalseListening(t *testing.T) {
	ns := testutil.NewNetNS(t)
	full := 20
	if testing.Short() {
		full = 2
	}
	sysctl(t, ns, "ipv4/ip_local_port_range", "40000 40299")
	for range 20 {
		if got := labVerdicts(t, ns, task{First: 40000, Last: 40299}); len(got) > 0 {
			t.Fatalf("among few ports: %v", got)
		}
	}
	sysctl(t, ns, "ipv4/ip_local_port_range", "32768 60999")
	for range full {
		if got := labVerdicts(t, ns, task{First: 1, Last: 65535}); len(got) > 0 {
			t.Fatalf("among all: %v", got)
		}
	}
}

// TestSlowLossyLink: over a link that is 20 ms long and loses one in twenty each
// way, every one of 4,000 ports is what it is.
func TestSlowLossyLink(t *testing.T) {
	client := testutil.NewNetNS(t)
	host := client.Link(link.Config{Delay: 10 * time.Millisecond, Loss: 0.05, Seed: 7})
	labServe(t, host)
	command(t, host, fmt.Sprintf(`table inet lab {
chain in { type filter hook input priority 0
tcp dport %d drop
}
}`, labDrop), "nft", "-f", "-")
	var k task
	want := map[Target]string{}
	for port := uint16(1); port <= 4000; port++ {
		target := Target{Addr: testutil.Veth4[1].Addr(), Proto: TCP, Port: port}
		k.Targets = append(k.Targets, target)
		want[target] = NotListening.String()
		switch port {
		case labOpen:
			want[target] = Listening.String()
		case labDrop:
			want[target] = Filtered.String()
		}
	}
	got := map[Target]string{}
	for target, v := range labVerdicts(t, client, k) {
		got[target] = v.Verdict
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}
