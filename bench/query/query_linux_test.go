package query

import (
	"bytes"
	"context"
	"fmt"
	"net"
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

	"github.com/portreporter/portreporter/bench/run"
	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/testutil"
	"github.com/portreporter/portreporter/internal/testutil/link"
)

// ours names the environment variable that makes the program a test of ports:
// "tcp 65535" are the ports from 1.
const ours = "PORTREPORTER_BENCH_QUERY"

func TestMain(m *testing.M) {
	if s := os.Getenv(ours); s != "" {
		if err := query(s); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// query tests ports and prints how many have each verdict.
func query(what string) error {
	name, last, _ := strings.Cut(what, " ")
	n, err := strconv.Atoi(last)
	if err != nil {
		return err
	}
	proto := probe.TCP
	if name == "udp" {
		proto = probe.UDP
	}
	var ports []probe.Port
	for p := range n {
		ports = append(ports, probe.Port{Proto: proto, Port: uint16(p + 1)})
	}
	targets, err := probe.Targets([]probe.Host{{Addrs: []netip.Addr{testutil.Veth4[1].Addr()}}}, ports, -1)
	if err != nil {
		return err
	}
	found := map[probe.Verdict]int{}
	var r probe.Runner
	err = r.Run(context.Background(), targets, func(r probe.Result) { found[r.Verdict]++ })
	fmt.Println(found)
	return err
}

// peer is what ours is measured beside: for the bench alone.
const peer = "nmap"

// open are ports that servers of all kinds have.
func open() []int {
	return []int{21, 22, 23, 25, 53, 80, 110, 111, 135, 139, 143, 389, 443, 445, 636, 993, 995, 1433, 3306, 3389, 5432, 5900,
		6379, 8080, 8443, 9000, 27017}
}

func BenchmarkNear(b *testing.B) {
	client := testutil.NewNetNS(b)
	host := client.Veth()
	serve(b, host, open())
	rules(b, host, some)
	beside(b, client, "tcp 65535", "-sT", "-sS")
}

func BenchmarkFar(b *testing.B) {
	client := testutil.NewNetNS(b)
	host := client.Link(link.Config{Delay: 25 * time.Millisecond})
	serve(b, host, open())
	rules(b, host, some)
	beside(b, client, "tcp 65535", "-sT")
}

func BenchmarkDropped(b *testing.B) {
	client := testutil.NewNetNS(b)
	host := client.Veth()
	few := open()[:11]
	serve(b, host, few)
	rules(b, host, fmt.Sprintf("tcp dport != { %s } drop", strings.Trim(strings.ReplaceAll(fmt.Sprint(few), " ", ", "), "[]")))
	beside(b, client, "tcp 10000", "-sT")
}

func BenchmarkLimited(b *testing.B) {
	client := testutil.NewNetNS(b)
	host := client.Veth()
	sysctl(b, host, "ipv4/icmp_msgs_per_sec", "1000")
	sysctl(b, host, "ipv4/icmp_msgs_burst", "50")
	for _, p := range open()[:17] {
		host.Do(func() {
			c, err := net.ListenPacket("udp4", fmt.Sprintf(":%d", p))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { c.Close() })
		})
	}
	rules(b, host, "")
	beside(b, client, "udp 2000", "-sU")
}

// some is what firewalls do to a few ports.
const some = `tcp dport { 1001, 1002 } drop
tcp dport 1003 reject with icmp type admin-prohibited
tcp dport 1004 reject with icmp type port-unreachable
tcp dport 1005 reject with icmp type host-unreachable`

func sysctl(b *testing.B, ns *testutil.NetNS, name, value string) {
	ns.Do(func() {
		if err := os.WriteFile(filepath.Join("/proc/sys/net", name), []byte(value), 0); err != nil {
			b.Fatal(err)
		}
	})
}

// rules sets a host's firewall, and takes the limit per asker away.
func rules(b *testing.B, ns *testutil.NetNS, text string) {
	sysctl(b, ns, "ipv4/icmp_ratelimit", "0")
	c := exec.Command(testutil.Program(b, "nft"), "-f", "-")
	c.Stdin = strings.NewReader("table ip f {\nchain in { type filter hook input priority 0\n" + text + "\n}\n}\n")
	if _, err := ns.Output(c); err != nil {
		b.Fatal(err)
	}
}

// serve accepts on ports, and hangs up.
func serve(b *testing.B, ns *testutil.NetNS, ports []int) {
	for _, p := range ports {
		ns.Do(func() {
			l, err := net.Listen("tcp4", fmt.Sprintf(":%d", p))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					c.Close()
				}
			}()
		})
	}
}

// beside runs ours and each scan of nmap by turns, and reports the medians.
func beside(b *testing.B, ns *testutil.NetNS, what string, scans ...string) {
	nmap, err := exec.LookPath(peer)
	if err != nil {
		b.Skip("nmap is not installed")
	}
	_, last, _ := strings.Cut(what, " ")
	took := map[string][]float64{}
	for range b.N {
		d, out := timed(b, ns, nobody(b, what))
		took["ours"] = append(took["ours"], d)
		fmt.Printf("ours %.3f s: %s\n", d, out)
		for _, scan := range scans {
			d, out := timed(b, ns, exec.Command(nmap, "-n", "-Pn", scan, "-T4", "-p1-"+last, testutil.Veth4[1].Addr().String()))
			took[scan] = append(took[scan], d)
			fmt.Printf("nmap %s -T4 %.3f s: %s\n", scan, d, shown(out))
		}
	}
	fmt.Printf("%s: ours %v s\n", what, run.Summarise(took["ours"]))
	for _, scan := range scans {
		ratio := run.Summarise(run.Paired(took["ours"], took[scan]))
		fmt.Printf("%s: nmap %s -T4 %v s, of which ours takes %v\n", what, scan, run.Summarise(took[scan]), ratio)
		b.ReportMetric(ratio.Median, "ours/nmap"+scan)
	}
}

// timed runs a command to its end, and returns the seconds that it took.
func timed(b *testing.B, ns *testutil.NetNS, c *exec.Cmd) (float64, string) {
	start := time.Now()
	out, err := ns.Output(c)
	took := time.Since(start).Seconds()
	if err != nil {
		b.Fatalf("%q: %v", c.Args, err)
	}
	return took, string(bytes.TrimSpace(out))
}

// nobody runs this program's query as an ordinary user.
func nobody(b *testing.B, what string) *exec.Cmd {
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { exe.Close() })
	c := exec.Command("/proc/self/fd/3") // nobody may not search the directory that it is in
	c.ExtraFiles = []*os.File{exe}
	c.Env = append(os.Environ(), ours+"="+what)
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return c
}

// shown is what nmap says that it does not show, the greater part.
func shown(out string) string {
	lines := slices.DeleteFunc(strings.Split(out, "\n"), func(l string) bool { return !strings.HasPrefix(l, "Not shown") })
	return fmt.Sprintf("%s, and %d lines", strings.Join(lines, " "), strings.Count(out, "\n"))
}
