package identify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/portreporter/portreporter/bench/run"
	"github.com/portreporter/portreporter/internal/probe"
	"github.com/portreporter/portreporter/internal/testutil"
	"github.com/portreporter/portreporter/internal/testutil/server"
)

const (
	peer    = "nmap"               // what ours is judged beside: for the benchmark alone
	browser = "SQL Server browser" // the benchmark's own, as Debian has none

	firstUnusual = 40000 // ports whose numbers say nothing
	atOnce       = 12    // hosts that are asked: the time is nearly all waiting
)

// asked is a host, and what the tools said of it.
type asked struct {
	host
	ns          *testutil.NetNS // where the tools run
	addr        netip.Addr
	ours, other map[string]said
	took        [2]time.Duration
	err         error
}

func BenchmarkServers(b *testing.B) {
	nmap, err := exec.LookPath(peer)
	if err != nil {
		b.Skip("nmap is not installed")
	}
	dir, err := os.MkdirTemp("", "identify")
	if err == nil {
		b.Cleanup(func() { os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o755) // ours runs as nobody
	}
	if err != nil {
		b.Fatal(err)
	}
	portreporter, err := run.Build("", run.Recorder, dir)
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		var all []*asked
		for _, h := range hosts() {
			all = append(all, start(b, h))
		}
		askAll(all, portreporter, nmap)
		report(b, all)
	}
}

// start starts a host's server in a namespace of its own.
func start(b *testing.B, h host) *asked {
	a := &asked{host: h, ns: testutil.NewNetNS(b), addr: netip.MustParseAddr("127.0.0.1")}
	ns := a.ns
	if h.recipe == "charon" {
		// Who asks for IKE binds port 500 too: not on the server's own host.
		ns, a.addr = a.ns.Veth(), testutil.Veth4[1].Addr()
	}
	if h.recipe == browser {
		ns.Do(func() { browse(b, netip.AddrPortFrom(a.addr, h.services[0].port)) })
	} else {
		server.StartIn(b, ns, a.addr, h.recipe)
	}
	var rules strings.Builder
	rules.WriteString("table ip test {\n")
	for _, hook := range []string{"output", "prerouting"} {
		fmt.Fprintf(&rules, "chain %s {\ntype nat hook %s priority -100\n", hook, hook)
		for i, s := range h.services {
			fmt.Fprintf(&rules, "%s dport %d redirect to :%d\n", s.proto, firstUnusual+i, s.port)
		}
		rules.WriteString("}\n")
	}
	rules.WriteString("}\n")
	nft := exec.Command(testutil.Program(b, "nft"), "-f", "-")
	nft.Stdin = strings.NewReader(rules.String())
	if _, err := ns.Output(nft); err != nil {
		b.Fatal(err)
	}
	return a
}

// browse answers as a SQL Server browser does (MC-SQLR section 2.2.5), to the
// question for all instances, and to that for one.
func browse(b *testing.B, at netip.AddrPort) {
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	const text = `ServerName;DB7;InstanceName;MSSQLSERVER;IsClustered;No;Version;15.0.2000.5;tcp;1433;;`
	answer := append(binary.LittleEndian.AppendUint16([]byte{5}, uint16(len(text))), text...)
	go func() {
		q := make([]byte, 1500)
		for {
			n, from, err := c.ReadFromUDPAddrPort(q)
			if err != nil {
				return
			}
			if n > 0 && q[0] >= 2 && q[0] <= 4 {
				_, _ = c.WriteToUDPAddrPort(answer, from)
			}
		}
	}()
}

// askAll has both tools ask every host, some hosts at once.
func askAll(all []*asked, portreporter, nmap string) {
	var wg sync.WaitGroup
	free := make(chan struct{}, atOnce)
	for _, a := range all {
		wg.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			a.err = a.ask(portreporter, nmap)
		})
	}
	wg.Wait()
}

// ask runs both tools, ours as nobody and the other as root.
func (a *asked) ask(portreporter, nmap string) error {
	ports := map[probe.Proto][]string{}
	for i, s := range a.services {
		ports[s.proto] = append(ports[s.proto], fmt.Sprint(s.port), fmt.Sprint(firstUnusual+i))
	}
	var list, theirs []string
	args := []string{"-n", "-Pn", "-sV"}
	for _, p := range []struct {
		proto     probe.Proto
		scan, tag string
	}{{probe.TCP, "-sS", "T:"}, {probe.UDP, "-sU", "U:"}} {
		if ports[p.proto] == nil {
			continue
		}
		for _, port := range ports[p.proto] {
			list = append(list, p.proto.String()+"/"+port)
		}
		args = append(args, p.scan)
		theirs = append(theirs, p.tag+strings.Join(ports[p.proto], ","))
	}
	ours := exec.Command(portreporter, "query", a.addr.String(), strings.Join(list, ","), "--json")
	ours.Dir = "/"
	ours.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := a.timed(0, ours)
	if err != nil {
		return err
	}
	if a.ours, err = readOurs(out); err != nil {
		return err
	}
	out, err = a.timed(1, exec.Command(nmap, append(args, "-p"+strings.Join(theirs, ","), a.addr.String())...))
	a.other = readTable(out)
	return err
}

// timed runs a command in the host's namespace, and notes the time that it took.
func (a *asked) timed(i int, c *exec.Cmd) ([]byte, error) {
	var stderr bytes.Buffer
	c.Stderr = &stderr
	start := time.Now()
	out, err := a.ns.Output(c)
	a.took[i] = time.Since(start)
	if err != nil {
		return nil, fmt.Errorf("%q: %w: %s", c.Args, err, stderr.String())
	}
	return out, nil
}

// report prints two tables, and fails where ours is less right, or lacks at a
// usual port what the server tells.
func report(b *testing.B, all []*asked) {
	fmt.Println(run.Machine())
	var count [2][2]map[mark]int
	var lesser, lacking []string
	var took [2]time.Duration
	for unusual, title := range []string{"At usual ports, and of the hosts", "At ports whose numbers say nothing"} {
		fmt.Printf("\n%s\n", title)
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "PORT\tSERVER\tTRUTH\tOURS\tNMAP -sV\tMORE RIGHT")
		count[unusual] = [2]map[mark]int{{}, {}}
		for _, a := range all {
			if a.err != nil {
				b.Fatalf("%s: %v", a.recipe, a.err)
			}
			for _, r := range a.rows(b, unusual == 1) {
				m, missing, n := r.write(w)
				count[unusual][0][m]++
				count[unusual][1][n]++
				if lessRight(r.truth, r.ours, r.other) {
					lesser = append(lesser, r.String())
				}
				if unusual == 0 && !r.truth.mute && m != right {
					lacking = append(lacking, fmt.Sprintf("%s (%s)", r, strings.Join(missing, ", ")))
				}
			}
			if unusual == 0 {
				took[0], took[1] = took[0]+a.took[0], took[1]+a.took[1]
			}
		}
		w.Flush()
		for i, who := range []string{"ours", peer} {
			c := count[unusual][i]
			fmt.Printf("%s: %d right, %d less, %d silent, %d wrong\n", who, c[right], c[less], c[silent], c[wrong])
		}
	}
	fmt.Printf("\nTime of all runs together: ours %.1f s, nmap %.1f s\n", took[0].Seconds(), took[1].Seconds())
	b.ReportMetric(took[0].Seconds(), "ours-s")
	b.ReportMetric(took[1].Seconds(), "nmap-s")
	verdict(b, "each usual port gave its detail", lacking)
	verdict(b, "never less right", lesser)
}

// verdict prints yes, or no with the rows where it is not so, and then fails.
func verdict(b *testing.B, claim string, rows []string) {
	if len(rows) == 0 {
		fmt.Println(claim + ": yes")
		return
	}
	fmt.Printf("%s: no: %s\n", claim, strings.Join(rows, "; "))
	b.Fail()
}

// row is one port, or a host as a whole, and what was said of it.
type row struct {
	port, server string
	truth        truth
	ours, other  said
}

func (r row) String() string { return r.server + " " + r.port }

// rows are the host's.
func (a *asked) rows(b *testing.B, unusual bool) (all []row) {
	fill := strings.NewReplacer("{version}", version(b, a.pkg), "{today}", time.Now().UTC().Format(time.DateOnly))
	add := func(port string, t truth) {
		facts := t.facts
		t.facts = nil
		for _, f := range facts {
			t.facts = append(t.facts, fill.Replace(f))
		}
		all = append(all, row{port, a.recipe, t, a.ours[port], a.other[port]})
	}
	for i, s := range a.services {
		port := s.port
		if unusual {
			port = uint16(firstUnusual + i)
		}
		add(fmt.Sprintf("%d/%s", port, s.proto), s.truth)
	}
	if a.whole != nil && !unusual {
		add(whole, *a.whole)
	}
	return all
}

// write prints the row, and returns both marks, and what ours lacks.
func (r row) write(w *tabwriter.Writer) (ours mark, missing []string, other mark) {
	ours, missing = judge(r.truth, r.ours)
	other, _ = judge(r.truth, r.other)
	protocol, _, _ := strings.Cut(r.truth.protocol, " ")
	more := map[int]string{-1: peer, 0: "", 1: "ours"}[cmp.Compare(ours, other)]
	if lessRight(r.truth, r.ours, r.other) {
		more = peer + " (!)"
	}
	fmt.Fprintf(w, "%s\t%s\t%.60s\t%s\t%s\t%s\n", r.port, r.server, protocol+": "+strings.Join(r.truth.facts, ", "), told(ours, r.ours), told(other, r.other), more)
	return ours, missing, other
}

// told is a cell: the mark, and the beginning of what was said.
func told(m mark, s said) string {
	return strings.TrimSpace(fmt.Sprintf("%v: %.50s", m, s.text))
}

// version is the version of a package's program, as its makers count: of
// "1:9.2p1-2+deb12u10" it is "9.2p1". No package has none.
func version(b *testing.B, pkg string) string {
	if pkg == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, testutil.Program(b, "dpkg-query"), "-W", "-f", "${Version}", pkg).Output()
	if err != nil {
		b.Fatalf("version of %s: %v", pkg, err)
	}
	return regexp.MustCompile(`^(?:[0-9]+:)?([^-+~]+)`).FindStringSubmatch(string(out))[1]
}
